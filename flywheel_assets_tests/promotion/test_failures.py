"""After a publication failed: what people are told, how long, and which builds go out before which."""

from collections.abc import Callable

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import EvidenceCorruptError, NameTakenError, ReadBackError, UnreadableError
from flywheel_assets.promotion.assembling import assemble, basis_of
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.failures import PUBLICATION_FAILURE, Cause, goes_first, last_failure
from flywheel_assets.promotion.flywheel import silent
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import record
from flywheel_assets.promotion.publishing import plan_promotion, promote
from flywheel_assets.promotion.report import Row, State, report
from flywheel_assets_tests.fakes import FakeSurface, nothing
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    DASHBOARD_IMAGE,
    OLDER,
    Memory,
    in_memory,
    judge_all,
    key,
    sample_catalogue,
)

SENTENCE = "durable-nix is full. Make room on it."


@pytest.fixture
def memory() -> Memory:
    made = in_memory()
    take_in(made.flywheel)
    judge_all(made.flywheel)
    return made


@pytest.fixture
def nix(memory: Memory) -> FakeSurface:
    return memory.surfaces["durable-nix"]


def failing(step: str, sentence: str = SENTENCE) -> Callable[[str], None]:
    """A hook for a surface that fails before a step."""

    def hook(name: str) -> None:
        if name == step:
            raise UnreadableError(sentence)

    return hook


def fail(memory: Memory, build: BuildKey, output: str = "tide-clock", sentence: str = SENTENCE) -> None:
    surface = memory.surfaces["durable-nix"]
    surface.before = failing("copy", sentence)
    with pytest.raises(UnreadableError):
        promote(memory.flywheel, output, build)
    surface.before = nothing


def row(memory: Memory, build: BuildKey, output: str = "tide-clock") -> Row:
    return next(each for each in report(memory.flywheel) if (each.output, each.build) == (output, str(build)))


def failures(memory: Memory, output: str = "tide-clock") -> int:
    return [entry.kind for entry in memory.evidence.entries(f"output-{output}")].count(PUBLICATION_FAILURE)


