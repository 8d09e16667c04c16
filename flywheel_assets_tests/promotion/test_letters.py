"""Dead letters: listed with their reason and time, read again after a mend, or dismissed with a signed word."""

import json
from dataclasses import replace

import pytest

from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.promotion.intake import UNROUTED, take_in
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.letters import Letter, LetterState, dismiss, find_letter, letters, retry
from flywheel_assets.promotion.report import report
from flywheel_assets_tests.adapters.signatures.make_vectors import workflow_provenance
from flywheel_assets_tests.fakes import NOW
from flywheel_assets_tests.promotion.installation import CLOCK, Memory, in_memory, sample_catalogue, without_output

RECEIPT = "14402201001-tide-clock.json"
NARROW = Limits(receipt_bytes=1000)


@pytest.fixture
def memory() -> Memory:
    """An inbox with one good receipt, and one that is cut."""
    made = in_memory(RECEIPT)
    made.inbox.documents["cut.json"] = made.inbox.documents[RECEIPT][:100]
    return made


def open_letters(memory: Memory) -> list[Letter]:
    return [letter for letter in letters(memory.flywheel) if letter.state is LetterState.OPEN]


def on_report(memory: Memory) -> list[str]:
    return [row.build for row in report(memory.flywheel) if row.state.value == "unrouted"]


def test_a_letter_says_what_came_which_field_is_wrong_why_and_since_when(memory: Memory) -> None:
    take_in(memory.flywheel)
    (letter,) = letters(memory.flywheel)
    assert (letter.number, letter.kind, letter.name, letter.field) == (1, "unreadable", "cut.json", "JSON")
    assert letter.problem.startswith("cannot be parsed")
    assert (letter.since, letter.kept, letter.state) == (NOW, True, LetterState.OPEN)
    assert memory.evidence.get(letter.evidence) == memory.inbox.documents["cut.json"]


def test_provenance_that_is_no_receipt_of_ours_is_told_as_that(memory: Memory) -> None:
    memory.inbox.documents = {"stock.json": workflow_provenance("a" * 64)}
    take_in(memory.flywheel)
    (letter,) = letters(memory.flywheel)
    assert letter.field == "buildType"
    assert "workflow/v1' is not known." in letter.problem
    assert "What others attest of a run is read from its forge alone" in letter.problem


def test_what_is_still_broken_stays_open_and_says_so(memory: Memory) -> None:
    take_in(memory.flywheel)
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    retried = retry(memory.flywheel, 1)
    assert not retried.read
    assert retried.says.startswith("it still cannot be read: JSON: cannot be parsed")
    assert memory.evidence.chains == chains
    assert on_report(memory) == ["cut.json"]


def test_a_kept_letter_is_read_again_once_the_limits_allow_it_and_becomes_a_build() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.but(limits=NARROW))
    (letter,) = letters(memory.flywheel)
    assert builds_of(memory.flywheel, "tide-clock") == []
    for _ in range(2):
        assert retry(memory.flywheel, letter.number).read
        assert builds_of(memory.flywheel, "tide-clock") == [CLOCK]
        assert find_letter(memory.flywheel, letter.number).state is LetterState.SETTLED
        assert on_report(memory) == []
    assert [entry.kind for entry in memory.evidence.entries(UNROUTED)] == ["dead-letter", "settled"]
    assert take_in(memory.but()).total == 0


def test_a_crash_between_reading_a_letter_and_settling_it_is_made_up_for_by_the_next_retry() -> None:
    memory = in_memory(RECEIPT)
    take_in(memory.but(limits=NARROW))

    def die(step: str) -> None:
        if step == "append settled":
            raise KeyboardInterrupt

    memory.evidence.before = die
    with pytest.raises(KeyboardInterrupt):
        retry(memory.flywheel, 1)
    memory.evidence.before = lambda step: None
    assert open_letters(memory)
    assert retry(memory.flywheel, 1).read
    assert len(memory.evidence.entries("output-tide-clock")) == 1


def test_what_was_too_large_is_read_from_the_inbox_once_it_was_mended(memory: Memory) -> None:
    good = memory.inbox.documents[RECEIPT]
    memory.inbox.documents = {"large.json": b"x" * 5_000_000}
    take_in(memory.flywheel)
    (letter,) = letters(memory.flywheel)
    assert (letter.name, letter.field, letter.kept) == ("large.json", "file", False)
    assert "at most" in retry(memory.flywheel, 1).says
    memory.inbox.documents["large.json"] = good
    assert retry(memory.flywheel, 1).says == f"it was read, and is judged next unless it is already: tide-clock {CLOCK}"
    assert on_report(memory) == []
    assert take_in(memory.but()).total == 0


