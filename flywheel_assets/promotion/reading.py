"""Reading logs once for a pass over many builds, and finding in them what is about a build without going through all.

A log of ten thousand builds is read and verified whole at the start of a pass; what the pass itself adds is entered.
What others add meanwhile is found by the next pass: a verdict on less is not the verdict on the evidence of then, and
is asked for again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets.promotion.flywheel import Flywheel, Gist
from flywheel_assets.promotion.intake import RECEIPT


class Indexed:
    """A log's entries by kind, and by kind and subject. Receipts are found by their gist once it was given."""

    def __init__(self, entries: tuple[LogEntry, ...]) -> None:
        self.entries = list(entries)
        self._of: dict[str, list[LogEntry]] = defaultdict(list)
        self._about: dict[tuple[str, str], list[LogEntry]] = defaultdict(list)
        self._by_source: dict[tuple[str, str], dict[str, list[LogEntry]]] = {}
        self._by_artifact: dict[str, list[LogEntry]] = {}
        self._by_run: dict[tuple[str, tuple[str, str]], list[LogEntry]] = {}
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

    def sort(self, gist_of: Callable[[LogEntry], Gist | None]) -> None:
        """Have receipts found by their gist; those that have none yet are asked for again the next time."""
        left = []
        for entry in self._unsorted:
            gist = gist_of(entry)
            if gist is None:
                left.append(entry)
            elif gist.is_authentic:
                self._by_source.setdefault(gist.source, {}).setdefault(gist.says, []).append(entry)
                self._by_artifact.setdefault(gist.artifact, []).append(entry)
                self._by_run.setdefault((run_of(entry), gist.source), []).append(entry)
        self._unsorted = left

    def from_sources(self, sources: Iterable[tuple[str, str]]) -> list[list[LogEntry]]:
        """Authentic receipts from these revisions, for these systems: a list for all that say the same."""
        return [same for source in sources for same in self._by_source.get(source, {}).values()]

    def of_run(self, run: str, sources: Iterable[tuple[str, str]]) -> list[LogEntry]:
        """Authentic receipts of a run's attempts from these revisions, for these systems."""
        return [entry for source in sources for entry in self._by_run.get((run, source), [])]

    def of_artifacts(self, digests: Iterable[str]) -> list[LogEntry]:
        """Authentic receipts of artifacts by hex digest, oldest first."""
        found = (entry for digest in digests for entry in self._by_artifact.get(digest, []))
        return sorted(found, key=lambda entry: entry.number)

    def _file(self, entry: LogEntry) -> None:
        self._of[entry.kind].append(entry)
        self._about[entry.kind, entry.subject].append(entry)
        if entry.kind == RECEIPT:
            self._unsorted.append(entry)


class OneReading:
    """An evidence store whose logs are read once, for a pass over many builds."""

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store
        self._logs: dict[str, Indexed] = {}

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        """As the store's, once."""
        return tuple(self.indexed(log).entries)

    def indexed(self, log: str) -> Indexed:
        """The same, to find things in."""
        if log not in self._logs:
            self._logs[log] = Indexed(self._store.entries(log))
        return self._logs[log]

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


def run_of(entry: LogEntry) -> str:
    """The run that a receipt's entry is about."""
    return entry.subject.partition(".")[0]


def one_reading(flywheel: Flywheel) -> Flywheel:
    """The flywheel for one pass over many builds."""
    if isinstance(flywheel.evidence, OneReading):
        return flywheel
    return replace(flywheel, evidence=cast("EvidenceStore", OneReading(flywheel.evidence)))


def indexed(flywheel: Flywheel, log: str) -> Indexed:
    """A log to find things in; read anew unless this is such a pass. Raises EvidenceError."""
    store: object = flywheel.evidence
    return store.indexed(log) if isinstance(store, OneReading) else Indexed(flywheel.evidence.entries(log))
