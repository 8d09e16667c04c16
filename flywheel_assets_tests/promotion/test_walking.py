"""Walks through a forge's list of runs: whatever the list does meanwhile, every run is seen at last."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import RateLimitedError
from flywheel_assets.domain.platform_runs import Ending, PlatformRun, RunJob
from flywheel_assets.ports import Delivery, Listing, Sighting
from flywheel_assets.promotion.platform_log import PLATFORM_RUN
from flywheel_assets.promotion.runs import take_in_runs
from flywheel_assets.promotion.walking import SWEEP_EVERY, Place, cursor_of, places_of
from flywheel_assets_tests.promotion.forged import REPOSITORY, catalogue
from flywheel_assets_tests.promotion.installation import Memory, in_memory

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Runs:
    """ports.RunSource in a dictionary: when each run was created. ``page`` is its size. It counts its calls."""

    created: dict[int, datetime] = field(default_factory=dict)
    going: set[int] = field(default_factory=set)
    page: int = 100
    calls: int = 0
    read: int = 0

    def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
        assert repository == REPOSITORY
        assert page <= 10, "GitHub shows no more than 1,000 runs of a search"
        self.calls += 1
        top = upper or datetime.max.replace(tzinfo=UTC)
        found = sorted(((time, run) for run, time in self.created.items() if floor <= time <= top), reverse=True)
        shown = found[(page - 1) * self.page : page * self.page]
        sightings = tuple(Sighting(str(run), 1, time, run not in self.going) for time, run in shown)
        return Listing(sightings, is_full=len(shown) == self.page)

    def run(self, repository: str, run: str, attempt: int) -> PlatformRun | None:
        self.calls, self.read = self.calls + 1, self.read + 1
        if int(run) in self.going:
            return None
        time = self.created[int(run)]
        return PlatformRun(
            repository=repository,
            run=run,
            attempt=attempt,
            revision=GitRevision("a" * 40),
            ref="main",
            event=TriggerEvent.PUSH,
            actors=("ines",),
            head_repository=repository,
            from_fork=False,
            ending=Ending.PASSED,
            started_at=time,
            finished_at=time,
            jobs=(RunJob(name="build", labels=("lane",), ending=Ending.PASSED),),
        )

    def receipts(self, run: PlatformRun) -> Iterator[Delivery]:
        del run
        return iter(())

    def attestations(self, repository: str, digest: Sha256) -> Iterator[Delivery]:
        del repository, digest
        return iter(())


def recorded(memory: Memory) -> list[int]:
    chains = [chain for log, chain in memory.evidence.chains.items() if log.startswith("platform-")]
    return [int(e.subject.split(" ")[1].split(".")[0]) for chain in chains for e in chain if e.kind == PLATFORM_RUN]


def test_ten_thousand_runs_in_one_burst_are_taken_in_ticks_that_stay_bounded() -> None:
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    limits = memory.flywheel.limits
    runs = Runs({n: NOW - timedelta(seconds=n % 50) for n in range(1, 10_001)})
    flywheel = replace(memory.flywheel, runs={"forge": runs})
    cursor, ticks, more = "", 0, True
    while more:
        before = runs.calls, runs.read
        taken = take_in_runs(flywheel, cursor)
        cursor, more, ticks = taken.cursor, taken.more, ticks + 1
        assert runs.calls - before[0] <= limits.forge_pages + limits.forge_runs
        assert runs.read - before[1] <= limits.forge_runs
        assert len(cursor) < 1000
        memory.clock.move(seconds=30)
    assert sorted(recorded(memory)) == list(range(1, 10_001))
    assert ticks <= 10_000 / limits.forge_runs + 3
    assert runs.read == 10_000


def test_more_runs_in_one_second_than_a_forge_shows_do_not_keep_the_walk_from_what_lies_behind() -> None:
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    runs = Runs(dict.fromkeys(range(1, 1501), NOW) | {2000: NOW - timedelta(hours=1)})
    flywheel, cursor, more = replace(memory.flywheel, runs={"forge": runs}), "", True
    while more:
        taken = take_in_runs(flywheel, cursor)
        cursor, more = taken.cursor, taken.more
    assert 2000 in recorded(memory)
    assert len(recorded(memory)) == 1001


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.just("tick"), st.integers(1, 5)),
        st.tuples(st.just("wait"), st.integers(1, 90)),
    ),
    max_size=60,
)


@given(CHANGES, st.integers(2, 4))
def test_whatever_happens_between_ticks_every_run_that_ended_and_stayed_is_recorded_once(
    changes: list[tuple[str, int]], page: int
) -> None:
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    runs, cursor = Runs(page=page), ""
    small = replace(memory.flywheel.limits, forge_pages=2, forge_runs=3)
    flywheel = replace(memory.flywheel, runs={"forge": runs}, limits=small)
    for number, (what, how) in enumerate(changes, start=1):
        alive = sorted(runs.created)
        if what == "start":
            for more in range(how + 1):
                runs.created[number * 10 + more] = memory.clock().replace(microsecond=0)
                runs.going.add(number * 10 + more)
        elif what == "wait":
            memory.clock.move(minutes=how)
        elif what == "tick":
            cursor = take_in_runs(flywheel, cursor).cursor
        elif alive and what == "end":
            runs.going.discard(alive[how % len(alive)])
        elif alive:
            del runs.created[alive[how % len(alive)]]
    # Of one second a forge shows ten pages, and never what lies behind: the test before this has that.
    assume(max(Counter(runs.created.values()).values(), default=0) <= 10 * page)
    runs.going.clear()
    memory.clock.move(seconds=SWEEP_EVERY.total_seconds())
    for _ in range(200):
        taken = take_in_runs(flywheel, cursor)
        cursor = taken.cursor
        memory.clock.move(seconds=SWEEP_EVERY.total_seconds() * (not taken.more))
        if set(runs.created) <= set(recorded(memory)):
            break
    found = recorded(memory)
    assert len(found) == len(set(found))
    assert set(runs.created) <= set(found)


def test_repositories_take_turns() -> None:
    """The one that was visited last waits while another has more to do than a tick allows."""
    known = catalogue(SourceKind.GITHUB)
    other = "https://forge.example/harbour/second"
    source = known.sources["forge"].model_copy(update={"repositories": (REPOSITORY, other)})
    memory = in_memory("nothing", catalogue=known.model_copy(update={"sources": {"forge": source}}))
    visited: list[str] = []

    class Watched(Runs):
        def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
            visited.append(repository)
            return super().listed(REPOSITORY, floor, upper, page)

    flywheel, cursor = replace(memory.flywheel, runs={"forge": Watched()}), ""
    for _ in range(4):
        memory.clock.move(seconds=30)
        room = iter([False, False])
        cursor = take_in_runs(flywheel, cursor, lambda room=room: next(room, True)).cursor  # type: ignore[misc]
    assert visited[0] != visited[1]
    assert set(visited) == {REPOSITORY, other}


def test_a_cursor_reads_back_as_what_it_was() -> None:
    place = Place(visited_at=NOW, seen_until=NOW)
    walking = place.model_copy(update={"walk": place.walking(NOW, timedelta(days=35))})
    assert places_of(cursor_of({REPOSITORY: walking})) == {REPOSITORY: walking}
    assert places_of("") == places_of("{") == places_of('{"x": 1}') == {}


def test_the_same_question_is_asked_again_for_a_while_so_that_a_forge_can_say_that_nothing_changed() -> None:
    times = [NOW + timedelta(seconds=30 * tick) for tick in range(10)]
    walks = [Place(seen_until=time, swept_at=NOW).walking(time, timedelta(days=35)) for time in times]
    assert len({(walk.floor, walk.upper, walk.page) for walk in walks}) == 1


def test_a_run_that_the_list_shows_late_is_found_before_the_next_sweep() -> None:
    """The forge's clock or list is ten minutes behind."""
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    runs = Runs()
    flywheel = replace(memory.flywheel, runs={"forge": runs})
    cursor = take_in_runs(flywheel).cursor
    runs.created[1] = memory.clock() - timedelta(minutes=10)
    memory.clock.move(seconds=30)
    assert take_in_runs(flywheel, cursor).recorded == 1


def test_a_limit_holds_for_all_repositories_of_its_forge() -> None:
    known = catalogue(SourceKind.GITHUB)
    repositories = (REPOSITORY, "https://forge.example/harbour/second")
    source = known.sources["forge"].model_copy(update={"repositories": repositories})
    memory = in_memory("nothing", catalogue=known.model_copy(update={"sources": {"forge": source}}))

    class Limited(Runs):
        def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
            del repository, floor, upper, page
            self.calls += 1
            raise RateLimitedError("The forge limits its callers.", 60)

    runs = Limited()
    taken = take_in_runs(replace(memory.flywheel, runs={"forge": runs}))
    assert (runs.calls, len(taken.problems), taken.more) == (1, 1, True)
