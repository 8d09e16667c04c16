"""What went into an artifact, and of which nobody trusted speaks any more: whether it is compromised cannot be told."""

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.standing import came_from
from flywheel_assets.promotion.assembling import sorted_receipts, stopped_makers
from flywheel_assets.promotion.flywheel import Flywheel


def unvouched(flywheel: Flywheel, case: Case) -> Finding | None:
    """Of what its receipts name, and of which no receipt is by a signer who is trusted; None where there is none.

    Whoever finds a key stolen may remove it, and with it what its receipts say of their signer and run. Asked only
    while something is in quarantine: a withdrawal goes by the digest, and needs no receipt. Raises EvidenceError.
    """
    is_any = any(each.act is Act.QUARANTINE for each in stopped_makers(flywheel))
    what = _first_unvouched(flywheel, case) if is_any else ""
    if not what:
        return None
    return Finding(
        rule="not_withdrawn",
        phase=Phase.CLASSIFICATION,
        verdict=VerdictClass.CANNOT_DETERMINE,
        reason="dependency-unresolved",
        message=f"whether it may be public cannot be told: of {what}, which went into it, no receipt is by a signer "
        "who is trusted, and some signer or run is in quarantine",
        remedy="Withdraw it, or let the catalogue name that signer again, its time ended by `valid_until`.",
        actor=case.owner,
    )


def _first_unvouched(flywheel: Flywheel, case: Case) -> str:
    """Its output and digest; empty where there is none."""
    made = (*case.authentic, *came_from(case))
    told = {digest for each in made for digest in each.receipt.artifact.digests}
    named: dict[str, set[str]] = {}
    for each in (each for attested in made for each in attested.receipt.run.dependencies):
        if each.digest.hex not in told:
            named.setdefault(each.output, set()).add(each.digest.hex)
    for output, digests in sorted(named.items()):
        log = sorted_receipts(flywheel, output)
        for digest in sorted(log.of_strangers(digests)):
            if not log.of_artifacts({digest}):
                return f"{output} (sha256:{digest})"
    return ""
