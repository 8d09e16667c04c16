"""Exceptions: a rule's stated reason does not stop an output, or one artifact, until a stated time."""

from flywheel_assets.catalog.models import GateException
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.gate.case import Case, person

EXCEPTABLE: dict[str, frozenset[str]] = {
    "toolchain_bootstrap_was_proven": frozenset({"bootstrap-unproven", "bootstrap-claim-untrusted"}),
    "validation_is_green": frozenset({"validation-failed", "validation-missing", "validation-claim-untrusted"}),
    "source_can_be_reidentified": frozenset({"inputs-not-locked", "source-claim-untrusted"}),
    "rebuild_agrees": frozenset({"second-builder-missing"}),
    "use_is_intended": frozenset({"consumption-undocumented"}),
    "output_is_not_transient": frozenset({"other-ref", "trigger-claim-untrusted"}),
    "ownership_is_documented": frozenset({"cleanness-undocumented"}),
}
"""The rules, and the reasons of each, that may be excepted: never who signed, what was read, withdrawals or holds."""


def with_exception(finding: Finding, case: Case) -> Finding:
    """The finding, or a pass that names the exception which alone makes it one."""
    if finding.verdict is VerdictClass.PASSED or finding.reason not in EXCEPTABLE.get(finding.rule, frozenset()):
        return finding
    for name, entry in sorted(case.catalogue.exceptions.items()):
        if _covers(entry, finding, case):
            who = person(case.catalogue, entry.owner)
            return Finding(
                rule=finding.rule,
                phase=finding.phase,
                verdict=VerdictClass.PASSED,
                reason=finding.reason,
                message=f"excepted by {who} until {entry.until:%Y-%m-%d %H:%M} UTC, {entry.because.removesuffix('.')}: "
                f"{finding.message}",
                exception=name,
            )
    return finding


def _covers(entry: GateException, finding: Finding, case: Case) -> bool:
    if (entry.rule, entry.reason, entry.output) != (finding.rule, finding.reason, case.bundle.output):
        return False
    if case.now >= entry.until:
        return False
    return entry.digest is None or (
        bool(case.authentic) and entry.digest == f"sha256:{case.receipt.artifact.digest.hex}"
    )
