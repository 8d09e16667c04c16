"""Rounds over what workflows carry out: bounded, fair, read once; and releases that are not shown for a while."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import DispatchState, FlakeVersion
from flywheel_assets.domain.errors import EvidenceRolledBackError, InvalidInputError, ReadBackError, UnreadableError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.promotion.dispatches import last_dispatches, note
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.rounds import follow_all, look_at_released
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake, with_twin
from flywheel_assets_tests.promotion.installation import CHARTS

TODAY = date(2030, 1, 1)


def never() -> bool:
    return False


def after_looks(flake: Flake, most: int) -> Callable[[], bool]:
    """A bound that is reached once the forge was asked so often."""
    looked: list[str] = []
    flake.workflow.before = looked.append
    return lambda: len([step for step in looked if step in {"look", "find", "released"}]) >= most


def counted(name: str, reads: list[str], call: Callable[[str], Any]) -> Callable[[str], Any]:
    def calling(what: object) -> Any:
        reads.append(f"{name} {what}")
        return call(what)  # type: ignore[arg-type]  # as it came

    return calling


def reads_of(reads: list[str], name: str) -> int:
    return len([read for read in reads if read.startswith(f"{name} ")])


def released() -> Flake:
    flake = a_flake()
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.RELEASED
    return flake


def of_many(flake: Flake, count: int) -> None:
    """As many more builds as far as the one."""
    for number in range(count):
        build = BuildKey(run=str(900_000 + number), attempt=1, system="x86_64-linux")
        note(flake.flywheel, flake.last().model_copy(update={"build": build}))


def test_a_visit_ends_when_it_is_time_and_counts_what_it_did_not_come_to() -> None:
    flake, twin = with_twin()
    flake.promote()
    note(flake.flywheel, flake.last().model_copy(update={"build": twin}))
    found = follow_all(flake.flywheel, after_looks(flake, 1))
    assert (len(found.changed), found.open) == (1, 2)


def test_a_forge_that_uses_up_every_visit_for_one_build_starves_no_other() -> None:
    """A visit that is ended leaves no place to go on from, and the first of them is another each time."""
    flake, twin = with_twin()
    flake.promote()
    note(flake.flywheel, flake.last().model_copy(update={"build": twin}))
    flake.workflow.broken = UnreadableError("It hangs.")
    first = {follow_all(flake.flywheel, after_looks(flake, 1)).problems[0].partition(":")[0] for _ in range(64)}
    assert first == {f"{CHARTS_OUTPUT} {CHARTS}", f"{CHARTS_OUTPUT} {twin}"}


def test_the_day_s_round_is_gone_on_with_where_time_was_short_and_ends() -> None:
    flake, twin = with_twin()
    flake.promote()
    flake.to_the_end()
    note(flake.flywheel, flake.last().model_copy(update={"build": twin}))
    seen: list[str] = []
    place = ""
    for _ in range(3):
        place = look_at_released(flake.flywheel, place, TODAY, after_looks(flake, 1)).place
        seen.append(place)
    assert seen[0] == f"2030-01-01 {CHARTS_OUTPUT}/{CHARTS}", "the twin was looked at"
    assert seen[1:] == ["2030-01-01 done"] * 2


def test_a_round_that_is_done_reads_nothing_and_one_to_do_reads_each_log_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flake = released()
    flake.to_the_end()
    of_many(flake, 40)
    reads: list[str] = []
    for name in ("get", "entries"):
        monkeypatch.setattr(flake.memory.evidence, name, counted(name, reads, getattr(flake.memory.evidence, name)))
    assert look_at_released(flake.flywheel, f"{TODAY} done", TODAY, never).place == f"{TODAY} done"
    assert reads == []
    look_at_released(flake.flywheel, "", TODAY, lambda: True)
    assert (reads_of(reads, "entries"), reads_of(reads, "get")) == (len(flake.flywheel.catalogue.outputs), 41)
    assert len(reads) == len(set(reads))
    reads.clear()
    follow_all(flake.flywheel)
    assert (reads_of(reads, "entries"), reads_of(reads, "get")) == (len(flake.flywheel.catalogue.outputs), 41)
    assert len(reads) == len(set(reads))


def test_a_round_in_which_something_could_not_be_looked_at_is_gone_through_again_in_the_next_hour() -> None:
    flake = released()
    flake.to_the_end()
    flake.workflow.broken = UnreadableError("It is down.")
    place = look_at_released(flake.flywheel, "", TODAY, never).place
    flake.workflow.broken = None
    flake.workflow.yank()
    looked: list[str] = []
    flake.workflow.before = looked.append
    flake.memory.clock.move(minutes=1)
    assert look_at_released(flake.flywheel, place, TODAY, never).place == place
    assert looked == [], "once an hour"
    flake.memory.clock.move(minutes=59)
    assert look_at_released(flake.flywheel, place, TODAY, never).place == f"{TODAY} done"
    assert flake.row().state is State.YANKED


def test_a_round_that_is_gone_on_with_forgets_nothing_that_could_not_be_looked_at() -> None:
    flake, twin = with_twin()
    flake.promote()
    flake.to_the_end()
    note(flake.flywheel, flake.last().model_copy(update={"build": twin}))
    flake.workflow.broken = UnreadableError("It is down.")
    place = look_at_released(flake.flywheel, "", TODAY, after_looks(flake, 1)).place
    flake.workflow.broken = None
    place = look_at_released(flake.flywheel, place, TODAY, never).place
    flake.memory.clock.move(hours=1)
    looked: list[str] = []
    flake.workflow.before = looked.append
    assert look_at_released(flake.flywheel, place, TODAY, never).place == f"{TODAY} done"
    assert looked.count("released") == 2, "from the first that failed on"


def test_a_log_that_cannot_be_read_is_told_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    flake = a_flake()
    flake.promote()
    entries = flake.memory.evidence.entries

    def damaged(log: str) -> Any:
        if log == "output-tide-clock":
            raise EvidenceRolledBackError("The evidence log was cut.")
        return entries(log)

    monkeypatch.setattr(flake.memory.evidence, "entries", damaged)
    found = follow_all(flake.flywheel)
    assert found.problems == ["tide-clock: The evidence log was cut."]
    assert [each.state for each in found.changed] == [DispatchState.RUNNING]


# Not shown for a while


def test_one_list_that_lags_after_a_release_ends_nothing() -> None:
    flake = released()
    held, flake.workflow.releases = flake.workflow.releases, {}
    flake.memory.clock.move(minutes=11)
    with pytest.raises(ReadBackError):
        flake.promote(anew=False)
    assert (flake.last().state, flake.row().state) == (DispatchState.RELEASED, State.VALIDATED)
    flake.workflow.releases = held
    assert isinstance(flake.promote(anew=False), Promoted)
    assert flake.records() == 1


def test_what_is_not_shown_is_yanked_only_after_several_looks_which_visits_make_by_themselves() -> None:
    flake = released()
    flake.to_the_end()
    held, flake.workflow.releases = flake.workflow.releases, {}
    flake.memory.clock.move(days=1)
    look_at_released(flake.flywheel, "", TODAY, never)
    for _ in range(49):
        flake.memory.clock.move(minutes=1)
        follow_all(flake.flywheel)
    assert flake.row().state is State.PUBLISHED
    flake.memory.clock.move(minutes=1)
    follow_all(flake.flywheel)
    assert flake.row().state is State.YANKED
    flake.workflow.releases = held
    look_at_released(flake.flywheel, "", TODAY, never)
    assert flake.row().state is State.PUBLISHED


def test_what_shows_again_in_between_is_counted_from_the_beginning() -> None:
    flake = released()
    flake.to_the_end()
    for _ in range(3):
        flake.memory.clock.move(minutes=10)
        flake.workflow.lag = 1
        look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().vain == 3
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().vain == 0


def test_a_yanked_release_that_never_got_on_record_is_looked_at_every_day() -> None:
    flake = released()
    flake.workflow.yank()
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().state is DispatchState.YANKED
    flake.workflow.releases = {v: r.model_copy(update={"yanked": False}) for v, r in flake.workflow.releases.items()}
    flake.memory.clock.move(days=1)
    look_at_released(flake.flywheel, "", TODAY, never)
    assert flake.last().state is DispatchState.RELEASED


def test_a_release_is_looked_at_again_before_it_is_put_on_record() -> None:
    flake = released()
    flake.workflow.revision = None
    looked: list[str] = []
    flake.workflow.before = looked.append
    flake.promote(anew=False)
    assert looked[0] == "released", "yanked or replaced meanwhile it would be told as such"


def test_what_failed_is_looked_at_by_visits_for_a_day_and_by_the_day_s_round_after_that() -> None:
    flake = a_flake(ending=Ending.FAILED, conclusion="failure")
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.FAILED
    looked: list[str] = []
    flake.workflow.before = looked.append
    flake.memory.clock.move(hours=23)
    follow_all(flake.flywheel)
    assert "look" in looked
    looked.clear()
    flake.memory.clock.move(hours=2)
    follow_all(flake.flywheel)
    assert looked == []
    flake.workflow.run_again()
    look_at_released(flake.flywheel, "", TODAY, never)
    (last,) = last_dispatches(flake.flywheel, CHARTS_OUTPUT).values()
    assert last.state is DispatchState.RUNNING


def test_a_rolling_release_is_asked_after_under_the_version_that_it_got() -> None:
    """Under its revision alone a yanked one cannot be told from one that is not shown."""
    flake = released()
    asked, shows = list[str | None](), flake.workflow.released

    def telling(release: Release) -> FlakeVersion | None:
        asked.append(release.flake.version if release.flake else None)
        return shows(release)

    flake.workflow.released = telling  # type: ignore[method-assign]  # watched
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert asked == [f"0.1.1+rev-{flake.last().flake.revision}"]


def test_a_release_under_other_build_metadata_is_not_the_one_that_was_approved() -> None:
    flake = released()
    asked = flake.last().flake.model_copy(update={"version": "1.2.3"})
    note(flake.flywheel, flake.last().model_copy(update={"flake": asked, "release": None}))
    flake.workflow.releases["1.2.3"] = FlakeVersion(version="1.2.3+foo", revision=asked.revision)
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().state is DispatchState.WRONG_RELEASE


def test_an_answer_that_nobody_understands_shows_no_release_and_is_not_waited_for_without_end() -> None:
    flake = a_flake()
    flake.promote()
    flake.follow()

    def nonsense(step: str) -> None:
        if step == "released":
            raise InvalidInputError("the release", "revision", "is not told", "Look it up.")

    flake.workflow.before = nonsense
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    assert "is not told" in flake.row().message
    assert flake.an_hour_in_vain() is DispatchState.FAILED
