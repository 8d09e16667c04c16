"""What a surface shows of a release, beside what was approved: a look at it, as the dispatch that it makes.

What is looked for in vain is missing only after several looks that were answered, spread over an hour: a surface that
could not be asked meanwhile has said nothing.
"""

from datetime import timedelta
from typing import Any

from flywheel_assets.domain.dispatches import Dispatch, DispatchState, FlakeVersion
from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.publications import Release
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.recording import problem_of

LOOKS, BETWEEN = 6, timedelta(minutes=10)
"""So many looks in vain, each so long after the one before, and what was looked for is missing: somebody must act."""
_UNLISTED = "It shows, and the surface does not list it yet, or it was yanked at once."


def shown(
    flywheel: Flywheel, workflow: PublishingWorkflow, release: Release, last: Dispatch
) -> tuple[Dispatch | None, str]:
    """What is released must be what was approved; None, and what is missing, while it cannot be told and may come."""
    try:
        found = workflow.released(release)
        standing = _standing(flywheel, last, found) if found else None
        if standing is None or standing.state is DispatchState.YANKED:
            return None, _UNLISTED if found else "The release does not show yet."
        if standing.state is not DispatchState.RELEASED:
            return standing, ""
        readings = workflow.read_back(release, silent)
    except InvalidInputError as error:  # an answer that nobody understands shows nothing
        return None, str(error)
    missing = "" if readings else "It shows, and nothing of it could be read back."
    remark = next((f"{each.detail}." for each in readings if each.detail), "")
    for each in readings:
        if problem := problem_of(each):
            missing = f"{each.member}: {problem}."
            if each.state is ReadState.READ:
                return at(flywheel, standing, DispatchState.WRONG_RELEASE, missing), ""
    if missing:
        return None, missing
    return (_pathless(flywheel, last, standing, remark) if remark else standing), ""


def _pathless(flywheel: Flywheel, last: Dispatch, standing: Dispatch, remark: str) -> Dispatch:
    """A release with its revision alone: what the publishing workflow always tells may only be late, and is looked for.

    As often as anything is, and from where the release shows: looks that were in vain before it did say nothing of it.
    """
    is_awaited = last.state is DispatchState.AWAITS_RELEASE
    if is_awaited and last.pathless and not _is_due(flywheel, last):
        return last
    if is_awaited and last.pathless >= LOOKS:
        return standing.model_copy(update={"detail": printable(remark, 500), "pathless": last.pathless})
    counts = {"pathless": last.pathless + 1, "vain": last.vain} if is_awaited else {"pathless": 1}
    return at(flywheel, standing, DispatchState.AWAITS_RELEASE, remark).model_copy(update=counts)


def again(flywheel: Flywheel, last: Dispatch, workflow: PublishingWorkflow, release: Release) -> Dispatch:
    """What was released, as it is now. Where less is told of it than was, that it is what was approved stays open."""
    release = _exactly(release, last.release)
    found = workflow.released(release)
    if found is None:
        return missed(flywheel, last, "The surface does not show the release now.", DispatchState.YANKED)
    if found.yanked:
        return _yanked(flywheel, last, found)
    now = _standing(flywheel, last, found)
    if now.state is not DispatchState.RELEASED:
        return now
    readings = workflow.read_back(release, silent)
    if wrong := next((each for each in readings if each.state is ReadState.READ and problem_of(each)), None):
        return at(flywheel, now, DispatchState.WRONG_RELEASE, f"{wrong.member}: {problem_of(wrong)}.")
    remark = next((f"{each.detail}." for each in readings if each.detail), "")
    if remark and last.pathless:
        return now.model_copy(update={"detail": printable(remark, 500), "pathless": last.pathless})
    return now if readings and (not remark or last.state is DispatchState.RELEASED) else last


def missed(flywheel: Flywheel, last: Dispatch, missing: str, ends: DispatchState) -> Dispatch:
    """What is missing may still come: each look in vain is counted, a while after the one before."""
    if not _is_due(flywheel, last) or last.state is ends:
        return last
    vain = last.vain + 1
    state = ends if vain >= LOOKS else last.state
    counts = {"vain": vain, "pathless": last.pathless}
    return at(flywheel, last, state, f"{missing} It was looked for {vain} times.").model_copy(update=counts)


def _is_due(flywheel: Flywheel, last: Dispatch) -> bool:
    """Whether another look counts: so long after the last, or before it, as a clock that was ahead has it."""
    return abs(flywheel.clock() - last.at) >= BETWEEN


def _standing(flywheel: Flywheel, last: Dispatch, found: FlakeVersion) -> Dispatch:
    last, flake = last.model_copy(update={"release": found}), last.flake
    if found.revision is not None and found.revision != flake.revision:
        says = f"{found.version} is of revision {found.revision}, and {flake.revision} was approved."
        return at(flywheel, last, DispatchState.WRONG_RELEASE, says)
    if flake.version not in {None, found.version}:
        says = f"It was released as {found.version}, and {flake.version} was approved."
        return at(flywheel, last, DispatchState.WRONG_RELEASE, says)
    return _yanked(flywheel, last, found) if found.yanked else at(flywheel, last, DispatchState.RELEASED)


def _yanked(flywheel: Flywheel, last: Dispatch, found: FlakeVersion) -> Dispatch:
    changes = {"release": found, "pathless": last.pathless}
    return at(flywheel, last, DispatchState.YANKED, f"{found.version} was yanked.").model_copy(update=changes)


def at(flywheel: Flywheel, last: Dispatch, state: DispatchState, detail: str = "") -> Dispatch:
    """In another state since now, with nothing counted in it yet."""
    changes: dict[str, Any] = {
        "state": state,
        "at": flywheel.clock(),
        "vain": 0,
        "pathless": 0,
        "untaken": "",
        "detail": printable(detail, 500),
    }
    return last.model_copy(update=changes)


def _exactly(release: Release, released: FlakeVersion | None) -> Release:
    """The release under the version that it got: a rolling one that is yanked is told of under that alone."""
    if release.flake is None or released is None:
        return release
    return release.model_copy(update={"flake": release.flake.model_copy(update={"version": released.version})})
