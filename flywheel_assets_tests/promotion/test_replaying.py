"""Replay: what was concluded once is concluded again from its evidence alone; what is not as it was is named."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.statements import canonical
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.promotion.hearing import DECISIONS
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import INSPECTION, VERDICT, RecordedVerdict, last_verdict, verdicts_on
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.recipes import recipe_of
from flywheel_assets.promotion.replaying import Outcome, Replayed, bundle_of, replay, replay_everything
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    DIRTY,
    OLDER,
    RIVAL,
    SAMPLE_ROWS,
    Memory,
    a_signer,
    in_memory,
    published,
    sample_catalogue,
    trusting,
)
from flywheel_assets_tests.promotion.people import decided, with_people


@pytest.fixture
def memory() -> Memory:
    made = in_memory("1440220100")
    take_in(made.flywheel)
    return made


def recorded(memory: Memory) -> RecordedVerdict:
    found = last_verdict(memory.flywheel, "tide-clock", CLOCK)
    assert found
    return found


def replayed(memory: Memory) -> Replayed:
    """The newest verdict on the clock, replayed by a new process."""
    (found,) = replay(memory.but(catalogues=set()), "tide-clock", CLOCK, newest=True)
    return found


def forge(memory: Memory, change: Callable[[dict[str, Any]], object]) -> None:
    """Record another verdict in a rightly signed log: as whoever holds this installation's own keys could."""
    document = recorded(memory).model_dump(mode="json")
    change(document)
    digest = memory.evidence.put(canonical(document))
    memory.evidence.append("output-tide-clock", VERDICT, str(CLOCK), digest)


def test_every_verdict_of_the_sample_is_reproduced_byte_for_byte() -> None:
    found = list(replay_everything(published().open()))
    assert {each.outcome for each in found} == {Outcome.REPRODUCED}, found
    arrived = {(output, build) for output, build, state, *_ in SAMPLE_ROWS if state != "unrouted"}
    assert {(each.output, each.build) for each in found} == arrived
    assert len(found) > len(arrived)  # what was published changed what was said of another build


