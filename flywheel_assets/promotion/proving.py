"""The proofs that are published beside an artifact: provenance, our summary, an image's signatures. Each is made once.

What was signed for a promotion is kept in a create-once slot, so that repeated and concurrent promotions publish the
same bytes.
"""

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.artifacts import OciImage, resource_uri
from flywheel_assets.domain.envelopes import form_of
from flywheel_assets.domain.errors import PublicationError, ReadBackError
from flywheel_assets.domain.publications import Attached, FlakeRelease, Proof
from flywheel_assets.domain.statements import PROVENANCE_V1, VSA_V1
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.observing import vouches
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


def proofs_of(flywheel: Flywheel, approved: Approved, target: PublicationTarget) -> list[Proof]:
    """Provenance as the builder signed it, our summary, and an image's signatures, each signed once for all.

    Where a workflow publishes, these lie beside the closure in the cache that carries it.
    """
    surface = target.flake.binaries if target.flake else target.surface
    resource = resource_uri(approved.artifact, surface, target.repository)
    vsa, kept = _summary(flywheel, approved, resource)
    proofs = [_provenance_of_summary(flywheel, kept, approved), vsa]
    if isinstance(approved.artifact, OciImage):
        proofs += image_signatures(flywheel, approved.artifact, target)
    return proofs


def release_proofs_of(flywheel: Flywheel, approved: Approved, flake: FlakeRelease) -> list[Proof]:
    """The same of one release of a flake: what stays the same goes out under many revisions and versions."""
    vsa, kept = _summary(flywheel, approved, flake.resource)
    return [_provenance_of_summary(flywheel, kept, approved), vsa]


def demand_proofs(proofs: list[Proof], found: tuple[Attached, ...], reference: str) -> None:
    """Others may attach what they like; what was to be published must be there. Raises ReadBackError."""
    for proof in proofs:
        if not any((each.data, each.annotations) == (proof.envelope, proof.annotations) for each in found):
            raise ReadBackError(f"{reference}: its proof {proof.name} ({proof.digest}) does not read back.")


def _summary(flywheel: Flywheel, approved: Approved, resource: str) -> tuple[Proof, ReadSummary]:
    def sign() -> bytes:
        return summary(
            flywheel.release_signer,
            flywheel.catalogue,
            approved.artifact,
            approved.verdict,
            resource=resource,
            levels=levels_of(approved.slsa_build_level, VALIDATED, PROMOTED, *excepted(approved.verdict.findings)),
        )

    kept = signed_once(flywheel, f"vsa {resource} {approved.artifact.digest}", sign, envelope_check(flywheel))
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
