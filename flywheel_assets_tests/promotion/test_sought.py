"""Of a build that is not in evidence, `flywheel why-not` says where was looked, what could not be read, what helps."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import UnreadableError, UsageError
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets_tests.promotion.forged import OUTPUT, REPOSITORY, ForgedRuns, forged
from flywheel_assets_tests.promotion.installation import in_memory, sample_catalogue

INBOX = sample_catalogue().inbox
REMEDY = "Let its job call `flywheel receipt` and leave the receipt in the inbox"


@pytest.fixture
def flow() -> Iterator[ForgedRuns]:
    with forged() as found:
        yield found


def said(flywheel: Flywheel, build: int | None = None) -> str:
    key = BuildKey(run=str(build), attempt=1, system="x86_64-linux") if build else None
    with pytest.raises(UsageError) as refused:
        explain_builds(flywheel, OUTPUT, key)
    return str(refused.value)


def test_without_a_forge_the_inbox_and_evidence_were_looked_at_and_when() -> None:
    memory = in_memory("nothing")
    text = said(memory.flywheel)
    assert f"No build of {OUTPUT} is in evidence yet. Looked for now, 2026-" in text
    assert f"evidence: no receipt of {OUTPUT}" in text
    assert f"the inbox {INBOX}: nothing that is not in evidence" in text
    assert f"none of `sources` knows {REPOSITORY}" in text
    assert REMEDY in text


def test_what_lies_in_the_inbox_and_what_could_not_be_read_is_named() -> None:
    memory = in_memory("14402201001-tide-clock.json")
    memory.inbox.documents["cut.json"] = b"{"
    take_in(memory.flywheel)
    memory.inbox.documents["new.json"] = b"[1"
    text = said(memory.flywheel, 7)
    assert "Known: 14402201001.1.x86_64-linux." in text
    assert f"evidence: the last receipt of {OUTPUT} came 2026-" in text
    assert f"the inbox {INBOX}: new.json is not taken in yet" in text
    assert "letter 1 could not be read: cut.json: JSON: cannot be parsed" in text
    memory.inbox.broken = UnreadableError("The disk broke.")
    assert f"the inbox {INBOX} cannot be read: The disk broke." in said(memory.flywheel, 7)


def test_the_forge_is_asked_for_a_run_that_it_was_not_heard_about(flow: ForgedRuns) -> None:
    run = flow.build()
    place = f"the source forge, {REPOSITORY}, run {run.id}.1"
    assert f"the source forge, {REPOSITORY}: none of its runs is recorded" in said(flow.flywheel)
    assert f"{place}: it goes on" in said(flow.flywheel, run.id)
    flow.forge.end(run)
    assert f"{place}: it has ended, and is not taken in yet" in said(flow.flywheel, run.id)
    assert "run 77.1: the forge has no such run" in said(flow.flywheel, 77)
    flow.forge.is_hidden = True
    text = said(flow.flywheel, run.id)
    assert f"{place}: it could not be read: {REPOSITORY} is not there, or not shown to this token" in text
    assert f"{REMEDY}, or in an artifact of its run that is called receipt*." in text


def test_of_a_run_that_is_recorded_it_is_told_which_of_its_artifacts_could_hold_receipts(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.leave(run, "logs", a=b"{}")
    flow.forge.end(run)
    flow.tick()
    text = said(flow.flywheel, run.id)
    assert f"run {run.id}.1: recorded 2026-" in text
    assert "of its 1 artifacts 0 are called receipt* (`receipt_artifacts`)" in text
    assert f"{REPOSITORY}: its last run was recorded 2026-" in said(flow.flywheel)
    source = flow.flywheel.catalogue.sources["forge"].model_copy(update={"receipt_artifacts": None})
    blind = flow.flywheel.catalogue.model_copy(update={"sources": {"forge": source}})
    assert "names no `receipt_artifacts`" in said(replace(flow.flywheel, catalogue=blind), run.id)


def test_of_several_letters_those_of_the_run_are_told(flow: ForgedRuns) -> None:
    runs = [flow.build() for _ in range(5)]
    for run in runs:
        flow.forge.leave(run, "receipt", a=b"{").is_expired = True
        flow.forge.end(run)
    flow.tick()
    text = said(flow.flywheel, runs[0].id)
    assert text.count("\n  - letter ") == 1
    assert f"could not be read: {REPOSITORY} run {runs[0].id}.1, artifact receipt" in text
    assert "5 letters in all could not be read: `flywheel intake list`" in text


def test_of_a_proposal_nothing_was_read(flow: ForgedRuns) -> None:
    run = flow.build(event="pull_request")
    flow.forge.end(run)
    flow.tick()
    assert "of which nothing is read" in said(flow.flywheel, run.id)
