"""What is to be said of a build that a workflow publishes, while it is on its way: what is waited for, and who acts."""

from typing import NamedTuple

from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.gate.case import person
from flywheel_assets.promotion.flywheel import Flywheel

REASONS = {
    DispatchState.REQUESTED: "workflow-requested",
    DispatchState.REFUSED: "workflow-refused",
    DispatchState.DISPATCHED: "workflow-dispatched",
    DispatchState.RUNNING: "workflow-running",
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
    DispatchState.FAILED: "its workflow failed",
    DispatchState.AWAITS_RELEASE: "its workflow succeeded, and the release does not read back yet",
    DispatchState.WRONG_RELEASE: "what was released is not what was approved",
    DispatchState.RELEASED: "its release has the approved revision and store path, and is still to be read back whole",
    DispatchState.YANKED: "its release was yanked, or is not shown any more",
}


class Said(NamedTuple):
    """Reason, message, remedy and actor, as a row has them."""

    reason: str
    message: str
    remedy: str
    actor: str


def said_of(flywheel: Flywheel, last: Dispatch) -> Said:
    """How far it has come, since when, by which run; what would change that, and who acts."""
    run = f"; run {last.run.url}" if last.run else ""
    detail = f": {last.detail.removesuffix('.')}" if last.detail else ""
    says = _SAYS[last.state]
    if last.state is DispatchState.AWAITS_RELEASE and last.run is None:
        says = "a release that was there before its workflow was asked for is still to be read back"
    message = f"every rule holds; since {last.at:%Y-%m-%d %H:%M} UTC {says}{detail}{run}"
    return Said(REASONS[last.state], message, *_who_acts(flywheel, last))


def against(last: Dispatch) -> tuple[str, str]:
    """Of a build that the gate lets out no more: what its workflow is about all the same, and how to stop that.

    Empty when there is nothing to stop. Who releases it is none of ours: no verdict of here ends a run there.
    """
    where = last.run.url if last.run else f"{last.flake.repository}: it is called after {last.id}"
    release = f"{last.flake.name} {last.release.version if last.release else last.flake.version or last.flake.revision}"
    if last.state.is_open:
        return f"its workflow was asked for, and may release it all the same ({where})", f"Cancel the run, {where}."
    if last.state is DispatchState.RELEASED:
        return f"its workflow has released it ({release})", f"Yank {release}."
    return "", ""


def _who_acts(flywheel: Flywheel, last: Dispatch) -> tuple[str, str]:
    owner = person(flywheel.catalogue, flywheel.output(last.output).owner)
    by_hand = f"`flywheel promote {last.output} {last.build}`, or materializing it in the UI,"
    match last.state:
        case DispatchState.DISPATCHED | DispatchState.RUNNING:
            return "No action needed: the run is looked at every minute.", "the publishing workflow"
        case DispatchState.REQUESTED | DispatchState.AWAITS_RELEASE:
            return "No action needed for an hour: it is looked for every minute, and never asked for twice.", "nobody"
        case DispatchState.RELEASED:
            return f"No action needed: the next run records it; {by_hand} does so at once.", "nobody"
        case DispatchState.WRONG_RELEASE:
            return "Find out who released it; yank that version, and release under another.", owner
        case DispatchState.YANKED:
            return "Release under another version, unless it was meant.", owner
        case _:
            return f"Mend what is said; then {by_hand} asks for another run.", owner
