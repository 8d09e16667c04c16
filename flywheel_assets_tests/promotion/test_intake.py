"""Intake: every document becomes evidence exactly once, and nothing is ever lost."""

import json
from dataclasses import replace

import pytest

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.intake import UNROUTED, take_in, waiting_for_catalogue
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.report import report
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    DASHBOARD_IMAGE,
    Memory,
    a_signer,
    in_memory,
    key,
    resigned,
    sample_catalogue,
    statement_of,
    trusting,
    without_output,
)

RECEIPT = "14402201001-tide-clock.json"
SCAN = "14402201902-trivy-scan.json"


class KilledError(BaseException):
    """The process dies here."""


def kill(_step: str) -> None:
    raise KilledError


def test_the_whole_sample_is_taken_in_at_once_and_a_second_time_there_is_nothing() -> None:
    memory = in_memory()
    taken = take_in(memory.flywheel)
    assert (len(taken.builds), taken.tests, taken.unknown_outputs, taken.dead_letters) == (23, 1, 1, 1)
    assert taken.total == len(memory.inbox.documents)
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    for _ in range(2):
        assert take_in(memory.but()).total == 0
    assert memory.evidence.chains == chains


def test_evidence_stays_when_the_inbox_is_emptied() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.flywheel)
    memory.inbox.documents.clear()
    assert take_in(memory.flywheel).total == 0
    assert builds_of(memory.flywheel, "tide-clock") == [CLOCK]


def test_a_crash_at_any_step_is_made_up_for_by_the_next_intake() -> None:
    expected = in_memory()
    take_in(expected.flywheel)
    for crash in range(100):
        memory, steps = in_memory(), iter(range(crash))

        def count(step: str, memory: Memory = memory, steps: object = steps) -> None:
            if next(steps, None) is None:  # type: ignore[call-overload]  # an iterator, as the default above
                raise KilledError

        memory.evidence.before = count
        try:
            take_in(memory.flywheel)
        except KilledError:
            memory.evidence.before = lambda step: None
            assert take_in(memory.but()).total > 0
            assert memory.evidence.chains == expected.evidence.chains
        else:
            assert crash > 40
            return
    pytest.fail("it never came to an end")


def test_a_test_result_about_several_artifacts_reaches_all_of_them_after_a_crash() -> None:
    memory = in_memory(SCAN)
    subjects = [{"name": f"image {n}", "digest": {"sha256": f"{n}" * 64}} for n in (1, 2, 3)]
    document = resigned(
        memory.inbox.documents[SCAN], a_signer("x"), lambda statement: statement.update(subject=subjects)
    )
    memory.inbox.documents[SCAN] = document
    appended: list[str] = []

    def die_at_the_second(step: str) -> None:
        appended.append(step)
        if [each.startswith("append") for each in appended].count(True) == 2:
            raise KilledError

    memory.evidence.before = die_at_the_second
    with pytest.raises(KilledError):
        take_in(memory.flywheel)
    assert len(memory.evidence.entries("tests")) == 1
    memory.evidence.before = lambda step: None
    assert take_in(memory.but()).tests == 1
    assert [entry.subject[0] for entry in memory.evidence.entries("tests")] == ["1", "2", "3"]
    assert take_in(memory.but()).total == 0


def test_one_test_result_bears_on_each_of_its_subjects() -> None:
    memory = in_memory("14402201902", "14402201701")
    catalogue = trusting("tinyland-docker", a_signer("x"))
    take_in(memory.flywheel)
    digests = [
        statement_of(memory.inbox.documents[name])["subject"][0]
        for name in ("14402201701-harbor-map-image.json", "14402201902-runner-dashboard-image.json")
    ]
    memory.inbox.documents["both.json"] = resigned(
        memory.inbox.documents[SCAN], a_signer("x"), lambda statement: statement.update(subject=digests)
    )
    flywheel = memory.but(catalogue=catalogue)
    assert take_in(flywheel).tests == 1
    for output, build in (
        ("harbor-map-image", "14402201701.1.multi-platform"),
        ("runner-dashboard-image", str(DASHBOARD_IMAGE)),
    ):
        found = assemble(flywheel, output, key(build)).tests
        assert EvidenceDigest.of(memory.inbox.documents["both.json"]) in [test.evidence for test in found]


