"""Withdrawal: what people withdrew is taken off its surface as far as that allows, marked, and recorded. In this order.

The decision comes first, and from then on no gate lets the digest pass. All after it is found again from evidence, so
whatever is cut off is carried out by the next call, and a decision that came by the inbox is carried out as any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flywheel_assets.catalog.models import Catalogue, Way
from flywheel_assets.domain.artifacts import Artifact, resource_uri
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.errors import (
    EvidenceCorruptError,
    EvidenceError,
    InvalidInputError,
    PublicationError,
    UsageError,
)
from flywheel_assets.domain.publications import Proof, Publication, Release
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.statements import VSA_V1
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.domain.withdrawals import Unpublished, Withdrawal
from flywheel_assets.gate.case import Case, person
from flywheel_assets.gate.decisions import counting
from flywheel_assets.gate.standing import not_withdrawn
from flywheel_assets.ports import PublicationSurface
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import WITHDRAWAL, assemble, open_document, publications, record, withdrawals
from flywheel_assets.promotion.proposing import decided
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.signatures import envelope_check, signed_once
from flywheel_assets.promotion.summaries import ReadSummary, summary


@dataclass(frozen=True, slots=True)
class Public:
    """A publication as it stands: what the gate says of its past now, who withdrew it, and what became of it.

    ``doubt`` is None where nothing that it is, or came from, is withdrawn or quarantined. ``decision`` is the one that
    withdraws this very digest.
    """

    publication: Publication
    doubt: Finding | None
    decision: EvidenceDigest | None
    withdrawal: Withdrawal | None

    @property
    def is_public(self) -> bool:
        """Whether consumers still find it, as far as is known here."""
        return self.withdrawal is None or bool(self.withdrawal.yanked_by)

    @property
    def is_due(self) -> bool:
        """Whether it is withdrawn and nothing was done about it on its surface."""
        return self.decision is not None and self.withdrawal is None

    @property
    def is_only_marked(self) -> bool:
        """Whether its surface kept it when it was withdrawn."""
        return self.withdrawal is not None and self.withdrawal.mark is not None and bool(self.withdrawal.yanked_by)


def all_public(flywheel: Flywheel) -> list[Public]:
    """Every artifact that was ever published, by output and in the order of publication. Raises EvidenceError."""
    flywheel = one_reading(flywheel)
    return [found for name in flywheel.catalogue.outputs for found in public_of(flywheel, name)]


def public_of(flywheel: Flywheel, output: str) -> list[Public]:
    """Those of one output. Raises EvidenceError."""
    done = {(each.build, each.reference): each for each in withdrawals(flywheel, output)}
    return [
        _standing(flywheel, publication, done.get((publication.build, publication.reference)))
        for publication in publications(flywheel, output)
    ]


def withdrawal_of(flywheel: Flywheel, output: str, build: BuildKey, reason: str) -> Decision:
    """The decision to withdraw a build's artifact, published or not. Raises UsageError where there is none."""
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}. `flywheel report` lists what it knows.")
    published = [each.artifact_digest for each in publications(flywheel, output) if each.build == build]
    case = Case(assemble(flywheel, output, build), flywheel.catalogue, flywheel.output(output), flywheel.clock())
    if not published and not case.authentic:
        raise UsageError(f"No build {build} of {output} is published, or in evidence by a signer that is trusted.")
    digest = published[0] if published else case.receipt.artifact.digest
    scope = Scope(output=output, digest=Sha256.from_hex(digest.hex))
    return decided(Act.WITHDRAW, scope, reason, flywheel.clock())


def quarantined(flywheel: Flywheel) -> list[Public]:
    """What is public and came of what is withdrawn or compromised, and which nobody withdrew yet."""
    return [each for each in all_public(flywheel) if each.doubt is not None and each.decision is None]


def carry_out(flywheel: Flywheel) -> list[Withdrawal]:
    """Take off their surfaces all that is withdrawn and still there; the new records. Raises what a surface raises.

    What was only marked is tried again: somebody may have yanked it, or what needed it may be gone.
    """
    found = all_public(flywheel)
    tried = [_carry_out(flywheel, each, found) for each in found if each.is_due or each.is_only_marked]
    done = [withdrawal for withdrawal in tried if withdrawal is not None]
    for each in done:
        judge(flywheel, each.output, each.build)
    return done


def _standing(flywheel: Flywheel, publication: Publication, withdrawal: Withdrawal | None) -> Public:
    output = publication.output
    bundle = assemble(flywheel, output, publication.build)
    if bundle.damaged:
        raise EvidenceCorruptError(bundle.damaged[0])
    case = Case(bundle, flywheel.catalogue, flywheel.output(output), flywheel.clock())
    finding = not_withdrawn(case)
    doubt = None if finding.verdict is VerdictClass.PASSED else finding
    itself = {publication.artifact_digest.hex, *(d for each in case.authentic for d in each.receipt.artifact.digests)}
    named = ((each.decision.scope.digest, each.evidence) for each in counting(case, Act.WITHDRAW))
    decision = next((evidence for digest, evidence in named if digest is not None and digest.hex in itself), None)
    return Public(publication, doubt, decision, withdrawal)


