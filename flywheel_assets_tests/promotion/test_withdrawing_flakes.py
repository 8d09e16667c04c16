"""Withdrawal of what a workflow releases: its closure goes and is marked, and people yank the release itself."""

import json
from base64 import b64decode
from collections.abc import Collection

from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Attached
from flywheel_assets.gate.case import person
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.dispatches import DISPATCH, note
from flywheel_assets.promotion.excuses import headline
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.intake import output_log, take_in
from flywheel_assets.promotion.paging import pages_of
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import register
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.withdrawing import all_public, distrusted, doubted, left_to_do, survey, withdrawal_of
from flywheel_assets.promotion.yanking import told
from flywheel_assets_tests.fakes import FakeWorkflow
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, RECEIPT, Flake, a_flake
from flywheel_assets_tests.promotion.installation import CHARTS, CLOCK, in_memory
from flywheel_assets_tests.promotion.people import NOTHING, key_of, with_people


def a_released_flake() -> Flake:
    flake = a_flake(catalogue=with_people(needed=0))
    flake.to_the_end()
    return flake


def withdraw_flake(flake: Flake) -> None:
    decide(flake.flywheel, withdrawal_of(flake.flywheel, CHARTS_OUTPUT, CHARTS, "It sinks ships."), key_of("alva"))


def test_a_flake_leaves_the_cache_that_carries_it_and_is_marked_and_people_yank_the_release() -> None:
    flake = a_released_flake()
    assert flake.carrier.names
    withdraw_flake(flake)
    (told_now,) = explain_builds(flake.flywheel, CHARTS_OUTPUT)
    assert told_now.row.state is State.TO_WITHDRAW
    assert headline(told_now) == "A release engineer needs to run `flywheel withdraw --pending`."
    (done,) = carry_out(flake.flywheel).done
    assert not flake.carrier.names
    marks = [ReadSummary(_payload(each["vsa"].data), "mark") for each in flake.carrier.attached.values()]
    assert [mark.result for mark in marks] == ["FAILED", "FAILED"], "of the closure, and of the release"
    assert done.yanked_by == person(flake.flywheel.catalogue, flake.flywheel.catalogue.surfaces["flakehub"].owner)
    (listed,) = distrusted(all_public(flake.flywheel))
    assert left_to_do(listed).startswith(f"{done.yanked_by} must yank 0.1.1+rev-"), (
        "it is public until it was seen gone"
    )
    assert doubted(all_public(flake.flywheel)) == [], "and nobody withdraws it twice"
    row = flake.row()
    assert (row.state, row.actor) == (State.TO_YANK, done.yanked_by)
    assert row.remedy.startswith("Yank 0.1.1+rev-")
    assert "still public at flakehub:" in row.message
    (told_now,) = explain_builds(flake.flywheel, CHARTS_OUTPUT)
    assert headline(told_now).startswith(f"{done.yanked_by} need to yank 0.1.1+rev-")
    assert {blocker.actor for blocker in told_now.blockers} == {done.yanked_by}
    (page,) = [text for name, text in pages_of(flake.flywheel).items() if name.endswith(f"{CHARTS_OUTPUT}.html")]
    assert "yank 0.1.1+rev-" in page
    assert f"{done.yanked_by} must yank it: yank 0.1.1+rev-" in next(told([done]))


def test_a_flake_that_people_yanked_is_seen_gone_and_nobody_owes_anything_any_more() -> None:
    flake = a_released_flake()
    withdraw_flake(flake)
    carry_out(flake.flywheel)
    flake.workflow.broken = UnreadableError("It is down.")
    assert carry_out(flake.flywheel) == NOTHING, "no answer is no word that it is gone"
    flake.workflow.broken = None
    flake.workflow.yank()
    (seen,) = carry_out(flake.flywheel).done
    assert seen.yanked_by == ""
    assert distrusted(all_public(flake.flywheel)) == []
    assert next(told([seen])).endswith(": gone, as was seen now, and marked.")
    assert flake.row().state is State.WITHDRAWN
    (told_now,) = explain_builds(flake.flywheel, CHARTS_OUTPUT)
    assert headline(told_now).startswith("No action needed: it was withdrawn on ")
    assert "It sinks ships" in headline(told_now)
    assert carry_out(flake.flywheel) == NOTHING


