"""Exceptions: a rule's stated reason does not stop an output, or one artifact, until a stated time."""

from collections.abc import Iterable, Mapping, Sequence

from flywheel_assets.catalog.exceptable import EXCEPTABLE, OF_VALIDATIONS
from flywheel_assets.catalog.models import GateException
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.gate.case import Case, person


def first_standing(
    case: Case, findings: Iterable[Finding], validations: Mapping[str, Sequence[str]] | None = None
) -> Finding:
    """The first finding that no exception covers, of those that a rule yields in its order, a pass last if at all.

    An excepted one hides none that comes after it. Where only such stand before a pass, or before the end, it is a
    pass that names the exceptions which alone make it one. ``validations`` are what findings are about, by reason.
    """
    excepted: list[Finding] = []
    for finding in findings:
        if finding.verdict is VerdictClass.PASSED and not excepted:
            return finding
        if finding.verdict is VerdictClass.PASSED:
            break
        covering = _covering(finding, (validations or {}).get(finding.reason, ()), case)
        if not covering:
            return finding
        excepted.append(_excepted(finding, covering, case))
    return excepted[0].model_copy(
        update={
            "message": "; ".join(each.message for each in excepted),
            "exception": ", ".join(dict.fromkeys(each.exception for each in excepted)),
        }
    )


def _covering(finding: Finding, validations: Sequence[str], case: Case) -> dict[str, GateException]:
    """By name, the exception that lasts longest; of a finding about validations, one for each of them, or none."""
    if finding.reason not in EXCEPTABLE[finding.rule]:
        return {}
    found = [item for item in case.catalogue.exceptions.items() if _covers(item[1], finding, case)]
    found.sort(key=lambda item: (item[1].until, item[0]), reverse=True)
    if finding.reason not in OF_VALIDATIONS:
        return dict(found[:1])
    chosen = [next((item for item in found if each in item[1].validations), None) for each in validations]
    covering = dict(item for item in chosen if item is not None)
    return covering if None not in chosen else {}


def _covers(entry: GateException, finding: Finding, case: Case) -> bool:
    if (entry.rule, entry.reason, entry.output) != (finding.rule, finding.reason, case.bundle.output):
        return False
    if case.now >= entry.until:
        return False
    return entry.digest is None or (
        bool(case.authentic) and entry.digest == f"sha256:{case.receipt.artifact.digest.hex}"
    )


def _excepted(finding: Finding, covering: Mapping[str, GateException], case: Case) -> Finding:
    return Finding(
        rule=finding.rule,
        phase=finding.phase,
        verdict=VerdictClass.PASSED,
        reason=finding.reason,
        message=f"excepted by {' and by '.join(_whose(entry, case) for entry in covering.values())}: {finding.message}",
        exception=", ".join(covering),
    )


def _whose(entry: GateException, case: Case) -> str:
    who = person(case.catalogue, entry.owner)
    return f"{who} until {entry.until:%Y-%m-%d %H:%M} UTC, {entry.because.removesuffix('.')}"