def _carry_out(flywheel: Flywheel, public: Public, all_found: list[Public]) -> Withdrawal | None:
    """One of them; None when nothing new came of it. While the claim is held nobody publishes to this channel."""
    publication, decision = public.publication, public.decision
    if decision is None:
        raise UsageError(f"Nobody withdrew {publication.reference}.")
    artifact = receipt_of(flywheel, publication).artifact
    with flywheel.evidence.claim(f"{publication.surface} {publication.output}"):
        surface = _writable(flywheel, publication)
        mark, gone = None, Unpublished()
        if surface is not None:
            mark = _mark(flywheel, publication, artifact)
            # What is withdrawn itself keeps nothing alive, whether it is off its surface yet or not.
            others = {each.publication.reference for each in all_found if each.is_public and each.decision is None}
            gone = surface.withdraw(_release(flywheel.catalogue, publication, artifact), mark, others)
        if public.withdrawal is not None and public.withdrawal.unpublished.remaining == gone.remaining:
            return None
        owner = flywheel.catalogue.surfaces.get(publication.surface)
        who = person(flywheel.catalogue, owner.owner) if owner else publication.ownership.publication_path_owner
        withdrawal = Withdrawal(
            output=publication.output,
            build=publication.build,
            artifact_digest=publication.artifact_digest,
            surface=publication.surface,
            reference=publication.reference,
            decision=decision,
            mark=flywheel.evidence.put(mark.envelope) if mark else None,
            unpublished=gone,
            yanked_by=who if surface is None or gone.remaining else "",
            done_at=flywheel.clock(),
        )
        record(flywheel, publication.output, publication.build, WITHDRAWAL, withdrawal)
    return withdrawal


def _writable(flywheel: Flywheel, publication: Publication) -> PublicationSurface | None:
    """The surface, if this pipeline may write to it: what a workflow publishes is not taken away from here."""
    if publication.way != Way.COPIES.value:
        return None
    return flywheel.surfaces.get((publication.surface, flywheel.output(publication.output).cache))


def receipt_of(flywheel: Flywheel, publication: Publication) -> Receipt:
    """What its builder said of what was published: whichever receipt of its build has its digest.

    The record of the publication is what vouches for the digest: the signer may be trusted no longer.
    """
    for entry in flywheel.evidence.entries(output_log(publication.output)):
        if entry.kind != RECEIPT or entry.subject != str(publication.build):
            continue
        try:
            _, found = open_document(flywheel, entry.evidence)
        except (EvidenceError, InvalidInputError):
            continue
        if isinstance(found, Receipt) and found.artifact.digest.hex == publication.artifact_digest.hex:
            return found
    raise EvidenceCorruptError(
        f"No receipt of {publication.output} {publication.build} that can be read is of {publication.artifact_digest}. "
        "Restore the evidence store from its backup."
    )


def _release(catalogue: Catalogue, publication: Publication, artifact: Artifact) -> Release:
    """The names that it may have: what else they hold by now stays."""
    target = catalogue.outputs[publication.output].publication
    tags = (*target.tags, *target.moving_tags) if target else ()
    revision = str(publication.revision)[:12]
    return Release(
        output=publication.output,
        build=publication.build,
        artifact=artifact,
        repository=target.repository if target else None,
        tags=tuple(tag.replace("{revision}", revision) for tag in tags),
        moving=target.moving_tags if target else (),
    )


def _mark(flywheel: Flywheel, publication: Publication, artifact: Artifact) -> Proof:
    """The summary that says FAILED, signed once for all by the key that consumers know."""
    output = publication.output
    target = flywheel.output(output).publication
    resource = resource_uri(artifact, publication.surface, target.repository if target else None)
    verdict = judge(flywheel, output, publication.build).verdict

    def sign() -> bytes:
        return summary(flywheel.release_signer, flywheel.catalogue, artifact, verdict, resource=resource, levels=[])

    kept = signed_once(flywheel, f"withdrawal {resource} {artifact.digest}", sign, envelope_check(flywheel))
    read = ReadSummary(kept.payload, "the withdrawal's summary")
    if read.result != "FAILED" or read.resource != resource or artifact.digest.hex not in read.digests:
        raise PublicationError("The summary kept for this withdrawal speaks of something else; it was replaced.")
    return Proof(name="vsa", predicate_type=VSA_V1, envelope=kept.signed)


def told(withdrawals_: list[Withdrawal]) -> Iterator[str]:
    """What was done, a sentence each."""
    for each in withdrawals_:
        if each.mark is None:
            yield f"{each.reference}: cannot be taken away from here. {each.yanked_by} must yank it."
        elif each.yanked_by:
            why = "; ".join(each.unpublished.remaining)
            yield f"{each.reference}: marked as withdrawn, and still there: {why}. {each.yanked_by} must yank it."
        else:
            yield f"{each.reference}: withdrawn, {len(each.unpublished.removed)} names removed, and marked."
