"""Promotion: claim, plan, copy, proofs, make visible, read back, record. In this order, each step repeatable.

The gate is evaluated again here, on stored evidence, with the catalogue and time of now; only its Approved
value goes on, and right before anything is signed or becomes visible it is asked once more. Nothing is called published
before it was read back.
"""

from dataclasses import dataclass

from flywheel_assets.catalog.models import PublicationTarget, Way
from flywheel_assets.domain.artifacts import OciImage, resource_uri
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.envelopes import form_of
from flywheel_assets.domain.errors import (
    FlywheelError,
    PromotionRefusedError,
    PublicationError,
    ReadBackError,
    SurfaceNotImplementedError,
    UsageError,
)
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.publications import Attached, Plan, Proof, Publication, Release
from flywheel_assets.domain.statements import PROVENANCE_V1, VSA_V1
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets.ports import Progress, PublicationSurface
from flywheel_assets.promotion.approving import approved_now, demand_still_approved
from flywheel_assets.promotion.failures import Cause, note_failure
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.judging import judge, read_again
from flywheel_assets.promotion.ledger import PUBLICATION, publications, record
from flywheel_assets.promotion.observing import observe, vouches
from flywheel_assets.promotion.signatures import envelope_check, image_signatures, signed_once
from flywheel_assets.promotion.summaries import (
    PROMOTED,
    VALIDATED,
    WITH_EXCEPTION,
    ReadSummary,
    excepted,
    levels_of,
    summary,
)


@dataclass(frozen=True, slots=True)
class Promoted:
    """The outcome of a promotion."""

    publication: Publication
    copied: tuple[str, ...]


def promote(flywheel: Flywheel, output: str, build: BuildKey, progress: Progress = silent) -> Promoted:
    """Publish one build. Raises PromotionRefusedError when the gate does not approve, other errors as they come."""
    read_again(flywheel, output, build, progress)
    judge(flywheel, output, build)
    approved_now(flywheel, output, build)
    target, surface = _surface(flywheel, output)
    # The whole channel and not this artifact alone: what is published of an output decides what may follow it.
    with flywheel.evidence.claim(f"{target.surface} {output}") as still_held:
        approved = approved_now(flywheel, output, build)  # while another publisher held the claim, all may have changed
        release, cause = release_of(approved, target), Cause.FAILED
        try:
            plan = surface.plan(release)
            ours: list[Proof] = []
            if target.way is Way.OBSERVES:
                cause = Cause.AWAITS_WORKFLOW if plan.missing or plan.names else Cause.FAILED
                proofs = observe(flywheel, surface, plan, approved, target)
            else:
                surface.copy(plan, progress)
                demand_still_approved(flywheel, approved)
                proofs = ours = _proofs(flywheel, approved, target)
                surface.attach(plan, ours)
                demand_still_approved(flywheel, approved)
                still_held()
                surface.reveal(plan)
            readings = surface.read_back(release, progress, ours)
            _demand_whole(readings, plan.reference)
            if ours:
                _proofs_read_back(ours, surface.proofs(release), plan.reference)
            return Promoted(_record(flywheel, approved, plan.reference, readings, proofs), plan.missing)
        except PromotionRefusedError:
            raise  # the verdict says why: that is no failure of the promotion
        except FlywheelError as error:
            note_failure(flywheel, output, build, cause, error)
            raise


def plan_promotion(flywheel: Flywheel, output: str, build: BuildKey) -> Plan:
    """What ``promote`` would do; nothing is written. Raises as ``promote`` does."""
    read_again(flywheel, output, build)
    judge(flywheel, output, build)
    approved = approved_now(flywheel, output, build)
    target, surface = _surface(flywheel, output)
    return surface.plan(release_of(approved, target))


def release_of(approved: Approved, target: PublicationTarget) -> Release:
    """The names that the catalogue gives an approved artifact on its surface."""
    revision = str(approved.attested.receipt.run.source.revision)[:12]
    return Release(
        output=approved.verdict.output,
        build=approved.build,
        artifact=approved.artifact,
        repository=target.repository,
        tags=tuple(tag.replace("{revision}", revision) for tag in target.tags) + target.moving_tags,
        moving=target.moving_tags,
    )


def _surface(flywheel: Flywheel, output: str) -> tuple[PublicationTarget, PublicationSurface]:
    target = _target(flywheel, output)
    key = (target.surface, flywheel.output(output).cache)
    if key not in flywheel.surfaces:
        raise SurfaceNotImplementedError(f"{key[0]} is declared in the catalogue and cannot be served yet.")
    return target, flywheel.surfaces[key]


