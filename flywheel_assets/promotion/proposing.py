"""What a person is about to decide, from evidence and the catalogue: the decision, complete, before it is signed."""

from datetime import datetime, timedelta

from pydantic import ValidationError

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import REMEDY, Act, Decision, Scope
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.errors import EvidenceCorruptError, UsageError
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.domain.statements import invalid
from flywheel_assets.gate.approvals import approvals_are_given, bound_of, has_started, is_accepted, resource_of
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import FINAL, declaration_of, may_decide
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import standing
from flywheel_assets.promotion.flywheel import Flywheel

BuildCase = Case
"""A build as the gate sees it."""

ACCEPTABLE = ("older-than-channel",)
"""Reasons that need an approval and that one may accept."""

SHORTEST_PREFIX = 8
USUAL = timedelta(days=7)


def decided(act: Act, scope: Scope, reason: str, now: datetime, until: datetime | None = None) -> Decision:
    """A decision of now. Raises UsageError naming the field that is wrong."""
    try:
        return Decision(act=act, scope=scope, reason=reason, made_at=now, expires_at=until)
    except ValidationError as error:
        raise UsageError(str(invalid(error, f"the {act.value}", REMEDY))) from error


def case_of(flywheel: Flywheel, output: str, build: BuildKey) -> Case:
    """A build with an authentic receipt, as the gate sees it. Raises UsageError where there is none to approve."""
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}. `flywheel report` lists what it knows.")
    bundle = assemble(flywheel, output, build)
    if bundle.damaged:
        raise EvidenceCorruptError(bundle.damaged[0])
    case = Case(bundle, flywheel.catalogue, flywheel.output(output), flywheel.clock())
    if not case.authentic:
        raise UsageError(f"No build {build} of {output} is in evidence by a signer that the catalogue trusts.")
    if case.output.publication is None:
        raise UsageError(f"{output} has no publication surface in the catalogue: there is nothing to approve.")
    if case.output.publication.approvals is None and not case.catalogue.people:
        raise UsageError("The catalogue has no `people` whose approval would count.")
    return case


def approval_of(case: Case, reason: str, lasts: timedelta | None, accepts: tuple[str, ...] = ()) -> Decision:
    """The approval of a build as it is now. Raises UsageError when it would last longer than the catalogue lets."""
    target, output = case.output.publication, case.bundle.output
    if target is None:
        raise UsageError(f"{output} has no publication surface in the catalogue: there is nothing to approve.")
    approvals, artifact = target.approvals, case.receipt.artifact
    if approvals is None and not accepts:
        raise UsageError(f"The catalogue asks for no approval of {output}. What may be accepted is given by --accept.")
    longest = timedelta(days=approvals.last_days) if approvals else None
    if lasts is not None and longest is not None and lasts > longest:
        raise UsageError(f"Approvals of {output} last {longest.days} days at most.")
    product = case.catalogue.products.get(case.output.product or "")
    scope = Scope(
        output=output,
        digest=Sha256.from_hex(artifact.digest.hex),
        resource=resource_of(artifact, target),
        **bound_of(case.catalogue, target)._asdict(),
        authority=product.authority if product else output,
        accepts=accepts,
    )
    until = case.now + (lasts or min(USUAL, longest or USUAL))
    return decided(Act.APPROVE, scope, reason, case.now, until)


def told_of(case: Case, approval: Decision) -> dict[str, str]:
    """What a person is shown before they sign it."""
    run, scope = case.receipt.run, approval.scope
    forge = case.recorded(run)
    actors = [run.trigger.actor, *(forge.actors if isinstance(forge, PlatformRun) else ())]
    target = case.output.publication
    where = f"{target.surface if target else ''} as {scope.resource}"
    return {
        "output": f"{scope.output} {case.bundle.build}",
        "digest": str(scope.digest),
        "goes to": where,
        "which is at": ", ".join(scope.urls),
        **({"tagged": ", ".join(scope.tags)} if scope.tags else {}),
        **({"moves": ", ".join(scope.moving_tags)} if scope.moving_tags else {}),
        **({"released": " by ".join(scope.release)} if scope.release else {}),
        "authority": str(scope.authority),
        "source": f"{run.source.repository} at {run.source.revision} ({run.source.ref})",
        "built by": f"{run.builder}, {run.invocation}",
        "started by": ", ".join(dict.fromkeys(actors)) + f" ({run.trigger.event.value})",
        **({"accepts": ", ".join(scope.accepts)} if scope.accepts else {}),
        "until": f"{approval.expires_at:%Y-%m-%d %H:%M} UTC",
    }


