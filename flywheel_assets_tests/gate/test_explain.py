"""Why not? What a person is told of a verdict."""

from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.gate.explain import explain, failed, sentence
from flywheel_assets_tests.gate.cases import PASSED, Bench, good

BENCHES = [
    good().with_signatures(Signatures()),
    good().with_bundle(receipts=()),
    good().with_bundle(inspections=(), tests=(), witnesses=(), damaged=("A log is shorter than it was.",)),
    good().with_source(dirty=True).with_output(clean_because=None, consumption=None, publication=None),
    good().without_entry("builders", "nixer"),
    good("bazel"),
]


def test_every_failed_finding_is_told_with_verdict_reason_remedy_and_actor() -> None:
    for bench in BENCHES:
        found = failed(bench.verdict())
        assert found
        for finding, text in zip(found, explain(found).split("\n\n"), strict=True):
            first, remedy, actor = text.split("\n")
            assert first.startswith(f"{finding.rule}: {finding.verdict.value} ({finding.reason}). {finding.message}")
            assert remedy == f"  To change it: {finding.remedy}"
            assert actor == f"  Who acts: {finding.actor}."
            assert finding.remedy
            assert finding.actor


def test_failed_findings_stand_with_the_worst_first_and_no_pass_among_them() -> None:
    for bench in BENCHES:
        severities = [finding.verdict.severity for finding in failed(bench.verdict())]
        assert severities == sorted(severities, reverse=True)
        assert 0 not in severities
        assert failed(bench.verdict())[0] == bench.verdict().worst


def test_a_pass_is_told_without_remedy() -> None:
    findings = list(good().verdict().findings)
    assert all(finding.verdict is PASSED and not finding.remedy and not finding.actor for finding in findings)
    assert "To change it" not in explain(findings)
    assert explain(findings[:1]).startswith("output_is_not_transient: passed. a package, built on push by someone.")


def told(bench: Bench) -> str:
    return sentence(bench.verdict())


def test_one_sentence_says_what_decided() -> None:
    assert told(good()) == "tool 100.1.x86_64-linux: passed, every rule holds."
    assert told(good().with_bundle(witnesses=())) == (
        "tool 100.1.x86_64-linux: waiting, second-builder-missing: 1 of 2 builders got this content so far."
    )