def _target(flywheel: Flywheel, output: str) -> PublicationTarget:
    target = flywheel.output(output).publication
    if target is None:
        raise UsageError(f"{output} has no publication surface in the catalogue.")
    return target


def _proofs(flywheel: Flywheel, approved: Approved, target: PublicationTarget) -> list[Proof]:
    """Provenance as the builder signed it, our summary, and an image's signatures, each signed once for all."""
    vsa, kept = _summary(flywheel, approved, target)
    proofs = [_provenance_of_summary(flywheel, kept, approved), vsa]
    if isinstance(approved.artifact, OciImage):
        proofs += image_signatures(flywheel, approved.artifact, target)
    return proofs


def _summary(flywheel: Flywheel, approved: Approved, target: PublicationTarget) -> tuple[Proof, ReadSummary]:
    resource = resource_uri(approved.artifact, target.surface, target.repository)

    def sign() -> bytes:
        return summary(
            flywheel.release_signer,
            flywheel.catalogue,
            approved.artifact,
            approved.verdict,
            resource=resource,
            levels=levels_of(approved.slsa_build_level, VALIDATED, PROMOTED, *excepted(approved.verdict.findings)),
        )

    slot = f"vsa {resource} {approved.artifact.digest}"
    kept = signed_once(flywheel, slot, sign, envelope_check(flywheel))
    read = ReadSummary(kept.payload, "the promotion's summary")
    promoted = read.result == "PASSED" and PROMOTED in read.levels
    if not promoted or read.resource != resource or approved.artifact.digest.hex not in read.digests:
        raise PublicationError("The summary kept for this promotion speaks of something else; it was replaced.")
    _demand_told(flywheel, approved, read)
    return Proof(name="vsa", predicate_type=VSA_V1, envelope=kept.signed), read


def _demand_told(flywheel: Flywheel, approved: Approved, kept: ReadSummary) -> None:
    """A summary from before the exception does not speak for what goes out by it. What is public already may stay."""
    output, build = approved.verdict.output, approved.build
    untold = excepted(approved.verdict.findings) and WITH_EXCEPTION not in kept.levels
    if untold and all(earlier.build != build for earlier in publications(flywheel, output)):
        raise PublicationError(
            f"The summary of {kept.verified_at} says that every rule holds, and now an exception is what lets it pass. "
            "Meet the rule that is excepted, or build another revision."
        )


def _provenance_of_summary(flywheel: Flywheel, kept: ReadSummary, approved: Approved) -> Proof:
    """The provenance that the summary names: a second witness of one artifact must not bring a second one."""
    named = [flywheel.evidence.get(digest) for digest in sorted(kept.inputs)]
    receipts = (document for document in named if vouches(flywheel, Attached(data=document), approved))
    document = next(receipts, None) or flywheel.evidence.get(approved.attested.evidence)
    form = form_of(document, "the provenance", flywheel.limits)
    return Proof(name="provenance", predicate_type=PROVENANCE_V1, envelope=document, form=form)


def _proofs_read_back(proofs: list[Proof], found: tuple[Attached, ...], reference: str) -> None:
    """Others may attach what they like; what was to be published must be there. Raises ReadBackError."""
    for proof in proofs:
        if not any((each.data, each.annotations) == (proof.envelope, proof.annotations) for each in found):
            raise ReadBackError(f"{reference}: its proof {proof.name} ({proof.digest}) does not read back.")


def _demand_whole(readings: tuple[Reading, ...], reference: str) -> None:
    for reading in readings:
        if reading.state is not ReadState.READ or reading.digest != reading.expected_digest or reading.index_problems:
            problem = reading.detail or (reading.index_problems[0] if reading.index_problems else reading.state.value)
            if reading.state is ReadState.READ and reading.digest != reading.expected_digest:
                problem = f"it is {reading.digest}, not {reading.expected_digest}"
            raise ReadBackError(
                f"{reference}: {reading.member} does not read back as approved: {problem.removesuffix('.')}."
            )
    if not readings:
        raise ReadBackError(f"{reference}: nothing could be read back.")


def _record(
    flywheel: Flywheel, approved: Approved, reference: str, readings: tuple[Reading, ...], proofs: list[Proof]
) -> Publication:
    """The record of this publication; the one that is there already when this build was published before."""
    output, run = approved.verdict.output, approved.attested.receipt.run
    target = _target(flywheel, output)
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
