"""What is to be said of a build that a workflow publishes, while it is on its way: what is waited for, and who acts."""

from typing import NamedTuple

from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.gate.case import person
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import last_verdict
from flywheel_assets.promotion.yanking import who_yanks

REASONS = {
    DispatchState.REQUESTED: "workflow-requested",
    DispatchState.REFUSED: "workflow-refused",
    DispatchState.DISPATCHED: "workflow-dispatched",
    DispatchState.RUNNING: "workflow-running",
    DispatchState.STOPPING: "workflow-stopping",
    DispatchState.FAILED: "workflow-failed",
    DispatchState.AWAITS_RELEASE: "release-awaited",
    DispatchState.WRONG_RELEASE: "released-otherwise",
    DispatchState.RELEASED: "release-not-recorded-yet",
    DispatchState.YANKED: "release-yanked",
}
"""The reason codes of rows (docs/reasons.md)."""

_SAYS = {
    DispatchState.REQUESTED: "its workflow was asked for, and the forge shows no run yet",
    DispatchState.REFUSED: "the forge did not take the request for its workflow",
    DispatchState.DISPATCHED: "the forge has taken the request for its workflow",
    DispatchState.RUNNING: "its workflow is running",
    DispatchState.STOPPING: "its workflow is running, and the forge is asked to cancel it",
    DispatchState.FAILED: "its workflow failed",
    DispatchState.AWAITS_RELEASE: "its workflow succeeded, and the release does not read back yet",
    DispatchState.WRONG_RELEASE: "what was released is not what was approved",
    DispatchState.RELEASED: "all that is told of its release is what was approved; it is still to be read back whole",
    DispatchState.YANKED: "its release was yanked, or is not shown any more",
}


class Said(NamedTuple):
    """Reason, message, remedy and actor, as a row has them."""

    reason: str
    message: str
    remedy: str
    actor: str


def said_of(flywheel: Flywheel, last: Dispatch) -> Said:
    """How far it has come, since when, by which run; what would change that, and who acts.

    Of what the gate lets out no more: what it says, and what becomes public, or is, all the same.
    """
    if refused := _refused(flywheel, last):
        return refused
    run = f"; run {last.run.url}" if last.run else ""
    detail = f": {last.detail.removesuffix('.')}" if last.detail else ""
    says = _SAYS[last.state]
    if last.state is DispatchState.AWAITS_RELEASE and (last.run is None or last.run.ending is Ending.FAILED):
        made = "that no run of this request made" if last.run else "that was there before its workflow was asked for"
        says = f"a release {made} is still to be read back"
    if last.untaken:
        run = f"{run}; the forge does not take that: {last.untaken.removesuffix('.')}"
    holds = "" if last.state is DispatchState.STOPPING else "every rule holds; "
    message = f"{holds}since {last.at:%Y-%m-%d %H:%M} UTC {says}{detail}{run}"
    return Said(REASONS[last.state], message, *_who_acts(flywheel, last))


def _refused(flywheel: Flywheel, last: Dispatch) -> Said | None:
    """Reason and words of the gate, with those of the workflow; None where it lets it out, or nothing is to be stopped.

    Who acts is who can take it back, also where the gate waits for somebody else. Raises EvidenceError.
    """
    recorded, (says, remedy) = last_verdict(flywheel, last.output, last.build), against(last)
    if recorded is None or recorded.verdict.publishable or not says:
        return None
    worst = recorded.verdict.worst
    return Said(worst.reason, f"{worst.message}; {says}", f"{remedy} {worst.remedy}".strip(), who_stops(flywheel, last))


def who_stops(flywheel: Flywheel, last: Dispatch) -> str:
    """Who does what ``against`` says: the output's owner cancels a run, and the surface's yanks a release."""
    owner = person(flywheel.catalogue, flywheel.output(last.output).owner)
    is_released = last.state.is_out or last.state is DispatchState.AWAITS_RELEASE
    return who_yanks(flywheel.catalogue, last.surface, owner) if is_released else owner


def against(last: Dispatch) -> tuple[str, str]:
    """Of a build that the gate lets out no more: what its workflow is about all the same, and how to stop that.

    Empty when there is nothing to stop. The forge is asked to cancel a run that is seen to go on; it may end before.
    """
    where = last.run.url if last.run else f"{last.flake.repository}: it is called after {last.id}"
    release = f"{last.flake.name} {last.release.version if last.release else last.flake.version or last.flake.revision}"
    if last.state is DispatchState.STOPPING:
        says, stop = "the forge is asked to cancel its workflow, which", "See that the run ends"
        if last.untaken:
            problem = last.untaken.removesuffix(".")
            says, stop = (
                f"the forge does not take the order to cancel its workflow: {problem}; it",
                "Cancel the run by hand",
            )
        return f"{says} may release it all the same ({where})", f"{stop}, {where}."
    if last.state is DispatchState.WRONG_RELEASE:
        return (
            f"what is released under its name is not what was approved, and is public ({release})",
            f"Yank {release}.",
        )
    if last.state is DispatchState.RELEASED or (last.state is DispatchState.AWAITS_RELEASE and last.release):
        return f"it is public all the same: its workflow has released it ({release})", f"Yank {release}."
    if last.state is DispatchState.AWAITS_RELEASE:
        return f"it may show as released all the same ({release})", f"When it shows, yank {release}."
    if last.state.is_open:
        return f"its workflow was asked for, and may release it all the same ({where})", f"Cancel the run, {where}."
    return "", ""


def _who_acts(flywheel: Flywheel, last: Dispatch) -> tuple[str, str]:
    owner = person(flywheel.catalogue, flywheel.output(last.output).owner)
    by_hand = f"`flywheel promote {last.output} {last.build}`, or materializing it in the UI,"
    match last.state:
        case DispatchState.DISPATCHED | DispatchState.RUNNING | DispatchState.STOPPING:
            again = ", and its cancelling asked for" if last.state is DispatchState.STOPPING else ""
            told = (f"No action needed: the run is looked at{again} every minute.", "the publishing workflow")
            return (against(last)[1], owner) if last.untaken else told
        case DispatchState.REQUESTED | DispatchState.AWAITS_RELEASE:
            return "No action needed for an hour: it is looked for every minute, and never asked for twice.", "nobody"
        case DispatchState.RELEASED:
            return f"No action needed: the next run records it; {by_hand} does so at once.", "nobody"
        case DispatchState.WRONG_RELEASE:
            return "Find out who released it; yank that version, and release under another.", who_stops(flywheel, last)
        case DispatchState.YANKED:
            return "Release under another version, unless it was meant.", owner
        case _:
            return f"Mend what is said; then {by_hand} asks for another run.", owner
