"""What evidence holds of publications that another workflow carries out: each state that was seen, once, in its order.

None of it says anything of the artifact: no evidence bundle holds it, and no verdict depends on it.
"""

from collections.abc import Iterable

from pydantic import ValidationError

from flywheel_assets.catalog.models import Way
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.domain.publications import FlakeRelease
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import record

DISPATCH = "dispatch"


def dispatched_outputs(flywheel: Flywheel) -> list[str]:
    """The catalogued outputs that a workflow publishes."""
    outputs = flywheel.catalogue.outputs.items()
    return [name for name, output in outputs if output.publication and output.publication.way is Way.TRIGGERS]


def dispatches(flywheel: Flywheel, output: str, build: BuildKey) -> list[Dispatch]:
    """All that was seen of one build's publication, oldest first. Raises EvidenceError."""
    entries = flywheel.evidence.entries(output_log(output))
    return [
        _load(flywheel, output, entry.evidence)
        for entry in entries
        if entry.kind == DISPATCH and entry.subject == str(build)
    ]


def last_dispatches(flywheel: Flywheel, output: str) -> dict[BuildKey, Dispatch]:
    """How far each build of an output has come, in the order in which they were last heard of. Raises EvidenceError."""
    newest: dict[str, EvidenceDigest] = {}
    for entry in flywheel.evidence.entries(output_log(output)):
        if entry.kind == DISPATCH:
            newest.pop(entry.subject, None)
            newest[entry.subject] = entry.evidence
    return {BuildKey.parse(subject): _load(flywheel, output, found) for subject, found in newest.items()}


def last_dispatch(flywheel: Flywheel, output: str, build: BuildKey) -> Dispatch | None:
    """How far one build has come; None when nothing was asked of a workflow. Raises EvidenceError."""
    found = dispatches(flywheel, output, build)
    return found[-1] if found else None


def requests(flywheel: Flywheel, output: str, surface: str, flake: FlakeRelease) -> list[Dispatch]:
    """Where each request for one release is, of whichever build, oldest first; not what the forge refused.

    Raises EvidenceError.
    """
    newest: dict[str, Dispatch] = {}
    for entry in flywheel.evidence.entries(output_log(output)):
        if entry.kind == DISPATCH:
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
    """Keep what was seen, unless the last thing kept says the same; returns what is kept."""
    last = last_dispatch(flywheel, seen.output, seen.build)
    if last is not None and last.model_copy(update={"at": seen.at}) == seen:
        return last
    record(flywheel, seen.output, seen.build, DISPATCH, seen)
    return seen


def _load(flywheel: Flywheel, output: str, evidence: EvidenceDigest) -> Dispatch:
    try:
        return Dispatch.model_validate_json(flywheel.evidence.get(evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {evidence} is no {DISPATCH} of {output} of this version.") from error
