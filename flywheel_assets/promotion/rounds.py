"""Going through all that workflows carry out: what is on its way at every visit, what was released once a day."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.promotion.dispatches import dispatched_outputs, last_dispatches
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.following import follow, look_again
from flywheel_assets.promotion.intake import never
from flywheel_assets.promotion.ledger import publications


@dataclass(slots=True)
class Followed:
    """What a visit saw that was not on record, what it could not see, and how far the day's round has come."""

    changed: list[Dispatch] = field(default_factory=list)
    open: int = 0
    problems: list[str] = field(default_factory=list)
    place: str = ""


def follow_all(flywheel: Flywheel, enough: Callable[[], bool] = never, first: str = "") -> Followed:
    """Look once at every build that is on its way, from ``first`` on; ``place`` is the first that time was short for.

    What cannot be seen of one build holds up no other. Raises EvidenceError when a log cannot be read.
    """
    found = Followed()
    on_their_way = [
        (output, build, last)
        for output in dispatched_outputs(flywheel)
        for build, last in last_dispatches(flywheel, output).items()
        if last.state.is_open
    ]
    names = [f"{output} {build}" for output, build, _ in on_their_way]
    start = names.index(first) if first in names else 0
    for output, build, last in on_their_way[start:] + on_their_way[:start]:
        if enough():
            found.place = f"{output} {build}"
            break
        _keep(found, f"{output} {build}", last, partial(follow, flywheel, output, build))
    return found


def look_at_released(flywheel: Flywheel, place: str, today: date, enough: Callable[[], bool]) -> Followed:
    """The day's round over what is published, gone on with from ``place``: ``<day> <how many were looked at>``."""
    day, _, number = place.partition(" ")
    start = int(number) if day == today.isoformat() and number.isdecimal() else 0
    released = [
        (output, publication.build, last)
        for output in dispatched_outputs(flywheel)
        for publication, seen in ((p, last_dispatches(flywheel, output)) for p in publications(flywheel, output))
        if (last := seen.get(publication.build))
    ]
    found, done = Followed(), start
    for output, build, last in released[start:]:
        if enough():
            break
        _keep(found, f"{output} {build}", last, partial(look_again, flywheel, output, build))
        done += 1
    found.place = f"{today.isoformat()} {done}"
    return found


def _keep(found: Followed, name: str, last: Dispatch, look: Callable[[], Dispatch | None]) -> None:
    try:
        now = look() or last
    except FlywheelError as error:
        found.problems.append(f"{name}: {error}")
        now = last
    if now != last:
        found.changed.append(now)
    found.open += now.state.is_open
