"""May it be public at all: is neither it nor what it came from withdrawn or quarantined, and does nobody hold it?"""

from collections.abc import Sequence
from datetime import UTC, datetime

from flywheel_assets.domain.decisions import Act, Scope
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, trusted_keys
from flywheel_assets.gate.decisions import counting, deciders, may_decide
from flywheel_assets.gate.quarantines import quarantine_of

_withdrawn = Answer("not_withdrawn", Phase.CLASSIFICATION)
_held = Answer("not_held", Phase.PUBLICATION)
_EVER = datetime.max.replace(tzinfo=UTC)
Receipts = Sequence[AttestedReceipt]


@needs_receipt(_withdrawn)
def not_withdrawn(case: Case) -> Finding:
    """Neither its digest was withdrawn, nor what signed or ran it, or anything that it was built from, quarantined."""
    receipts = (*case.authentic, *came_from(case))
    withdrawals = list(counting(case, Act.WITHDRAW))
    for about in receipts:
        for decided in withdrawals:
            if _contains(about, decided.decision.scope):
                return _withdrawal(case, about, decided)
    named = {each.digest.hex: each.output for about in receipts for each in about.receipt.run.dependencies}
    for decided in withdrawals:
        digest = decided.decision.scope.digest
        if digest is not None and digest.hex in named:  # whether any signer of its receipt is trusted still or not
            what = f"{named[digest.hex]} (sha256:{digest.hex}), which it is built from,"
            return _has_withdrawn(case, what, decided)
    for about in receipts:
        if (quarantined := quarantine_of(case, about)) is not None:
            return _quarantine(case, about, quarantined)
    return _withdrawn.passed("nothing that it is, or came from, is withdrawn or quarantined")


def came_from(case: Case) -> list[AttestedReceipt]:
    """The trusted receipts of what it is built from, and of what that is built from.

    By the digests that each names, and those that a consumer receives with it, declared or not. Its own digest is none
    of these: who else built the same bytes speaks of a build of their own.
    """
    rest = [attested for attested in case.bundle.dependencies if trusted_keys(case.catalogue, attested)]
    itself = {attested.receipt.artifact.digest.hex for attested in case.authentic}
    found: list[AttestedReceipt] = []
    made: Receipts = case.authentic
    while made:
        named = {(d.output, d.digest.hex) for attested in made for d in attested.receipt.run.dependencies}
        held = {digest for attested in made for digest in attested.receipt.artifact.contents} - itself
        made = [each for each in rest if _made(each) in named or _made(each)[1] in held]
        rest = [each for each in rest if each not in made]
        found += made
    return found


def not_held(case: Case) -> Finding:
    """Nobody has stopped this output, its builder, or everything."""
    holds = _holds(case)
    if not holds:
        return _held.passed("nobody holds it")
    decided = holds[0]
    scope, end = decided.decision.scope, decided.decision.expires_at
    until = f"{end:%Y-%m-%d %H:%M} UTC" if end else ""
    more = f"; and {len(holds) - 1} more" if len(holds) > 1 else ""
    commands = " and ".join(f"`flywheel revoke {each.decision.short_id}`" for each in holds)
    return _held(
        VerdictClass.WAITING,
        "held",
        f"{_held_thing(case, scope)} is held by {_who(case, decided)}{f' until {until}' if until else ''}: "
        f"{decided.decision.reason.removesuffix('.')}{more}",
        remedy=f"It goes on after {commands}" + (f", or on its own at {until}." if until else "."),
        actor=_people(case, holds),
    )


def _withdrawal(case: Case, about: AttestedReceipt, decided: AttestedDecision) -> Finding:
    if about in case.authentic and _is_whole(about, decided.decision.scope):
        return _has_withdrawn(case, "it", decided)
    return _has_withdrawn(case, _part(case, about, decided.decision.scope), decided)


