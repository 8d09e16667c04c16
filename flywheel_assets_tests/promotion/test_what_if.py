"""What if: what would newly pass or fail under another catalogue or at a later time, and nothing happens."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act
from flywheel_assets.promotion import what_if as module
from flywheel_assets.promotion.flywheel import under
from flywheel_assets.promotion.intake import RECEIPT, take_in
from flywheel_assets.promotion.what_if import Prospect, Turn, views_of, what_if
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    PUBLISHED,
    Memory,
    a_signer,
    in_memory,
    published,
    sample_catalogue,
    trusting,
    without_output,
)
from flywheel_assets_tests.promotion.people import approve, decided, key_of, person, with_people


def with_output(name: str, **changes: Any) -> Catalogue:
    catalogue = sample_catalogue()
    output = catalogue.outputs[name].model_copy(update=changes)
    return catalogue.model_copy(update={"outputs": {**catalogue.outputs, name: output}})


def turns(found: Prospect) -> dict[str, tuple[Turn, str, str]]:
    return {f"{c.output} {c.build}": (c.turn, c.before.reason, c.after.reason) for c in found.changes}


def of_clock(found: Prospect) -> tuple[Turn, str, str] | None:
    return turns(found).get(f"tide-clock {CLOCK}")


def test_under_the_same_catalogue_nothing_would_change() -> None:
    flywheel = published().open()
    found = what_if(flywheel, flywheel.catalogue)
    assert (found.builds, found.changes, found.waiting) == (23, (), {})
    later = what_if(flywheel, flywheel.catalogue, flywheel.clock() + timedelta(days=400))
    assert (later.builds, later.changes) == (23, ())


def test_a_validation_that_is_asked_for_newly_fails_what_does_not_have_it_and_nothing_else() -> None:
    flywheel = published().open()
    found = what_if(flywheel, with_output("sounding-line", validations=("fuzzing",)))
    (change,) = found.changes
    assert (change.output, change.turn) == ("sounding-line", Turn.FAILS)
    assert (change.before.reason, change.after.reason) == ("holds", "validation-missing")
    assert "fuzzing" in change.after.message
    assert change.owner == "Harbor tools maintainers (sample) (team:harbor-tools)"
    assert change.actor
    assert not change.is_published
    assert found.counts == {Turn.PASSES: 0, Turn.FAILS: 1, Turn.OTHER_REASON: 0}


def test_a_key_that_is_trusted_newly_passes_what_it_signed() -> None:
    flywheel = published().open()
    strict = trusting("tinyland-nix", a_signer("somebody"))
    found = what_if(under(flywheel, strict), flywheel.catalogue)
    assert of_clock(found) == (Turn.PASSES, "key-untrusted", "holds")
    back = what_if(flywheel, strict)
    assert of_clock(back) == (Turn.FAILS, "holds", "key-untrusted")
    assert [change.is_published for change in back.changes if change.build == str(CLOCK)] == [True]


def test_what_would_be_rejected_for_another_reason_is_told_apart() -> None:
    strict = trusting("tinyland-nix", a_signer("somebody"))
    found = turns(what_if(published().open(), strict))
    assert found["tide-clock 14402201002.1.x86_64-linux"] == (Turn.OTHER_REASON, "pull-request", "key-untrusted")
    assert "tide-clock 14402201007.1.x86_64-linux" not in found  # nobody signed it either way


def test_an_output_that_the_catalogue_would_forget_fails() -> None:
    found = what_if(published().open(), without_output("harbor-map-image"))
    (change,) = found.changes
    assert (change.turn, change.after.reason, change.is_published) == (Turn.FAILS, "unknown-output", True)


def test_receipts_of_an_output_that_it_would_learn_are_judged_as_if_taken_in() -> None:
    flywheel = published().open()
    found = what_if(flywheel, knowing("mystery-box"))
    assert (found.builds, found.waiting) == (24, {"mystery-box": 1})
    (change,) = found.changes
    assert (change.output, change.build) == ("mystery-box", "14402202001.1.x86_64-linux")
    assert (change.turn, change.before.reason) == (Turn.OTHER_REASON, "unknown-output")
    assert change.after.reason not in {"unknown-output", "receipt-missing"}
    assert change.owner == "Harbor tools maintainers (sample) (team:harbor-tools)"
    assert not [entry for entry in flywheel.evidence.entries("output-mystery-box") if entry.kind == RECEIPT]


def test_what_needs_nothing_but_to_be_known_again_newly_passes() -> None:
    forgotten = under(published().open(), without_output("harbor-map-image"))
    (change,) = what_if(forgotten, sample_catalogue()).changes
    assert (change.output, change.turn, change.before.reason) == ("harbor-map-image", Turn.PASSES, "unknown-output")
    assert change.is_published


def test_a_receipt_that_waited_and_was_taken_in_is_judged_once() -> None:
    catalogue = sample_catalogue()
    memory = in_memory("14402201801", catalogue=without_output("default"))
    take_in(memory.flywheel)
    found = what_if(memory.flywheel, catalogue)
    assert [(change.output, change.after.reason) for change in found.changes] == [("default", "alias")]
    known = memory.but(catalogue=catalogue)
    take_in(known)
    assert what_if(known, catalogue).waiting == {}
    forgotten = memory.but()
    again = what_if(forgotten, catalogue)
    assert (again.builds, again.changes) == (found.builds, found.changes)


def knowing(name: str) -> Catalogue:
    catalogue = sample_catalogue()
    known = {**catalogue.outputs, name: catalogue.outputs["sounding-line"]}
    return catalogue.model_copy(update={"outputs": known})


@pytest.fixture
def memory() -> Memory:
    """One build that needs somebody's approval; its cache was read, so that nothing else is missing."""
    made = in_memory("14402201001", catalogue=with_people(needed=1))
    take_in(made.flywheel)
    return made


