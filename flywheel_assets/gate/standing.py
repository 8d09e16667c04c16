"""May it be public at all: is neither it nor what it came from withdrawn or quarantined, and does nobody hold it?"""

from collections.abc import Iterator

from flywheel_assets.domain.decisions import Act, Scope
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt
from flywheel_assets.gate.decisions import counting, end_of

_withdrawn = Answer("not_withdrawn", Phase.CLASSIFICATION)
_held = Answer("not_held", Phase.PUBLICATION)


@needs_receipt(_withdrawn)
def not_withdrawn(case: Case) -> Finding:
    """Neither its digest was withdrawn, nor what signed or ran it, or anything that it was built from, quarantined."""
    receipts = (*case.authentic, *case.bundle.dependencies)
    for decided in counting(case, Act.WITHDRAW):
        about = [r for r in receipts if _holds_digest(r, decided.decision.scope)]
        if about:
            itself = about[0] in case.authentic
            return _withdrawn(
                VerdictClass.REJECTED_PERMANENTLY,
                "withdrawn" if itself else "built-from-withdrawn",
                f"{_what(about[0], itself=itself)} was withdrawn by {_who(decided)}: {decided.decision.reason}",
                remedy="Build another revision: a withdrawn digest never passes again.",
                actor=case.owner,
            )
    for decided in counting(case, Act.QUARANTINE):
        about = [r for r in receipts if is_quarantined(decided.decision.scope, r)]
        if about:
            itself = about[0] in case.authentic
            scope = decided.decision.scope
            compromised = f"the signer {scope.key}" if scope.key else f"run {scope.run}"
            return _withdrawn(
                VerdictClass.REJECTED_PERMANENTLY,
                "quarantined" if itself else "built-from-quarantined",
                f"{_what(about[0], itself=itself)} came from {compromised}, quarantined by {_who(decided)}: "
                f"{decided.decision.reason}",
                remedy="Build it again with a signer and a run that nobody doubts.",
                actor=case.builder_owner,
            )
    return _withdrawn.passed("nothing that it is, or came from, is withdrawn or quarantined")


def is_quarantined(scope: Scope, attested: AttestedReceipt) -> bool:
    """Whether a receipt was signed by the compromised key, or speaks of the compromised run."""
    run = attested.receipt.run
    if scope.key is not None:
        return scope.key in attested.signatures.keys
    return (scope.repository, scope.run) == (run.source.repository, run.key.run)


def not_held(case: Case) -> Finding:
    """Nobody has stopped this output, its builder, or everything."""
    for decided in _holds(case):
        scope, end = decided.decision.scope, end_of(decided, None)
        what = scope.output or (f"what {scope.builder} builds" if scope.builder else "everything")
        until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
        return _held(
            VerdictClass.WAITING,
            "held",
            f"{_who(decided)} holds {what}{until}: {decided.decision.reason}",
            remedy=f"It goes on when `flywheel revoke {decided.decision.id}` takes that back"
            + (f", or on its own{until.replace(' until', ' after')}." if end else "."),
            actor=_people(case, decided),
        )
    return _held.passed("nobody holds it")


def _holds(case: Case) -> Iterator[AttestedDecision]:
    builders = {attested.receipt.run.builder for attested in case.bundle.receipts}
    for decided in counting(case, Act.HOLD):
        scope = decided.decision.scope
        everything = scope.output is scope.builder is None
        if everything or scope.output == case.bundle.output or scope.builder in builders:
            yield decided


def _holds_digest(attested: AttestedReceipt, scope: Scope) -> bool:
    return scope.digest is not None and scope.digest.hex in attested.receipt.artifact.contents


def _what(attested: AttestedReceipt, *, itself: bool) -> str:
    return "it" if itself else f"{attested.receipt.output} ({attested.receipt.run.key}), which it is built from,"


def _who(decided: AttestedDecision) -> str:
    return " and ".join(decided.signatures.keys)


def _people(case: Case, decided: AttestedDecision) -> str:
    known = [case.catalogue.people[name] for name in decided.signatures.keys if name in case.catalogue.people]
    return ", ".join(f"{each.name} ({each.contact})" for each in known)
