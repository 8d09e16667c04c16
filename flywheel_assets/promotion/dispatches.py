"""What evidence holds of publications that another workflow carries out: each state that was seen, once, in its order.

None of it says anything of the artifact: no evidence bundle holds it, and no verdict depends on it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from flywheel_assets.catalog.models import Way
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceError
from flywheel_assets.domain.publications import FlakeRelease
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import record
from flywheel_assets.promotion.reading import indexed

DISPATCH = "dispatch"


def dispatched_outputs(flywheel: Flywheel) -> list[str]:
    """The catalogued outputs that a workflow publishes."""
    outputs = flywheel.catalogue.outputs.items()
    return [name for name, output in outputs if output.publication and output.publication.way is Way.TRIGGERS]


def dispatches(flywheel: Flywheel, output: str, build: BuildKey) -> list[Dispatch]:
    """All that was seen of one build's publication, oldest first. Raises EvidenceError."""
    entries = indexed(flywheel, output_log(output)).about(DISPATCH, str(build))
    return [_load(flywheel, output, entry.evidence) for entry in entries]


def readable(flywheel: Flywheel, output: str, build: BuildKey) -> Iterator[Dispatch]:
    """The same, without what cannot be read: for what must not wait for that. Raises EvidenceError for the log."""
    for entry in indexed(flywheel, output_log(output)).about(DISPATCH, str(build)):
        with suppress(EvidenceError):
            yield _load(flywheel, output, entry.evidence)


def last_dispatches(flywheel: Flywheel, output: str) -> dict[BuildKey, Dispatch]:
    """How far each build of an output has come, in the order in which they were last heard of. Raises EvidenceError."""
    newest: dict[str, EvidenceDigest] = {}
    for entry in indexed(flywheel, output_log(output)).of(DISPATCH):
        newest.pop(entry.subject, None)
        newest[entry.subject] = entry.evidence
    found = {BuildKey.parse(subject): _load(flywheel, output, evidence) for subject, evidence in newest.items()}
    # Only behind what has come to nothing may there be an earlier request that goes on.
    failed = {DispatchState.FAILED, DispatchState.REFUSED}
    return {
        build: current(dispatches(flywheel, output, build)) if last.state in failed else last
        for build, last in found.items()
    }


def last_dispatch(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """How far one build has come; None when nothing was asked of a workflow. Raises EvidenceError."""
    found = dispatches(flywheel, output, build)
    return current(found) if found else None


def last_release(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """What was last seen of what was released, whatever else was asked for since. Raises EvidenceError."""
    return next((each for each in reversed(dispatches(flywheel, output, build)) if each.state.is_out), None)


def current(seen: Sequence[Dispatch]) -> Dispatch:
    """Of all that was seen of one build, what counts: the request that may go on, or else the one last heard of."""
    newest: dict[str, Dispatch] = {}
    for each in seen:
        newest.pop(each.id, None)
        newest[each.id] = each
    return next((each for each in reversed(newest.values()) if each.state.is_open), seen[-1])


def requests(flywheel: Flywheel, output: str, surface: str, flake: FlakeRelease) -> list[Dispatch]:
    """Where each request for one release is, of whichever build, oldest first; not what the forge refused.

    Raises EvidenceError.
    """
    newest: dict[str, Dispatch] = {}
    for entry in indexed(flywheel, output_log(output)).of(DISPATCH):
        seen = _load(flywheel, output, entry.evidence)
        newest[seen.id] = seen
    return [each for each in newest.values() if each.is_for(surface, flake) and each.state is not DispatchState.REFUSED]


def asked_already(found: Iterable[Dispatch], build: BuildKey, surface: str, flake: FlakeRelease) -> Dispatch | None:
    """Of how far each build has come: that of another for this very release, which was neither refused nor released.

    One and the same release is asked for once, whichever build it is of; again only by a person.
    """
    over = {DispatchState.REFUSED, DispatchState.RELEASED}
    same = (each for each in found if each.build != build and each.is_for(surface, flake) and each.state not in over)
    return next(same, None)


def on_their_way(flywheel: Flywheel, output: str, build: BuildKey) -> BuildKey | None:
    """Another build of the output that a workflow is on with: one at a time. Raises EvidenceError."""
    found = last_dispatches(flywheel, output).items()
    return next((other for other, last in found if other != build and last.state.is_open), None)


def note(flywheel: Flywheel, seen: Dispatch) -> Dispatch:
    """Keep what was seen, unless the last thing kept of that request says the same; returns what is kept."""
    kept = dispatches(flywheel, seen.output, seen.build)
    last = next((each for each in reversed(kept) if each.id == seen.id), None)
    if last is not None and last.model_copy(update={"at": seen.at}) == seen:
        return last
    record(flywheel, seen.output, seen.build, DISPATCH, seen)
    return seen


def _load(flywheel: Flywheel, output: str, evidence: EvidenceDigest) -> Dispatch:
    try:
        return Dispatch.model_validate_json(flywheel.evidence.get(evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {evidence} is no {DISPATCH} of {output} of this version.") from error