def test_a_build_whose_publication_failed_says_so_with_remedy_and_actor(memory: Memory) -> None:
    fail(memory, CLOCK)
    found = row(memory, CLOCK)
    assert (found.state, found.verdict, found.reason) == (State.VALIDATED, "passed", "publication-failed")
    assert found.message == f"every rule holds; since 2026-11-23 12:00 UTC: UnreadableError: {SENTENCE}".removesuffix(
        "."
    )
    assert f"`flywheel promote tide-clock {CLOCK}` tries it again, and so do `flywheel run`" in found.remedy
    assert found.actor == "Harbor tools maintainers (sample) (team:harbor-tools)"
    (explained,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    assert explained.row == found
    assert not explained.failed


def test_a_failure_is_told_until_a_publication_succeeds(memory: Memory) -> None:
    fail(memory, CLOCK)
    promote(memory.flywheel, "tide-clock", CLOCK)
    assert last_failure(memory.flywheel, "tide-clock", CLOCK) is None
    assert row(memory, CLOCK).reason == "every-rule-holds"


def test_a_failure_is_no_evidence_and_changes_no_verdict(memory: Memory) -> None:
    before = assemble(memory.flywheel, "tide-clock", CLOCK)
    judged = judge(memory.flywheel, "tide-clock", CLOCK).recorded
    fail(memory, CLOCK)
    after = assemble(memory.flywheel, "tide-clock", CLOCK)
    assert after == before
    assert basis_of(memory.flywheel, after) == judged.basis
    assert row(memory, CLOCK).settled


def test_the_same_failure_is_kept_once_with_the_time_of_the_first_and_another_beside_it(memory: Memory) -> None:
    fail(memory, CLOCK)
    memory.clock.move(days=1)
    fail(memory, CLOCK)
    assert failures(memory) == 1
    assert "since 2026-11-23 12:00 UTC" in row(memory, CLOCK).message
    fail(memory, CLOCK, sentence="durable-nix refused it.")
    assert failures(memory) == 2
    assert row(memory, CLOCK).message.endswith("since 2026-11-24 12:00 UTC: UnreadableError: durable-nix refused it")


def test_a_failure_in_the_plan_is_kept_too(memory: Memory, nix: FakeSurface) -> None:
    artifact = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    nix.names[artifact.name] = "0" * 64
    with pytest.raises(NameTakenError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert "NameTakenError" in row(memory, CLOCK).message


def test_a_sentence_of_many_lines_is_kept_as_one_that_can_paint_nothing(memory: Memory) -> None:
    fail(memory, CLOCK, sentence="first\nsecond \x1b[31m" + "x" * 5000)
    failure = last_failure(memory.flywheel, "tide-clock", CLOCK)
    assert failure
    assert failure.sentence.isprintable()
    assert len(failure.sentence) == 1000


def test_a_store_that_cannot_keep_the_failure_does_not_hide_it(memory: Memory, nix: FakeSurface) -> None:
    def broken(step: str) -> None:
        if step == f"append {PUBLICATION_FAILURE}":
            raise EvidenceCorruptError("The evidence store is broken.")

    memory.evidence.before = broken
    nix.before = failing("copy")
    with pytest.raises(UnreadableError, match="durable-nix is full"):
        promote(memory.flywheel, "tide-clock", CLOCK)


def test_a_failure_that_was_altered_is_damage_that_the_report_names(memory: Memory) -> None:
    fail(memory, CLOCK)
    entry = next(e for e in memory.evidence.entries("output-tide-clock") if e.kind == PUBLICATION_FAILURE)
    memory.evidence.blobs[entry.evidence] = b"{}"
    with pytest.raises(EvidenceCorruptError):
        last_failure(memory.flywheel, "tide-clock", CLOCK)
    assert "evidence-damaged" in {each.reason for each in report(memory.flywheel) if each.output == "tide-clock"}


def test_what_is_promoted_on_demand_is_said_to_be_tried_again_by_hand_alone(memory: Memory) -> None:
    build = key("14402201301")
    fail(memory, build, "sounding-line")
    found = row(memory, build, "sounding-line")
    assert found.reason == "publication-failed"
    assert found.remedy.endswith(f"`flywheel promote sounding-line {build}` tries it again.")


def test_what_waits_for_its_own_workflow_is_told_apart_from_what_that_published_wrongly(memory: Memory) -> None:
    output, surface = "runner-dashboard-image", memory.surfaces["ghcr"]
    with pytest.raises(ReadBackError):
        promote(memory.flywheel, output, DASHBOARD_IMAGE)
    found = row(memory, DASHBOARD_IMAGE, output)
    assert (found.state, found.reason) == (State.VALIDATED, "not-published-by-its-workflow-yet")
    assert found.remedy.startswith("Let its own workflow publish it: ")
    assert found.actor
    plan = plan_promotion(memory.flywheel, output, DASHBOARD_IMAGE)
    surface.copy(plan, silent)
    surface.reveal(plan)
    with pytest.raises(ReadBackError, match="carries no"):
        promote(memory.flywheel, output, DASHBOARD_IMAGE)
    assert row(memory, DASHBOARD_IMAGE, output).reason == "publication-failed"


# Which goes first


def test_a_build_of_older_source_waits_for_a_newer_one_that_was_tried_and_is_not_published(memory: Memory) -> None:
    assert goes_first(memory.flywheel, "tide-clock", OLDER) is None
    fail(memory, CLOCK)
    assert goes_first(memory.flywheel, "tide-clock", OLDER) == CLOCK
    found = row(memory, OLDER)
    assert (found.state, found.reason) == (State.VALIDATED, "newer-build-goes-first")
    assert found.remedy == f"See `flywheel why-not tide-clock {CLOCK}`."
    assert str(CLOCK) in found.message
    promote(memory.flywheel, "tide-clock", CLOCK)
    assert goes_first(memory.flywheel, "tide-clock", OLDER) is None


def test_a_build_of_newer_source_waits_for_no_older_one(memory: Memory) -> None:
    fail(memory, OLDER)
    assert goes_first(memory.flywheel, "tide-clock", CLOCK) is None
    fail(memory, CLOCK)
    assert goes_first(memory.flywheel, "tide-clock", CLOCK) is None, "two that failed do not wait for each other"


def test_nothing_waits_for_a_build_that_its_own_workflow_has_not_published_yet(memory: Memory) -> None:
    fail(memory, CLOCK)
    failure = last_failure(memory.flywheel, "tide-clock", CLOCK)
    assert failure
    awaits = failure.model_copy(update={"cause": Cause.AWAITS_WORKFLOW})
    record(memory.flywheel, "tide-clock", CLOCK, PUBLICATION_FAILURE, awaits)
    assert goes_first(memory.flywheel, "tide-clock", OLDER) is None


def test_nothing_waits_for_a_build_that_is_not_approved_any_more(memory: Memory) -> None:
    fail(memory, CLOCK)
    flywheel = memory.but(catalogue=sample_catalogue().model_copy(update={"keys": {}}))
    judge(flywheel, "tide-clock", CLOCK)
    assert goes_first(memory.flywheel, "tide-clock", OLDER) is None
