"""Going through all that workflows carry out: what is on its way at every visit, what was released once a day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from secrets import token_bytes

from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceError, FlywheelError
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.promotion.dispatches import last_dispatches, last_release
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.following import follow_each, look_again
from flywheel_assets.promotion.intake import never
from flywheel_assets.promotion.ledger import last_verdict
from flywheel_assets.promotion.reading import one_reading, outputs_in_evidence
from flywheel_assets.promotion.waiting import against

WATCHED = timedelta(days=1)
"""What failed is looked at so long, at every visit: a run may show late, and a person may have it run again."""
RUN_AGAIN = timedelta(days=30)
"""So long a forge lets people have a run run again (GitHub); what is held or withdrawn is looked at till then."""
STOPPED_BY = {"not_held", "not_withdrawn"}  # rules
_DONE = "done"


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
    reading = one_reading(flywheel)
    on_their_way = [last for last in _last(reading, found) if _is_followed(reading, last)]
    found.problems += _uncatalogued(reading)
    for last in sorted(on_their_way, key=lambda _last: token_bytes(8)):
        if enough():
            found.open += last.state.is_open
        else:
            _keep(found, last, _look(flywheel, last))
    return found


def look_at_released(flywheel: Flywheel, place: str, today: date, enough: Callable[[], bool]) -> Followed:
    """The day's round over what came to its end, whatever is on record of it, gone on with from ``place``.

    That is the day, and the output and build that come next, or that it is done: then nothing at all is read. What
    could not be looked at keeps the round open: from the first of it on, it is gone through again in the next hour.
    """
    found, hour = Followed(place=place), f"{flywheel.clock():%H}"
    day, first, failed, tried = (*place.split(" "), "", "", "", "")[:4]
    if day != today.isoformat():
        first = failed = ""
    elif first == _DONE:
        if not failed or tried == hour:
            return found
        first, failed = failed, ""
    last_ones = list(_last(one_reading(flywheel), found))
    for last in sorted((each for each in last_ones if _is_over(each)), key=_name):
        if _name(last) < first:
            continue
        if enough():
            found.place = f"{today.isoformat()} {_name(last)} {failed}".rstrip()
            return found
        if not _keep(found, last, partial(_look_back, flywheel, last)):
            failed = failed or _name(last)
    found.place = f"{today.isoformat()} {_DONE} {failed} {hour}" if failed else f"{today.isoformat()} {_DONE}"
    return found


def _last(flywheel: Flywheel, found: Followed) -> Iterator[Dispatch]:
    """How far each build has come; a log that cannot be read is told, and holds up no other."""
    for output in flywheel.catalogue.outputs:
        try:
            yield from last_dispatches(flywheel, output).values()
        except EvidenceError as error:
            found.problems.append(f"{output}: {error}")


def _uncatalogued(flywheel: Flywheel) -> Iterator[str]:
    """What goes on of outputs that the catalogue does not know any more: nothing here can stop that."""
    for output in outputs_in_evidence(flywheel):
        if output not in flywheel.catalogue.outputs:
            for last in last_dispatches(flywheel, output).values():
                if last.state.is_open:
                    yield f"{output} {last.build}: the catalogue knows no such output any more. {against(last)[1]}"


def _is_over(last: Dispatch) -> bool:
    return last.state.is_out or last.state is DispatchState.FAILED


def _is_followed(flywheel: Flywheel, last: Dispatch) -> bool:
    is_doubted = last.state is DispatchState.RELEASED and last.vain > 0
    if last.state is not DispatchState.FAILED:
        return last.state.is_open or is_doubted
    age = flywheel.clock() - last.at
    return age < WATCHED or (age < RUN_AGAIN and _is_stopped(flywheel, last))


def _is_stopped(flywheel: Flywheel, last: Dispatch) -> bool:
    """Whether people stopped it, as the last verdict has it."""
    recorded = last_verdict(flywheel, last.output, last.build)
    findings = recorded.verdict.findings if recorded else ()
    return any(each.rule in STOPPED_BY and each.verdict is not VerdictClass.PASSED for each in findings)


def _look(flywheel: Flywheel, last: Dispatch) -> Callable[[], Dispatch | None]:
    return partial(look_again if last.state.is_out else follow_each, flywheel, last.output, last.build)


def _look_back(flywheel: Flywheel, last: Dispatch) -> Dispatch | None:
    """At what was released, though a later request failed; at how far it has come where nothing was."""
    released = last_release(flywheel, last.output, last.build)
    if released is None:
        return follow_each(flywheel, last.output, last.build)
    now = look_again(flywheel, last.output, last.build)
    return last if now == released else now


def _name(last: Dispatch) -> str:
    """Of the build in a place; no output is called as the end of a round is."""
    return f"{last.output}/{last.build}"


def _keep(found: Followed, last: Dispatch, look: Callable[[], Dispatch | None]) -> bool:
    """Whether it could be looked at."""
    problems = len(found.problems)
    try:
        now = look() or last
    except FlywheelError as error:
        found.problems.append(f"{last.output} {last.build}: {error}")
        now = last
    if now != last:
        found.changed.append(now)
    found.open += now.state.is_open
    return len(found.problems) == problems
