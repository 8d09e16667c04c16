"""Intake of runs: what forges say of them becomes evidence once each, with the receipts that lie in their artifacts.

Receipts go first and the record last: a run without a record is looked at again, so a crash loses nothing; and what is
in evidence is not entered again, so it doubles nothing. Nothing is read of what a proposal left (of a fork, or for a
pull request): it never goes on, and anybody can make one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.errors import (
    AbsentError,
    EvidenceError,
    InvalidInputError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
    printable,
)
from flywheel_assets.domain.platform_runs import AbsentRun, PlatformRun, run_named
from flywheel_assets.domain.statements import canonical
from flywheel_assets.ports import Delivery, RunSource, Sighting
from flywheel_assets.promotion.attested import Attestations
from flywheel_assets.promotion.fitting import has_fitting, of_patterns
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import Taken, canonical_problem, never, take
from flywheel_assets.promotion.own_receipts import own_receipts
from flywheel_assets.promotion.platform_log import (
    PLATFORM_ABSENCE,
    PLATFORM_RUN,
    entries_about,
    platform_log,
    subject_of,
)
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.same_repository import other_name, refuse_another
from flywheel_assets.promotion.unheard import unheard
from flywheel_assets.promotion.walking import Place, Walk, cursor_of, places_of


@dataclass(slots=True)
class RunsTaken:
    """What one intake of runs found.

    ``cursor`` is for the next one. ``open`` runs have not ended, or could not be read; ``problems`` are sentences.
    ``more`` says that there is more to do now; ``unseen_since`` since when runs may be unseen, in the repository that
    is furthest behind, None before all were gone through once. ``read`` counts the attempts that were asked for.
    """

    cursor: str = ""
    recorded: int = 0
    absent: int = 0
    open: int = 0
    more: bool = False
    unseen_since: datetime | None = None
    problems: list[str] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)
    read: int = 0


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
    found.problems += [text for uri in places if (text := _of_troubles(uri, places[uri]))]
    found.problems += of_patterns(flywheel.catalogue, places)
    seen = [place.seen_until for place in places.values()]
    found.unseen_since = min((time for time in seen if time is not None), default=None) if all(seen) else None
    found.cursor = cursor_of(places)
    return found


def read_again(flywheel: Flywheel, repository: str, run: str, attempt: int) -> tuple[Taken, set[str]]:
    """Read one attempt and what it left anew: what was taken, and the names of what still cannot be taken in.

    Raises UsageError where no catalogued source knows the repository, ReadError and InvalidInputError for the forge.
    """
    names = [name for name in flywheel.runs if repository in flywheel.catalogue.sources[name].repositories]
    if not names:
        problem = f"No source of the catalogue knows {repository}"
        raise UsageError(f"{problem}: name it under `sources`, or dismiss the letter.")
    visit = _Visit(flywheel, names[0], repository, RunsTaken(), never)
    if not visit.take(run, attempt):
        problem = next((each.problem for each in visit.place.troubles.values()), "it has not ended")
        raise UnreadableError(f"{repository} run {run}.{attempt} cannot be read: {problem}")
    return visit.found.taken, visit.buried


def _of_troubles(repository: str, place: Place) -> str:
    """A sentence about the attempts that could not be read and are tried again; empty when there are none."""
    if not place.troubles:
        return ""
    number, first = len(place.troubles), next(iter(place.troubles.values()))
    said = "attempt of a run" if number == 1 else "attempts of runs"
    return printable(f"{number} {said} of {repository} could not be read, to be tried again: {first.problem}", 600)


def _never_first(visited: datetime | None) -> float:
    return visited.timestamp() if visited else 0.0


class _Visit:
    """One visit to one repository. ``place`` is how far it has come, also when it ends with an error.

    ``buried`` are the names of what could not be taken in.
    """

    def __init__(
        self, flywheel: Flywheel, name: str, repository: str, found: RunsTaken, enough: Callable[[], bool]
    ) -> None:
        self.found, self.place = found, Place()
        self.buried: set[str] = set()
        self._flywheel = flywheel
        self._reading = one_reading(flywheel)
        self._source: RunSource = flywheel.runs[name]
        self._catalogued = flywheel.catalogue.sources[name]
        self._repository = repository
        self._left = flywheel.limits.forge_runs
        self._done: set[str] = set()
        self._enough = enough
        self._now = flywheel.clock()

    def gone_through(self, place: Place) -> Place:
        pattern, look_back = self._catalogued.receipt_artifacts or "", timedelta(days=self._catalogued.look_back_days)
        walk: Walk | None = place.walking(self._now, look_back, pattern)
        started = {"visited_at": self._now, "walk": walk}
        self.place = place.eased(self._now).reading(pattern).model_copy(update=started)
        self._ask_for_receipts()
        for _ in range(self._flywheel.limits.forge_pages):
            if walk is None or self._is_over():
                break
            walk = self._page(walk)
        if walk is not None:
            self.found.more = True
        return self.place

    def _is_over(self) -> bool:
        return self._left <= 0 or self._enough()

    def _page(self, walk: Walk) -> Walk | None:
        """Record what a page shows and go behind it, or stay before it when time or room ends first."""
        self.place = self.place.model_copy(update={"walk": walk})
        listing = self._source.listed(self._repository, walk.floor, walk.upper, walk.page)
        for sighting in listing.sightings:
            if self._is_over():
                return walk
            if not self._is_done(sighting, again=walk.again):
                walk = walk.left_open(sighting.at)
                self.found.open += 1
                if self._is_over():  # perhaps in the middle of it
                    return walk
        behind = walk.after(listing)
        self.place = self.place.after(walk) if behind is None else self.place.model_copy(update={"walk": behind})
        return behind

    def _is_done(self, sighting: Sighting, *, again: bool) -> bool:
        """Whether all attempts are in evidence, now if not before. The ones before the latest have ended."""
        is_done, latest = sighting.is_finished, sighting.attempt
        for attempt in range(max(1, latest - self._flywheel.limits.forge_attempts + 1), latest + sighting.is_finished):
            version = sighting.version if attempt == latest else ""
            try:
                if not self._is_recorded(sighting.run, attempt, version, again=again):
                    if self._is_over():
                        return False
                    is_done &= self.take(sighting.run, attempt, latest)
            except AbsentError:
                self.place = self.place.eased(self._now, f"{sighting.run}.{attempt}")
                continue  # it was deleted since it was listed
            except EvidenceError as error:
                self._tell(error)
                is_done = False
            # Seen twice in one visit, at the border of two pages, it is not read twice.
            if is_done:
                self._done.add(subject_of(self._repository, sighting.run, attempt, version))
        return is_done

    def _is_recorded(self, run: str, attempt: int, version: str = "", *, again: bool) -> bool:
        wanted = subject_of(self._repository, run, attempt, version)
        if wanted in self._done:
            return True
        if again or f"{run}.{attempt}" in self.place.troubles:
            return False
        entries = entries_about(self._reading.evidence, self._repository, run, attempt)
        return any(e.kind == PLATFORM_RUN and (not version or e.subject == wanted) for e in entries)

    def take(self, run: str, attempt: int, latest: int | None = None) -> bool:
        """Take in one attempt of ``latest``; False when it goes on, or could not be read this time.

        Raises InvalidInputError where another repository has taken the name: nothing of it is told of this one.
        """
        named = f"{run}.{attempt}"
        trouble = self.place.troubles.get(named)
        if trouble is not None and self._now < trouble.until:
            return False
        self._left -= 1
        self.found.read += 1
        try:
            found = self._source.run(self._repository, run, attempt)
        except (RateLimitedError, UnauthorisedError, AbsentError):
            raise
        except (ReadError, InvalidInputError) as error:
            return self._troubled(named, error)
        if found is None:
            return False
        problem = other_name(self._repository, found)
        if problem and problem not in self.found.problems:
            self.found.problems.append(problem)
        refuse_another(self._flywheel, self._catalogued, self._repository, found)
        fits = has_fitting(self._catalogued, found)
        self.place = self.place if fits is None else self.place.having_read(fits=fits)
        attestations = Attestations(self._flywheel, self._source, found)
        try:
            if not found.is_proposal and not self._are_delivered(found, attestations, latest):
                return False
        except RateLimitedError:
            raise
        except ReadError as error:  # of one artifact: whatever it is, other runs go on
            return self._troubled(named, error)
        found = found.model_copy(update={"provenance": tuple(attestations.provenance)})
        self._record(PLATFORM_RUN, run, attempt, found, found.version)
        self.place = self.place.eased(self._now, named)
        self.found.recorded += 1
        return True

    def _troubled(self, named: str, error: Exception) -> bool:
        most = self._flywheel.limits.forge_troubles
        self.place = self.place.troubled(named, self._now, printable(str(error), 400), most)
        return False

    def _are_delivered(self, run: PlatformRun, attestations: Attestations, latest: int | None) -> bool:
        """Take in what a run left; False when time ended first, and another tick may do better.

        A run that had a whole tick to itself is not read again in the next one: what is left of it is told in a letter.
        """
        for left in self._source.receipts(run):
            for delivery in own_receipts(self._flywheel, run, left, latest, attestations):
                self._deliver(run, delivery)
            if self._enough():
                if self.found.read > 1:
                    return False
                problem = f"{run.name} left more than there is time for at once, and the rest of it was not read."
                self._deliver(run, Delivery(run.name, None, problem))
                break
        return True

    def _deliver(self, run: PlatformRun, delivery: Delivery) -> None:
        if delivery.data is None:
            own = run_named(delivery.name) is not None
            delivery = delivery if own else replace(delivery, name=f"{run.name}: {delivery.name}")
            self.buried.add(printable(delivery.name))
        document = canonical_problem(delivery) if delivery.data is None else delivery.data
        take(self._flywheel, delivery, document, self.found.taken)

    def _record(self, kind: str, run: str, attempt: int, document: Closed, version: str = "") -> None:
        evidence = self._flywheel.evidence.put(canonical(document.model_dump(mode="json")))
        subject = subject_of(self._repository, run, attempt, version)
        self._flywheel.evidence.append(platform_log(self._repository, run), kind, subject, evidence)

    def _ask_for_receipts(self) -> None:
        """Ask by name for the runs of receipts in evidence that the forge was not heard about: the newest first."""
        room = self._left * 3 // 4  # receipts by strangers must not keep the walk from going on
        for key in unheard(self._reading, self._repository, self._now, self._tell):
            if self._is_over() or self._left <= room:
                return
            try:
                self._ask_for(key)
            except EvidenceError as error:
                self._tell(error)

    def _ask_for(self, key: BuildKey) -> None:
        try:
            if key.run.isdecimal() and len(key.run) <= 20:  # noqa: PLR2004 - RunId
                self.take(key.run, key.attempt)
                return
        except AbsentError:
            pass
        absent = AbsentRun(repository=self._repository, run=key.run, attempt=key.attempt, asked_at=self._now)
        self._record(PLATFORM_ABSENCE, key.run, key.attempt, absent)
        self.found.absent += 1

    def _tell(self, error: EvidenceError) -> None:
        """A log that is damaged holds up what belongs into it, and nothing else."""
        if str(error) not in self.found.problems:
            self.found.problems.append(str(error))
