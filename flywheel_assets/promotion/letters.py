"""Dead letters: what intake could not read or not route, and what a person does about it.

A letter is an entry of the log of what is unrouted, and has its number for ever. It is settled when its document was
read after all, and dismissed when a person says why it is none of ours; both are entries of the same signed log. What
waits for the catalogue settles itself, without an entry, once the catalogue knows its output.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError, UsageError, printable
from flywheel_assets.domain.platform_runs import run_named
from flywheel_assets.domain.statements import canonical
from flywheel_assets.ports import Delivery, LogEntry
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import (
    DEAD_LETTER,
    DISMISSED,
    RECEIPT,
    SETTLED,
    UNROUTED,
    Taken,
    closed,
    dead_letters,
    open_statement,
    output_log,
    route,
    take,
    waiting_for_catalogue,
)
from flywheel_assets.promotion.reading import indexed, one_reading
from flywheel_assets.promotion.runs import read_again


class LetterState(StrEnum):
    """What has become of a letter."""

    OPEN = "open"
    SETTLED = "settled"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. ``name`` is the delivery's, or the output and build that wait for the catalogue.

    ``since`` is None for what came before logs told the time. ``kept`` is whether evidence holds the document itself.
    ``closed_because`` is what the person who dismissed it wrote.
    """

    number: int
    kind: str
    name: str
    field: str
    problem: str
    since: datetime | None
    evidence: EvidenceDigest
    kept: bool
    state: LetterState
    closed_because: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """What reading a letter again came to."""

    letter: Letter
    read: bool
    says: str


def letters(flywheel: Flywheel) -> list[Letter]:
    """All letters, in the order of their numbers. Raises EvidenceError."""
    flywheel = one_reading(flywheel)
    done = closed(flywheel)
    entries = [*waiting_for_catalogue(flywheel), *dead_letters(flywheel)]
    return [_letter(flywheel, entry, done.get(entry.number)) for entry in sorted(entries, key=lambda e: e.number)]


def find_letter(flywheel: Flywheel, number: int) -> Letter:
    """The letter of that number. Raises UsageError when there is none."""
    for letter in letters(flywheel):
        if letter.number == number:
            return letter
    raise UsageError(f"There is no letter {number}. `flywheel intake list --all` lists them.")


def retry(flywheel: Flywheel, number: int) -> Retried:
    """Read a letter again: what evidence kept of it, or else what lies in the inbox, or in its run, under its name now.

    It is settled when it can be read; repeating that changes nothing. Raises EvidenceError, ReadError for the inbox and
    the forge, UsageError for a run whose forge is not catalogued any more.
    """
    letter = find_letter(flywheel, number)
    if letter.state is LetterState.SETTLED:
        return Retried(letter, read=True, says="it is settled already")
    if letter.kept:
        return _retry_kept(flywheel, letter)
    named = run_named(letter.name)
    if named is not None:
        return _retry_run(flywheel, letter, *named)
    delivery = flywheel.inbox.delivery(letter.name)
    if delivery is None:
        return Retried(
            letter, read=False, says="it does not lie in the inbox any more: deliver it again, or dismiss it"
        )
    return _retry_delivery(flywheel, letter, delivery)


def dismiss(flywheel: Flywheel, number: int, reason: str, by: str) -> Letter:
    """Record why a letter needs nothing done, and who says so. Raises UsageError for one that is closed already."""
    letter = find_letter(flywheel, number)
    if letter.state is not LetterState.OPEN:
        raise UsageError(f"Letter {number} is {letter.state.value} already.")
    said = {"letter": number, "document": str(letter.evidence), "reason": printable(reason, 400), "by": printable(by)}
    evidence = flywheel.evidence.put(canonical(said))
    flywheel.evidence.append(UNROUTED, DISMISSED, str(number), evidence)
    return find_letter(flywheel, number)