def count_of(flywheel: Flywheel, output: str, build: BuildKey, accepts: tuple[str, ...] = ()) -> str:
    """How many of the approvals that the catalogue asks for a build has now, and what is accepted of it by enough."""
    case = case_of(flywheel, output, build)
    asks = case.output.publication is not None and case.output.publication.approvals is not None
    said = [approvals_are_given(case).message] if asks else []
    said += [f"{each} is accepted{'' if is_accepted(case, each) else ', by too few yet'}" for each in accepts]
    return f"{'; '.join(said)}."


def why_not_theirs(flywheel: Flywheel, people: tuple[str, ...], decision: Decision, case: Case | None = None) -> str:
    """Why what these people signed would not count, as a sentence; empty when it would.

    ``case`` is the build that an approval is of.
    """
    catalogue, act = flywheel.catalogue, decision.act
    if not people:
        return "Nobody in the catalogue's `people` has this key: it would change nothing."
    needed = [_act_revoked(flywheel, decision)] if act is Act.REVOKE else [act]
    may = [n for n in people if all(may_decide(catalogue.people[n], each, flywheel.clock()) for each in needed)]
    if not may:
        return f"{' and '.join(people)} may not {needed[0].value}, by the catalogue's `people`."
    if act is Act.MEET:
        return _why_not_met(catalogue, may, decision)
    return _why_not_approved(case, may) if case is not None and act is Act.APPROVE else ""


def _why_not_approved(case: Case, may: list[str]) -> str:
    approvals = case.output.publication.approvals if case.output.publication else None
    asked = [name for name in may if approvals is None or name in approvals.by]
    if not asked:
        asks = ", ".join(approvals.by if approvals else ())
        return f"The catalogue asks {asks} to approve this, not {' and '.join(may)}."
    if all(has_started(case, name) for name in asked):
        return f"{' and '.join(asked)} started a run of it, and nobody approves what they started."
    return ""


def _why_not_met(catalogue: Catalogue, may: list[str], decision: Decision) -> str:
    scope = decision.scope
    change = catalogue.products[scope.product].change if scope.product in catalogue.products else None
    gates = [gate for gate in change.gates if gate.condition == scope.condition] if change else []
    asked = [name for gate in gates for name in gate.decided_by]
    if not asked:
        return "That gate is not met by a decision, but by what the catalogue names for it."
    who = ", ".join(asked)
    return "" if set(asked) & set(may) else f"The catalogue asks {who} whether that is met, not {' and '.join(may)}."


def meeting_of(catalogue: Catalogue, product: str, condition: str, reason: str, now: datetime) -> Decision:
    """That a gate of a change of authority is met: ``condition`` is its text, or its number in the catalogue's list."""
    declared = catalogue.products.get(product)
    change = declared.change if declared else None
    if declared is None or change is None:
        raise UsageError(f"The catalogue declares no change of release authority for {product!r}.")
    gates = {str(number): gate.condition for number, gate in enumerate(change.gates, start=1)}
    text = gates.get(condition, condition)
    if text not in gates.values():
        listed = "".join(f"\n  {number}. {gate}" for number, gate in gates.items())
        raise UsageError(f"{product} has no such gate. Give its number or its whole text:{listed}")
    scope = Scope(product=product, output=change.to, condition=text, change=declaration_of(declared))
    return decided(Act.MEET, scope, reason, now)


def revocation_of(flywheel: Flywheel, named: str, reason: str) -> Decision:
    """What takes a decision back, which may be named by the first digits of its id. Raises UsageError."""
    wanted = named.removeprefix("sha256:")
    found = {each.decision.id: each.decision for each in standing(flywheel).all}
    ids = [each for each in found if each.hex.startswith(wanted)] if len(wanted) >= SHORTEST_PREFIX else []
    if len(ids) != 1:
        what = "is none, or more than one of them" if ids or len(wanted) >= SHORTEST_PREFIX else "is too short"
        raise UsageError(f"{named!r} {what}. `flywheel decisions` lists the ids of decisions.")
    if found[ids[0]].act in FINAL:
        raise UsageError(f"Nobody can take back what {found[ids[0]].act.value}s.")
    return decided(Act.REVOKE, Scope(decision=ids[0]), reason, flywheel.clock())


def _act_revoked(flywheel: Flywheel, decision: Decision) -> Act:
    named: EvidenceDigest | None = decision.scope.decision
    acts = (each.decision.act for each in standing(flywheel).all if each.decision.id == named)
    return next(acts, Act.REVOKE)
