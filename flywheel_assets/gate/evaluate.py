"""The gate itself: every rule over one case, and the Approved value that alone lets an artifact out."""

from dataclasses import InitVar, dataclass
from datetime import datetime

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.domain.evidence import AttestedReceipt, EvidenceBundle
from flywheel_assets.domain.verdicts import Finding, Phase, Verdict, VerdictClass
from flywheel_assets.gate.agreement import rebuild_agrees
from flywheel_assets.gate.approvals import approvals_are_given
from flywheel_assets.gate.authenticity import receipt_is_authentic
from flywheel_assets.gate.authority import release_authority_holds
from flywheel_assets.gate.builders import builder_is_known, toolchain_bootstrap_was_proven
from flywheel_assets.gate.case import Case, Rule, trusted_keys
from flywheel_assets.gate.classification import (
    output_is_not_transient,
    source_can_be_reidentified,
    use_is_intended,
)
from flywheel_assets.gate.explain import sentence
from flywheel_assets.gate.integrity import closure_is_complete, whole_body_matches_digest
from flywheel_assets.gate.ownership import ownership_is_documented
from flywheel_assets.gate.platform import forge_vouches_for_the_run
from flywheel_assets.gate.publication import durable_surface_exists, source_order_is_kept
from flywheel_assets.gate.standing import not_held, not_withdrawn
from flywheel_assets.gate.validation import validation_is_green

# The order decides which of several equally bad findings a verdict is named after: what the catalogue decided
# for the output comes before what this one build lacks, authenticity before
# everything that a receipt says, and a disagreement of builders before the bodies that differ because of it.
RULES: tuple[Rule, ...] = (
    output_is_not_transient,
    use_is_intended,
    receipt_is_authentic,
    not_withdrawn,
    forge_vouches_for_the_run,
    toolchain_bootstrap_was_proven,
    builder_is_known,
    rebuild_agrees,
    closure_is_complete,
    whole_body_matches_digest,
    validation_is_green,
    source_can_be_reidentified,
    source_order_is_kept,
    release_authority_holds,
    durable_surface_exists,
    approvals_are_given,
    not_held,
    ownership_is_documented,
)


def evaluate(bundle: EvidenceBundle, catalogue: Catalogue, now: datetime, rules: tuple[Rule, ...] = RULES) -> Verdict:
    """The verdict on one build. Pure: the same bundle, catalogue and time give the same verdict.

    Raises KeyError when the catalogue does not know the output: that is intake's matter, not the gate's.
    """
    case = Case(bundle, catalogue, catalogue.outputs[bundle.output], now)
    findings = tuple(rule(case) for rule in rules) + _damage(bundle)
    if not rules:
        findings = (_nothing("no-rules", "the gate has no rules, and no rules is no approval"),)
    return Verdict(
        output=bundle.output,
        build=bundle.build,
        subject=case.receipt.artifact.digest if case.authentic else None,
        findings=findings,
        catalogue=catalogue.digest,
        evidence=bundle.digests,
        now=now,
    )


def _nothing(reason: str, message: str) -> Finding:
    return Finding(
        rule="evidence_is_whole",
        phase=Phase.INTEGRITY,
        verdict=VerdictClass.CANNOT_DETERMINE,
        reason=reason,
        message=message,
        remedy="Restore the evidence store from its backup; nothing is decided on part of the evidence.",
        actor="whoever runs the evidence store",
    )


def _damage(bundle: EvidenceBundle) -> tuple[Finding, ...]:
    return tuple(_nothing("evidence-damaged", problem) for problem in bundle.damaged)


_TOKEN = object()


@dataclass(frozen=True, slots=True)
class Approved:
    """An artifact that the gate lets out. Only ``approve`` makes one, and promotion takes nothing else."""

    attested: AttestedReceipt
    verdict: Verdict
    slsa_build_level: int
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        """Refuse to be made, or changed into another, by anyone else."""
        if token is not _TOKEN:
            raise TypeError("only gate.evaluate.approve makes an Approved")

    @property
    def artifact(self) -> Artifact:
        """What was approved."""
        return self.attested.receipt.artifact

    @property
    def build(self) -> BuildKey:
        """The build whose receipt vouches for it."""
        return self.verdict.build


def approve(bundle: EvidenceBundle, catalogue: Catalogue, now: datetime) -> Approved:
    """Evaluate, and approve when every rule passes. Raises PromotionRefusedError with the verdict otherwise."""
    verdict = evaluate(bundle, catalogue, now)
    if not verdict.publishable:
        raise PromotionRefusedError(sentence(verdict), verdict)
    case = Case(bundle, catalogue, catalogue.outputs[bundle.output], now)
    attested = case.authentic[0]
    return Approved(attested, verdict, slsa_level(catalogue, attested), _TOKEN)


def slsa_level(catalogue: Catalogue, attested: AttestedReceipt) -> int:
    """The SLSA build level that the receipt's signers give it; 0 without a trusted signer."""
    return max((key.slsa_build_level for key in trusted_keys(catalogue, attested)), default=0)
