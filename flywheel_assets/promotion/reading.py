"""Reading logs once for a pass over many builds, and finding in them what is about a build without going through all.

A log of ten thousand builds is read and verified whole at the start of a pass; what the pass itself adds is entered.
What others add meanwhile is found by the next pass: a verdict on less is not the verdict on the evidence of then, and
is asked for again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets.promotion.flywheel import Flywheel, Gist
from flywheel_assets.promotion.intake import RECEIPT, output_log


class Indexed:
    """A log's entries by kind, and by kind and subject. Receipts are found by their gist once it was given."""

    def __init__(self, entries: tuple[LogEntry, ...]) -> None:
        self.entries = list(entries)
        self._of: dict[str, list[LogEntry]] = defaultdict(list)
        self._about: dict[tuple[str, str], list[LogEntry]] = defaultdict(list)
        self._of_run: dict[str, list[LogEntry]] = {}
        self._by_source: dict[tuple[str, str], dict[str, list[LogEntry]]] = {}
        self._by_artifact: dict[str, list[LogEntry]] = {}
        self._by_run: dict[tuple[str, tuple[str, str]], list[LogEntry]] = {}
        self._by_actor: dict[tuple[str, str], LogEntry] = {}
        self._again: dict[str, list[LogEntry]] = {}
        self._of_strangers: set[str] = set()
        self._unsorted: list[LogEntry] = []
        for entry in entries:
            self._file(entry)

    def add(self, entry: LogEntry) -> None:
        """Enter what was appended after the last entry."""
        self.entries.append(entry)
        self._file(entry)

    def of(self, kind: str) -> list[LogEntry]:
        """All of a kind, oldest first."""
        return self._of.get(kind, [])

    def about(self, kind: str, subject: str) -> list[LogEntry]:
        """All of a kind about a subject, oldest first."""
        return self._about.get((kind, subject), [])

    def receipts_of(self, run: str) -> list[LogEntry]:
        """All receipts of a run of whatever repository, authentic or not, oldest first: no gist is needed."""
        return self._of_run.get(run, [])

    def sort(self, gist_of: Callable[[LogEntry], Gist | None]) -> None:
        """Have receipts found by their gist; those that have none yet are asked for again the next time."""
        left = []
        for entry in self._unsorted:
            gist = gist_of(entry)
            if gist is None:
                left.append(entry)
            elif not gist.is_authentic:
                self._of_strangers.add(gist.artifact)
            else:
                self._by_source.setdefault(gist.source, {}).setdefault(gist.says, []).append(entry)
                self._by_artifact.setdefault(gist.artifact, []).append(entry)
                self._by_actor.setdefault((gist.artifact, gist.actor), entry)
                if not _is_first_attempt(entry):
                    self._again.setdefault(gist.artifact, []).append(entry)
                self._by_run.setdefault((run_of(entry), gist.source), []).append(entry)
        self._unsorted = left

    def from_sources(self, sources: Iterable[tuple[str, str]]) -> list[list[LogEntry]]:
        """Authentic receipts from these revisions, for these systems: a list for all that say the same."""
        return [same for source in sources for same in self._by_source.get(source, {}).values()]

    def of_run(self, run: str, sources: Iterable[tuple[str, str]]) -> list[LogEntry]:
        """Authentic receipts of a run's attempts from these revisions, for these systems."""
        return [entry for source in sources for entry in self._by_run.get((run, source), [])]

    def by_actors(self, digests: Iterable[str], actors: Iterable[str]) -> list[LogEntry]:
        """Of authentic receipts of artifacts by hex digest, the first that names each of these who started its run."""
        found = (self._by_actor.get((digest, actor)) for digest in digests for actor in actors)
        return _in_order(entry for entry in found if entry is not None)

    def attempts_again(self, digests: Iterable[str]) -> list[LogEntry]:
        """Authentic receipts of artifacts by hex digest that are of an attempt after the first."""
        return _in_order(entry for digest in digests for entry in self._again.get(digest, []))

    def of_artifacts(self, digests: Iterable[str]) -> list[LogEntry]:
        """Authentic receipts of artifacts by hex digest, oldest first."""
        return _in_order(entry for digest in digests for entry in self._by_artifact.get(digest, []))

    def of_strangers(self, digests: Iterable[str]) -> set[str]:
        """Those of these artifacts, by hex digest, that a receipt names whose signer nobody trusts, or trusts no more.

        There may be authentic ones of them too.
        """
        return self._of_strangers.intersection(digests)

    def _file(self, entry: LogEntry) -> None:
        self._of[entry.kind].append(entry)
        self._about[entry.kind, entry.subject].append(entry)
        if entry.kind == RECEIPT:
            self._unsorted.append(entry)
            self._of_run.setdefault(run_of(entry), []).append(entry)


