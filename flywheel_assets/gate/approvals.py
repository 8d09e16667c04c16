"""Who must agree before this artifact goes to that surface, under that name and authority, and who has?"""

from typing import NamedTuple

from flywheel_assets.catalog.models import Approvals, Catalogue, PublicationTarget
from flywheel_assets.domain.artifacts import Artifact, resource_uri
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.evidence import AttestedDecision
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, trusted_keys
from flywheel_assets.gate.decisions import counting, deciders, may_decide, why_not_counted

_answer = Answer("approvals_are_given", Phase.PUBLICATION)
_BOUND = {
    "urls": "the surface's URL",
    "tags": "what it is tagged",
    "moving_tags": "its moving tags",
    "release": "which version it is released under, by which workflow,",
}
_OF_ANOTHER = "it is of another artifact, surface, name or authority"


@needs_receipt(_answer)
def approvals_are_given(case: Case) -> Finding:
    """Enough distinct people whom the catalogue names approved this very artifact, surface, name and authority."""
    wanted = _wanted(case)
    if wanted is None:
        return _answer.passed("the catalogue asks for no approval")
    people, given = tuple(dict.fromkeys(wanted.by)), approvers(case)
    counted = [name for name in people if name in given]
    if len(counted) >= wanted.needed:
        return _answer.passed(f"{wanted.needed} of {wanted.needed} approvals are given, by {', '.join(counted)}")
    started = [name for name in people if has_started(case, name)]
    may = [name for name in people if name not in given and name not in started and _may_still(case, name)]
    still = wanted.needed - len(counted)
    message = f"{len(counted)} of {wanted.needed} approvals are given" + (
        f", by {', '.join(counted)}" if counted else ""
    )
    message += _void(case)
    if started:
        message += f"; {', '.join(started)} started a run of it, and nobody approves that"
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
        if not _why_not_of_this(case, attested) and (not accepting or accepting in attested.decision.scope.accepts)
        for name in deciders(case.catalogue, attested, Act.APPROVE)
        if name in allowed and not has_started(case, name)
    }


def is_accepted(case: Case, reason: str) -> bool:
    """Whether as many people as the catalogue asks for, and one at least, accept what needs an approval."""
    wanted = _wanted(case)
    return len(approvers(case, accepting=reason)) >= (wanted.needed if wanted else 1)


def has_started(case: Case, name: str) -> bool:
    """Whether this person started a run of it, by a receipt or by the forge: who did approves nothing of it."""
    known = {each.casefold() for each in case.catalogue.people[name].forge_names}
    return bool(known & _triggered_by(case))


class Bound(NamedTuple):
    """Where an approval lets an artifact go: what of the catalogue it is bound to beside ``resource_of``.

    ``urls`` are the surface's and, for a flake, that of the cache of its closure. Tags are as the catalogue writes
    them, ``{revision}`` and all: an approval is of a digest, which builds of several revisions may have made, and what
    each is tagged follows from the template and its own revision. ``release`` is of a flake: the rule of its versions,
    and the workflow that is started for it, ``<file>@<branch>``.
    """

    urls: tuple[str, ...]
    tags: tuple[str, ...]
    moving_tags: tuple[str, ...]
    release: tuple[str, ...]


def bound_of(catalogue: Catalogue, target: PublicationTarget) -> Bound:
    """What an approval of now is bound to."""
    surfaces = [target.surface, *([target.flake.binaries] if target.flake else [])]
    urls = tuple(catalogue.surfaces[name].url for name in surfaces)
    flake = target.flake
    release = (flake.versions, f"{flake.workflow}@{flake.ref}") if flake else ()
    return Bound(urls=urls, tags=target.tags, moving_tags=target.moving_tags, release=release)


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
    if why := _why_not_of_this(case, attested):
        return why
    wanted, names = _wanted(case), deciders(case.catalogue, attested, Act.APPROVE)
    asked = [name for name in names if wanted is None or name in wanted.by]
    if not asked:
        return f"the catalogue does not ask {' and '.join(names)}"
    if all(has_started(case, name) for name in asked):
        return f"{' and '.join(asked)} started a run of it"
    return ""


def _triggered_by(case: Case) -> set[str]:
    """What forges call those who started the run, or another that got the same: nobody approves by another's build."""
    mine = {attested.receipt.artifact.digest.hex for attested in case.authentic}
    same = [
        attested
        for attested in (*case.bundle.witnesses, *case.bundle.starters)
        if attested.receipt.artifact.digest.hex in mine and trusted_keys(case.catalogue, attested)
    ]
    found = set()
    for attested in (*case.authentic, *same):
        found.add(attested.receipt.run.trigger.actor)
        recorded = case.recorded(attested.receipt.run)
        found |= set(recorded.actors) if isinstance(recorded, PlatformRun) else set()
    return {name.casefold() for name in found}


def _may_still(case: Case, name: str) -> bool:
    return may_decide(case.catalogue.people[name], Act.APPROVE, case.now)


def _why_not_of_this(case: Case, attested: AttestedDecision) -> str:
    """Bound to output, digest, surface, reference and authority, and to what the catalogue said of where that is."""
    scope, target, output = attested.decision.scope, case.output.publication, case.bundle.output
    if target is None or scope.digest is None or not case.authentic:
        return _OF_ANOTHER
    artifact = case.receipt.artifact
    product = case.catalogue.products.get(case.output.product or "")
    if (scope.output, scope.digest.hex, scope.resource, scope.authority) != (
        output,
        artifact.digest.hex,
        resource_of(artifact, target),
        product.authority if product else output,
    ):
        return _OF_ANOTHER
    if not scope.urls:
        return "it was signed before approvals named the surface's URL: approve it again"
    now = bound_of(case.catalogue, target)
    changes = ((what, getattr(scope, name), getattr(now, name)) for name, what in _BOUND.items())
    return "; ".join(
        f"{what} changed since it was signed, from {', '.join(then) or 'none'} to {', '.join(new) or 'none'}"
        for what, then, new in changes
        if then != new
    )


def _void(case: Case) -> str:
    """Approvals of this very artifact that counted but for what they are bound to, as the end of a sentence."""
    digest = case.receipt.artifact.digest.hex
    signed = {
        f"; what {' and '.join(deciders(case.catalogue, each, Act.APPROVE))} signed does not count: {why}"
        for each in counting(case, Act.APPROVE)
        if each.decision.scope.output == case.bundle.output and each.decision.scope.digest is not None
        if each.decision.scope.digest.hex == digest and (why := _why_not_of_this(case, each))
    }
    return "".join(sorted(signed))


def _wanted(case: Case) -> Approvals | None:
    return case.output.publication.approvals if case.output.publication else None


def _person(case: Case, name: str) -> str:
    found = case.catalogue.people[name]
    return f"{found.name} ({found.contact})"
