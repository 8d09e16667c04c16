"""Exceptions: a rule's stated reason does not stop an output, or one artifact, until a stated time."""

from collections.abc import Iterable

from flywheel_assets.catalog.exceptable import EXCEPTABLE
from flywheel_assets.catalog.models import GateException
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.gate.case import Case, person


def first_standing(case: Case, findings: Iterable[Finding]) -> Finding:
    """The first finding that no exception covers, of those that a rule yields in its order, a pass last if at all.

    An excepted one hides none that comes after it. Where only such stand before a pass, or before the end, it is a
    pass that names the exceptions which alone make it one.
    """
    excepted: list[Finding] = []
    for finding in findings:
        if finding.verdict is VerdictClass.PASSED and not excepted:
            return finding
        if finding.verdict is VerdictClass.PASSED:
            break
        covering = _covering(finding, case)
        if covering is None:
            return finding
        excepted.append(_excepted(finding, *covering, case))
    return excepted[0].model_copy(
        update={
            "message": "; ".join(each.message for each in excepted),
            "exception": ", ".join(dict.fromkeys(each.exception for each in excepted)),
        }
    )


def _covering(finding: Finding, case: Case) -> tuple[str, GateException] | None:
    """The exception for it that lasts longest, with its name."""
    if finding.reason not in EXCEPTABLE[finding.rule]:
        return None
    found = [item for item in case.catalogue.exceptions.items() if _covers(item[1], finding, case)]
    return max(found, key=lambda item: (item[1].until, item[0]), default=None)


def _covers(entry: GateException, finding: Finding, case: Case) -> bool:
    if (entry.rule, entry.reason, entry.output) != (finding.rule, finding.reason, case.bundle.output):
        return False
    if case.now >= entry.until:
        return False
    return entry.digest is None or (
        bool(case.authentic) and entry.digest == f"sha256:{case.receipt.artifact.digest.hex}"
    )


def _excepted(finding: Finding, name: str, entry: GateException, case: Case) -> Finding:
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
