"""Withdrawal: what is public, what of it people withdrew or must not trust any more, and the decision to withdraw."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceError, InvalidInputError, UsageError
from flywheel_assets.domain.evidence import AttestedDecision, EvidenceBundle
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.domain.withdrawals import Withdrawal
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import counting, deciders
from flywheel_assets.gate.standing import not_withdrawn
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import standing
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.opening import open_document
from flywheel_assets.promotion.proposing import decided
from flywheel_assets.promotion.reading import indexed, one_reading
from flywheel_assets.promotion.unvouched import unvouched
from flywheel_assets.promotion.went_out import Out, Unread, being_shown, knowing_all, unrecorded, went_out
from flywheel_assets.promotion.yanking import how_to_yank


@dataclass(frozen=True, slots=True)
class Public:
    """A publication as it stands: what the gate says of its past now, who withdrew it, and what became of it.

    ``doubt`` is None where nothing that it is, or came from, is withdrawn or quarantined, and that is certain.
    ``decision`` is the one that withdraws this very digest.
    """

    publication: Publication
    doubt: Finding | None
    decision: EvidenceDigest | None
    withdrawal: Withdrawal | None

    @property
    def is_public(self) -> bool:
        """Whether consumers still find it, as far as is known here."""
        return Out(self.publication, self.withdrawal).is_public

    @property
    def is_compromised(self) -> bool:
        """Whether it is known that it must not be public; not only that it cannot be told."""
        return self.doubt is not None and self.doubt.verdict is VerdictClass.REJECTED_PERMANENTLY

    @property
    def is_due(self) -> bool:
        """Whether it is withdrawn and nothing was done about it on its surface."""
        return self.decision is not None and self.withdrawal is None

    @property
    def is_to_be_yanked(self) -> bool:
        """Whether its surface kept it when it was withdrawn, so that somebody must take it away there."""
        return self.withdrawal is not None and bool(self.withdrawal.yanked_by)


class Surveyed(NamedTuple):
    """Everything that was ever published, and that of which the record, or what was seen, cannot be read."""

    public: list[Public]
    unread: list[Unread]


def survey(flywheel: Flywheel) -> Surveyed:
    """By output and in the order of publication, what left the catalogue last. What is damaged hides nothing else.

    Raises FlywheelError when the evidence cannot be listed.
    """
    flywheel = knowing_all(one_reading(flywheel))
    names = flywheel.catalogue.outputs
    found = [each for name in names for each in went_out(flywheel, name)]
    public = [_standing(flywheel, *each) for each in found if isinstance(each, Out)]
    unread = [*found, *(each for name in names for each in unrecorded(flywheel, name))]
    return Surveyed(public, [each for each in unread if isinstance(each, Unread)])


def all_public(flywheel: Flywheel) -> list[Public]:
    """Every artifact that was ever published, as far as its record can be read. Raises as ``survey``."""
    return survey(flywheel).public


def unrecorded_public(flywheel: Flywheel) -> list[Public]:
    """What may be found though it never came on record: closures carried for a workflow, what was cut off when shown.

    Of what cannot be read ``survey`` tells. Raises as that does.
    """
    flywheel = knowing_all(one_reading(flywheel))
    found = [each for output in flywheel.catalogue.outputs for each in unrecorded(flywheel, output)]
    return [_standing(flywheel, *each) for each in found if isinstance(each, Out)]


def withdrawal_of(flywheel: Flywheel, output: str, build: BuildKey, reason: str) -> Decision:
    """The decision to withdraw a build's artifact, published or not.

    Raises UsageError where there is none, or it is withdrawn already.
    """
    flywheel = knowing_all(flywheel)
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}. `flywheel report` lists what it knows.")
    out = chain(went_out(flywheel, output), being_shown(flywheel, output))
    made = [each.publication for each in out if isinstance(each, Out)]
    digests = [each.artifact_digest for each in made if each.build == build]
    case = Case(assemble(flywheel, output, build), flywheel.catalogue, flywheel.output(output), flywheel.clock())
    if not digests and not case.authentic:
        raise UsageError(f"No build {build} of {output} is published, or in evidence by a signer that is trusted.")
    digest = Sha256.from_hex((digests[0] if digests else case.receipt.artifact.digest).hex)
    if (already := _withdrawal_among(_with_decisions_on(flywheel, case, digest), {digest.hex})) is not None:
        who = " and ".join(deciders(flywheel.catalogue, already, Act.WITHDRAW))
        raise UsageError(
            f"{output} {build} was withdrawn already, by {who} on {already.arrived_at:%Y-%m-%d}: "
            f"{already.decision.reason.removesuffix('.')}. `flywheel withdraw --pending` carries out what is left."
        )
    return decided(Act.WITHDRAW, Scope(output=output, digest=digest), reason, flywheel.clock())


def quarantined(flywheel: Flywheel) -> list[Public]:
    """What is public, came of what is withdrawn or compromised or may have, and which nobody withdrew yet."""
    return doubted(all_public(flywheel))


def doubted(public: Iterable[Public]) -> list[Public]:
    """Those of which it is known, or cannot be ruled out, that they should not be public, and nobody withdrew them."""
    return [each for each in public if each.doubt is not None and each.decision is None]


def distrusted(public: Iterable[Public]) -> list[Public]:
    """Those that consumers find though they should not, or it cannot be told: what is withdrawn, until it is gone."""
    return [each for each in public if each.is_public and (each.doubt is not None or each.decision is not None)]


def left_to_do(public: Public) -> str:
    """Who takes away what is withdrawn, and how; empty when it is gone, or nobody withdrew it."""
    if public.is_due:
        return "`flywheel withdraw --pending` takes it away"
    withdrawal = public.withdrawal if public.is_to_be_yanked else None
    return f"{withdrawal.yanked_by} must {how_to_yank(withdrawal)}" if withdrawal else ""


def _standing(flywheel: Flywheel, publication: Publication, withdrawal: Withdrawal | None) -> Public:
    output, digest = publication.output, publication.artifact_digest
    bundle = assemble(flywheel, output, publication.build)
    case = Case(bundle, flywheel.catalogue, flywheel.output(output), flywheel.clock())
    case = _with_decisions_on(flywheel, case, digest)
    itself = {digest.hex, *(d for each in case.authentic for d in each.receipt.artifact.digests)}
    decision = _withdrawal_among(case, itself)
    return Public(publication, _doubt(flywheel, case), decision.evidence if decision else None, withdrawal)


def _with_decisions_on(flywheel: Flywheel, case: Case, digest: Sha256) -> Case:
    """With what people decided about a digest, whether a receipt that can be read names it or not."""
    try:
        found = standing(flywheel).on({("digest", digest.hex)})
    except EvidenceError:
        return case  # assembling could not read it either, and says so
    decisions = {each.evidence: each for each in (*case.bundle.decisions, *found)}
    bundle: EvidenceBundle = case.bundle.model_copy(update={"decisions": tuple(decisions.values())})
    return Case(bundle, case.catalogue, case.output, case.now)


def _withdrawal_among(case: Case, itself: set[str]) -> AttestedDecision | None:
    """The decision that withdraws one of these digests (hex)."""
    named = ((each.decision.scope.digest, each) for each in counting(case, Act.WITHDRAW))
    return next((each for digest, each in named if digest is not None and digest.hex in itself), None)


def _doubt(flywheel: Flywheel, case: Case) -> Finding | None:
    """Why it should not be public. On part of the evidence a rejection stands, and a pass is none."""
    finding, damaged = not_withdrawn(case), case.bundle.damaged
    if finding.verdict is VerdictClass.REJECTED_PERMANENTLY:
        return finding
    if damaged:
        return Finding(
            rule=finding.rule,
            phase=Phase.INTEGRITY,
            verdict=VerdictClass.CANNOT_DETERMINE,
            reason="evidence-damaged",
            message=f"whether it may be public cannot be told: {damaged[0]}",
            remedy="Restore the evidence store from its backup.",
            actor="whoever runs the evidence store",
        )
    if finding.verdict is not VerdictClass.PASSED:
        return finding
    return unvouched(flywheel, case)


def receipt_of(flywheel: Flywheel, publication: Publication | Dispatch) -> Receipt:
    """What its builder said of what was published, or is on its way: whichever receipt of its build has its digest.

    The record of the publication is what vouches for the digest: the signer may be trusted no longer.
    """
    for entry in indexed(flywheel, output_log(publication.output)).about(RECEIPT, str(publication.build)):
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
