"""What builders ever disagreed about, in a log of its own: found again by the content that is in dispute.

An entry stands there for each digest, under ``<output> <SHA-256 in hex>``, so that a build finds what concerns it
without opening the rest.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.disagreements import (
    Comparison,
    Disagreement,
    RecordedComparison,
    RecordedDisagreement,
    contents,
)
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.domain.evidence import AttestedReceipt, EvidenceBundle
from flywheel_assets.domain.statements import canonical
from flywheel_assets.gate.agreement import disagreements
from flywheel_assets.gate.case import Case
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets.promotion.deciding import Mark
from flywheel_assets.promotion.flywheel import Flywheel

DISAGREEMENTS = "disagreements"
DISAGREEMENT, COMPARISON = "disagreement", "comparison"
Document = TypeVar("Document", bound=Closed)


def record_disagreements(flywheel: Flywheel, bundle: EvidenceBundle) -> bool:
    """Record what a build and its witnesses disagree about; True when that was not in the bundle yet."""
    case = Case(bundle, flywheel.catalogue, flywheel.output(bundle.output), flywheel.clock())
    known = {recorded.evidence for recorded in bundle.disagreements}
    is_new = False
    for found in disagreements(case):
        mine = contents(case.receipt.artifact)
        # What makes this build know of it comes last: after a crash in between it is recorded again, in full.
        ordered = sorted(found.disputed, key=lambda digest: (digest in mine, digest))
        if EvidenceDigest.of(canonical(found.model_dump(mode="json"))) not in known:
            _record(flywheel.evidence, DISAGREEMENT, found.output, ordered, found)
            is_new = True
    return is_new


def record_comparison(flywheel: Flywheel, found: Comparison) -> None:
    """Record which files differ."""
    _record(flywheel.evidence, COMPARISON, found.output, found.digests, found)


def disputes_on(
    flywheel: Flywheel, output: str, receipts: Iterable[AttestedReceipt]
) -> tuple[tuple[RecordedDisagreement, ...], tuple[RecordedComparison, ...]]:
    """What is on record about the content of these receipts, for this output. Raises EvidenceError."""
    subjects = {f"{output} {digest}" for attested in receipts for digest in contents(attested.receipt.artifact)}
    entries = [each for each in flywheel.evidence.entries(DISAGREEMENTS) if each.subject in subjects]
    disputed = {e.evidence: _load(flywheel, Disagreement, e) for e in entries if e.kind == DISAGREEMENT}
    compared = {e.evidence: _load(flywheel, Comparison, e) for e in entries if e.kind == COMPARISON}
    return (
        tuple(RecordedDisagreement(evidence=digest, disagreement=found) for digest, found in disputed.items()),
        tuple(RecordedComparison(evidence=digest, comparison=found) for digest, found in compared.items()),
    )


def marks_of_disputes(disputes: Iterable[RecordedDisagreement]) -> set[Mark]:
    """What a decision may bear on of both sides: one that is in quarantine binds nobody."""
    marks: set[Mark] = set()
    for side in (side for recorded in disputes for side in recorded.disagreement.sides):
        marks |= {("run", f"{side.repository} {side.build.run}")}
        marks |= {("key", each) for each in (*side.keys, *side.fingerprints)}
    return marks


def _record(store: EvidenceStore, kind: str, output: str, digests: Sequence[str], document: Closed) -> None:
    evidence = store.put(canonical(document.model_dump(mode="json")))
    for digest in digests:
        store.append(DISAGREEMENTS, kind, f"{output} {digest}", evidence)


def _load(flywheel: Flywheel, model: type[Document], entry: LogEntry) -> Document:
    try:
        return model.model_validate_json(flywheel.evidence.get(entry.evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {entry.evidence} is no {entry.kind} of this version.") from error
