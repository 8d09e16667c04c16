"""Who must agree before this artifact goes to that surface, under that name and authority, and who has?"""

from flywheel_assets.catalog.models import Approvals, PublicationTarget
from flywheel_assets.domain.artifacts import Artifact, resource_uri
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.evidence import AttestedDecision
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt
from flywheel_assets.gate.decisions import counting, deciders, may_decide, why_not_counted

_answer = Answer("approvals_are_given", Phase.PUBLICATION)


@needs_receipt(_answer)
def approvals_are_given(case: Case) -> Finding:
    """Enough distinct people whom the catalogue names approved this very artifact, surface, name and authority."""
    wanted = _wanted(case)
    if wanted is None:
        return _answer.passed("the catalogue asks for no approval")
    people, given = tuple(dict.fromkeys(wanted.by)), approvers(case)
    counted = [name for name in people if name in given]
    if len(counted) >= wanted.needed:
        return _answer.passed(f"approved by {', '.join(counted)}; {wanted.needed} of {len(people)} people needed")
    started = [name for name in people if has_started(case, name)]
    may = [name for name in people if name not in given and name not in started and _may_still(case, name)]
    still = wanted.needed - len(counted)
    message = f"{len(counted)} of {wanted.needed} approvals are given" + (
        f", by {', '.join(counted)}" if counted else ""
    )
    if started:
        message += f"; {', '.join(started)} started the run, and nobody approves that"
    if len(may) < still:
        return _answer(
            VerdictClass.NEEDS_APPROVAL,
            "too-few-may-approve",
            message,
            remedy="Name more people under `publication.approvals.by`, or build it in a run that others start.",
            actor=case.catalogue_owner,
        )
    whom = " and ".join(may) if len(may) == still else f"{still} of {', '.join(may)}"
    return _answer(
        VerdictClass.NEEDS_APPROVAL,
        "approval-missing",
        message,
        remedy=f"{whom} must run `flywheel approve {case.bundle.output} {case.bundle.build}`.",
        actor=", ".join(_person(case, name) for name in may),
    )


def approvers(case: Case, accepting: str = "") -> set[str]:
    """The people whose approval of this artifact counts; with ``accepting``, of those only who accept that reason."""
    wanted = _wanted(case)
    allowed = set(wanted.by) if wanted else set(case.catalogue.people)
    return {
        name
        for attested in counting(case, Act.APPROVE)
        if _is_of_this(case, attested) and (not accepting or accepting in attested.decision.scope.accepts)
        for name in deciders(case.catalogue, attested, Act.APPROVE)
        if name in allowed and not has_started(case, name)
    }


def is_accepted(case: Case, reason: str) -> bool:
    """Whether as many people as the catalogue asks for, and one at least, accept what needs an approval."""
    wanted = _wanted(case)
    return len(approvers(case, accepting=reason)) >= (wanted.needed if wanted else 1)


def has_started(case: Case, name: str) -> bool:
    """Whether this person started the run, by the receipt or by the forge: who did approves nothing of it."""
    known = {each.casefold() for each in case.catalogue.people[name].forge_names}
    return bool(known & _triggered_by(case))


def resource_of(artifact: Artifact, target: PublicationTarget) -> str:
    """What an approval says of where an artifact goes, and under which name.

    The resource of its summary; for a flake ``flakehub:<surface>/<ORG/FLAKE>?binaries=<surface of the closure>``,
    as its version and revision are those of each build of the same artifact.
    """
    if target.flake:
        return f"flakehub:{target.surface}/{target.flake.name}?binaries={target.flake.binaries}"
    return resource_uri(artifact, target.surface, target.repository)


def why_not_approving(case: Case, attested: AttestedDecision) -> str:
    """Why an approval does not count for this build now, as a sentence; empty when it does."""
    if why := why_not_counted(case, attested):
        return why
    if not case.authentic or not _is_of_this(case, attested):
        return "it is of another artifact, surface, name or authority"
    wanted, names = _wanted(case), deciders(case.catalogue, attested, Act.APPROVE)
    asked = [name for name in names if wanted is None or name in wanted.by]
    if not asked:
        return f"the catalogue does not ask {' and '.join(names)}"
    if all(has_started(case, name) for name in asked):
        return f"{' and '.join(asked)} started the run"
    return ""


def _triggered_by(case: Case) -> set[str]:
    """What forges call those who started the run."""
    found = {attested.receipt.run.trigger.actor for attested in case.authentic}
    for attested in case.authentic:
        recorded = case.recorded(attested.receipt.run)
        found |= set(recorded.actors) if isinstance(recorded, PlatformRun) else set()
    return {name.casefold() for name in found}


def _may_still(case: Case, name: str) -> bool:
    return may_decide(case.catalogue.people[name], Act.APPROVE, case.now)


def _is_of_this(case: Case, attested: AttestedDecision) -> bool:
    """Bound to output, digest, surface, reference and authority: an approval is of nothing else."""
    scope, target, output = attested.decision.scope, case.output.publication, case.bundle.output
    if target is None or scope.digest is None:
        return False
    artifact = case.receipt.artifact
    product = case.catalogue.products.get(case.output.product or "")
    return (scope.output, scope.digest.hex, scope.resource, scope.authority) == (
        output,
        artifact.digest.hex,
        resource_of(artifact, target),
        product.authority if product else output,
    )


def _wanted(case: Case) -> Approvals | None:
    return case.output.publication.approvals if case.output.publication else None


def _person(case: Case, name: str) -> str:
    found = case.catalogue.people[name]
    return f"{found.name} ({found.contact})"
