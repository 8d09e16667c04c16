"""The end of every promotion: what reads back must be what was approved, and only then is it put on record."""

from dataclasses import dataclass

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.errors import ReadBackError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.publications import Proof, Publication
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import PUBLICATION, publications, record


@dataclass(frozen=True, slots=True)
class Promoted:
    """The outcome of a promotion."""

    publication: Publication
    copied: tuple[str, ...]


def demand_whole(readings: tuple[Reading, ...], reference: str) -> None:
    """Every member was read and is what was approved. Raises ReadBackError."""
    for reading in readings:
        if problem := problem_of(reading):
            raise ReadBackError(f"{reference}: {reading.member} does not read back as approved: {problem}.")
    if not readings:
        raise ReadBackError(f"{reference}: nothing could be read back.")


def problem_of(reading: Reading) -> str:
    """Why a member is not what was approved; empty when it is."""
    is_read = reading.state is ReadState.READ
    if is_read and reading.digest != reading.expected_digest:
        return f"it is {reading.digest}, not {reading.expected_digest}"
    if is_read and not reading.index_problems:
        return ""
    said = reading.detail or (reading.index_problems[0] if reading.index_problems else reading.state.value)
    return said.removesuffix(".")


def record_publication(
    flywheel: Flywheel,
    approved: Approved,
    target: PublicationTarget,
    reference: str,
    *,
    readings: tuple[Reading, ...],
    proofs: list[Proof],
) -> Publication:
    """The record of this publication; the one that is there already when this build was published before."""
    output, run = approved.verdict.output, approved.attested.receipt.run
    for earlier in publications(flywheel, output):
        if (earlier.build, earlier.reference) == (approved.build, reference):
            return earlier
    publication = Publication(
        output=output,
        build=approved.build,
        artifact_digest=approved.artifact.digest,
        surface=target.surface,
        way=target.way.value,
        reference=reference,
        revision=run.source.revision,
        committed_at=run.source.committed_at,
        published_at=flywheel.clock(),
        bytes_read_back=sum(reading.size for reading in readings),
        proofs=tuple(flywheel.evidence.put(proof.document) for proof in proofs),
        ownership=ownership_of(flywheel.catalogue, flywheel.output(output), run.builder),
    )
    record(flywheel, output, approved.build, PUBLICATION, publication)
    return publication
