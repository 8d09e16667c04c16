"""Intake: what arrived in the inbox becomes evidence, exactly once, and nothing is lost.

A receipt for a catalogued output goes into that output's log, whoever signed it: the gate judges signatures.
One for an output that the catalogue does not know waits in UNROUTED until the catalogue does. What cannot be
read is kept there too, as a dead letter with its reason, and settled when what can be read comes under its name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import DECISION_V1, Act, Decision, read_decision
from flywheel_assets.domain.decisions import REMEDY as SIGN
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.receipts import REMEDY, Receipt, TestOutcome, receipt_or_test
from flywheel_assets.domain.statements import PAYLOAD_TYPE, canonical, parse_statement
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.ports import Checked, Delivery, LogEntry, Trusted
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS, hear_signers

UNROUTED = "unrouted"
TESTS = "tests"
RECEIPT, TEST, UNKNOWN_OUTPUT, DEAD_LETTER = "receipt", "test", "unknown-output", "dead-letter"
# What was done about an entry of UNROUTED; the subject is that entry's number.
SETTLED, DISMISSED = "settled", "dismissed"
# A test result is in evidence once its last subject is: the entries of all others are of this kind.
TEST_PART = "test-part"


def output_log(output: str) -> str:
    """The name of an output's log."""
    return f"output-{output}"


@dataclass(slots=True)
class Taken:
    """What one intake found that was not in evidence before.

    ``postponed`` are the problems of deliveries that another try may take in, and of logs that are damaged; ``more``
    says that it ended before the inbox did.
    """

    builds: list[tuple[str, BuildKey]] = field(default_factory=list)
    tests: int = 0
    decisions: int = 0
    unknown_outputs: int = 0
    dead_letters: int = 0
    postponed: list[str] = field(default_factory=list)
    more: bool = False

    def add(self, more: "Taken") -> None:
        """Count another intake in."""
        self.builds += more.builds
        self.tests += more.tests
        self.decisions += more.decisions
        self.unknown_outputs += more.unknown_outputs
        self.dead_letters += more.dead_letters
        self.postponed, self.more = more.postponed, more.more

    def postpone(self, problem: str) -> None:
        """Leave something for another try; a damaged log is told of once, however many deliveries wait for it."""
        if problem not in self.postponed:
            self.postponed.append(problem)

    @property
    def total(self) -> int:
        """How many documents were taken."""
        return len(self.builds) + self.tests + self.decisions + self.unknown_outputs + self.dead_letters


def never() -> bool:
    """The end of an intake that has all the time it needs."""
    return False


def take_in(flywheel: Flywheel, enough: Callable[[], bool] = never) -> Taken:
    """Take in what the inbox holds and evidence does not, at most one batch of the limits policy.

    It also ends as soon as ``enough`` says so. The next call goes on: what this process has found in evidence once is
    not read again while it stays as it is. What belongs into a log that is damaged is postponed, and the rest goes on.
    Raises ReadError for the inbox; what was taken until then is in evidence.
    """
    taken = Taken()
    _route_what_waited(flywheel, taken, enough)
    known = known_documents(flywheel, taken.postpone)
    unread = _Unread(flywheel, taken.postpone)
    for delivery in flywheel.inbox.deliveries(flywheel.seen):
        if taken.total >= flywheel.limits.inbox_batch or enough():
            taken.more = True
            break
        if delivery.passing:
            taken.postpone(delivery.problem)
            continue
        document = canonical_problem(delivery) if delivery.data is None else delivery.data
        digest = EvidenceDigest.of(document)
        try:
            if digest not in known:
                buried = taken.dead_letters
                take(flywheel, delivery, document, taken)
                known.add(digest)
                if taken.dead_letters > buried:
                    unread.documents.add(digest)
            unread.answered_by(delivery, digest)
        except EvidenceError as error:
            taken.postpone(str(error))
            continue
        if delivery.version:  # last: a crash before makes it be looked at again, and never passed over
            flywheel.seen.add(delivery.version)
    return taken


