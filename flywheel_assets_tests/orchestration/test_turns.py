"""Large outputs take turns in bounded ticks: new builds first, each of the others in its turn, nothing passed over."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration import turns
from flywheel_assets.orchestration.keys import RANGE_TAG
from flywheel_assets.orchestration.sensors import pick_up_builds, reconcile_daily
from flywheel_assets.orchestration.shown import Shown
from flywheel_assets.orchestration.turns import Place
from flywheel_assets.orchestration.wanted import wanted
from flywheel_assets_tests.orchestration.bench import VALIDATED, Bench, bench, deliver, key
from flywheel_assets_tests.orchestration.conftest import TIDE_CLOCKS

KEYS = [f"{number}.1.x" for number in range(7)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CHECKED_A_TICK", 3)


def looked_at(number: int, until: datetime | None = None) -> list[Shown]:
    return [Shown(shown="basis", current="basis", until=until)] * number


def rounds(place: Place, *, is_quiet: bool = True) -> list[list[str]]:
    """The turns of a round, until nothing is left or as many as three rounds would take."""
    turns: list[list[str]] = []
    while place.left != 0 and len(turns) < 9:
        turns.append(place.window(KEYS))
        place = Place.read(str(place.after(looked_at(len(turns[-1])), len(KEYS), is_quiet=is_quiet)), "state", None)
    return turns


def test_a_quiet_round_gives_each_build_one_turn_and_ends() -> None:
    assert rounds(Place("state")) == [KEYS[0:3], KEYS[3:6], KEYS[6:]]


def test_a_round_that_begins_anywhere_comes_to_every_build() -> None:
    turns = rounds(Place("state", 5))
    assert turns[0] == KEYS[5:]
    assert {each for turn in turns for each in turn} == set(KEYS)


def test_a_round_with_something_to_do_goes_on_for_ever() -> None:
    turns = rounds(Place("state"), is_quiet=False)
    assert turns[:3] == turns[3:6] == turns[6:9]


def test_new_evidence_begins_a_round_where_the_last_one_was() -> None:
    place = Place("state").after(looked_at(3), 7, is_quiet=True)
    assert (place.next, place.left) == (3, 4)
    anew = Place.read(str(place), "newer", None)
    assert (anew.state, anew.next, anew.left) == ("newer", 3, None)
    assert Place.read(str(place), "state", None) == place


def test_a_round_remembers_the_first_moment_of_all_whose_turn_it_was() -> None:
    first, later = datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)
    place = Place.read("", "state", None)
    for until in (later, first, None):
        place = place.after(looked_at(2, until), 6, is_quiet=True)
        place = Place.read(str(place), "state", None)
    assert (place.left, place.settled) == (0, f"state~{first.isoformat()}")
    assert Place.read(str(place), "newer", None).until == ""


@pytest.mark.parametrize("text", ["", "x", "@", "state@+", "state@x+y", "state@-1+-2", "state@99+3"])
def test_a_place_that_is_none_is_a_fresh_start(text: str) -> None:
    place = Place.read(text, "state", None)
    assert place.window(KEYS) == KEYS[:3]


def test_a_reconciliation_is_its_own_round_and_evidence_does_not_begin_it_anew() -> None:
    place = Place.read("", "state", date(2026, 11, 25)).after(looked_at(3), 7, is_quiet=True)
    assert Place.read(str(place), "newer", date(2026, 11, 25)) == place


def test_a_tick_that_has_had_enough_comes_to_every_output_in_the_next_ones(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201301-sounding-line", "14402201501-ci-toolchain") as opened:
        opened.ask()
        calls = iter([False, *[True] * 10_000])
        cursor: dict[str, str] = {}
        asked = set()
        for _ in range(40):
            found = wanted(opened.flywheel, opened.instance, cursor, enough=calls.__next__)
            asked |= set(found.partitions)
            cursor, calls = found.settled, iter([False, *[True] * 10_000])
        assert asked == {"tide-clock", "sounding-line", "ci-toolchain"}


def test_all_builds_of_a_large_output_are_settled_by_turns(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS) as opened:
        opened.settle()
        for number in range(1, 9):
            assert opened.row("tide-clock", key(14402201000 + number)).settled
        for _ in range(4):
            opened.tick()
        assert '"tide-clock"' in (opened.cursors[pick_up_builds.name] or "")


def test_one_whose_verdict_is_not_shown_is_found_when_its_turn_comes(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS[:7]) as opened:
        opened.settle()
        for _ in range(4):
            opened.tick()
        deliver(opened.settings.home, TIDE_CLOCKS[7])
        opened.settle()
        assert opened.observed(VALIDATED, "tide-clock", key(14402201008))


def test_a_reconciliation_that_takes_several_ticks_goes_on_where_it_was_and_ends_once_a_day(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS) as opened:
        opened.ask()
        nar = opened.nar_of("tide-clock", key(14402201001))
        body = nar.read_bytes()
        nar.write_bytes(b"")
        opened.settle()
        opened.reconcile()
        nar.write_bytes(body)
        opened.day = 1
        runs, ticks = [], 0
        while not ticks or " " in (opened.cursors[reconcile_daily.name] or ""):
            runs += opened.reconcile()
            ticks += 1
        assert ticks == 3
        assert runs
        assert opened.row("tide-clock", key(14402201001)).reason == "every-rule-holds"
        assert opened.reconcile() == []


def test_while_a_range_is_being_judged_no_other_range_of_the_output_is_asked_for(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS[:5]) as opened:
        first = opened.ask()
        (request,) = first.run_requests or []
        assert request.tags[RANGE_TAG] == "tide-clock"
        start(opened, first)
        deliver(opened.settings.home, *TIDE_CLOCKS[5:])
        again = opened.ask()
        assert len(again.asset_events) == 3
        assert not again.run_requests


def start(opened: Bench, result: object) -> None:
    """As the daemon: events, partitions, and a run that goes on."""
    assert isinstance(result, dg.SensorResult)
    opened.report_events(result)
    opened.add_partitions(result)
    for request in result.run_requests or []:
        tags = {name: text for name, text in request.tags.items() if not name.startswith("dagster/")}
        opened.instance.create_run_for_job(opened.job, tags=tags, status=dg.DagsterRunStatus.STARTED)