def _letter(flywheel: Flywheel, entry: LogEntry, closing: LogEntry | None) -> Letter:
    state, because = LetterState.OPEN, ""
    if closing is not None:
        state = LetterState(closing.kind)
        because = _reason(flywheel, closing) if closing.kind == DISMISSED else ""
    if entry.kind == DEAD_LETTER:
        name, field, problem = (*entry.subject.split(": ", 2), "", "")[:3]
        delivered = _delivered(flywheel, entry) if field == "file" else None
        return Letter(
            number=entry.number,
            kind="unreadable",
            name=delivered or name,
            field=field,
            problem=problem,
            since=entry.at,
            evidence=entry.evidence,
            kept=delivered is None,
            state=state,
            closed_because=because,
        )
    output = entry.subject.partition(" ")[0]
    if state is LetterState.OPEN and output in flywheel.catalogue.outputs and _is_routed(flywheel, output, entry):
        state = LetterState.SETTLED
    return Letter(
        number=entry.number,
        kind="unknown-output",
        name=entry.subject,
        field="output",
        problem=f"the catalogue does not know {output}. Add it under `outputs`; the receipt is then judged.",
        since=entry.at,
        evidence=entry.evidence,
        kept=True,
        state=state,
        closed_because=because,
    )


def _is_routed(flywheel: Flywheel, output: str, entry: LogEntry) -> bool:
    build = entry.subject.partition(" ")[2]
    try:
        routed = indexed(flywheel, output_log(output)).about(RECEIPT, build)
    except EvidenceError:
        return False
    return any(each.evidence == entry.evidence for each in routed)


def _delivered(flywheel: Flywheel, entry: LogEntry) -> str | None:
    """The name of a delivery whose document was never read; None when evidence holds the document itself."""
    try:
        stands_for = json.loads(flywheel.evidence.get(entry.evidence))
    except (EvidenceError, ValueError):
        return None
    ours = isinstance(stands_for, dict) and stands_for.keys() == {"delivery", "problem"}
    return str(stands_for["delivery"]) if ours else None


def _reason(flywheel: Flywheel, closing: LogEntry) -> str:
    try:
        said = json.loads(flywheel.evidence.get(closing.evidence))
        return f"{said['reason']} ({said['by']})"
    except (EvidenceError, ValueError, KeyError, TypeError):
        return "the reason cannot be read from evidence any more"


def _retry_kept(flywheel: Flywheel, letter: Letter) -> Retried:
    document = flywheel.evidence.get(letter.evidence)
    try:
        statement = open_statement(flywheel, document, letter.name)
    except InvalidInputError as error:
        return Retried(letter, read=False, says=f"it still cannot be read: {error.field}: {error.problem}")
    taken = Taken()
    route(flywheel, statement, letter.evidence, taken)
    if taken.unknown_outputs and letter.kind == "unknown-output":
        return Retried(letter, read=False, says=letter.problem)
    return _settled(flywheel, letter, taken, letter.evidence)


def _retry_delivery(flywheel: Flywheel, letter: Letter, delivery: Delivery) -> Retried:
    if delivery.data is None:
        return Retried(letter, read=False, says=f"it still cannot be read: {delivery.problem}")
    taken = Taken()
    evidence = EvidenceDigest.of(delivery.data)
    take(flywheel, delivery, delivery.data, taken)
    return _settled(flywheel, letter, taken, evidence)


def _retry_run(flywheel: Flywheel, letter: Letter, repository: str, run: str, attempt: int) -> Retried:
    """What a run left, fetched again from its forge."""
    try:
        taken, buried = read_again(flywheel, repository, run, attempt)
    except InvalidInputError as error:
        return Retried(letter, read=False, says=f"it still cannot be read: {error}")
    if letter.name in buried:
        return Retried(letter, read=False, says=f"it still cannot be read: {letter.problem}")
    return _settled(flywheel, letter, taken, letter.evidence)


def _settled(flywheel: Flywheel, letter: Letter, taken: Taken, evidence: EvidenceDigest) -> Retried:
    flywheel.evidence.append(UNROUTED, SETTLED, str(letter.number), evidence)
    if taken.dead_letters:
        says = "its bytes were read, and what they say is another letter"
    elif taken.unknown_outputs:
        says = "it was read, and waits for the catalogue"
    elif taken.decisions:
        says = "it was read: a decision, and what it bears on is judged next"
    else:
        what = ", ".join(f"{output} {build}" for output, build in taken.builds) or "a test result"
        says = f"it was read, and is judged next unless it is already: {what}"
    return Retried(find_letter(flywheel, letter.number), read=True, says=says)
