"""Which decisions of people count now: by whom the catalogue lets, in their time, and not taken back."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from flywheel_assets.catalog.models import Approvals, Catalogue, Person, Product
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.evidence import AttestedDecision
from flywheel_assets.domain.statements import canonical
from flywheel_assets.gate.authenticity import CLOCK_SKEW
from flywheel_assets.gate.case import Case

FINAL = frozenset({Act.WITHDRAW, Act.REVOKE})
"""What nobody can take back: a withdrawn digest never passes again, and what was revoked is decided anew."""

LETTING = frozenset({Act.APPROVE, Act.MEET})
"""What lets something pass: it counts by the catalogue of now alone, and not when it is dated later than it arrived.

All else stops something, or takes something back, and stays in force whatever becomes of its signer: who leaves, or is
taken a power, does not open what they closed.
"""


def counting(case: Case, act: Act) -> Iterator[AttestedDecision]:
    """The decisions of this kind that count, the same order whatever order they are in evidence in."""
    found = (attested for attested in case.bundle.decisions if attested.decision.act is act)
    counted = (attested for attested in found if not why_not_counted(case, attested))
    return iter(sorted(counted, key=lambda attested: (attested.arrived_at, attested.evidence)))


def why_not_counted(case: Case, attested: AttestedDecision) -> str:
    """Why a decision does not count now, as a sentence; empty when it does."""
    decision = attested.decision
    if decision.act is Act.REVOKE:
        return _why_not_revoking(case, attested)
    if not deciders(case.catalogue, attested, decision.act):
        return _nobody_might(attested, decision.act)
    if decision.act in LETTING and (why := _why_not_letting(case.catalogue, attested)):
        return why
    end = end_of(attested, case.output.publication.approvals if case.output.publication else None)
    if end is not None and end <= case.now:
        return f"it expired on {end:%Y-%m-%d %H:%M} UTC"
    if decision.act not in FINAL and (by := _revocation(case, attested)):
        who = ", ".join(deciders(case.catalogue, by, decision.act))
        return f"{who} revoked it: {by.decision.reason}"
    return ""


def deciders(catalogue: Catalogue, attested: AttestedDecision, act: Act) -> tuple[str, ...]:
    """Of those who signed it, the people who might decide such a thing when it arrived, by their names in order.

    By the catalogue of now, and for all but what lets something pass by those since then as well.
    """
    people = ((name, catalogue.people[name]) for name in attested.signatures.keys if name in catalogue.people)
    found = {name for name, person in people if may_decide(person, act, attested.arrived_at)}
    if attested.decision.act not in LETTING:
        found |= {each.name for each in attested.heard if act in each.acts}
    return tuple(sorted(found))


def may_decide(person: Person, act: Act, when: datetime) -> bool:
    """Whether what this person decides counts when it arrives at that time."""
    return act in person.may and (person.valid_until is None or when < person.valid_until)


def end_of(attested: AttestedDecision, approvals: Approvals | None) -> datetime | None:
    """When a decision stops counting: at its own end, an approval at the latest when the catalogue says.

    That runs from when it was made: from its arrival, whoever delivers it again in another envelope would prolong it.
    """
    decision = attested.decision
    if decision.act is not Act.APPROVE or approvals is None or decision.expires_at is None:
        return decision.expires_at
    return min(decision.expires_at, decision.made_at + timedelta(days=approvals.last_days))


def declaration_of(product: Product) -> Sha256:
    """Digest of a change of release authority as it is declared: from what, to what, and what each gate asks for.

    Who signs that a gate is met signs it of this declaration: another with the same words needs them anew. Left out
    is ``met_by``, which is no demand: naming the document of one gate leaves what was signed of the others.
    """
    change = product.change
    gates = [[gate.condition, [*gate.validations], [*gate.decided_by]] for gate in (change.gates if change else ())]
    return Sha256.of(canonical([product.authority, change.to if change else None, gates]))


def _why_not_letting(catalogue: Catalogue, attested: AttestedDecision) -> str:
    decision = attested.decision
    if decision.act is Act.MEET and not _is_of_this_declaration(catalogue, attested):
        if decision.scope.change is None:
            return "it was signed before it named the declaration of the change of authority: meet it again"
        return "it is of another declaration of the change of authority than the catalogue's"
    if decision.made_at > attested.arrived_at + CLOCK_SKEW:
        return f"it is dated {decision.made_at:%Y-%m-%d %H:%M} UTC, later than it arrived"
    return ""


def _is_of_this_declaration(catalogue: Catalogue, attested: AttestedDecision) -> bool:
    scope = attested.decision.scope
    product = catalogue.products.get(scope.product or "")
    return product is not None and scope.change == declaration_of(product)


def _why_not_revoking(case: Case, attested: AttestedDecision) -> str:
    named = attested.decision.scope.decision
    acts = {other.decision.act for other in case.bundle.decisions if other.decision.id == named}
    if not acts:
        return "what it takes back is not in evidence here"
    act = acts.pop()
    if act in FINAL:
        return f"a decision to {act.value} cannot be taken back"
    return "" if deciders(case.catalogue, attested, act) else _nobody_might(attested, act)


def _nobody_might(attested: AttestedDecision, act: Act) -> str:
    return f"none of {', '.join(attested.signers) or 'its signers'} might {act.value} when it arrived"


def revocation_of(
    catalogue: Catalogue, attested: AttestedDecision, revoking: Iterable[AttestedDecision]
) -> AttestedDecision | None:
    """Of those that take it back the first that arrived by somebody who might have decided it."""
    found = (other for other in revoking if deciders(catalogue, other, attested.decision.act))
    return min(found, key=lambda other: (other.arrived_at, other.evidence), default=None)


def _revocation(case: Case, attested: AttestedDecision) -> AttestedDecision | None:
    revoked = [other for other in case.bundle.decisions if other.decision.act is Act.REVOKE]
    named = attested.decision.id if revoked else None
    return revocation_of(case.catalogue, attested, (o for o in revoked if o.decision.scope.decision == named))
