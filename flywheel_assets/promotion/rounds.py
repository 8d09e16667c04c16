"""Going through all that workflows carry out: what is on its way at every visit, what was released once a day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from secrets import token_bytes

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.promotion.dispatches import dispatched_outputs, last_dispatches
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.following import follow, look_again
from flywheel_assets.promotion.intake import never
from flywheel_assets.promotion.reading import one_reading

WATCHED = timedelta(days=1)
"""What failed is looked at so long, at every visit: a run may show late, and a person may have it run again."""
_DONE = "done"
_OVER = {DispatchState.RELEASED, DispatchState.YANKED, DispatchState.FAILED}


@dataclass(slots=True)
class Followed:
    """What a visit saw that was not on record, what it could not see, and how far the day's round has come."""

    changed: list[Dispatch] = field(default_factory=list)
    open: int = 0
    problems: list[str] = field(default_factory=list)
    place: str = ""


def follow_all(flywheel: Flywheel, enough: Callable[[], bool] = never) -> Followed:
    """Look once at every build that is on its way, as far as ``enough`` lets it come, and hold up none for another.

    In an order of chance: a place to go on from would be lost with a visit that is ended, and the next one would begin
    with the forge that ended it. Raises EvidenceError when a log cannot be read.
    """
    found = Followed()
    on_their_way = [last for last in _last(flywheel) if _is_followed(flywheel, last)]
    for last in sorted(on_their_way, key=lambda _last: token_bytes(8)):
        if enough():
            found.open += last.state.is_open
        else:
            _keep(found, last, _look(flywheel, last))
    return found


def look_at_released(flywheel: Flywheel, place: str, today: date, enough: Callable[[], bool]) -> Followed:
    """The day's round over what came to its end, whatever is on record of it, gone on with from ``place``.

    That is the day, and the output and build that come next, or that it is done: then nothing at all is read.
    """
    found, (day, _, first) = Followed(place=place), place.partition(" ")
    if day != today.isoformat():
        first = ""
    elif first == _DONE:
        return found
    ended = [last for last in _last(flywheel) if last.state in _OVER]
    for last in sorted(ended, key=_name):
        if _name(last) < first:
            continue
        if enough():
            found.place = f"{today.isoformat()} {_name(last)}"
            return found
        _keep(found, last, _look(flywheel, last))
    found.place = f"{today.isoformat()} {_DONE}"
    return found


def _last(flywheel: Flywheel) -> Iterator[Dispatch]:
    """How far each build has come, each log read once."""
    reading = one_reading(flywheel)
    for output in dispatched_outputs(reading):
        yield from last_dispatches(reading, output).values()


def _is_followed(flywheel: Flywheel, last: Dispatch) -> bool:
    is_doubted = last.state is DispatchState.RELEASED and last.vain > 0
    is_fresh = last.state is DispatchState.FAILED and flywheel.clock() - last.at < WATCHED
    return last.state.is_open or is_doubted or is_fresh


def _look(flywheel: Flywheel, last: Dispatch) -> Callable[[], Dispatch | None]:
    look: Callable[[Flywheel, str, BuildKey], Dispatch | None] = (
        look_again if last.state in {DispatchState.RELEASED, DispatchState.YANKED} else follow
    )
    return partial(look, flywheel, last.output, last.build)


def _name(last: Dispatch) -> str:
    """Of the build in a place; no output is called as the end of a round is."""
    return f"{last.output}/{last.build}"


def _keep(found: Followed, last: Dispatch, look: Callable[[], Dispatch | None]) -> None:
    try:
        now = look() or last
    except FlywheelError as error:
        found.problems.append(f"{last.output} {last.build}: {error}")
        now = last
    if now != last:
        found.changed.append(now)
    found.open += now.state.is_open
