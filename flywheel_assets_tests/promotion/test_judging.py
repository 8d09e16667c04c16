"""Judging: the same evidence gives the same verdict, damaged evidence gives none, and nothing is decided in passing."""

from pathlib import Path

import pytest

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import VERDICT, last_verdict
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.report import State, report
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    DIRTY,
    OLDER,
    Installation,
    Memory,
    a_signer,
    in_memory,
    judge_all,
    judged,
    key,
    sample_catalogue,
)


@pytest.fixture
def memory() -> Memory:
    made = in_memory("1440220100")
    take_in(made.flywheel)
    return made


def entries(memory: Memory) -> list[tuple[str, str]]:
    return [(e.kind, e.subject) for e in memory.evidence.entries("output-tide-clock")]


def summary(memory: Memory, digest: EvidenceDigest | None) -> ReadSummary:
    assert digest is not None
    envelope = memory.evidence.get(digest)
    checked = memory.flywheel.verifier.check(envelope, "vsa", {"verifier": a_signer("verifier").public_key})
    assert checked.keys == ("verifier",)
    return ReadSummary(checked.payload, "vsa")


def test_the_same_evidence_gives_the_same_bytes_and_nothing_new(memory: Memory) -> None:
    first = judge(memory.flywheel, "tide-clock", CLOCK)
    before, blobs = entries(memory), set(memory.evidence.blobs)
    memory.clock.move(days=30)
    again = judge(memory.but(), "tide-clock", CLOCK)
    assert again.recorded.model_dump_json() == first.recorded.model_dump_json()
    assert entries(memory) == before
    assert set(memory.evidence.blobs) == blobs
    assert memory.caches["attic-main"].reads == 1


def test_new_evidence_gives_a_new_verdict_and_the_old_one_stays(memory: Memory) -> None:
    first = judge(memory.flywheel, "tide-clock", DIRTY)
    memory.clock.move(hours=1)
    second = judge(memory.flywheel, "tide-clock", DIRTY, reread=True)
    assert second.recorded.basis != first.recorded.basis
    assert len(second.verdict.evidence) == len(first.verdict.evidence) + 1
    assert entries(memory).count((VERDICT, str(DIRTY))) == 2
    last = last_verdict(memory.flywheel, "tide-clock", DIRTY)
    assert last
    assert last.model_dump_json() == second.recorded.model_dump_json()


def test_a_new_catalogue_gives_a_new_verdict(memory: Memory) -> None:
    first = judge(memory.flywheel, "tide-clock", CLOCK)
    changed = sample_catalogue().model_copy(update={"keys": {}})
    second = judge(memory.but(catalogue=changed), "tide-clock", CLOCK)
    assert first.verdict.publishable
    assert (second.verdict.verdict.value, second.verdict.worst.reason) == ("rejected temporarily", "key-untrusted")
    assert second.verdict.catalogue == changed.digest


