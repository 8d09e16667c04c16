"""What a rule sees: the case. And how it answers: passed, or a finding with reason, remedy and actor."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, wraps

from flywheel_assets.catalog.models import Builder, Catalogue, Claim, ForgeSource, Output, Purpose, TrustedKey
from flywheel_assets.domain.builds import BuilderRun
from flywheel_assets.domain.evidence import AttestedReceipt, EvidenceBundle, Origin, Signatures
from flywheel_assets.domain.platform_runs import AbsentRun, PlatformRun, WorkflowProvenance, is_absent
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass


@dataclass(frozen=True)
class Case:
    """One build to be judged."""

    bundle: EvidenceBundle
    catalogue: Catalogue
    output: Output
    now: datetime

    @cached_property
    def authentic(self) -> tuple[AttestedReceipt, ...]:
        """The receipts of this run by a signer whom the catalogue trusts for this builder and source.

        Where builders of this kind of artifact speak, others do not: a key of another lane may not shadow,
        or contradict, a run that is not its own.
        """
        trusted = tuple(r for r in self.bundle.receipts if trusted_keys(self.catalogue, r))
        return tuple(r for r in trusted if can_make(self.catalogue, self.output, r)) or trusted

    @property
    def receipt(self) -> Receipt:
        """The authentic receipt. Only for rules that ``needs_receipt`` guards."""
        return self.authentic[0].receipt

    @property
    def builder(self) -> Builder | None:
        """The catalogued builder of the authentic receipt."""
        return self.catalogue.builders.get(self.receipt.run.builder)

    @property
    def owner(self) -> str:
        """Who owns the publication path, for people."""
        return person(self.catalogue, self.output.owner)

    @property
    def builder_owner(self) -> str:
        """Who owns the builder path, for people."""
        builder = self.builder
        return person(self.catalogue, builder.owner) if builder else self.catalogue_owner

    @property
    def cache_owner(self) -> str:
        """Who owns the mutable cache, for people."""
        return person(self.catalogue, self.catalogue.surfaces[self.output.cache].owner)

    @property
    def catalogue_owner(self) -> str:
        """Who decides what the catalogue says of this output."""
        return f"{self.owner}, in the catalogue"

    @property
    def source(self) -> ForgeSource | None:
        """The forge that knows the runs of the receipt's repository, where one is catalogued."""
        return self.forge_of(self.receipt.run)

    def forge_of(self, run: BuilderRun) -> ForgeSource | None:
        """The forge that knows a run; what this installation built again itself ran on none."""
        rebuilder = self.catalogue.rebuilder
        if rebuilder is not None and run.builder == rebuilder.builder:
            return None
        return self.catalogue.source_of(run.source.repository)

    def recorded(self, run: BuilderRun) -> PlatformRun | AbsentRun | None:
        """What the catalogued forge says of a run; None when it was not heard for certain yet, or there is none."""
        if self.forge_of(run) is None:
            return None
        about = [recorded.found for recorded in self.bundle.platform_runs if recorded.is_of(run)]
        # A forge that had none, and has it now, was behind.
        known = next((found for found in reversed(about) if isinstance(found, PlatformRun)), None)
        absences = [found for found in about if isinstance(found, AbsentRun)]
        return known or (absences[-1] if is_absent(absences) else None)

    @property
    def confirmed(self) -> PlatformRun | None:
        """The forge's record of the receipt's run, when it and the provenance in it say the same as the receipt."""
        found = self.recorded(self.receipt.run)
        if not isinstance(found, PlatformRun) or found.disagreement(self.receipt.run):
            return None
        return None if any(said.disagreement(self.receipt.run) for said in self.provenance) else found

    @property
    def provenance(self) -> tuple[WorkflowProvenance, ...]:
        """The forge's own provenance of this very artifact and run, by those who may speak for it to this day."""
        return attesting(self.catalogue, self.authentic[0], self.recorded(self.receipt.run))

    def believes(self, claim: Claim) -> bool:
        """Whether a fact in the receipt counts: platform-verified, or a claim this builder is trusted with.

        Of bootstrap and validation the forge tells by steps, not by confirming what the receipt says.
        """
        builder = self.builder
        if claim in {Claim.SOURCE, Claim.TRIGGER} and self.confirmed is not None:
            return True
        keys = (key for attested in self.authentic for key in trusted_keys(self.catalogue, attested))
        isolated = any(key.isolated for key in keys)  # receipts that differ are refused: who signed one, signed all
        return isolated or (builder is not None and claim in builder.trusted_claims)


