"""Phase 5: does this output speak for its product, or is every gate of a declared change of authority met?"""

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from flywheel_assets.catalog.models import AuthorityChange, AuthorityGate, Product
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.evidence import AttestedDecision
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, person
from flywheel_assets.gate.decisions import counting, deciders
from flywheel_assets.gate.validation import validations_passed

_answer = Answer("release_authority_holds", Phase.PUBLICATION)


def release_authority_holds(case: Case) -> Finding:
    """The declared authority, one of a declared dual publication, or what every gate of a change is met for."""
    name = case.output.product
    if name is None:
        return _answer.passed("no other output competes for the same product")
    product = case.catalogue.products[name]
    if case.bundle.output == product.authority:
        return _from_canonical(case, product) or _answer.passed(f"the declared authority of {name}")
    if case.bundle.output in product.also:
        return _from_canonical(case, product) or _answer.passed(
            f"published beside {product.authority}, by declaration, from {product.canonical}"
        )
    change = change_to(case)
    if change is None:
        return _undeclared(
            VerdictClass.REJECTED_PERMANENTLY,
            "not-the-authority",
            f"{name} is released through {product.authority}. {product.statement}",
            remedy="No action needed, unless the release authority is to change: declare that and its gates.",
            decider=_decider(case, product),
        )
    return _change(case, product, change)


def change_to(case: Case) -> AuthorityChange | None:
    """The change of release authority to this output, where one is declared."""
    product = case.catalogue.products.get(case.output.product or "")
    change = product.change if product else None
    return change if change and change.to == case.bundle.output else None


def _change(case: Case, product: Product, change: AuthorityChange) -> Finding:
    unmet = [(gate, lacks) for gate in change.gates if (lacks := list(lacks_of(case, product, gate)))]
    if not unmet:
        return _from_canonical(case, product) or _answer.passed(
            f"every gate of the change of authority of {case.output.product} is met"
        )
    lacking = "; ".join(
        f"{gate.condition.removesuffix('.')} ({', and '.join(lack.says for lack in lacks)})" for gate, lacks in unmet
    )
    count = f"{len(unmet)} of its {len(change.gates)} gates {'is' if len(unmet) == 1 else 'are'}"
    every = [lack for _, lacks in unmet for lack in lacks]
    return _answer(
        VerdictClass.WAITING,
        "authority-gates-unmet",
        f"a change of authority to it is declared, and {count} not met: {lacking}",
        remedy="; ".join(dict.fromkeys(lack.remedy for lack in every)),
        actor=", ".join(dict.fromkeys(lack.actor for lack in every)),
        about=About.POLICY,
    )


class Lack(NamedTuple):
    """Something that a gate lacks: what, what would change it, and who can."""

    says: str
    remedy: str
    actor: str


def lacks_of(case: Case, product: Product, gate: AuthorityGate) -> Iterator[Lack]:
    """All that a gate lacks; nothing when it is met. One that names no evidence at all is not."""
    passed = validations_passed(case) if case.authentic else frozenset()
    if missing := ", ".join(name for name in gate.validations if name not in passed):
        yield Lack(f"{missing} did not pass for this build", f"Let {missing} pass", case.owner)
    if gate.decided_by and not _is_decided(case, gate):
        people = (case.catalogue.people[name] for name in gate.decided_by)
        anew = (
            " as the change is declared now"
            if any(_is_about(case, gate, each) for each in case.bundle.decisions)
            else ""
        )
        yield Lack(
            f"none of {', '.join(gate.decided_by)} has signed that it is met{anew}",
            f"Sign it: `flywheel meet {case.output.product} {shlex.quote(gate.condition)}`",
            " or ".join(f"{each.name} ({each.contact})" for each in people),
        )
    if not gate.validations and not gate.decided_by and gate.met_by is None:
        yield Lack("nothing shows that it is met", "Name its evidence under `met_by`", _decider(case, product))


def _is_decided(case: Case, gate: AuthorityGate) -> bool:
    return any(
        _is_about(case, gate, attested) and set(gate.decided_by) & set(deciders(case.catalogue, attested, Act.MEET))
        for attested in counting(case, Act.MEET)
    )


def _is_about(case: Case, gate: AuthorityGate, attested: AttestedDecision) -> bool:
    """Whether somebody signed that it is met, of this declaration of the change or of another."""
    scope = attested.decision.scope
    wanted = (case.output.product, case.bundle.output, gate.condition)
    return (scope.product, scope.output, scope.condition) == wanted


def _from_canonical(case: Case, product: Product) -> Finding | None:
    """Of a dual publication each output but the canonical one follows that one's published source revision."""
    outputs = _going_out(case, product)
    if len(outputs) == 1 or case.bundle.output == product.canonical:
        return None
    if product.canonical is None:
        is_new = case.bundle.output not in {product.authority, *product.also}
        end = f"; or end the publication of {product.authority}" if is_new else ""
        return _undeclared(
            VerdictClass.REJECTED_TEMPORARILY,
            "canonical-undeclared",
            f"{case.output.product} goes out through {len(outputs)} outputs, and none is the canonical source",
            remedy=f"Name the one whose source the others share under `canonical` in the catalogue{end}.",
            decider=_decider(case, product),
        )
    canonical = case.bundle.canonical
    if canonical is None or not case.authentic or canonical.revision != case.receipt.run.source.revision:
        return _answer(
            VerdictClass.WAITING,
            "canonical-unpublished",
            f"{product.canonical} is the canonical source, and no build of it from this revision is published",
            remedy=f"No action needed here: it goes on when {product.canonical} is published from the same revision.",
            actor=person(case.catalogue, case.catalogue.outputs[product.canonical].owner),
        )
    return None


def _going_out(case: Case, product: Product) -> tuple[str, ...]:
    """All outputs through which a product goes out once this one does.

    Until a change of authority is over that is what it moves from as well, unless the catalogue publishes that no more.
    """
    declared = (product.authority, *product.also)
    if case.bundle.output in declared:
        return declared
    goes_on = case.catalogue.outputs[product.authority].publication is not None
    return (*(declared if goes_on else product.also), case.bundle.output)


def _decider(case: Case, product: Product) -> str:
    return person(case.catalogue, case.catalogue.outputs[product.authority].owner)


def _undeclared(verdict: VerdictClass, reason: str, message: str, *, remedy: str, decider: str) -> Finding:
    """What is up to whoever declares the product in the catalogue, and to no build of it."""
    return _answer(verdict, reason, message, remedy=remedy, actor=decider, about=About.POLICY)
