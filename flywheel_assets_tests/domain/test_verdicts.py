"""Verdict classes have an order, and a verdict is the worst of its findings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.verdicts import Finding, Phase, Verdict, VerdictClass
from flywheel_assets_tests.gate.cases import KEY, NOW

FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(["a", "b", "c"]),
    phase=st.sampled_from(Phase),
    verdict=st.sampled_from(VerdictClass),
    reason=st.just("a-reason"),
    message=st.just("a message"),
)


def verdict(findings: list[Finding]) -> Verdict:
    digest = EvidenceDigest.of(b"")
    return Verdict(
        output="tool", build=KEY, subject=None, findings=tuple(findings), catalogue=digest, evidence=(), now=NOW
    )


def test_the_classes_rise_from_passed_to_rejected_permanently() -> None:
    assert sorted(VerdictClass, key=lambda one: one.severity) == [
        VerdictClass.PASSED,
        VerdictClass.WAITING,
        VerdictClass.NEEDS_APPROVAL,
        VerdictClass.CANNOT_DETERMINE,
        VerdictClass.REJECTED_TEMPORARILY,
        VerdictClass.REJECTED_PERMANENTLY,
    ]
    assert [one.severity for one in VerdictClass] == [0, 1, 2, 3, 4, 5]


def test_a_verdict_without_findings_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        verdict([])


@given(st.lists(FINDINGS, min_size=1, max_size=6))
def test_a_verdict_is_the_worst_of_its_findings_and_the_first_of_equals(findings: list[Finding]) -> None:
    made = verdict(findings)
    worst = max(finding.verdict.severity for finding in findings)
    assert made.verdict.severity == worst
    assert made.worst is next(finding for finding in findings if finding.verdict.severity == worst)
    assert made.publishable == (worst == 0)
    assert made.validated or not made.publishable
    assert not made.body_is_whole
