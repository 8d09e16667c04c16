"""Intake of runs: what forges say of them becomes evidence once each, with the receipts that lie in their artifacts.

Receipts go first and the record last: a run without a record is looked at again, so a crash loses nothing; and what is
in evidence is not entered again, so it doubles nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    printable,
)
from flywheel_assets.domain.platform_runs import AbsentRun, PlatformRun
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.statements import canonical
from flywheel_assets.ports import Delivery, RunSource, Sighting
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import (
    RECEIPT,
    Taken,
    canonical_problem,
    never,
    open_statement,
    output_log,
    take,
)
from flywheel_assets.promotion.ledger import one_reading
from flywheel_assets.promotion.platform_log import (
    PLATFORM_ABSENCE,
    PLATFORM_RUN,
    entries_about,
    platform_log,
    subject_of,
)
from flywheel_assets.promotion.walking import Place, Walk, cursor_of, places_of


@dataclass(slots=True)
class RunsTaken:
    """What one intake of runs found.

    ``cursor`` is for the next one. ``open`` runs have not ended, or could not be read; ``problems`` are sentences.
    ``more`` says that there is more to do now; ``unseen_since`` since when runs may be unseen, in the repository that
    is furthest behind, None before all were gone through once.
    """

    cursor: str = ""
    recorded: int = 0
    absent: int = 0
    open: int = 0
    more: bool = False
    unseen_since: datetime | None = None
    problems: list[str] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)


def take_in_runs(flywheel: Flywheel, cursor: str = "", enough: Callable[[], bool] = never) -> RunsTaken:
    """Visit every catalogued repository, the longest unvisited first, as far as limits and ``enough`` let it.

    Never raises for what a forge does: that is a problem in the answer, and other repositories go on.
    """
    found, places = RunsTaken(), places_of(cursor)
    wanted = {uri: name for name in flywheel.runs for uri in flywheel.catalogue.sources[name].repositories}
    places = {uri: places.get(uri, Place()) for uri in wanted}
    limited: set[str] = set()
    for repository in sorted(wanted, key=lambda uri: _never_first(places[uri].visited_at)):
        name = wanted[repository]
        if enough() or name in limited:
            found.more = True
            continue
        visit = _Visit(flywheel, name, repository, found, enough)
        try:
            places[repository] = visit.gone_through(places[repository])
        except (RateLimitedError, UnauthorisedError) as error:
            limited.add(name)  # it would say the same of every other repository
            places[repository] = visit.place
            found.problems.append(str(error))
        except (ReadError, InvalidInputError) as error:
            places[repository] = visit.place
            found.problems.append(str(error))
    seen = [place.seen_until for place in places.values()]
    found.unseen_since = min((time for time in seen if time is not None), default=None) if all(seen) else None
    found.cursor = cursor_of(places)
    return found


def _never_first(visited: datetime | None) -> float:
    return visited.timestamp() if visited else 0.0


class _Visit:
    """One visit to one repository. ``place`` is how far it has come, also when it ends with an error."""

    def __init__(
        self, flywheel: Flywheel, name: str, repository: str, found: RunsTaken, enough: Callable[[], bool]
    ) -> None:
        self._flywheel = flywheel
        self._reading = one_reading(flywheel)
        self._source: RunSource = flywheel.runs[name]
        self._look_back = timedelta(days=flywheel.catalogue.sources[name].look_back_days)
        self._repository = repository
        self._found = found
        self._left = flywheel.limits.forge_runs
        self._done: set[str] = set()
        self._enough = enough
        self.place = Place()

    def gone_through(self, place: Place) -> Place:
        now = self._flywheel.clock()
        self.place = place.model_copy(update={"visited_at": now})
        self._ask_for_receipts()
        walk: Walk | None = self.place.walking(now, self._look_back)
        for _ in range(self._flywheel.limits.forge_pages):
            if walk is None or self._is_over:
                break
            walk = self._page(walk)
        if walk is not None:
            self._found.more = True
        return self.place

    @property
    def _is_over(self) -> bool:
        return self._left <= 0 or self._enough()

    def _page(self, walk: Walk) -> Walk | None:
        """Record what a page shows and go behind it, or stay before it when time or room ends first."""
        self.place = self.place.model_copy(update={"walk": walk})
        listing = self._source.listed(self._repository, walk.floor, walk.upper, walk.page)
        for sighting in listing.sightings:
            if self._is_over:
                return walk
            if not self._is_done(sighting):
                walk = walk.left_open(sighting.at)
                self._found.open += 1
        behind = walk.after(listing)
        self.place = self.place.after(walk) if behind is None else self.place.model_copy(update={"walk": behind})
        return behind

    def _is_done(self, sighting: Sighting) -> bool:
        """Whether all attempts are in evidence, now if not before. The ones before the latest have ended."""
        is_done = sighting.is_finished
        for attempt in range(1, sighting.attempt + sighting.is_finished):
            version = sighting.version if attempt == sighting.attempt else ""
            try:
                if not self._is_recorded(sighting.run, attempt, version):
                    is_done &= self._take(sighting.run, attempt)
            except AbsentError:
                continue  # it was deleted since it was listed
            # Seen twice in one visit, at the border of two pages, it is not read twice.
            if is_done:
                self._done.add(subject_of(self._repository, sighting.run, attempt, version))
        return is_done

    def _is_recorded(self, run: str, attempt: int, version: str = "") -> bool:
        wanted = subject_of(self._repository, run, attempt, version)
        if wanted in self._done:
            return True
        entries = entries_about(self._reading.evidence, self._repository, run, attempt)
        return any(e.kind == PLATFORM_RUN and (not version or e.subject == wanted) for e in entries)

    def _take(self, run: str, attempt: int) -> bool:
        """Take in one attempt; False when it goes on, or could not be read this time."""
        self._left -= 1
        try:
            found = self._source.run(self._repository, run, attempt)
        except (RateLimitedError, UnauthorisedError, AbsentError):
            raise
        except (ReadError, InvalidInputError) as error:
            self._found.problems.append(str(error))
            return False
        if found is None:
            return False
        try:
            for delivery in self._source.receipts(found):
                checked = _of_its_run(self._flywheel, found, delivery)
                document = canonical_problem(checked) if checked.data is None else checked.data
                take(self._flywheel, checked, document, self._found.taken)
        except RateLimitedError:
            raise
        except ReadError as error:  # of one artifact: whatever it is, other runs go on
            self._found.problems.append(str(error))
            return False
        self._record(PLATFORM_RUN, run, attempt, found, found.version)
        self._found.recorded += 1
        return True

    def _record(self, kind: str, run: str, attempt: int, document: Closed, version: str = "") -> None:
        evidence = self._flywheel.evidence.put(canonical(document.model_dump(mode="json")))
        subject = subject_of(self._repository, run, attempt, version)
        self._flywheel.evidence.append(platform_log(self._repository, run), kind, subject, evidence)

    def _ask_for_receipts(self) -> None:
        """Ask by name for the runs of receipts in evidence that the forge was not heard about: the newest first."""
        room = self._left * 3 // 4  # receipts by strangers must not keep the walk from going on
        for key in self._unheard():
            if self._is_over or self._left <= room:
                return
            try:
                if key.run.isdecimal() and len(key.run) <= 20:  # noqa: PLR2004 - RunId
                    self._take(key.run, key.attempt)
                    continue
            except AbsentError:
                pass
            absent = AbsentRun(repository=self._repository, run=key.run, attempt=key.attempt)
            self._record(PLATFORM_ABSENCE, key.run, key.attempt, absent)
            self._found.absent += 1

    def _unheard(self) -> Iterator[BuildKey]:
        outputs = [name for name, o in self._flywheel.catalogue.outputs.items() if o.repository == self._repository]
        entries = [e for name in outputs for e in self._reading.evidence.entries(output_log(name)) if e.kind == RECEIPT]
        asked: set[tuple[str, int]] = set()
        for entry in reversed(entries):
            key = BuildKey.parse(entry.subject)
            if (key.run, key.attempt) in asked:
                continue
            asked.add((key.run, key.attempt))
            if not entries_about(self._reading.evidence, self._repository, key.run, key.attempt):
                yield key


def _of_its_run(flywheel: Flywheel, run: PlatformRun, delivery: Delivery) -> Delivery:
    """The delivery, or its problem when it is a receipt of another run that was laid into this one."""
    if delivery.data is None:
        return delivery
    try:
        statement = open_statement(flywheel, delivery.data, delivery.name)
    except InvalidInputError:
        return delivery  # intake says why
    if not isinstance(statement, Receipt):
        return delivery
    claimed = (statement.run.source.repository, statement.run.key.run)
    if claimed == (run.repository, run.run):
        return delivery
    problem = f"is a receipt of run {claimed[1]} of {claimed[0]}, and lay in run {run.run} of {run.repository}"
    return replace(delivery, data=None, problem=printable(problem, 400))
