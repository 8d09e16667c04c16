"""Every reason is given by a build that is there for it, and what the gate then says is what was read and agreed on."""

import pytest

from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.gate.evaluate import RULES
from flywheel_assets_tests.gate.cases import PASSED
from flywheel_assets_tests.gate.every_reason import PAGE, page, said
from flywheel_assets_tests.gate.reasons import REASONS

SAID = said()
PROBLEMS = [pytest.param(each, id=f"{rule}-{what}") for rule, what, each in SAID if each.verdict is not PASSED]


def test_the_gate_says_word_by_word_what_the_page_of_findings_says() -> None:
    written = PAGE.read_text("utf-8")
    assert page() == written, "read what changed, and write it anew: python -m flywheel_assets_tests.gate.every_reason"


def test_a_build_is_there_for_every_reason_of_every_rule_and_for_every_rule_to_pass() -> None:
    assert {finding.reason for _, _, finding in SAID} == set(REASONS) - {"no-rules"}
    assert {rule for rule, _, finding in SAID if finding.verdict is PASSED} == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("finding", PROBLEMS)
def test_what_does_not_pass_is_of_a_documented_verdict_and_says_what_would_change_it_and_who_acts(
    finding: Finding,
) -> None:
    reason = REASONS[finding.reason]
    assert finding.verdict in reason.verdicts
    assert finding.rule in reason.rules.split(", ")
    assert finding.message
    assert finding.remedy
    assert finding.actor


def test_every_documented_verdict_of_a_reason_is_reached() -> None:
    reached = {(finding.reason, finding.verdict) for _, _, finding in SAID if not finding.exception}
    wanted = {(code, verdict) for code, reason in REASONS.items() for verdict in reason.verdicts if code != "no-rules"}
    assert wanted == reached


def test_every_rule_that_is_documented_to_give_a_reason_gives_it() -> None:
    reached = {(rule, finding.reason) for rule, _, finding in SAID}
    wanted = {(rule, code) for code, reason in REASONS.items() for rule in reason.rules.split(", ")}
    assert {pair for pair in wanted - reached if pair[0] != "every rule"} == {("evidence_is_whole", "no-rules")}