def test_a_letter_settles_itself_when_what_can_be_read_comes_under_its_name(memory: Memory) -> None:
    good = memory.inbox.documents.pop(RECEIPT)
    memory.inbox.documents["vast.json"] = b"x" * 5_000_000
    take_in(memory.flywheel)
    assert [letter.name for letter in open_letters(memory)] == ["cut.json", "vast.json"]
    memory.inbox.documents["cut.json"] = b"{"
    take_in(memory.flywheel)
    assert len(open_letters(memory)) == 3, "what cannot be read either is no answer"
    memory.inbox.documents["cut.json"] = good
    assert len(take_in(memory.flywheel).builds) == 1
    assert [letter.name for letter in open_letters(memory)] == ["vast.json"]
    assert on_report(memory) == ["vast.json"]
    assert all(memory.evidence.get(letter.evidence) for letter in letters(memory.flywheel))
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    for _ in range(2):
        take_in(memory.but())
    assert memory.evidence.chains == chains


def test_a_crash_between_taking_what_can_be_read_and_settling_the_letter_is_made_up_for(memory: Memory) -> None:
    good = memory.inbox.documents.pop(RECEIPT)
    take_in(memory.flywheel)
    memory.inbox.documents["cut.json"] = good

    def die(step: str) -> None:
        if step == "append settled":
            raise KeyboardInterrupt

    memory.evidence.before = die
    with pytest.raises(KeyboardInterrupt):
        take_in(memory.flywheel)
    memory.evidence.before = lambda step: None
    take_in(memory.but())
    assert open_letters(memory) == []


def test_a_letter_that_was_dismissed_stays_so_when_its_name_is_used_again(memory: Memory) -> None:
    good = memory.inbox.documents.pop(RECEIPT)
    take_in(memory.flywheel)
    dismiss(memory.flywheel, 1, "A test.", "ines")
    memory.inbox.documents["cut.json"] = good
    take_in(memory.flywheel)
    assert find_letter(memory.flywheel, 1).state is LetterState.DISMISSED


def test_what_is_gone_from_the_inbox_is_to_be_delivered_again(memory: Memory) -> None:
    memory.inbox.documents = {"large.json": b"x" * 5_000_000}
    take_in(memory.flywheel)
    memory.inbox.documents.clear()
    retried = retry(memory.flywheel, 1)
    assert not retried.read
    assert "deliver it again" in retried.says


def test_a_letter_that_only_looks_like_one_of_ours_is_read_from_evidence(memory: Memory) -> None:
    memory.inbox.documents["forged.json"] = json.dumps({"delivery": RECEIPT, "problem": "x"}).encode()
    take_in(memory.flywheel)
    assert [(letter.name, letter.kept) for letter in letters(memory.flywheel)] == [
        ("cut.json", True),
        ("forged.json", True),
    ]


def test_what_waits_for_the_catalogue_settles_itself_when_the_catalogue_knows_it() -> None:
    memory = in_memory(RECEIPT)
    before = replace(memory, flywheel=memory.but(catalogue=without_output("tide-clock")))
    take_in(before.flywheel)
    (letter,) = open_letters(before)
    assert (letter.kind, letter.name) == ("unknown-output", f"tide-clock {CLOCK}")
    assert not retry(before.flywheel, 1).read
    known = replace(memory, flywheel=memory.but(catalogue=sample_catalogue()))
    assert len(open_letters(known)) == 1, "it is not judged before it is taken in"
    take_in(known.flywheel)
    assert open_letters(known) == []


def test_a_dismissed_letter_is_off_the_report_and_its_reason_is_signed_evidence(memory: Memory) -> None:
    take_in(memory.flywheel)
    letter = dismiss(memory.flywheel, 1, "A test of the lane.\x1b[31m", "ines")
    assert (letter.state, letter.closed_because) == (LetterState.DISMISSED, "A test of the lane.\\x1b[31m (ines)")
    assert on_report(memory) == []
    closing = memory.evidence.entries(UNROUTED)[-1]
    assert (closing.kind, closing.subject) == ("dismissed", "1")
    assert json.loads(memory.evidence.get(closing.evidence)) == {
        "by": "ines",
        "document": str(letter.evidence),
        "letter": 1,
        "reason": "A test of the lane.\\x1b[31m",
    }
    take_in(memory.but())
    assert on_report(memory) == [], "it lies in the inbox still, and stays dismissed"
    with pytest.raises(UsageError, match="dismissed already"):
        dismiss(memory.flywheel, 1, "Again.", "ines")


def test_a_dismissed_receipt_is_judged_all_the_same_once_the_catalogue_knows_its_output() -> None:
    memory = in_memory(RECEIPT)
    before = memory.but(catalogue=without_output("tide-clock"))
    take_in(before)
    dismiss(before, 1, "Not ours.", "ines")
    assert [row.reason for row in report(before)] == []
    take_in(memory.flywheel)
    assert builds_of(memory.flywheel, "tide-clock") == [CLOCK]


def test_there_is_no_letter_of_a_number_that_is_none(memory: Memory) -> None:
    take_in(memory.flywheel)
    dismiss(memory.flywheel, 1, "x", "y")
    for number in (0, 2, 99):
        with pytest.raises(UsageError, match=f"no letter {number}"):
            find_letter(memory.flywheel, number)
