"""What came of promotions that failed: for people, and for the order in which builds go out.

A failure is kept in the output's log, as a kind of its own. It says nothing of the artifact: no evidence bundle
holds it, and no verdict depends on it.
"""

from contextlib import suppress
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.errors import EvidenceCorruptError, FlywheelError, printable
from flywheel_assets.domain.names import Line, OutputName
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.dispatches import DISPATCH
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import PUBLICATION, last_verdict, record

PUBLICATION_FAILURE = "publication-failure"
SENTENCE = 1000


class Cause(StrEnum):
    """Why an approved build is not published; the reason codes of its row (docs/reasons.md)."""

    FAILED = "publication-failed"
    AWAITS_WORKFLOW = "not-published-by-its-workflow-yet"


class PublicationFailure(Closed):
    """How the promotion of an approved build ended; ``since`` is when it first ended so."""

    output: OutputName
    build: BuildKey
    since: AwareDatetime
    cause: Cause
    error: Line
    sentence: Annotated[str, Field(max_length=SENTENCE)]


def note_failure(flywheel: Flywheel, output: str, build: BuildKey, cause: Cause, error: FlywheelError) -> None:
    """Keep how a promotion ended, once however often it ends so. Never raises: ``error`` is what is to be heard."""
    with suppress(FlywheelError):
        failure = PublicationFailure(
            output=output,
            build=build,
            since=flywheel.clock(),
            cause=cause,
            error=type(error).__name__,
            sentence=printable(str(error), SENTENCE),
        )
        last = last_failure(flywheel, output, build)
        if last is None or last.model_copy(update={"since": failure.since}) != failure:
            record(flywheel, output, build, PUBLICATION_FAILURE, failure)


def last_failure(flywheel: Flywheel, output: str, build: BuildKey) -> PublicationFailure | None:
    """How the last promotion of a build failed; None when none did, or the build went on since, or is published.

    Raises EvidenceError.
    """
    mine = [e for e in flywheel.evidence.entries(output_log(output)) if e.subject == str(build)]
    ends = [entry for entry in mine if entry.kind in {PUBLICATION_FAILURE, DISPATCH}]
    if not ends or ends[-1].kind == DISPATCH or any(entry.kind == PUBLICATION for entry in mine):
        return None
    evidence = ends[-1].evidence
    try:
        return PublicationFailure.model_validate_json(flywheel.evidence.get(evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {evidence} is no {PUBLICATION_FAILURE} of this version.") from error


def goes_first(flywheel: Flywheel, output: str, build: BuildKey) -> BuildKey | None:
    """The build of newer source that is approved, failed to go out, and is still to: none older goes out before it.

    One that its own workflow has not published yet holds up nothing: those before it are only recorded from here.
    Raises EvidenceError.
    """
    entries = flywheel.evidence.entries(output_log(output))
    tried = dict.fromkeys(entry.subject for entry in entries if entry.kind == PUBLICATION_FAILURE)
    for other in (BuildKey.parse(subject) for subject in tried if subject != str(build)):
        recorded = last_verdict(flywheel, output, other)
        failure = last_failure(flywheel, output, other)
        still_due = failure and failure.cause is Cause.FAILED and recorded and recorded.verdict.publishable
        if still_due and _is_older(flywheel, output, build, other):
            return other
    return None


def _is_older(flywheel: Flywheel, output: str, build: BuildKey, other: BuildKey) -> bool:
    """Whether it is known to be of older source."""
    mine, others = (
        min(
            (time for r in assemble(flywheel, output, key).receipts if (time := r.receipt.run.source.committed_at)),
            default=None,
        )
        for key in (build, other)
    )
    return mine is not None and others is not None and mine < others