def failed(memory: Memory, catalogue: Catalogue, days: int) -> dict[str, str]:
    """The rules that would fail, with their reasons."""
    views = views_of(memory.flywheel, catalogue, memory.clock() + timedelta(days=days))
    _, after = views.verdicts("tide-clock", CLOCK)
    assert after
    return {finding.rule: finding.reason for finding in after.findings if finding.reason != "holds"}


def test_people_and_time_are_judged_as_they_would_be(memory: Memory) -> None:
    catalogue = memory.flywheel.catalogue
    decided(memory.flywheel, "bo", Act.HOLD, timedelta(days=2), output="tide-clock")
    approve(memory.flywheel, "alva", "tide-clock", CLOCK, days=5)
    assert failed(memory, catalogue, 0)["not_held"] == "held"
    assert "not_held" not in failed(memory, catalogue, 3)
    assert "approvals_are_given" not in failed(memory, catalogue, 3)
    assert failed(memory, catalogue, 6)["approvals_are_given"] == "approval-missing"
    rekeyed = {name: person(name, keys=[key_of(f"new {name}").public_key]) for name in catalogue.people}
    found = failed(memory, catalogue.model_copy(update={"people": rekeyed}), 0)
    # What lets something pass must be signed by somebody of then; what stops something stays.
    assert (found["approvals_are_given"], found["not_held"]) == ("approval-missing", "held")


def test_shared_among_processes_it_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = trusting("tinyland-nix", a_signer("somebody"))
    alone = what_if(published().open(), strict)
    monkeypatch.setattr(module, "WORTH_A_PROCESS", 2)
    assert what_if(published().open(), strict, processes=2) == alone
    assert len(alone.changes) > 10


def test_nothing_is_written_and_no_cache_is_read(memory: Memory) -> None:
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    memory.evidence.before = _refuse
    what_if(memory.flywheel, sample_catalogue(), memory.clock() + timedelta(days=1))
    assert memory.evidence.chains == chains
    assert {name: cache.reads for name, cache in memory.caches.items()} == dict.fromkeys(memory.caches, 0)


def _refuse(what: str) -> None:
    raise AssertionError(f"it would {what}")


def test_what_is_published_stays_so_in_the_prospect() -> None:
    flywheel = published().open()
    found = what_if(flywheel, flywheel.catalogue.model_copy(update={"keys": {}}))
    assert {c.output for c in found.changes if c.is_published} == {*PUBLISHED, "depth-charts"}