def test_what_is_withdrawn_before_its_release_is_on_record_is_marked_and_is_to_be_yanked() -> None:
    flake = a_flake(catalogue=with_people(needed=0))
    flake.promote()
    while flake.follow() is not DispatchState.RELEASED:
        pass
    assert flake.records() == 0
    withdraw_flake(flake)
    (done,) = carry_out(flake.flywheel).done
    assert done.yanked_by
    assert not flake.carrier.names
    assert all(ReadSummary(_payload(each["vsa"].data), "mark").result == "FAILED" for each in marks(flake))
    assert carry_out(flake.flywheel) == NOTHING
    flake.workflow.yank()
    assert [each.yanked_by for each in carry_out(flake.flywheel).done] == [""]


def test_a_closure_that_was_carried_for_a_run_that_failed_is_marked_once_it_is_withdrawn() -> None:
    flake = a_flake(catalogue=with_people(needed=0), ending=Ending.FAILED, conclusion="failure")
    flake.promote()
    while flake.follow() is not DispatchState.FAILED:
        pass
    assert flake.carrier.names
    withdraw_flake(flake)
    (done,) = carry_out(flake.flywheel).done
    assert (done.yanked_by, flake.carrier.names) == ("", {})
    assert all(ReadSummary(_payload(each["vsa"].data), "mark").result == "FAILED" for each in marks(flake))
    assert carry_out(flake.flywheel) == NOTHING


def test_what_is_released_again_after_it_was_yanked_is_to_be_yanked_again() -> None:
    flake = a_released_flake()
    withdraw_flake(flake)
    carry_out(flake.flywheel)
    flake.workflow.yank()
    carry_out(flake.flywheel)
    assert flake.row().state is State.WITHDRAWN
    last = flake.last()
    assert last.release
    flake.memory.clock.move(days=1)
    flake.workflow.releases = {
        name: each.model_copy(update={"yanked": False}) for name, each in flake.workflow.releases.items()
    }
    note(flake.flywheel, last.model_copy(update={"state": DispatchState.RELEASED, "at": flake.memory.clock()}))
    assert flake.row().state is State.TO_YANK
    (entry,) = register(flake.flywheel)
    assert entry.to_do
    (done,) = carry_out(flake.flywheel).done
    assert done.yanked_by
    assert "FlakeHub resolves to" in done.unpublished.remaining[0]
    flake.memory.clock.move(days=1)
    flake.workflow.yank()
    assert [each.yanked_by for each in carry_out(flake.flywheel).done] == [""]


def marks(flake: Flake) -> Collection[dict[str, Attached]]:
    return flake.carrier.attached.values()


def test_the_closure_of_a_flake_that_is_public_or_on_its_way_is_kept_whole() -> None:
    memory = in_memory("14402201001", RECEIPT, catalogue=with_people(needed=0))
    take_in(memory.flywheel)
    flake = Flake(memory, FakeWorkflow())
    promote(flake.flywheel, "tide-clock", CLOCK)
    flake.promote()
    root = assemble(flake.flywheel, CHARTS_OUTPUT, CHARTS).receipts[0].receipt.artifact.name
    decide(flake.flywheel, withdrawal_of(flake.flywheel, "tide-clock", CLOCK, "It sinks ships."), key_of("alva"))
    carry_out(flake.flywheel)
    assert root in flake.carrier.others, "its workflow is on with it"
    flake.to_the_end()
    memory.surfaces["durable-nix"].lets_nobody_delete = True
    carry_out(flake.flywheel)
    assert root in flake.carrier.others


def _payload(envelope: bytes) -> bytes:
    return b64decode(json.loads(envelope)["payload"])


def test_a_look_that_cannot_be_read_is_told_and_hides_nothing_that_was_carried_and_is_withdrawn() -> None:
    flake = a_flake(catalogue=with_people(needed=0))
    flake.promote()
    while flake.follow() is not DispatchState.RELEASED:
        pass
    withdraw_flake(flake)
    evidence = flake.memory.evidence
    looks = [each for each in evidence.entries(output_log(CHARTS_OUTPUT)) if each.kind == DISPATCH]
    evidence.blobs[looks[-1].evidence] += b" "
    (unread,) = survey(flake.flywheel).unread
    assert (unread.output, unread.build) == (CHARTS_OUTPUT, str(CHARTS))
    _, failed = carry_out(flake.flywheel)
    assert len(failed) == 2, "that it cannot be told, and that the release may stand"
    assert not flake.carrier.names