def _has_withdrawn(case: Case, what: str, decided: AttestedDecision) -> Finding:
    return _withdrawn(
        VerdictClass.REJECTED_PERMANENTLY,
        "withdrawn" if what == "it" else "built-from-withdrawn",
        f"{what} was withdrawn {_by(case, decided)}",
        remedy="Build another revision: a withdrawn digest never passes again.",
        actor=case.owner,
    )


def _quarantine(case: Case, about: AttestedReceipt, decided: AttestedDecision) -> Finding:
    itself, scope = about in case.authentic, decided.decision.scope
    compromised = f"the signer {scope.key}" if scope.key else f"run {scope.run}"
    return _withdrawn(
        VerdictClass.REJECTED_PERMANENTLY,
        "quarantined" if itself else "built-from-quarantined",
        f"{'it' if itself else _named(about)} came from {compromised}, quarantined {_by(case, decided)}",
        remedy="Build it again with a signer and a run that nobody doubts.",
        actor=case.builder_owner,
    )


def _holds(case: Case) -> list[AttestedDecision]:
    """The holds on it, the one that lasts longest first. Of a builder it stops also what is built from its outputs."""
    builders = {attested.receipt.run.builder for attested in (*case.authentic, *came_from(case))}
    found = [
        decided
        for decided in counting(case, Act.HOLD)
        for scope in (decided.decision.scope,)
        if scope.output is scope.builder is None or scope.output == case.bundle.output or scope.builder in builders
    ]
    return sorted(found, key=lambda decided: decided.decision.expires_at or _EVER, reverse=True)


def _held_thing(case: Case, scope: Scope) -> str:
    """What is held, as the first words of a sentence."""
    if scope.builder is None:
        return scope.output or "everything"
    if scope.builder in {attested.receipt.run.builder for attested in case.authentic}:
        return f"what {scope.builder} builds"
    parts = (attested for attested in came_from(case) if attested.receipt.run.builder == scope.builder)
    return f"what {scope.builder} builds, as {_named(next(parts))}"


def _made(attested: AttestedReceipt) -> tuple[str, str]:
    return attested.receipt.output, attested.receipt.artifact.digest.hex


def _contains(attested: AttestedReceipt, scope: Scope) -> bool:
    return scope.digest is not None and scope.digest.hex in attested.receipt.artifact.contents


def _is_whole(attested: AttestedReceipt, scope: Scope) -> bool:
    return scope.digest is not None and scope.digest.hex in attested.receipt.artifact.digests


def _part(case: Case, attested: AttestedReceipt, scope: Scope) -> str:
    """What of it was withdrawn: an output that it is built from, or something that it or that holds."""
    if _is_whole(attested, scope):
        return _named(attested)
    holder = "it" if attested in case.authentic else f"{attested.receipt.output} ({attested.receipt.run.key})"
    return f"sha256:{scope.digest.hex if scope.digest else ''}, which is in {holder},"


def _named(attested: AttestedReceipt) -> str:
    return f"{attested.receipt.output} ({attested.receipt.run.key}), which it is built from,"


def _by(case: Case, decided: AttestedDecision) -> str:
    return f"on {decided.arrived_at:%Y-%m-%d} by {_who(case, decided)}: {decided.decision.reason}"


def _who(case: Case, decided: AttestedDecision) -> str:
    return " and ".join(deciders(case.catalogue, decided, decided.decision.act))


def _people(case: Case, holds: list[AttestedDecision]) -> str:
    """Who can take holds back: whoever may hold, those first whose they are."""
    may = {name: each for name, each in case.catalogue.people.items() if may_decide(each, Act.HOLD, case.now)}
    theirs = dict.fromkeys(name for each in holds for name in deciders(case.catalogue, each, Act.HOLD) if name in may)
    people = [may[name] for name in dict.fromkeys((*theirs, *may))]
    return " or ".join(f"{person.name} ({person.contact})" for person in people) or case.catalogue_owner
