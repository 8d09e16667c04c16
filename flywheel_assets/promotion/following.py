"""How far a dispatched publication has come: one bounded look, and what is new goes on record. Nothing waits here."""

from datetime import datetime

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState, WorkflowRun
from flywheel_assets.domain.errors import (
    AbsentError,
    EvidenceMissingError,
    FlywheelError,
    PromotionRefusedError,
    SurfaceNotImplementedError,
    printable,
)
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.promotion.approving import approved_now
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.dispatches import current, dispatches, last_dispatch, last_release, note
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.shown_releases import again, at, missed, shown


def follow(flywheel: Flywheel, output: str, build: BuildKey, request: str | None = None) -> Dispatch | None:
    """Where the request of a build that counts is, or the one named; None when nothing was asked for.

    It is looked at once if it can move by itself, or failed: a run may show late, and a person may have it run again.
    A run whose build the gate lets out no more is cancelled; that is on record before.
    Raises ReadError, InvalidInputError or EvidenceError; what is on record then stays as it is.
    """
    with flywheel.evidence.claim(claim_of(output, build)):
        found = dispatches(flywheel, output, build)
        name = request or (current(found).id if found else "")
        seen = [each for each in found if each.id == name]
        if not seen:
            return None
        last = seen[-1]
        if not (last.state.is_open or last.state is DispatchState.FAILED):
            return last
        now = _next(flywheel, seen)
        kept = last if now == last else note(flywheel, now)
        return _cancelled(flywheel, kept) if kept.state is DispatchState.STOPPING else kept


def follow_each(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """``follow`` for every request of a build, one but where a person asked again: any of their runs may go on.

    What is wrong with one holds up no other. Raises as ``follow``, the first error of them.
    """
    problem: FlywheelError | None = None
    for request in dict.fromkeys(each.id for each in dispatches(flywheel, output, build)):
        try:
            now = follow(flywheel, output, build, request)
        except FlywheelError as error:
            problem = problem or error
        else:
            if now is not None and now.state.is_out:
                break  # what is out is not made again
    if problem:
        raise problem
    return last_dispatch(flywheel, output, build)


def look_again(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """Whether what was released stands, and is what was approved: it may be yanked since, or have more told of it.

    Whatever became of later requests; where nothing was released, how far the build has come. Raises as ``follow``.
    """
    with flywheel.evidence.claim(claim_of(output, build)):
        last = last_release(flywheel, output, build)
        if last is None:
            return last_dispatch(flywheel, output, build)
        now = again(flywheel, last, workflow_of(flywheel, last.surface), _release(flywheel, last))
        return last if now == last else note(flywheel, now)


def claim_of(output: str, build: BuildKey) -> str:
    """What is held while a build's dispatch is looked at: shorter than its channel's, and inside it."""
    return f"dispatch {output} {build}"


def workflow_of(flywheel: Flywheel, surface: str) -> PublishingWorkflow:
    """How a surface is asked for its workflow. Raises SurfaceNotImplementedError."""
    if surface not in flywheel.workflows:
        raise SurfaceNotImplementedError(f"{surface} is declared in the catalogue and cannot be served yet.")
    return flywheel.workflows[surface]


def _next(flywheel: Flywheel, seen: list[Dispatch]) -> Dispatch:
    """``seen``: all of one request, oldest first. Its last when there is nothing new."""
    last, has_failed = seen[-1], seen[-1].state is DispatchState.FAILED
    workflow, release = workflow_of(flywheel, last.surface), _release(flywheel, last)
    if last.state is DispatchState.AWAITS_RELEASE:
        return _awaited(flywheel, workflow, release, last)
    try:
        run = (
            workflow.look(release, last.run.id) if last.run else workflow.find(release, last.id, _since(flywheel, seen))
        )
    except AbsentError as error:
        if has_failed:
            return last
        return at(flywheel, last, DispatchState.FAILED, f"The run is gone from the forge: {error}")
    if has_failed and run == last.run:
        return shown(flywheel, workflow, release, last)[0] or last
    if run is None:
        return missed(flywheel, last, "The forge shows no run for this request.", DispatchState.FAILED)
    return _ran(flywheel, workflow, release, last.model_copy(update={"run": run}))


def _cancelled(flywheel: Flywheel, last: Dispatch) -> Dispatch:
    """The forge is asked to cancel the run; that it does not take that is on record, once, until it does."""
    problem: FlywheelError | None = None
    if last.run is not None:
        try:
            workflow_of(flywheel, last.surface).cancel(_release(flywheel, last), last.run.id)
        except FlywheelError as error:
            problem = error
    if bool(problem) != bool(last.untaken):
        changes = {"at": flywheel.clock(), "untaken": printable(str(problem), 500) if problem else ""}
        last = note(flywheel, last.model_copy(update=changes))
    if problem:
        raise problem
    return last


def _since(flywheel: Flywheel, seen: list[Dispatch]) -> datetime:
    """When it was asked for, at the latest: the clock may have been ahead then."""
    return min(flywheel.clock(), *(each.at for each in seen))


def _ran(flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch) -> Dispatch:
    run: WorkflowRun | None = last.run
    if run is None or run.ending is None:
        refusal = _refusal(flywheel, last)
        if refusal:
            return at(flywheel, last, DispatchState.STOPPING, refusal).model_copy(update={"untaken": last.untaken})
        return at(flywheel, last, DispatchState.RUNNING, _asked(last))
    if run.ending is Ending.PASSED:
        return _awaited(flywheel, workflow, release, last)
    # A run fails also where the version is there already: by whoever, it may be what was approved.
    ended = f"The run ended: {run.conclusion or run.ending.value}. {_asked(last)}".rstrip()
    failed = at(flywheel, last, DispatchState.FAILED, ended)
    return shown(flywheel, workflow, release, last)[0] or failed


def _asked(last: Dispatch) -> str:
    """That we asked for the end of a run, whatever became of the reason; empty when we did not."""
    if last.state is DispatchState.RUNNING:
        return last.detail
    return f"Its cancelling was asked for: {last.detail}" if last.state is DispatchState.STOPPING else ""


def _refusal(flywheel: Flywheel, last: Dispatch) -> str:
    """Why it would not go out there now; empty when it would. Raises EvidenceError."""
    target = flywheel.output(last.output).publication
    if target is None or target.surface != last.surface:
        return f"The catalogue does not have {last.output} published to {last.surface} any more."
    try:
        approved_now(flywheel, last.output, last.build)
    except PromotionRefusedError as refusal:
        return str(refusal)
    return ""


def _awaited(flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch) -> Dispatch:
    found, missing = shown(flywheel, workflow, release, last)
    if found is not None:
        return found
    if last.state is not DispatchState.AWAITS_RELEASE:
        return at(flywheel, last, DispatchState.AWAITS_RELEASE, missing)
    return missed(flywheel, last, missing, DispatchState.FAILED)


def _release(flywheel: Flywheel, last: Dispatch) -> Release:
    """What was asked for. Raises EvidenceMissingError when no receipt in evidence vouches for it any more."""
    for attested in assemble(flywheel, last.output, last.build).receipts:
        if attested.receipt.artifact.digest.hex == last.artifact_digest.hex:
            artifact = attested.receipt.artifact
            return Release(output=last.output, build=last.build, artifact=artifact, flake=last.flake)
    raise EvidenceMissingError(f"The receipt of {last.output} {last.build}, which was dispatched, is not in evidence.")
