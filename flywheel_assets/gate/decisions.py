"""Which decisions of people count now: by whom the catalogue lets, in their time, and not taken back."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flywheel_assets.catalog.models import Approvals, Catalogue
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.evidence import AttestedDecision, EvidenceBundle
from flywheel_assets.gate.case import Case

FINAL = frozenset({Act.WITHDRAW, Act.REVOKE})
"""What nobody can take back: a withdrawn digest never passes again, and what was revoked is decided anew."""


def counting(case: Case, act: Act) -> Iterator[AttestedDecision]:
    """The decisions of this kind that count."""
    found = (attested for attested in case.bundle.decisions if attested.decision.act is act)
    return (attested for attested in found if not why_not_counted(case, attested))


def why_not_counted(case: Case, attested: AttestedDecision) -> str:
    """Why a decision does not count now, as a sentence; empty when it does."""
    decision = attested.decision
    if not deciders(case.catalogue, attested, decision.act):
        return f"none of {', '.join(attested.signatures.keys) or 'its signers'} may {decision.act.value}"
    end = end_of(attested, case.output.publication.approvals if case.output.publication else None)
    if end is not None and end <= case.now:
        return f"it expired on {end:%Y-%m-%d %H:%M} UTC"
    if decision.act not in FINAL and (by := _revocation(case.catalogue, case.bundle, attested)):
        return f"{', '.join(by.signatures.keys)} revoked it: {by.decision.reason}"
    return ""


def deciders(catalogue: Catalogue, attested: AttestedDecision, act: Act) -> tuple[str, ...]:
    """Of those who signed it, the people who might decide such a thing when it arrived."""
    people = ((name, catalogue.people[name]) for name in attested.signatures.keys if name in catalogue.people)
    return tuple(
        name
        for name, person in people
        if act in person.may and (person.valid_until is None or attested.arrived_at <= person.valid_until)
    )


def end_of(attested: AttestedDecision, approvals: Approvals | None) -> datetime | None:
    """When a decision stops counting: at its own end, an approval at the latest when the catalogue says."""
    decision = attested.decision
    if decision.act is not Act.APPROVE or approvals is None or decision.expires_at is None:
        return decision.expires_at
    return min(decision.expires_at, decision.made_at + timedelta(days=approvals.last_days))


def _revocation(catalogue: Catalogue, bundle: EvidenceBundle, attested: AttestedDecision) -> AttestedDecision | None:
    """What takes it back, by somebody who might have decided it."""
    named = attested.decision.id
    revoked = (
        other
        for other in bundle.decisions
        if other.decision.act is Act.REVOKE and other.decision.scope.decision == named
    )
    return next((other for other in revoked if deciders(catalogue, other, attested.decision.act)), None)