class OneReading:
    """An evidence store whose logs are read once, for a pass over many builds."""

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store
        self._logs: dict[str, Indexed] = {}
        self._asked_for: set[str] = set()

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        """As the store's, once."""
        return tuple(self.indexed(log).entries)

    def indexed(self, log: str) -> Indexed:
        """The same, to find things in."""
        self._asked_for.add(log)
        if log not in self._logs:
            self._logs[log] = Indexed(self._store.entries(log))
        return self._logs[log]

    def asked_for(self) -> dict[str, int]:
        """How long each log is that was asked for since the last time, and could be read."""
        lengths = {log: len(self._logs[log].entries) for log in sorted(self._asked_for & self._logs.keys())}
        self._asked_for.clear()
        return lengths

    def append(self, log: str, kind: str, subject: str, evidence: EvidenceDigest) -> LogEntry:
        """As the store's. What somebody else added before it is read, too."""
        entry = self._store.append(log, kind, subject, evidence)
        known = self._logs.get(log)
        if known is not None and entry.number == len(known.entries) + 1:
            known.add(entry)
        elif known is not None and entry.number > len(known.entries):
            del self._logs[log]
        return entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class SupposedReading(OneReading):
    """An evidence store with receipts entered that wait for an output: by its log, nothing of it written."""

    def __init__(self, store: EvidenceStore, waiting: Mapping[str, Iterable[LogEntry]]) -> None:
        super().__init__(store)
        self._waiting = waiting

    def indexed(self, log: str) -> Indexed:
        """As the store's, and what would be entered."""
        is_new = log not in self._logs
        found = super().indexed(log)
        for entry in self._waiting.get(log, ()) if is_new else ():
            found.add(replace(entry, number=len(found.entries) + 1))
        return found


class EarlierReading(OneReading):
    """An evidence store whose logs are as long as they were once: ``lengths``; what is not named there, was empty."""

    def __init__(self, store: EvidenceStore) -> None:
        super().__init__(store)
        self._whole: dict[str, tuple[LogEntry, ...]] = {}
        self.lengths: dict[str, int] = {}

    def whole(self, log: str) -> tuple[LogEntry, ...]:
        """All that a log holds by now."""
        if log not in self._whole:
            self._whole[log] = self._store.entries(log)
        return self._whole[log]

    def indexed(self, log: str) -> Indexed:
        """Of one length to the next, only what lies between is filed."""
        self._asked_for.add(log)
        length, known = self.lengths.get(log, 0), self._logs.get(log)
        if known is None or len(known.entries) > length:
            known = self._logs[log] = Indexed(())
        for entry in self.whole(log)[len(known.entries) : length]:
            known.add(entry)
        return known


def run_of(entry: LogEntry) -> str:
    """The run that a receipt's entry is about."""
    return entry.subject.partition(".")[0]


def _is_first_attempt(entry: LogEntry) -> bool:
    return entry.subject.split(".")[1] == "1"


def _in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    return sorted(entries, key=lambda entry: entry.number)


def one_reading(flywheel: Flywheel) -> Flywheel:
    """The flywheel for one pass over many builds."""
    if isinstance(flywheel.evidence, OneReading):
        return flywheel
    return replace(flywheel, evidence=cast("EvidenceStore", OneReading(flywheel.evidence)))


def earlier_reading(flywheel: Flywheel) -> Flywheel:
    """The flywheel for verdicts of different times, under one catalogue."""
    return replace(flywheel, evidence=cast("EvidenceStore", EarlierReading(flywheel.evidence)))


def asked_for(flywheel: Flywheel) -> dict[str, int]:
    """How long each log is that was asked for in this pass since the last time; nothing outside of one."""
    store: object = flywheel.evidence
    return store.asked_for() if isinstance(store, OneReading) else {}


def outputs_in_evidence(flywheel: Flywheel) -> tuple[str, ...]:
    """Every output that is in the catalogue, or has a log: what left the catalogue is in evidence as before.

    Raises EvidenceError.
    """
    prefix, logs = output_log(""), flywheel.evidence.logs()
    has_log = sorted(log.removeprefix(prefix) for log in logs if log.startswith(prefix))
    return tuple(dict.fromkeys((*flywheel.catalogue.outputs, *has_log)))


def indexed(flywheel: Flywheel, log: str) -> Indexed:
    """A log to find things in; read anew unless this is such a pass. Raises EvidenceError."""
    store: object = flywheel.evidence
    return store.indexed(log) if isinstance(store, OneReading) else Indexed(flywheel.evidence.entries(log))