Rule = Callable[[Case], Finding]


def person(catalogue: Catalogue, key: str) -> str:
    """``Name <contact>`` of an owner."""
    owner = catalogue.owners[key]
    return f"{owner.name} ({owner.contact})"


def can_make(catalogue: Catalogue, output: Output, attested: AttestedReceipt) -> bool:
    """Whether the receipt's builder is catalogued and makes this output's kind of artifact."""
    builder = catalogue.builders.get(attested.receipt.run.builder)
    return builder is not None and output.type in builder.makes


def trusted_keys(catalogue: Catalogue, attested: AttestedReceipt) -> list[TrustedKey]:
    """The keys that signed and may speak for this receipt's builder, repository and time."""
    signatures, receipt = attested.signatures, attested.receipt
    return [
        key
        for key in signing_keys(catalogue, signatures)
        if not why_not_trusted(key, receipt, signatures.origin, attested.arrived_at)
    ]


def signing_keys(catalogue: Catalogue, signatures: Signatures) -> list[TrustedKey]:
    """The catalogue's keys whose signature verified."""
    return [catalogue.keys[name] for name in signatures.keys if name in catalogue.keys]


def why_not_trusted(
    key: TrustedKey,
    receipt: Receipt,
    origin: Origin | None,
    arrived_at: datetime | None = None,
    *,
    purpose: Purpose = Purpose.RECEIPTS,
    by_any_run: bool = False,
) -> str:
    """The reason code why ``key``, in a certificate from ``origin``, may not speak for ``receipt``; empty when it may.

    A workflow that many repositories call has one identity: what it signs speaks for the source it was called from.
    What arrives after a key's time is not believed of it, whatever time it gives itself: the key may have leaked.
    With ``by_any_run`` the certificate may be of a later run on the same source, as a test's may.
    """
    run = receipt.run
    if purpose not in key.for_:
        return "key-not-for-receipts"
    if run.builder not in key.builders:
        return "key-not-for-builder"
    if run.source.repository not in key.repositories:
        return "key-not-for-repository"
    if origin is not None and origin.contradicts(run.source):
        return "origin-contradicts-receipt"
    if origin is not None and not by_any_run and origin.is_of_another_run(run):
        return "certificate-of-another-run"
    too_early = key.valid_from is not None and run.finished_at < key.valid_from
    last = max(run.finished_at, arrived_at or run.finished_at)
    too_late = key.valid_until is not None and last > key.valid_until
    return "key-not-valid-then" if too_early or too_late else ""


def attesting(
    catalogue: Catalogue, attested: AttestedReceipt, found: PlatformRun | AbsentRun | None
) -> tuple[WorkflowProvenance, ...]:
    """The provenance in a run's record that is about the receipt's artifact, by signers whom the catalogue trusts."""
    receipt = attested.receipt
    return tuple(
        said
        for said in (found.provenance if isinstance(found, PlatformRun) else ())
        if said.digest.hex == receipt.artifact.digest.hex
        and any(
            (key.issuer, key.identity) == (said.issuer, said.identity)
            and not why_not_trusted(key, receipt, None, attested.arrived_at)
            for key in catalogue.keys.values()
        )
    )


@dataclass(frozen=True)
class Answer:
    """Builds the findings of one rule, so that a rule names itself once."""

    rule: str
    phase: Phase

    def passed(self, message: str) -> Finding:
        """The rule's truth holds."""
        return Finding(rule=self.rule, phase=self.phase, verdict=VerdictClass.PASSED, reason="holds", message=message)

    def __call__(
        self,
        verdict: VerdictClass,
        reason: str,
        message: str,
        *,
        remedy: str,
        actor: str,
        about: About = About.ARTIFACT,
    ) -> Finding:
        """The rule's truth does not hold."""
        return Finding(
            rule=self.rule,
            phase=self.phase,
            verdict=verdict,
            reason=reason,
            message=message,
            remedy=remedy,
            actor=actor,
            about=about,
        )


def needs_receipt(answer: Answer) -> Callable[[Rule], Rule]:
    """Without an authentic receipt the rule cannot determine anything, and says so."""

    def guard(rule: Rule) -> Rule:
        @wraps(rule)
        def guarded(case: Case) -> Finding:
            if case.authentic:
                return rule(case)
            return answer(
                VerdictClass.CANNOT_DETERMINE,
                "no-authentic-receipt",
                "nothing that an unauthenticated receipt says is looked at",
                remedy="See receipt_is_authentic.",
                actor="the builder",
            )

        return guarded

    return guard
