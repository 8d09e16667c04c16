"""May it be public at all: is neither it nor what it came from withdrawn or quarantined, and does nobody hold it?"""

from datetime import UTC, datetime

from flywheel_assets.domain.decisions import Act, Scope
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, trusted_keys
from flywheel_assets.gate.decisions import counting, deciders

_withdrawn = Answer("not_withdrawn", Phase.CLASSIFICATION)
_held = Answer("not_held", Phase.PUBLICATION)
_EVER = datetime.max.replace(tzinfo=UTC)


@needs_receipt(_withdrawn)
def not_withdrawn(case: Case) -> Finding:
    """Neither its digest was withdrawn, nor what signed or ran it, or anything that it was built from, quarantined."""
    receipts = (*case.authentic, *came_from(case))
    return (
        _withdrawal(case, receipts)
        or _quarantined(case, receipts)
        or _withdrawn.passed("nothing that it is, or came from, is withdrawn or quarantined")
    )


def came_from(case: Case) -> list[AttestedReceipt]:
    """The trusted receipts of what it is built from, and of what that is built from: by the digests that each names."""
    rest = [attested for attested in case.bundle.dependencies if trusted_keys(case.catalogue, attested)]
    found: list[AttestedReceipt] = []
    named = _named_by(case.authentic)
    while new := [attested for attested in rest if _made(attested) in named]:
        found += new
        rest = [attested for attested in rest if _made(attested) not in named]
        named = _named_by(new)
    return found


def quarantine_of(case: Case, attested: AttestedReceipt) -> AttestedDecision | None:
    """The first decision that says that what signed or ran it is compromised."""
    return next((d for d in counting(case, Act.QUARANTINE) if is_quarantined(d.decision.scope, attested)), None)


def quarantined_keys(case: Case) -> frozenset[str]:
    """The names of signers that are said to be compromised."""
    return frozenset(key for decided in counting(case, Act.QUARANTINE) if (key := decided.decision.scope.key))


def is_quarantined(scope: Scope, attested: AttestedReceipt) -> bool:
    """Whether a receipt was signed by the compromised key, or speaks of the compromised run."""
    run = attested.receipt.run
    if scope.key is not None:
        return scope.key in attested.signatures.keys
    return (scope.repository, scope.run) == (run.source.repository, run.key.run)


def not_held(case: Case) -> Finding:
    """Nobody has stopped this output, its builder, or everything."""
    holds = _holds(case)
    if not holds:
        return _held.passed("nobody holds it")
    decided = holds[0]
    scope, end = decided.decision.scope, decided.decision.expires_at
    what = scope.output or (f"what {scope.builder} builds" if scope.builder else "everything")
    until = f"{end:%Y-%m-%d %H:%M} UTC" if end else ""
    more = f"; and {len(holds) - 1} more" if len(holds) > 1 else ""
    commands = " and ".join(f"`flywheel revoke {each.decision.id}`" for each in holds)
    return _held(
        VerdictClass.WAITING,
        "held",
        f"{what} is held by {_who(case, decided)}{f' until {until}' if until else ''}: "
        f"{decided.decision.reason.removesuffix('.')}{more}",
        remedy=f"It goes on after {commands}" + (f", or on its own at {until}." if until else "."),
        actor=_people(case, holds),
    )


def _withdrawal(case: Case, receipts: tuple[AttestedReceipt, ...]) -> Finding | None:
    decisions = list(counting(case, Act.WITHDRAW))
    for about in receipts:
        decided = next((each for each in decisions if _contains(about, each.decision.scope)), None)
        if decided is not None:
            itself = about in case.authentic and _is_whole(about, decided.decision.scope)
            return _withdrawn(
                VerdictClass.REJECTED_PERMANENTLY,
                "withdrawn" if itself else "built-from-withdrawn",
                f"{'it' if itself else _part(case, about, decided.decision.scope)} was withdrawn by "
                f"{_who(case, decided)}: {decided.decision.reason}",
                remedy="Build another revision: a withdrawn digest never passes again.",
                actor=case.owner,
            )
    return None


def _quarantined(case: Case, receipts: tuple[AttestedReceipt, ...]) -> Finding | None:
    for about in receipts:
        decided = quarantine_of(case, about)
        if decided is not None:
            itself, scope = about in case.authentic, decided.decision.scope
            compromised = f"the signer {scope.key}" if scope.key else f"run {scope.run}"
            return _withdrawn(
                VerdictClass.REJECTED_PERMANENTLY,
                "quarantined" if itself else "built-from-quarantined",
                f"{'it' if itself else _named(about)} came from {compromised}, quarantined by {_who(case, decided)}: "
                f"{decided.decision.reason}",
                remedy="Build it again with a signer and a run that nobody doubts.",
                actor=case.builder_owner,
            )
    return None


def _holds(case: Case) -> list[AttestedDecision]:
    """The holds on it, the one that lasts longest first."""
    builders = {attested.receipt.run.builder for attested in case.authentic}
    found = [
        decided
        for decided in counting(case, Act.HOLD)
        for scope in (decided.decision.scope,)
        if scope.output is scope.builder is None or scope.output == case.bundle.output or scope.builder in builders
    ]
    return sorted(found, key=lambda decided: decided.decision.expires_at or _EVER, reverse=True)


def _named_by(receipts: tuple[AttestedReceipt, ...] | list[AttestedReceipt]) -> set[tuple[str, str]]:
    return {(d.output, d.digest.hex) for attested in receipts for d in attested.receipt.run.dependencies}


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


def _who(case: Case, decided: AttestedDecision) -> str:
    return " and ".join(deciders(case.catalogue, decided, decided.decision.act))


def _people(case: Case, holds: list[AttestedDecision]) -> str:
    names = dict.fromkeys(name for each in holds for name in deciders(case.catalogue, each, Act.HOLD))
    return ", ".join(f"{case.catalogue.people[n].name} ({case.catalogue.people[n].contact})" for n in names)