class _Unread:
    """The dead letters that are open, of which a delivery that can be read may be the answer.

    ``documents`` are those of all dead letters: what lies in the inbox unchanged is no answer to itself.
    """

    def __init__(self, flywheel: Flywheel, damaged: Callable[[str], object]) -> None:
        self.documents: set[EvidenceDigest] = set()
        self._evidence = flywheel.evidence
        self._open: dict[str, list[LogEntry]] = {}
        try:
            entries = flywheel.evidence.entries(UNROUTED)
        except EvidenceError as error:
            damaged(str(error))
            return
        done = closed_in(entries)
        for entry in (each for each in entries if each.kind == DEAD_LETTER):
            self.documents.add(entry.evidence)
            if entry.number not in done:
                self._open.setdefault(entry.subject.partition(": ")[0], []).append(entry)

    def answered_by(self, delivery: Delivery, document: EvidenceDigest) -> None:
        """Settle what could not be read when it lay under the same name, now that this was. Raises EvidenceError."""
        name = printable(delivery.name)
        if delivery.data is None or document in self.documents:
            return
        for entry in self._open.get(name, ()):
            self._evidence.append(UNROUTED, SETTLED, str(entry.number), document)
        self._open.pop(name, None)


def canonical_problem(delivery: Delivery) -> bytes:
    """What stands in evidence for a delivery that was too large or unreadable to be kept itself."""
    return canonical({"delivery": printable(delivery.name), "problem": printable(delivery.problem, 400)})


def known_documents(flywheel: Flywheel, damaged: Callable[[str], object]) -> set[EvidenceDigest]:
    """What is in evidence already, of all that ever arrived; ``damaged`` is told of each log that cannot be read."""
    kinds, found = {RECEIPT, TEST, UNKNOWN_OUTPUT, DEAD_LETTER, *Act}, set()
    for log in [UNROUTED, TESTS, DECISIONS, *(output_log(name) for name in flywheel.catalogue.outputs)]:
        try:
            found |= {entry.evidence for entry in flywheel.evidence.entries(log) if entry.kind in kinds}
        except EvidenceError as error:  # nothing can be added to it either, so nothing comes into it twice
            damaged(str(error))
    return found


def take(flywheel: Flywheel, delivery: Delivery, document: bytes, taken: Taken) -> None:
    """Put a delivery, or what stands for it, into evidence and into the log where it belongs."""
    evidence = flywheel.evidence.put(document)
    if delivery.data is None:
        problem = InvalidInputError(delivery.name, "file", delivery.problem, "Deliver it again.")
        return _bury(flywheel, problem, evidence, taken)
    try:
        statement = open_statement(flywheel, document, delivery.name)
    except InvalidInputError as error:
        return _bury(flywheel, error, evidence, taken)
    return route(flywheel, statement, evidence, taken)


def _bury(flywheel: Flywheel, problem: InvalidInputError, evidence: EvidenceDigest, taken: Taken) -> None:
    flywheel.evidence.append(UNROUTED, DEAD_LETTER, str(problem), evidence)
    taken.dead_letters += 1


def route(
    flywheel: Flywheel, statement: Receipt | TestOutcome | Decision, evidence: EvidenceDigest, taken: Taken
) -> None:
    """Enter what was read into the log where it belongs."""
    if isinstance(statement, Decision):
        hear_signers(flywheel, statement, evidence)
        flywheel.evidence.append(DECISIONS, statement.act.value, printable(statement.scope.subject, 200), evidence)
        taken.decisions += 1
    elif isinstance(statement, TestOutcome):
        *others, last = dict.fromkeys(subject.hex for subject in statement.subjects)
        for subject in others:
            flywheel.evidence.append(TESTS, TEST_PART, subject, evidence)
        flywheel.evidence.append(TESTS, TEST, last, evidence)
        taken.tests += 1
    elif statement.output in flywheel.catalogue.outputs:
        key = statement.run.key
        flywheel.evidence.append(output_log(statement.output), RECEIPT, str(key), evidence)
        taken.builds.append((statement.output, key))
    else:
        waiting = f"{statement.output} {statement.run.key}"
        flywheel.evidence.append(UNROUTED, UNKNOWN_OUTPUT, waiting, evidence)
        taken.unknown_outputs += 1


