"""Decisions of alice, bob and carol about the builds of ``cases``, and approvals that a catalogue asks for."""

from datetime import datetime, timedelta
from typing import Any

from flywheel_assets.catalog.exceptable import OF_VALIDATIONS
from flywheel_assets.catalog.models import Approvals, GateException
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.evidence import AttestedDecision, Signatures
from flywheel_assets.gate.approvals import bound_of, resource_of
from flywheel_assets_tests.gate.cases import NOW, Bench, changed

MADE = NOW - timedelta(hours=2)
DAY = timedelta(days=1)
EVERYBODY = ("alice", "bob", "carol")


def decided(
    act: Act,
    *signers: str,
    arrived_at: datetime | None = None,
    made_at: datetime = MADE,
    expires_at: datetime | None = None,
    reason: str = "It has to be.",
    **scope: Any,
) -> AttestedDecision:
    """A decision that these people signed; it arrives when it is made unless said otherwise."""
    made = Decision(act=act, scope=Scope(**scope), reason=reason, made_at=made_at, expires_at=expires_at)
    signatures = Signatures(keys=signers) if signers else Signatures(unknown=("f" * 64,))
    named = made.model_dump_json() + signatures.model_dump_json()
    return AttestedDecision(
        evidence=EvidenceDigest.of(named.encode()),
        signatures=signatures,
        decision=made,
        arrived_at=arrived_at or made_at,
    )


def approval(bench: Bench, *signers: str, **changes: Any) -> AttestedDecision:
    """An approval of the build as it is, for two days unless said otherwise."""
    target, artifact = bench.catalogue.outputs[bench.output].publication, bench.receipt.artifact
    fields: dict[str, Any] = {
        "expires_at": changes.get("made_at", MADE) + 2 * DAY,
        "output": bench.output,
        "digest": Sha256(str(artifact.digest)),
        "resource": resource_of(artifact, target) if target else "nix:nowhere",
        "authority": bench.output,
        **(bound_of(bench.catalogue, target)._asdict() if target else {}),
    }
    return decided(Act.APPROVE, *signers, **(fields | changes))


def revocation(of: AttestedDecision, *signers: str, **changes: Any) -> AttestedDecision:
    """What takes a decision back."""
    return decided(Act.REVOKE, *signers, decision=of.decision.id, **({"reason": "It was wrong."} | changes))


def withdrawal(bench: Bench, *signers: str, digest: Sha256 | None = None, **changes: Any) -> AttestedDecision:
    """What withdraws the build's digest, or another."""
    about = digest or bench.receipt.artifact.digest
    return decided(Act.WITHDRAW, *signers, output=bench.output, digest=Sha256(str(about)), **changes)


def asking(bench: Bench, needed: int = 1, by: tuple[str, ...] = EVERYBODY, last_days: int = 14) -> Bench:
    """The build of an output whose catalogue asks for approvals."""
    target = bench.catalogue.outputs[bench.output].publication
    assert target is not None
    asked = Approvals(needed=needed, by=by, last_days=last_days)
    return bench.with_output(publication=changed(target, {"approvals": asked}))


def after(bench: Bench, *decisions: AttestedDecision) -> Bench:
    """The build after these decisions, besides those that are there."""
    return bench.with_bundle(decisions=(*bench.bundle.decisions, *decisions))


def excepting(bench: Bench, rule: str, reason: str, name: str = "for-now", **changes: Any) -> Bench:
    """The build under a catalogue with an exception, for a day unless said otherwise."""
    fields: dict[str, Any] = {
        "output": bench.output,
        "owner": "tools",
        "because": "It is mended soon.",
        "until": NOW + DAY,
        "validations": bench.catalogue.validations_of(bench.catalogue.outputs[bench.output]),
    }
    if reason not in OF_VALIDATIONS:
        del fields["validations"]
    entry = GateException(rule=rule, reason=reason, **(fields | changes))
    return bench.with_part("exceptions", {**bench.catalogue.exceptions, name: entry})
