"""How far a dispatched publication has come: one bounded look, and what is new goes on record. Nothing waits here."""

from datetime import datetime, timedelta
from typing import Any

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState, FlakeVersion, WorkflowRun
from flywheel_assets.domain.errors import AbsentError, EvidenceMissingError, SurfaceNotImplementedError, printable
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.promotion.dispatches import dispatches, note
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.ledger import assemble
from flywheel_assets.promotion.recording import problem_of

WAIT = timedelta(hours=1)
"""For a run that no forge shows, and for a release that does not show after its run: then somebody must act."""


def follow(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """Where a build is on its way, looked at once if it can move by itself; None when nothing was asked for.

    Raises ReadError, InvalidInputError or EvidenceError; what is on record then stays as it is.
    """
    with flywheel.evidence.claim(claim_of(output, build)):
        seen = dispatches(flywheel, output, build)
        if not seen or not seen[-1].state.is_open:
            return seen[-1] if seen else None
        return note(flywheel, _next(flywheel, seen))


def look_again(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """Whether what was released still stands: it may have been yanked since. Raises as ``follow``."""
    with flywheel.evidence.claim(claim_of(output, build)):
        seen = dispatches(flywheel, output, build)
        if not seen or seen[-1].state not in {DispatchState.RELEASED, DispatchState.YANKED}:
            return seen[-1] if seen else None
        last = seen[-1]
        found = workflow_of(flywheel, last.surface).released(_release(flywheel, last))
        if found is None:
            return note(flywheel, _at(flywheel, last, DispatchState.YANKED, "The surface shows no such release now."))
        return note(flywheel, _standing(flywheel, last, found))


def claim_of(output: str, build: BuildKey) -> str:
    """What is held while a build's dispatch is looked at: shorter than its channel's, and inside it."""
    return f"dispatch {output} {build}"


def workflow_of(flywheel: Flywheel, surface: str) -> PublishingWorkflow:
    """How a surface is asked for its workflow. Raises SurfaceNotImplementedError."""
    if surface not in flywheel.workflows:
        raise SurfaceNotImplementedError(f"{surface} is declared in the catalogue and cannot be served yet.")
    return flywheel.workflows[surface]


def _next(flywheel: Flywheel, seen: list[Dispatch]) -> Dispatch:
    last = seen[-1]
    workflow, release = workflow_of(flywheel, last.surface), _release(flywheel, last)
    if last.state is DispatchState.AWAITS_RELEASE:
        return _awaited(flywheel, workflow, release, seen)
    if last.run is None:
        found = workflow.find(release, last.id, _since(seen, DispatchState.REQUESTED))
        if found is not None:
            return _ran(flywheel, workflow, release, seen, found)
        if not _waited(flywheel, seen, DispatchState.REQUESTED):
            return last
        return _at(flywheel, last, DispatchState.FAILED, "The forge shows no run for this request.")
    try:
        run = workflow.look(release, last.run.id)
    except AbsentError as error:
        return _at(flywheel, last, DispatchState.FAILED, f"The run is gone from the forge: {error}")
    return _ran(flywheel, workflow, release, seen, run)


def _ran(
    flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, seen: list[Dispatch], run: WorkflowRun
) -> Dispatch:
    last = seen[-1].model_copy(update={"run": run})
    if run.ending is None:
        return _at(flywheel, last, DispatchState.RUNNING)
    if run.ending is not Ending.PASSED:
        return _at(flywheel, last, DispatchState.FAILED, f"The run ended: {run.conclusion or run.ending.value}.")
    return _awaited(flywheel, workflow, release, [*seen, last])


def _awaited(flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, seen: list[Dispatch]) -> Dispatch:
    """What is released must be what was approved; what cannot be read yet may still come."""
    last, missing = seen[-1], "The release does not show yet."
    found = workflow.released(release)
    if found is not None:
        standing = _standing(flywheel, last, found)
        if standing.state is DispatchState.YANKED and not _was_released(seen):
            missing = "It shows, and the surface does not list it yet, or it was yanked at once."
            return _late(flywheel, seen, missing)
        if standing.state is not DispatchState.RELEASED:
            return standing
        readings = workflow.read_back(release, silent)
        problems = [(each, problem) for each in readings if (problem := problem_of(each))]
        if readings and not problems:
            return standing
        missing = "It shows, and nothing of it could be read back."
        for each, problem in problems:
            missing = f"{each.member}: {problem}."
            if each.state is ReadState.READ:
                return _at(flywheel, standing, DispatchState.WRONG_RELEASE, missing)
    return _late(flywheel, seen, missing)


def _late(flywheel: Flywheel, seen: list[Dispatch], missing: str) -> Dispatch:
    """What is missing still may come, for an hour."""
    if _waited(flywheel, seen, DispatchState.AWAITS_RELEASE):
        return _at(flywheel, seen[-1], DispatchState.FAILED, f"An hour after the run: {missing}")
    return _at(flywheel, seen[-1], DispatchState.AWAITS_RELEASE, missing)


def _was_released(seen: list[Dispatch]) -> bool:
    return any(each.state in {DispatchState.RELEASED, DispatchState.YANKED} for each in seen)


def _standing(flywheel: Flywheel, last: Dispatch, found: FlakeVersion) -> Dispatch:
    last = last.model_copy(update={"release": found})
    if found.revision != last.flake.revision:
        says = f"{found.version} is of revision {found.revision}, and {last.flake.revision} was approved."
        return _at(flywheel, last, DispatchState.WRONG_RELEASE, says)
    if found.yanked:
        return _at(flywheel, last, DispatchState.YANKED, f"{found.version} was yanked.")
    return _at(flywheel, last, DispatchState.RELEASED)


def _at(flywheel: Flywheel, last: Dispatch, state: DispatchState, detail: str = "") -> Dispatch:
    changes: dict[str, Any] = {"state": state, "at": flywheel.clock(), "detail": printable(detail, 500)}
    return last.model_copy(update=changes)


def _since(seen: list[Dispatch], state: DispatchState) -> datetime:
    """When the newest request was first seen in a state."""
    return next((each.at for each in seen if each.id == seen[-1].id and each.state is state), seen[-1].at)


def _waited(flywheel: Flywheel, seen: list[Dispatch], state: DispatchState) -> bool:
    was_seen = any(each.id == seen[-1].id and each.state is state for each in seen)
    return was_seen and flywheel.clock() - _since(seen, state) >= WAIT


def _release(flywheel: Flywheel, last: Dispatch) -> Release:
    """What was asked for. Raises EvidenceMissingError when no receipt in evidence vouches for it any more."""
    for attested in assemble(flywheel, last.output, last.build).receipts:
        if attested.receipt.artifact.digest.hex == last.artifact_digest.hex:
            artifact = attested.receipt.artifact
            return Release(output=last.output, build=last.build, artifact=artifact, flake=last.flake)
    raise EvidenceMissingError(f"The receipt of {last.output} {last.build}, which was dispatched, is not in evidence.")