def test_an_unknown_output_waits_and_is_routed_once_the_catalogue_knows_it() -> None:
    memory = in_memory("1440220100", "14402201201")
    before = memory.but(catalogue=without_output("tide-clock-image"))
    taken = take_in(before)
    assert taken.unknown_outputs == 1
    assert [entry.subject for entry in waiting_for_catalogue(before)] == ["tide-clock-image 14402201201.1.linux-amd64"]
    row = report(before)[-1]
    assert (row.output, row.build, row.reason) == ("tide-clock-image", "14402201201.1.linux-amd64", "unknown-output")
    memory.inbox.documents.clear()
    known = memory.but(catalogue=sample_catalogue())
    routed = take_in(known)
    assert routed.builds == [("tide-clock-image", key("14402201201.1.linux-amd64"))]
    assert take_in(known).total == 0
    assert judge(known, "tide-clock-image", routed.builds[0][1]).verdict.publishable
    assert "unknown-output" not in {each.reason for each in report(known)}


def test_an_unreadable_document_is_kept_with_its_file_and_field_and_stops_no_other() -> None:
    memory = in_memory(RECEIPT)
    good = memory.inbox.documents[RECEIPT]
    wrong_type = json.loads(good) | {"payloadType": "application/json"}
    no_digest = resigned(good, a_signer("x"), lambda s: s["subject"][0].update(digest={"sha256": "x"}))
    memory.inbox.documents |= {
        "0-cut.json": good[:100],
        "1-empty.json": b"",
        "2-bytes.json": b"\xff\xfe",
        "3-list.json": b"[]",
        "4-type.json": json.dumps(wrong_type).encode(),
        "5-digest.json": no_digest,
        "6-\x1b[31m.json": b"{}",
        "9-deep.json": b'{"payload":' * 60,
    }
    taken = take_in(memory.flywheel)
    assert (len(taken.builds), taken.dead_letters) == (1, 8)
    letters = {entry.subject.split(": ")[0]: entry for entry in memory.evidence.entries(UNROUTED)}
    texts = [entry.subject for entry in letters.values()]
    assert texts[0].startswith("0-cut.json: JSON: cannot be parsed")
    assert texts[1].startswith("1-empty.json: JSON: cannot be parsed")
    assert texts[2].startswith("2-bytes.json: byte 0: not UTF-8")
    assert texts[3].startswith("3-list.json: JSON: is not an object")
    assert texts[4].startswith("4-type.json: payloadType: is 'application/json', and only")
    assert texts[5].startswith("5-digest.json: subject: does not name the artifact")
    assert texts[6].startswith("6-\\x1b[31m.json: ")
    assert texts[7].startswith("9-deep.json: nesting: deeper than 32 levels")
    assert memory.evidence.get(letters["0-cut.json"].evidence) == good[:100], "the letter itself is kept"
    rows = [row for row in report(memory.flywheel) if row.reason == "unreadable-delivery"]
    assert [row.build for row in rows] == [text.split(": ")[0] for text in texts]
    assert take_in(memory.but()).total == 0


def test_what_is_too_large_to_be_read_is_buried_by_its_problem_once() -> None:
    memory = in_memory(RECEIPT)
    memory.inbox.documents["large.json"] = b"x" * 5_000_000
    assert take_in(memory.flywheel).dead_letters == 1
    (letter,) = memory.evidence.entries(UNROUTED)
    assert letter.subject.startswith("large.json: file: large.json has 5,000,000 bytes, and at most")
    assert len(memory.evidence.get(letter.evidence)) < 1000
    assert take_in(memory.but()).total == 0
    assert builds_of(memory.flywheel, "tide-clock") == [CLOCK]


def test_a_bare_statement_that_nobody_signed_is_taken_in_and_left_to_the_gate() -> None:
    memory = in_memory(RECEIPT)
    memory.inbox.documents = {"bare.json": json.dumps(statement_of(memory.inbox.documents[RECEIPT])).encode()}
    assert take_in(memory.flywheel).builds == [("tide-clock", CLOCK)]
    verdict = judge(memory.flywheel, "tide-clock", CLOCK).verdict
    assert (verdict.verdict.value, verdict.worst.reason) == ("rejected temporarily", "receipt-unsigned")


def test_one_document_under_two_names_is_one_build() -> None:
    memory = in_memory(RECEIPT)
    memory.inbox.documents["copy.json"] = memory.inbox.documents[RECEIPT]
    taken = take_in(memory.flywheel)
    assert taken.builds == [("tide-clock", CLOCK)]
    assert len(memory.evidence.entries("output-tide-clock")) == 1


def test_a_batch_ends_at_the_limit_and_the_next_one_goes_on() -> None:
    memory = in_memory()
    flywheel = replace(memory.flywheel, limits=Limits(inbox_batch=10))
    assert [take_in(flywheel).total for _ in range(4)] == [10, 10, 6, 0]