def test_reading_again_is_done_when_asked_for_and_recorded(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    memory.clock.move(hours=1)
    judge(memory.flywheel, "tide-clock", CLOCK, reread=True)
    assert memory.caches["attic-main"].reads == 2
    assert len(assemble(memory.flywheel, "tide-clock", CLOCK).inspections) == 2


def test_what_once_read_back_wrong_is_not_forgotten_by_a_better_reading(memory: Memory) -> None:
    root = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    wrong = Reading(
        member=root.name, state=ReadState.READ, expected_digest=str(root.digest), digest="sha256:" + "0" * 64, size=9
    )
    memory.caches["attic-main"].instead[root.name] = wrong
    assert judge(memory.flywheel, "tide-clock", CLOCK).verdict.worst.reason == "body-differs"
    memory.caches["attic-main"].instead.clear()
    memory.clock.move(hours=1)
    again = judge(memory.flywheel, "tide-clock", CLOCK, reread=True).verdict
    assert (again.verdict.value, again.worst.reason) == ("rejected permanently", "body-differs")


@pytest.mark.parametrize("run", ["14402201007", "14402201008"])
def test_without_an_authentic_receipt_nothing_is_read_and_nothing_signed(memory: Memory, run: str) -> None:
    found = judge(memory.flywheel, "tide-clock", key(run))
    assert memory.caches["attic-main"].reads == 0
    assert found.recorded.vsa is None
    assert found.verdict.subject is None


def test_what_is_validated_gets_a_summary_that_does_not_say_promoted(memory: Memory) -> None:
    found = summary(memory, judge(memory.flywheel, "tide-clock", CLOCK).recorded.vsa)
    assert (found.result, found.levels[1:]) == ("PASSED", ["FLYWHEEL_VALIDATED"])
    assert found.resource.startswith("nix:/nix/store/")


def test_what_can_never_pass_gets_a_failed_summary_and_what_may_gets_none(memory: Memory) -> None:
    failed = summary(memory, judge(memory.flywheel, "tide-clock", DIRTY).recorded.vsa)
    assert (failed.result, failed.levels) == ("FAILED", [])
    assert judge(memory.flywheel, "tide-clock", key("14402201004")).recorded.vsa is None


@pytest.mark.parametrize("harm", ["altered", "lost"])
@pytest.mark.parametrize("kind", ["receipt", "inspection"])
def test_damaged_evidence_never_passes_and_is_neither_recorded_nor_signed(memory: Memory, harm: str, kind: str) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    judge(memory.flywheel, "tide-clock", DIRTY)
    for entry in memory.evidence.entries("output-tide-clock"):
        if entry.kind == kind and entry.subject in {str(CLOCK), str(DIRTY)}:
            if harm == "lost":
                del memory.evidence.blobs[entry.evidence]
            else:
                memory.evidence.blobs[entry.evidence] += b" "
    before, blobs = entries(memory), set(memory.evidence.blobs)
    for build in (CLOCK, DIRTY):
        found = judge(memory.but(), "tide-clock", build)
        assert not found.verdict.publishable
        assert not found.verdict.validated
        assert "evidence-damaged" in {finding.reason for finding in found.verdict.findings}
        assert found.recorded.vsa is None
    assert entries(memory) == before
    assert set(memory.evidence.blobs) == blobs


def test_damaged_evidence_about_another_build_of_the_output_counts_too(memory: Memory) -> None:
    """It may have been a second builder that disagreed."""
    judge(memory.flywheel, "tide-clock", CLOCK)
    other = next(e for e in memory.evidence.entries("output-tide-clock") if e.subject == str(OLDER))
    del memory.evidence.blobs[other.evidence]
    verdict = judge(memory.but(), "tide-clock", CLOCK).verdict
    assert (verdict.verdict.value, verdict.worst.reason) == ("cannot determine", "evidence-damaged")
    assert verdict.worst.actor == "whoever runs the evidence store"


def test_a_log_that_was_cut_gives_no_verdict_and_a_row_that_says_so(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    memory.evidence.chains["output-tide-clock"].pop()
    assert not judge(memory.but(), "tide-clock", CLOCK).verdict.publishable
    row = next(row for row in report(memory.flywheel) if row.output == "tide-clock")
    assert (row.state, row.verdict, row.reason) == (State.UNROUTED, "cannot determine", "evidence-damaged")
    assert row.message == "The evidence log output-tide-clock was cut or rewritten."


def test_a_recorded_verdict_that_was_altered_is_not_believed(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", DIRTY)
    recorded = next(e for e in memory.evidence.entries("output-tide-clock") if e.kind == VERDICT)
    memory.evidence.blobs[recorded.evidence] = b"{}"
    with pytest.raises(EvidenceError):
        judge(memory.but(), "tide-clock", DIRTY)


def test_what_is_not_in_evidence_cannot_be_judged(memory: Memory) -> None:
    with pytest.raises(UsageError, match=r"^The catalogue knows no output 'nothing'\. `flywheel report` lists"):
        judge(memory.flywheel, "nothing", CLOCK)
    with pytest.raises(UsageError, match=r"^No build 7\.1\.x86_64-linux of tide-clock is in evidence\. The newest are"):
        judge(memory.flywheel, "tide-clock", key("7"))


def test_the_report_settles_only_on_the_evidence_of_now(memory: Memory) -> None:
    rows = {row.build: row for row in report(memory.flywheel) if row.output == "tide-clock"}
    assert {row.state for row in rows.values()} == {State.RECEIVED}
    assert {(row.verdict, row.reason) for row in rows.values()} == {("waiting", "not-judged-yet")}
    judge_all(memory.flywheel)
    rows = {row.build: row for row in report(memory.flywheel)}
    assert rows[str(OLDER)].settled
    promote(memory.flywheel, "tide-clock", CLOCK)
    rows = {row.build: row for row in report(memory.flywheel)}
    assert rows[str(CLOCK)].state is State.PUBLISHED
    assert not rows[str(OLDER)].settled, "a newer one was published since"
    assert rows[str(OLDER)].verdict == "passed", "nothing is judged by looking"


def test_explaining_judges_now_and_records_nothing(memory: Memory) -> None:
    judge_all(memory.flywheel)
    promote(memory.flywheel, "tide-clock", CLOCK)
    before = entries(memory)
    (older,) = explain_builds(memory.flywheel, "tide-clock", OLDER)
    assert [finding.reason for finding in older.failed] == ["older-than-channel"]
    (dirty,) = explain_builds(memory.flywheel, "tide-clock", DIRTY)
    assert dirty.failed[0].reason == "tree-dirty"
    assert dirty.failed
    assert len(explain_builds(memory.flywheel, "tide-clock")) == 8
    assert entries(memory) == before


def test_explaining_names_what_it_does_not_know() -> None:
    memory = in_memory("1440220100", "14402202001")
    take_in(memory.flywheel)
    with pytest.raises(UsageError, match=r"^Neither the catalogue nor any receipt knows an output 'nothing'"):
        explain_builds(memory.flywheel, "nothing")
    with pytest.raises(UsageError, match=r"^No build of chart-plotter is in evidence yet\. Looked for now"):
        explain_builds(memory.flywheel, "chart-plotter")
    with pytest.raises(UsageError, match=r"^No build 7\.1\.x86_64-linux of tide-clock is in evidence\. Known: 14402"):
        explain_builds(memory.flywheel, "tide-clock", key("7"))
    (box,) = explain_builds(memory.flywheel, "mystery-box")
    assert (box.row.reason, box.findings) == ("unknown-output", ())


def test_a_store_on_a_folder_gives_the_same_verdicts(tmp_path: Path) -> None:
    """As a new process, and twice: the folder is not touched by judging again."""
    place: Installation = judged(tmp_path / "home")
    before = place.files("evidence")
    judge_all(place.open())
    assert place.files("evidence") == before
