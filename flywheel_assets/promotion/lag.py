"""How far intake and judging are behind: the age of the oldest build that arrived and is not judged yet.

From the logs alone, so it costs what reading them costs; no document is opened.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, ReadError
from flywheel_assets.ports import Delivery, LogEntry
from flywheel_assets.promotion.builder_surface import BUILDERS
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, canonical_problem, known_documents, output_log
from flywheel_assets.promotion.ledger import VERDICT
from flywheel_assets.promotion.letters import LetterState, letters
from flywheel_assets.promotion.reading import Indexed, indexed, one_reading

LATE = timedelta(hours=1)
"""The slowest step on the way is a run over a batch of builds, which takes minutes: after an hour something stands."""

_PEEKED = 100  # deliveries looked at for one that is not in evidence


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits. ``oldest`` names what waits longest, ``since`` is when it arrived, both empty when nothing waits.

    ``inbox`` is why the inbox cannot be read, empty when it can. ``undelivered`` is the first delivery that is not in
    evidence yet, empty when there is none. ``damaged`` says which logs cannot be read: what they hold is not counted.
    """

    waiting: int
    oldest: str
    since: datetime | None
    undelivered: str
    inbox: str
    damaged: tuple[str, ...]
    unreadable: int
    unknown_outputs: int

    def seconds(self, now: datetime) -> float:
        """How long the oldest has waited; 0 when nothing waits."""
        return max((now - self.since).total_seconds(), 0.0) if self.since else 0.0


def lag_of(flywheel: Flywheel) -> Lag:
    """The lag of now."""
    flywheel, damaged = one_reading(flywheel), dict[str, None]()
    waiting: list[tuple[LogEntry, str]] = []
    for output in flywheel.catalogue.outputs:
        try:
            waiting += [(entry, output) for entry in _unjudged(indexed(flywheel, output_log(output)))]
        except EvidenceError as error:
            damaged[str(error)] = None
    timed = sorted((entry.at, f"{output} {entry.subject}") for entry, output in waiting if entry.at is not None)
    try:
        flywheel.evidence.entries(BUILDERS)
    except EvidenceError as error:
        damaged[str(error)] = None
    first, inbox = undelivered(flywheel, damaged)
    open_letters = _open_letters(flywheel, damaged)
    return Lag(
        waiting=len(waiting),
        oldest=timed[0][1] if timed else "",
        since=timed[0][0] if timed else None,
        undelivered=first,
        inbox=inbox,
        damaged=tuple(damaged),
        unreadable=open_letters.count("unreadable"),
        unknown_outputs=open_letters.count("unknown-output"),
    )


def _unjudged(log: Indexed) -> list[LogEntry]:
    """The first receipt of each build that has no verdict."""
    judged = {entry.subject for entry in log.of(VERDICT)}
    first = {entry.subject: entry for entry in reversed(log.of(RECEIPT))}
    return [entry for subject, entry in first.items() if subject not in judged]


def _open_letters(flywheel: Flywheel, damaged: dict[str, None]) -> list[str]:
    try:
        return [letter.kind for letter in letters(flywheel) if letter.state is LetterState.OPEN]
    except EvidenceError as error:
        damaged[str(error)] = None
        return []


def undelivered(flywheel: Flywheel, damaged: dict[str, None]) -> tuple[str, str]:
    """The first delivery that is not in evidence, and why the inbox cannot be read; each empty where there is none."""
    known = known_documents(flywheel, damaged.setdefault)
    try:
        for number, delivery in enumerate(flywheel.inbox.deliveries(flywheel.seen)):
            if number >= _PEEKED or _digest(delivery) not in known:
                return delivery.name, ""
    except ReadError as error:
        return "", str(error)
    return "", ""


def _digest(delivery: Delivery) -> EvidenceDigest:
    return EvidenceDigest.of(canonical_problem(delivery) if delivery.data is None else delivery.data)