def test_a_replay_writes_nothing(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    blobs, chains = dict(memory.evidence.blobs), {log: list(chain) for log, chain in memory.evidence.chains.items()}
    memory.clock.move(days=400)
    assert replayed(memory).outcome is Outcome.REPRODUCED
    assert memory.evidence.blobs == blobs
    assert memory.evidence.chains == chains


def test_what_arrived_since_does_not_change_what_was_concluded_then(memory: Memory) -> None:
    first = judge(memory.flywheel, "tide-clock", CLOCK)
    memory.clock.move(days=1)
    second = judge(memory.flywheel, "tide-clock", CLOCK, reread=True)
    assert first.recorded.basis != second.recorded.basis
    both = replay(memory.but(), "tide-clock", CLOCK)
    assert [each.outcome for each in both] == [Outcome.REPRODUCED] * 2
    assert len(replay(memory.but(), "tide-clock", CLOCK, newest=True)) == 1


def test_signatures_are_checked_against_the_catalogue_of_then(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    another = memory.but(catalogue=trusting("tinyland-nix", a_signer("somebody"), sample_catalogue()))
    judge(another, "tide-clock", CLOCK)
    assert [each.outcome for each in replay(another, "tide-clock", CLOCK)] == [Outcome.REPRODUCED] * 2


def test_the_catalogue_is_kept_once_however_many_verdicts_name_it(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    before = len(memory.evidence.blobs)
    judge(memory.but(catalogues=set()), "tide-clock", DIRTY)
    assert len(memory.evidence.blobs) - before == 3  # an inspection, a verdict, and what that says to others
    assert memory.flywheel.catalogue.digest in memory.evidence.blobs


def test_a_verdict_that_says_otherwise_is_an_error_that_names_the_finding(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", DIRTY)
    judge(memory.flywheel, "tide-clock", CLOCK)

    def change(document: dict[str, Any]) -> None:
        finding = next(f for f in document["verdict"]["findings"] if f["rule"] == "validation_is_green")
        finding["reason"], finding["message"] = "waived", "somebody said so"

    forge(memory, change)
    found = replayed(memory)
    assert found.outcome is Outcome.DIFFERS
    assert found.says.startswith("validation_is_green was passed (waived: somebody said so), and now it is passed (")


def test_a_recipe_that_leaves_evidence_out_is_an_error(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    forge(memory, lambda document: document["recipe"].update(inspections=[]))
    assert replayed(memory).outcome is Outcome.DIFFERS
    assert "its recipe is another" in replayed(memory).says

    def leave_out(document: dict[str, Any]) -> None:
        document["recipe"]["inspections"] = []
        recipe = RecordedVerdict.model_validate_json(canonical(document)).recipe
        assert recipe
        document["basis"] = str(recipe.digest)

    forge(memory, leave_out)
    assert replayed(memory).outcome is Outcome.DIFFERS
    assert "now it is" in replayed(memory).says


@pytest.fixture
def held() -> Memory:
    """A clock that was held when it was judged, and a record of the same time that knows nothing of that."""
    memory = in_memory("1440220100", catalogue=with_people(needed=0))
    take_in(memory.flywheel)
    decided(memory.flywheel, "bo", Act.HOLD, output="tide-clock")
    memory.clock.move(days=3)
    judge(memory.flywheel, "tide-clock", CLOCK)
    return memory


def as_if_nobody_had_held_it(held: Memory, **changes: Any) -> Replayed:
    """Replay a record that leaves the hold out, and is right in itself."""
    *_, found = verdicts_on(held.flywheel, "tide-clock", CLOCK)
    assert found.recipe
    assert not found.verdict.publishable
    catalogue = held.flywheel.catalogue
    bundle = bundle_of(held.flywheel, found.recipe.model_copy(update={"decisions": ()}))
    recipe = recipe_of(bundle, catalogue, found.verdict.now)
    verdict = evaluate(bundle, catalogue, found.verdict.now)
    assert verdict.publishable
    update = {"recipe": recipe, "basis": recipe.digest, "verdict": verdict, **changes}
    forge(held, lambda document: document.update(found.model_copy(update=update).model_dump(mode="json")))
    return replayed(held)


def test_a_hold_that_the_logs_held_and_a_recipe_leaves_out_is_an_error(held: Memory) -> None:
    found = as_if_nobody_had_held_it(held)
    (hold,) = (entry for entry in held.evidence.entries(DECISIONS) if entry.kind == Act.HOLD)
    assert found.outcome is Outcome.DIFFERS
    assert found.says == f"its recipe leaves out decisions that the logs held: {hold.evidence}"


def test_neither_hides_it_that_the_logs_are_said_to_have_been_shorter(held: Memory) -> None:
    found = as_if_nobody_had_held_it(held, logs={**recorded(held).logs, DECISIONS: 0})
    assert found.outcome is Outcome.DIFFERS
    assert "decisions is said to have had 0 entries, and entry 1 is of" in found.says
    without = {log: length for log, length in recorded(held).logs.items() if log != DECISIONS}
    assert as_if_nobody_had_held_it(held, logs=without).outcome is Outcome.DIFFERS


def test_nor_that_they_are_said_to_have_been_longer_or_nothing_at_all(held: Memory) -> None:
    found = as_if_nobody_had_held_it(held, logs={**recorded(held).logs, DECISIONS: 7})
    assert found.outcome is Outcome.DIFFERS
    assert found.says.startswith("decisions had 7 entries, and has ")
    assert as_if_nobody_had_held_it(held, logs={}).outcome is Outcome.DIFFERS


def test_a_hold_that_came_while_a_pass_went_on_is_not_missed_in_its_verdicts(held: Memory) -> None:
    one_pass = one_reading(held.flywheel)
    judge(one_pass, "tide-clock", DIRTY)
    decided(held.flywheel, "bo", Act.HOLD, timedelta(days=9), output="tide-clock")
    judge(one_pass, "tide-clock", OLDER)
    judge(held.flywheel, "tide-clock", RIVAL)
    found = replay(held.but(catalogues=set()), "tide-clock")
    assert [(each.outcome, each.says) for each in found] == [(Outcome.REPRODUCED, "")] * 4


def test_a_recipe_that_names_what_the_logs_did_not_give_is_an_error(held: Memory) -> None:
    log = held.evidence.entries("output-tide-clock")
    before = next(entry.number for entry in log if entry.kind == INSPECTION) - 1
    logs = {**recorded(held).logs, "output-tide-clock": before}
    forge(held, lambda document: document.update(logs=logs))
    found = replayed(held)
    assert found.outcome is Outcome.DIFFERS
    assert found.says.startswith("its recipe names inspections that the logs do not give: ")


def test_a_record_of_an_earlier_version_that_kept_no_lengths_says_what_was_not_compared(held: Memory) -> None:
    found = as_if_nobody_had_held_it(held, logs={}, program="0.0.1 abc")
    assert found.outcome is Outcome.REPRODUCED
    assert found.says == "its recipe was not compared with the logs, whose lengths it did not keep"


def test_the_same_verdict_on_other_evidence_is_an_error(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    forge(memory, lambda document: document["verdict"]["evidence"].pop())
    found = replayed(memory)
    assert (found.outcome, found.says) == (Outcome.DIFFERS, "every finding is the same, and evidence not")


def test_a_verdict_under_the_name_of_another_build_is_an_error(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    digest = memory.evidence.put(canonical(recorded(memory).model_dump(mode="json")))
    memory.evidence.append("output-tide-clock", VERDICT, str(DIRTY), digest)
    (found,) = replay(memory.but(), "tide-clock", DIRTY)
    assert (found.outcome, found.says) == (Outcome.CORRUPT, f"it is a verdict on tide-clock {CLOCK}")


def documents(memory: Memory) -> dict[str, EvidenceDigest]:
    found = recorded(memory)
    assert found.recipe
    last = [entry.evidence for entry in memory.evidence.entries("output-tide-clock") if entry.kind == VERDICT][-1]
    return {
        "the verdict": last,
        "the catalogue": found.verdict.catalogue,
        "the receipt": found.recipe.receipts[0].evidence,
        "the inspection": found.recipe.inspections[0],
    }


@pytest.mark.parametrize("what", ["the verdict", "the catalogue", "the receipt", "the inspection"])
def test_evidence_that_was_altered_is_told_from_evidence_that_is_gone(memory: Memory, what: str) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    digest = documents(memory)[what]
    memory.evidence.blobs[digest] = memory.evidence.blobs[digest] + b" "
    found = replayed(memory)
    assert (found.outcome, str(digest) in found.says) == (Outcome.CORRUPT, True)
    del memory.evidence.blobs[digest]
    found = replayed(memory)
    assert (found.outcome, str(digest) in found.says) == (Outcome.MISSING, True)


def test_a_verdict_of_another_version_is_said_to_be_one(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    forge(memory, lambda document: document.update(program="0.0.1 abc"))
    assert replayed(memory).outcome is Outcome.REPRODUCED  # where it says the same, the version does not matter

    def change(document: dict[str, Any]) -> None:
        document["verdict"]["findings"].pop()

    forge(memory, change)
    found = replayed(memory)
    assert found.outcome is Outcome.OTHER_PROGRAM
    assert "ownership_is_documented was no rule" in found.says
    assert "judged by version 0.0.1 abc" in found.says


def test_a_verdict_that_kept_no_recipe_is_said_to_be_too_old(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)

    def as_before(document: dict[str, Any]) -> None:
        del document["recipe"], document["program"]

    forge(memory, as_before)
    found = replayed(memory)
    assert (found.outcome, found.says) == (
        Outcome.TOO_OLD,
        "it was recorded before verdicts kept what they stand on",
    )


def test_asking_for_a_build_without_a_verdict_is_a_mistake(memory: Memory) -> None:
    with pytest.raises(UsageError, match="No verdict on tide-clock"):
        replay(memory.flywheel, "tide-clock", CLOCK)


def test_a_recipe_is_small_beside_what_it_names(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", CLOCK)
    document = recorded(memory).model_dump(mode="json")
    assert len(canonical(document["recipe"])) < 0.2 * len(json.dumps(document["verdict"]))


def test_a_store_on_a_folder_is_replayed_by_another_process(tmp_path: Path) -> None:
    made = published().copy(tmp_path / "home")
    found = replay(made.reopen(made.open()), "tide-clock", CLOCK)
    assert found
    assert {each.outcome for each in found} == {Outcome.REPRODUCED}
