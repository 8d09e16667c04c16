"""How a forge's list of runs is gone through: newest first, in visits of bounded length, and over again.

A walk goes from now down to its floor, by time and not by page numbers: a list that grows or shrinks meanwhile shows
things twice, and none not at all. The next walk begins when one is done. Its floor is where the last one began, or
the oldest run that was still going on, a day at most. Once an hour a walk sweeps all the time that the catalogue looks
back: then runs are found that were re-run, that took longer, or that a forge's list did not show when it should have.
A run that cannot be read is passed, and tried again after pauses that grow. When the catalogue names other artifacts
for receipts than before, one walk reads again what is recorded already.

The cursor only saves work. What is recorded stands in evidence: whoever loses the cursor starts over, and doubles
nothing.
"""

from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from flywheel_assets.domain.builds import Closed
from flywheel_assets.ports import Listing

SWEEP_EVERY = timedelta(hours=1)
WAIT_FOR_OPEN = timedelta(hours=24)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# GitHub shows 1,000 results of a search. Of more runs in one second, the rest is found by receipts that name them.
MOST_PAGES = 10
OVERLAP = timedelta(minutes=15)  # of walks: for clocks that differ, and lists that are behind


class Walk(Closed):
    """Where a walk is: what lies between ``floor`` and ``upper`` is still to be seen. ``upper`` None: all up to now."""

    began: AwareDatetime
    floor: AwareDatetime
    sweeps: bool
    upper: AwareDatetime | None = None
    page: int = 1
    open_since: AwareDatetime | None = None
    again: bool = False

    def left_open(self, at: datetime) -> "Walk":
        """This walk, having seen a run that has to be looked at again."""
        return self.model_copy(update={"open_since": min(at, self.open_since or at)})

    def after(self, listing: Listing) -> "Walk | None":
        """Behind this page; None at the end."""
        if not listing.is_full:
            return None
        if not listing.sightings:  # nothing of it may be shown
            return self.model_copy(update={"page": self.page + 1}) if self.page < MOST_PAGES else None
        lowest = min(sighting.at for sighting in listing.sightings)
        if self.upper is not None and lowest >= self.upper:  # a whole page of the same moment
            if self.page < MOST_PAGES:
                return self.model_copy(update={"page": self.page + 1})
            lowest -= timedelta(seconds=1)
        return self.model_copy(update={"upper": lowest, "page": 1})


class Trouble(Closed):
    """An attempt that could not be read: how often, until when it is left alone, and what was wrong the last time."""

    tries: int
    until: AwareDatetime
    problem: str

    @classmethod
    def again(cls, before: "Trouble | None", now: datetime, problem: str) -> "Trouble":
        """After one more try: each pause is twice as long as the one before, an hour at most."""
        tries = before.tries + 1 if before else 1
        pause = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE)
        return cls(tries=tries, until=now + pause, problem=problem)


class Place(Closed):
    """How far one repository was gone through: all runs before ``seen_until`` are recorded, but for open ones.

    ``troubles`` are the attempts that could not be read, by ``run.attempt``; ``pattern`` is that of the artifacts that
    the last walk to begin reads for receipts. ``fitted`` is whether any artifact ever was called so, None where that
    was not looked at from the beginning; ``unfitted`` counts the runs whose artifacts all were called otherwise.
    """

    visited_at: AwareDatetime | None = None
    seen_until: AwareDatetime | None = None
    swept_at: AwareDatetime | None = None
    open_since: AwareDatetime | None = None
    walk: Walk | None = None
    troubles: dict[str, Trouble] = Field(default_factory=dict)
    pattern: str | None = None
    fitted: bool | None = None
    unfitted: int = 0

    def reading(self, pattern: str) -> "Place":
        """This place, where artifacts of this pattern are read from now on."""
        if self.visited_at is not None and self.pattern in {None, pattern}:
            return self.model_copy(update={"pattern": pattern})
        return self.model_copy(update={"pattern": pattern, "fitted": False, "unfitted": 0})

    def having_read(self, *, fits: bool) -> "Place":
        """This place after one more run that left artifacts, of which one is called as receipts are, or none."""
        changed = {"fitted": True} if fits else {"unfitted": self.unfitted + 1}
        return self.model_copy(update=changed)

    def walking(self, now: datetime, look_back: timedelta, pattern: str = "") -> Walk:
        """The walk to go on with, or a new one; ``pattern`` is that of the artifacts that are read for receipts now."""
        if self.pattern not in {None, pattern}:
            return Walk(began=now, floor=_steadied(now - look_back), sweeps=True, again=True)
        if self.walk is not None:
            return self.walk
        if self.seen_until is None or self.swept_at is None or now - self.swept_at >= SWEEP_EVERY:
            return Walk(began=now, floor=_steadied(now - look_back), sweeps=True)
        floor = self.seen_until - OVERLAP
        if self.open_since is not None:
            floor = min(floor, max(self.open_since, now - WAIT_FOR_OPEN))
        return Walk(began=now, floor=_steadied(floor), sweeps=False)

    def troubled(self, attempt: str, now: datetime, problem: str, most: int) -> "Place":
        """This place, where an attempt could not be read once more; of more than ``most`` the oldest are forgotten."""
        others = {name: trouble for name, trouble in self.troubles.items() if name != attempt}
        kept = dict([*others.items(), (attempt, Trouble.again(self.troubles.get(attempt), now, problem))][-most:])
        return self.model_copy(update={"troubles": kept})

    def eased(self, now: datetime, attempt: str = "") -> "Place":
        """This place without the trouble of an attempt, and without those that nobody came back to for a day."""
        kept = {n: each for n, each in self.troubles.items() if n != attempt and now - each.until < WAIT_FOR_OPEN}
        return self if len(kept) == len(self.troubles) else self.model_copy(update={"troubles": kept})

    def after(self, walk: Walk) -> "Place":
        """This place, gone through to the end."""
        return Place(
            troubles=self.troubles,
            pattern=self.pattern,
            fitted=self.fitted,
            unfitted=self.unfitted,
            visited_at=self.visited_at,
            seen_until=walk.began,
            swept_at=walk.began if walk.sweeps else self.swept_at,
            open_since=walk.open_since,
        )


_PLACES = TypeAdapter(dict[str, Place])


def places_of(cursor: str) -> dict[str, Place]:
    """The places in a cursor's text; none when it is no cursor of this version: then all is gone through anew."""
    try:
        return _PLACES.validate_json(cursor) if cursor else {}
    except ValidationError:
        return {}


def cursor_of(places: dict[str, Place]) -> str:
    """The text of a cursor."""
    return _PLACES.dump_json(places, exclude_none=True).decode()


def _steadied(time: datetime) -> datetime:
    """Five minutes at a time: so that the same question is asked again, and a forge can answer: nothing changed."""
    return time.replace(minute=time.minute - time.minute % 5, second=0, microsecond=0)