def _route_what_waited(flywheel: Flywheel, taken: Taken, enough: Callable[[], bool]) -> None:
    """An output that the catalogue knows by now takes the receipts that waited for it."""
    routed: dict[str, set[EvidenceDigest]] = {}
    try:
        waiting = waiting_for_catalogue(flywheel)
    except EvidenceError as error:
        return taken.postpone(str(error))
    for entry in waiting:
        if taken.total >= flywheel.limits.inbox_batch or enough():
            break
        output = entry.subject.partition(" ")[0]
        if output not in flywheel.catalogue.outputs:
            continue
        try:
            if output not in routed:
                routed[output] = {each.evidence for each in flywheel.evidence.entries(output_log(output))}
            if entry.evidence in routed[output]:
                continue
            statement = open_statement(flywheel, flywheel.evidence.get(entry.evidence), f"receipt of {output}")
            route(flywheel, statement, entry.evidence, taken)
        except (EvidenceError, InvalidInputError) as error:  # it stays in the report as unrouted; the rest goes on
            taken.postpone(str(error))
    return None


def waiting_for_catalogue(flywheel: Flywheel) -> list[LogEntry]:
    """Receipts of outputs that the catalogue did not know when they came."""
    return [entry for entry in flywheel.evidence.entries(UNROUTED) if entry.kind == UNKNOWN_OUTPUT]


def dead_letters(flywheel: Flywheel) -> list[LogEntry]:
    """Deliveries that could not be read; the subject is the reason."""
    return [entry for entry in flywheel.evidence.entries(UNROUTED) if entry.kind == DEAD_LETTER]


def closed(flywheel: Flywheel) -> dict[int, LogEntry]:
    """What was settled or dismissed of UNROUTED: by the number of the entry, the entry that says so."""
    return closed_in(flywheel.evidence.entries(UNROUTED))


def closed_in(entries: Iterable[LogEntry]) -> dict[int, LogEntry]:
    """The same of entries of UNROUTED that were read already."""
    return {int(entry.subject): entry for entry in entries if entry.kind in {SETTLED, DISMISSED}}


def open_statement(flywheel: Flywheel, document: bytes, name: str) -> Receipt | TestOutcome | Decision:
    """The statement in an envelope or bundle, or a bare one that nobody signed. Raises InvalidInputError.

    A decision that nobody signed is nobody's, and invalid.
    """
    return open_signed(flywheel, document, name, {})[1]


def open_signed(
    flywheel: Flywheel, document: bytes, name: str, trusted: Mapping[str, Trusted]
) -> tuple[Checked | None, Receipt | TestOutcome | Decision]:
    """The same with what its signatures by ``trusted`` are worth; None where nobody signed it."""
    payload, checked = document, None
    if is_envelope(document, name, flywheel.limits):
        checked = flywheel.verifier.check(document, name, trusted)
        if checked.payload_type != PAYLOAD_TYPE:
            problem = f"is {printable(checked.payload_type)!r}, and only {PAYLOAD_TYPE!r} is taken"
            raise InvalidInputError(name, "payloadType", problem, "Emit the receipt with `flywheel receipt`.")
        payload = checked.payload
    statement = _read(payload, name, flywheel.limits)
    is_signed = checked is not None and bool(checked.keys or checked.unknown or checked.invalid)
    if isinstance(statement, Decision) and not is_signed:
        raise InvalidInputError(name, "signatures", "nobody signed this decision", SIGN)
    return checked, statement


def _read(payload: bytes, name: str, limits: Limits) -> Receipt | TestOutcome | Decision:
    statement = parse_statement(payload, name, REMEDY, limits)
    is_decision = statement.predicate_type == DECISION_V1
    return read_decision(statement, name) if is_decision else receipt_or_test(statement, name, limits)


def is_envelope(document: bytes, name: str = "document", limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether this is an envelope or a bundle, and no bare Statement. Raises InvalidInputError when it is no JSON."""
    parsed = parse_json(document, name, max_bytes=limits.signed_bytes, limits=limits)
    return "payload" in parsed or "mediaType" in parsed
