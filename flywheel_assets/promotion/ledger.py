"""The ledger: what the evidence logs hold of verdicts, publications and all else that we recorded, read back."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from pydantic import Field, ValidationError

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.statements import canonical
from flywheel_assets.domain.verdicts import Verdict
from flywheel_assets.domain.withdrawals import Withdrawal
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.reading import indexed
from flywheel_assets.promotion.recipes import Recipe

Document = TypeVar("Document", bound=Closed)

INSPECTION, VERDICT, PUBLICATION = "inspection", "verdict", "publication"
WITHDRAWAL, RESTATEMENT = "withdrawal", "restatement"
REVEALING = "revealing"
"""What is about to be shown, as PUBLICATION will have it: that follows when it was read back, if nothing fails."""


class RecordedVerdict(Closed):
    """A verdict as it is kept: with the basis it stands on and the VSA that says it to others.

    ``recipe`` is what the basis is the digest of, ``program`` what judged, ``logs`` how long each log was that the
    evidence came from; earlier versions kept none of them.
    """

    verdict: Verdict
    basis: EvidenceDigest
    vsa: EvidenceDigest | None
    recipe: Recipe | None = None
    program: str = ""
    logs: dict[str, int] = Field(default_factory=dict)


def builds_of(flywheel: Flywheel, output: str) -> list[BuildKey]:
    """All builds of an output that left a receipt, in the order of arrival."""
    entries = indexed(flywheel, output_log(output)).of(RECEIPT)
    return [BuildKey.parse(subject) for subject in dict.fromkeys(entry.subject for entry in entries)]


def last_verdict(flywheel: Flywheel, output: str, build: BuildKey) -> RecordedVerdict | None:
    """The newest recorded verdict on a build."""
    found = indexed(flywheel, output_log(output)).about(VERDICT, str(build))
    return load(flywheel, RecordedVerdict, found[-1]) if found else None


def last_verdicts(flywheel: Flywheel, output: str) -> dict[str, Callable[[], RecordedVerdict]]:
    """What reads the newest recorded verdict of each build that has one; in one pass over the log."""
    newest = {entry.subject: entry for entry in indexed(flywheel, output_log(output)).of(VERDICT)}
    return {subject: partial(load, flywheel, RecordedVerdict, entry) for subject, entry in newest.items()}


def verdicts_on(flywheel: Flywheel, output: str, build: BuildKey) -> Iterator[RecordedVerdict]:
    """The recorded verdicts on a build, the newest first. Raises EvidenceError."""
    for entry in reversed(indexed(flywheel, output_log(output)).about(VERDICT, str(build))):
        yield load(flywheel, RecordedVerdict, entry)


def publications(flywheel: Flywheel, output: str) -> list[Publication]:
    """All recorded publications of an output, oldest first."""
    return [load(flywheel, Publication, e) for e in indexed(flywheel, output_log(output)).of(PUBLICATION)]


def withdrawals(flywheel: Flywheel, output: str) -> list[Withdrawal]:
    """What became of an output's withdrawn publications, oldest first."""
    return [load(flywheel, Withdrawal, e) for e in indexed(flywheel, output_log(output)).of(WITHDRAWAL)]


def record(flywheel: Flywheel, output: str, build: BuildKey, kind: str, document: Closed) -> EvidenceDigest:
    """Put a document of our own into an output's log; the log's signature covers it."""
    digest = flywheel.evidence.put(canonical(document.model_dump(mode="json")))
    flywheel.evidence.append(output_log(output), kind, str(build), digest)
    return digest


def load(flywheel: Flywheel, model: type[Document], entry: LogEntry) -> Document:
    """The document of our own that an entry names. Raises EvidenceError."""
    try:
        return model.model_validate_json(flywheel.evidence.get(entry.evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {entry.evidence} is no {entry.kind} of this version.") from error
