"""The end of every promotion: what reads back must be what was approved, and only then is it put on record."""

from dataclasses import dataclass

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.errors import ReadBackError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.publications import Proof, Publication, Release
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import PUBLICATION, REVEALING, load, publications, record
from flywheel_assets.promotion.reading import indexed


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
    release: Release,
    reference: str,
    *,
    readings: tuple[Reading, ...],
    proofs: list[Proof],
) -> Publication:
    """The record of this publication; the one that is there already when this build was published before."""
    output = approved.verdict.output
    for earlier in publications(flywheel, output):
        if (earlier.build, earlier.reference) == (approved.build, reference):
            return earlier
    publication = _publication(flywheel, approved, target, release, reference, readings=readings, proofs=proofs)
    record(flywheel, output, approved.build, PUBLICATION, publication)
    return publication


def note_revealing(
    flywheel: Flywheel,
    approved: Approved,
    target: PublicationTarget,
    release: Release,
    reference: str,
    *,
    proofs: list[Proof],
) -> None:
    """Put down what is about to be shown, once for the same names: from then on consumers may find it.

    It takes minutes until that is read back and on record, and a crash or failure in between may be the end of it: what
    people withdraw meanwhile must be known all the same. Raises EvidenceError.
    """
    output = approved.verdict.output
    made = _publication(flywheel, approved, target, release, reference, readings=(), proofs=proofs)
    log = indexed(flywheel, output_log(output))
    for kind in (PUBLICATION, REVEALING):
        for entry in log.about(kind, str(approved.build)):
            earlier = load(flywheel, Publication, entry)
            if (earlier.reference, earlier.tags, earlier.moving) == (reference, made.tags, made.moving):
                return
    record(flywheel, output, approved.build, REVEALING, made)


def _publication(
    flywheel: Flywheel,
    approved: Approved,
    target: PublicationTarget,
    release: Release,
    reference: str,
    *,
    readings: tuple[Reading, ...],
    proofs: list[Proof],
) -> Publication:
    output, run = approved.verdict.output, approved.attested.receipt.run
    return Publication(
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
        repository=release.repository,
        tags=release.tags,
        moving=release.moving,
        root=approved.artifact.root if isinstance(approved.artifact, NixClosure) else None,
        binaries=target.flake.binaries if target.flake else None,
    )