def test_what_waited_does_not_outgrow_a_batch() -> None:
    memory = in_memory("1440220100")
    take_in(memory.but(catalogue=without_output("tide-clock")))
    flywheel = memory.but(limits=Limits(inbox_batch=3))
    assert [take_in(flywheel).total for _ in range(4)] == [3, 3, 2, 0]


def test_an_inbox_that_cannot_be_read_takes_nothing_and_says_so() -> None:
    memory = in_memory(RECEIPT)
    memory.inbox.broken = UnreadableError("The inbox cannot be listed.")
    with pytest.raises(UnreadableError, match=r"^The inbox cannot be listed"):
        take_in(memory.flywheel)
    memory.inbox.broken = None
    assert take_in(memory.flywheel).total == 1


@pytest.mark.parametrize("log", ["output-tide-clock", "unrouted", "tests"])
def test_nothing_is_taken_into_a_log_that_was_cut_and_the_others_take_theirs_once(log: str) -> None:
    memory = in_memory()
    documents = dict(memory.inbox.documents)
    late = {"14402201101-chart-plotter.json", "14402201008-tide-clock.json"}
    memory.inbox.documents = {name: document for name, document in documents.items() if name not in late}
    taken = take_in(memory.flywheel)
    (gone,) = memory.evidence.chains[log][-1:]
    memory.evidence.chains[log].pop()
    memory.inbox.documents = documents
    before = list(memory.evidence.chains[log])
    again = take_in(memory.flywheel)
    assert memory.evidence.chains[log] == before
    (problem,) = again.postponed
    assert log in problem
    expected = {"chart-plotter"} if log == "output-tide-clock" else {"chart-plotter", "tide-clock"}
    assert {output for output, _ in again.builds} == expected
    memory.evidence.chains[log].append(gone)
    mended = take_in(memory.flywheel)
    assert mended.postponed == []
    assert take_in(memory.flywheel).total == 0
    assert taken.total + again.total + mended.total == len(documents)


def test_a_second_receipt_of_the_same_run_is_kept_beside_the_first() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.flywheel)
    memory.inbox.documents["again.json"] = resigned(
        memory.inbox.documents[RECEIPT], a_signer("x"), lambda statement: statement
    )
    assert take_in(memory.flywheel).builds == [("tide-clock", CLOCK)]
    assert builds_of(memory.flywheel, "tide-clock") == [CLOCK]
    kinds = [entry.kind for entry in memory.evidence.entries("output-tide-clock")]
    assert kinds.count("receipt") == 2
    # A stranger signed the second: it is kept, and it is nobody's word.
    assert len(assemble(memory.flywheel, "tide-clock", CLOCK).receipts) == 1


def test_an_intake_that_has_had_enough_stops_and_the_next_one_goes_on() -> None:
    memory, calls = in_memory(), iter([False] * 10 + [True] * 10)
    first = take_in(memory.flywheel, lambda: next(calls))
    assert (first.total, first.more) == (10, True)
    rest = take_in(memory.flywheel)
    assert (rest.total, rest.more) == (16, False)


def test_what_is_in_evidence_is_not_read_again_by_the_same_process() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.flywheel)
    assert list(memory.inbox.deliveries(memory.flywheel.seen)) == []
    memory.inbox.documents["0-late.json"] = memory.inbox.documents[RECEIPT][:100]
    assert take_in(memory.flywheel).dead_letters == 1


def test_what_was_not_written_to_evidence_is_not_taken_for_seen() -> None:
    memory = in_memory(RECEIPT)
    memory.evidence.before = kill
    with pytest.raises(KilledError):
        take_in(memory.flywheel)
    memory.evidence.before = lambda step: None
    assert take_in(memory.flywheel).builds == [("tide-clock", CLOCK)]


def test_a_delivery_that_fails_only_now_is_no_dead_letter_and_is_read_the_next_time() -> None:
    memory = in_memory(RECEIPT)
    memory.inbox.documents["0-scan.json"] = in_memory(SCAN).inbox.documents[SCAN]
    memory.inbox.failing.add("0-scan.json")
    taken = take_in(memory.flywheel)
    assert (taken.builds, taken.total, taken.postponed) == ([("tide-clock", CLOCK)], 1, ["0-scan.json failed."])
    memory.inbox.failing.clear()
    assert take_in(memory.flywheel).tests == 1


def test_what_waits_and_cannot_be_read_any_more_stops_nothing() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.but(catalogue=without_output("tide-clock")))
    taken = take_in(memory.but(limits=Limits(receipt_bytes=1000)))
    assert taken.total == 0
    assert take_in(memory.flywheel).builds == [("tide-clock", CLOCK)]
