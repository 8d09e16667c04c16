"""How far a dispatched publication has come: one bounded look, and what is new goes on record. Nothing waits here.

What is looked for in vain is missing only after several looks that were answered, spread over an hour: a forge or a
surface that could not be asked meanwhile has said nothing.
"""

from datetime import timedelta
from typing import Any

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState, FlakeVersion, WorkflowRun
from flywheel_assets.domain.errors import (
    AbsentError,
    EvidenceMissingError,
    InvalidInputError,
    SurfaceNotImplementedError,
    printable,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.promotion.dispatches import dispatches, note
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.ledger import assemble
from flywheel_assets.promotion.recording import problem_of

LOOKS, BETWEEN = 6, timedelta(minutes=10)
"""So many looks in vain, each so long after the one before, and what was looked for is missing: somebody must act."""


def follow(flywheel: Flywheel, output: str, build: BuildKey, request: str | None = None) -> Dispatch | None:
    """Where a build's newest request is, or the one named; None when nothing was asked for.

    It is looked at once if it can move by itself, or failed: a run may show late, and a person may have it run again.
    Raises ReadError, InvalidInputError or EvidenceError; what is on record then stays as it is.
    """
    with flywheel.evidence.claim(claim_of(output, build)):
        found = dispatches(flywheel, output, build)
        name = request or (found[-1].id if found else "")
        seen = [each for each in found if each.id == name]
        if not seen:
            return None
        last = seen[-1]
        if not (last.state.is_open or last.state is DispatchState.FAILED):
            return last
        now = _next(flywheel, seen)
        return last if now == last else note(flywheel, now)


def look_again(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """Whether what was released still stands: it may have been yanked since. Raises as ``follow``."""
    with flywheel.evidence.claim(claim_of(output, build)):
        seen = dispatches(flywheel, output, build)
        if not seen or seen[-1].state not in {DispatchState.RELEASED, DispatchState.YANKED}:
            return seen[-1] if seen else None
        last = seen[-1]
        found = workflow_of(flywheel, last.surface).released(_exactly(_release(flywheel, last), last.release))
        if found is not None:
            return note(flywheel, _standing(flywheel, last, found))
        if last.state is DispatchState.YANKED:
            return last
        missing = _missed(flywheel, last, "The surface does not show the release now.", DispatchState.YANKED)
        return last if missing == last else note(flywheel, missing)


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
        run = workflow.look(release, last.run.id) if last.run else workflow.find(release, last.id, seen[0].at)
    except AbsentError as error:
        if has_failed:
            return last
        return _at(flywheel, last, DispatchState.FAILED, f"The run is gone from the forge: {error}")
    if has_failed and run == last.run:
        return _shown(flywheel, workflow, release, last)[0] or last
    if run is None:
        return _missed(flywheel, last, "The forge shows no run for this request.", DispatchState.FAILED)
    return _ran(flywheel, workflow, release, last.model_copy(update={"run": run}))


def _ran(flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch) -> Dispatch:
    run: WorkflowRun | None = last.run
    if run is None or run.ending is None:
        return _at(flywheel, last, DispatchState.RUNNING)
    if run.ending is Ending.PASSED:
        return _awaited(flywheel, workflow, release, last)
    # A run fails also where the version is there already: by whoever, it may be what was approved.
    failed = _at(flywheel, last, DispatchState.FAILED, f"The run ended: {run.conclusion or run.ending.value}.")
    return _shown(flywheel, workflow, release, last)[0] or failed


def _awaited(flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch) -> Dispatch:
    shown, missing = _shown(flywheel, workflow, release, last)
    if shown is not None:
        return shown
    if last.state is not DispatchState.AWAITS_RELEASE:
        return _at(flywheel, last, DispatchState.AWAITS_RELEASE, missing)
    return _missed(flywheel, last, missing, DispatchState.FAILED)


def _shown(
    flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch
) -> tuple[Dispatch | None, str]:
    """What is released must be what was approved; None, and what is missing, while it cannot be told and may come."""
    try:
        found = workflow.released(release)
        if found is None:
            return None, "The release does not show yet."
        standing = _standing(flywheel, last, found)
        if standing.state is DispatchState.YANKED:
            return None, "It shows, and the surface does not list it yet, or it was yanked at once."
        if standing.state is not DispatchState.RELEASED:
            return standing, ""
        readings = workflow.read_back(release, silent)
    except InvalidInputError as error:  # an answer that nobody understands shows nothing
        return None, str(error)
    missing = "" if readings else "It shows, and nothing of it could be read back."
    for each in readings:
        if problem := problem_of(each):
            missing = f"{each.member}: {problem}."
            if each.state is ReadState.READ:
                return _at(flywheel, standing, DispatchState.WRONG_RELEASE, missing), ""
    return (None, missing) if missing else (standing, "")


def _missed(flywheel: Flywheel, last: Dispatch, missing: str, ends: DispatchState) -> Dispatch:
    """What is missing may still come: each look in vain is counted, a while after the one before."""
    if flywheel.clock() - last.at < BETWEEN or last.state is ends:
        return last
    vain = last.vain + 1
    state = ends if vain >= LOOKS else last.state
    return _at(flywheel, last, state, f"{missing} It was looked for {vain} times.").model_copy(update={"vain": vain})


def _standing(flywheel: Flywheel, last: Dispatch, found: FlakeVersion) -> Dispatch:
    last, flake = last.model_copy(update={"release": found}), last.flake
    if found.revision != flake.revision:
        says = f"{found.version} is of revision {found.revision}, and {flake.revision} was approved."
        return _at(flywheel, last, DispatchState.WRONG_RELEASE, says)
    if flake.version not in {None, found.version}:
        says = f"It was released as {found.version}, and {flake.version} was approved."
        return _at(flywheel, last, DispatchState.WRONG_RELEASE, says)
    if found.yanked:
        return _at(flywheel, last, DispatchState.YANKED, f"{found.version} was yanked.")
    return _at(flywheel, last, DispatchState.RELEASED)


def _at(flywheel: Flywheel, last: Dispatch, state: DispatchState, detail: str = "") -> Dispatch:
    changes: dict[str, Any] = {"state": state, "at": flywheel.clock(), "vain": 0, "detail": printable(detail, 500)}
    return last.model_copy(update=changes)


def _exactly(release: Release, released: FlakeVersion | None) -> Release:
    """The release under the version that it got: a rolling one that is yanked is told of under that alone."""
    if release.flake is None or released is None:
        return release
    return release.model_copy(update={"flake": release.flake.model_copy(update={"version": released.version})})


def _release(flywheel: Flywheel, last: Dispatch) -> Release:
    """What was asked for. Raises EvidenceMissingError when no receipt in evidence vouches for it any more."""
    for attested in assemble(flywheel, last.output, last.build).receipts:
        if attested.receipt.artifact.digest.hex == last.artifact_digest.hex:
            artifact = attested.receipt.artifact
            return Release(output=last.output, build=last.build, artifact=artifact, flake=last.flake)
    raise EvidenceMissingError(f"The receipt of {last.output} {last.build}, which was dispatched, is not in evidence.")
