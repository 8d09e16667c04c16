"""Phase 5: does this output speak for its product, or is every gate of a declared change of authority met?"""

import shlex

from flywheel_assets.catalog.models import AuthorityChange, AuthorityGate, Product
from flywheel_assets.domain.decisions import Act
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
    if product.change is None or product.change.to != case.bundle.output:
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "not-the-authority",
            f"{name} is released through {product.authority}. {product.statement}",
            remedy="No action needed, unless the release authority is to change: declare that and its gates.",
            actor=_decider(case, product),
            about=About.POLICY,
        )
    return _change(case, product, product.change)


def _change(case: Case, product: Product, change: AuthorityChange) -> Finding:
    unmet = [(gate, lack) for gate in change.gates if (lack := _lack(case, gate))]
    if not unmet:
        return _answer.passed(f"every gate of the change of authority of {case.output.product} is met")
    lacking = "; ".join(f"{gate.condition.removesuffix('.')} ({lack})" for gate, lack in unmet)
    count = f"{len(unmet)} of its {len(change.gates)} gates {'is' if len(unmet) == 1 else 'are'}"
    return _answer(
        VerdictClass.WAITING,
        "authority-gates-unmet",
        f"a change of authority to it is declared, and {count} not met: {lacking}",
        remedy="; ".join(dict.fromkeys(_remedy(case, gate) for gate, _ in unmet)),
        actor=", ".join(dict.fromkeys(_actor(case, product, gate) for gate, _ in unmet)),
        about=About.POLICY,
    )


def _lack(case: Case, gate: AuthorityGate) -> str:
    """What a gate lacks; empty when it is met. One that names no evidence at all is not."""
    passed = validations_passed(case) if case.authentic else frozenset()
    if missing := [name for name in gate.validations if name not in passed]:
        return f"{', '.join(missing)} did not pass for this build"
    if gate.decided_by and not _is_decided(case, gate):
        return f"none of {', '.join(gate.decided_by)} has signed that it is met"
    if not gate.validations and not gate.decided_by and gate.met_by is None:
        return "nothing shows that it is met"
    return ""


def _is_decided(case: Case, gate: AuthorityGate) -> bool:
    wanted = (case.output.product, case.bundle.output, gate.condition)
    return any(
        (scope.product, scope.output, scope.condition) == wanted
        and set(gate.decided_by) & set(deciders(case.catalogue, attested, Act.MEET))
        for attested in counting(case, Act.MEET)
        for scope in (attested.decision.scope,)
    )


def _from_canonical(case: Case, product: Product) -> Finding | None:
    """Of a dual publication each output but the canonical one follows that one's published source revision."""
    if not product.also or case.bundle.output == product.canonical:
        return None
    if product.canonical is None:
        return _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "canonical-undeclared",
            f"{case.output.product} goes out through {1 + len(product.also)} outputs, and none is the canonical source",
            remedy="Name the one whose source the others share under `canonical`.",
            actor=_decider(case, product),
            about=About.POLICY,
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


def _remedy(case: Case, gate: AuthorityGate) -> str:
    if gate.validations:
        return f"Let {', '.join(gate.validations)} pass"
    if gate.decided_by:
        return f"Sign it: `flywheel meet {case.output.product} {shlex.quote(gate.condition)}`"
    return "Name its evidence under `met_by`"


def _actor(case: Case, product: Product, gate: AuthorityGate) -> str:
    """Who can meet it: whoever runs its validations, one of the people who decide it, or else the authority's owner."""
    if gate.validations:
        return case.owner
    if gate.decided_by:
        return " or ".join(f"{p.name} ({p.contact})" for p in (case.catalogue.people[n] for n in gate.decided_by))
    return _decider(case, product)


def _decider(case: Case, product: Product) -> str:
    return person(case.catalogue, case.catalogue.outputs[product.authority].owner)
