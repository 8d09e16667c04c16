"""Evidence on a local folder: blobs by digest, signed hash-chained logs, create-once slots, claims.

::

    blobs/sha256/<2 hex>/<64 hex>     canonical documents, read-only once written
    logs/<log>/<8 digits>.json        DSSE envelopes; each names its predecessor's digest
    slots/<sha256 of the name>        bytes that were made once
    claims/<sha256 of the name>       lock files; the lock goes with the process that holds it

Entries are signed with the verifier's key, so a writer to the folder cannot forge one. Checkpoints (the last
number and digest seen of each log) lie outside the folder, with the process that verifies: a log that was cut
or rewritten behind them is noticed.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from flywheel_assets.adapters.writing import sync_folder, write_atomically
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import (
    EvidenceCorruptError,
    EvidenceError,
    EvidenceMissingError,
    EvidenceRolledBackError,
    FlywheelError,
    InvalidInputError,
    UnreadableError,
)
from flywheel_assets.domain.statements import canonical
from flywheel_assets.ports import LogEntry, Signer, Verifier

ENTRY_TYPE = "application/vnd.flywheel-assets.log-entry+json"
NOTHING_BEFORE = ""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Link:
    """A verified entry and the digest of the file it was read from."""

    entry: LogEntry
    digest: str


class _Held:
    """What this process has read and verified of a log: to append, only what came since is to be read."""

    def __init__(self, links: list[_Link]) -> None:
        self.links: list[_Link] = []
        self.entries: dict[tuple[str, str, EvidenceDigest], LogEntry] = {}
        for link in links:
            self.add(link)

    def add(self, link: _Link) -> None:
        self.links.append(link)
        self.entries.setdefault((link.entry.kind, link.entry.subject, link.entry.evidence), link.entry)


class FolderEvidence:
    """ports.EvidenceStore on ``folder``, with checkpoints in ``checkpoints``."""

    def __init__(
        self,
        folder: Path,
        checkpoints: Path,
        signer: Signer,
        verifier: Verifier,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """Nothing is read or written yet."""
        self._folder = folder
        self._checkpoints = checkpoints
        self._signer = signer
        self._verifier = verifier
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._verified: dict[tuple[str, int, str, str], LogEntry] = {}
        self._lock = RLock()

    # Blobs

    def put(self, data: bytes) -> EvidenceDigest:
        """Store ``data`` durably under its digest; storing it again changes nothing."""
        digest = EvidenceDigest.of(data)
        path = self._blob(digest)
        if not path.exists() or path.stat().st_size != len(data):
            self._write(path, data)
        return digest

    def get(self, digest: EvidenceDigest) -> bytes:
        """The bytes, hashed again."""
        data = self._read(self._blob(digest), f"evidence {digest}")
        if EvidenceDigest.of(data) != digest:
            raise EvidenceCorruptError(f"Evidence {digest} reads back with another digest: it was altered.")
        return data

    # Logs

    def append(self, log: str, kind: str, subject: str, evidence: EvidenceDigest) -> LogEntry:
        """Add to a log what it does not hold yet. Two writers make one chain: a number is taken only once.

        Of a long log only the end is read again, so that a burst costs no more than its own length; ``entries``
        reads and verifies the whole.
        """
        with self._lock:
            while True:
                held = self._caught_up(log)
                present = held.entries.get((kind, subject, evidence))
                if present is not None:
                    return present
                at = self._clock().astimezone(UTC).replace(microsecond=0)
                entry = LogEntry(len(held.links) + 1, kind, subject, evidence, at)
                previous = held.links[-1].digest if held.links else NOTHING_BEFORE
                data = self._signer.sign(_payload(log, entry, previous), ENTRY_TYPE)
                if self._write(self._entry(log, entry.number), data, once=True):
                    held.add(_Link(entry, _digest(data)))
                    self._remember(log, entry.number, _digest(data))
                    return entry

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        """The whole log, every file hashed and its chain verified."""
        with self._lock:
            return tuple(link.entry for link in self._chain(log))

    def logs(self) -> tuple[str, ...]:
        """The names of all logs, those that only a checkpoint remembers included."""
        found = {path.name for path in _children(self._folder / "logs")}
        return tuple(sorted(found | {path.stem for path in _children(self._checkpoints) if path.suffix == ".json"}))

    def _chain(self, log: str) -> list[_Link]:
        # In this order: another process may lengthen the log, and then move the checkpoint, at any time.
        seen = self._checkpoint(log)
        files = sorted(path.name for path in _children(self._folder / "logs" / log) if not path.name.startswith("."))
        links: list[_Link] = []
        for number in range(1, _last_number(log, files) + 1):
            data = self._read_entry(log, number)
            previous = links[-1].digest if links else NOTHING_BEFORE
            links.append(_Link(self._verify(log, number, previous, data), _digest(data)))
        self._hold_to_checkpoint(log, links, *seen)
        self._held[log] = _Held(links)
        return links

    def _caught_up(self, log: str) -> _Held:
        """The log with what was added since this process read it, the entry that it goes on from read again."""
        held, seen = self._held.get(log), self._checkpoint(log)
        if held is None or not held.links or not self._stands(log, held.links[-1]):
            self._chain(log)
            return self._held[log]
        while self._entry(log, len(held.links) + 1).exists():
            number = len(held.links) + 1
            data = self._read_entry(log, number)
            held.add(_Link(self._verify(log, number, held.links[-1].digest, data), _digest(data)))
        self._hold_to_checkpoint(log, held.links, *seen)
        return held

    def _stands(self, log: str, link: _Link) -> bool:
        try:
            return _digest(self._read_entry(log, link.entry.number)) == link.digest
        except EvidenceError:
            return False

    def _read_entry(self, log: str, number: int) -> bytes:
        return self._read(self._entry(log, number), f"entry {number} of the evidence log {log}")

    def _verify(self, log: str, number: int, previous: str, data: bytes) -> LogEntry:
        # Verified in its place: the same entry elsewhere was not.
        known = (log, number, previous, _digest(data))
        if known in self._verified:
            return self._verified[known]
        document = f"entry {number} of the evidence log {log}"
        try:
            checked = self._verifier.check(data, document, {"verifier": self._signer.public_key})
            fields = json.loads(checked.payload)
            at = datetime.fromisoformat(fields["at"]) if "at" in fields else None
            digest = EvidenceDigest(fields["evidence"])
            entry = LogEntry(fields["number"], fields["kind"], fields["subject"], digest, at)
        except (InvalidInputError, ValueError, KeyError, TypeError) as error:
            raise EvidenceCorruptError(f"The {document} cannot be read as one.") from error
        if not checked.keys or checked.payload_type != ENTRY_TYPE:
            raise EvidenceCorruptError(f"The {document} is not signed by this installation's verifier key.")
        if checked.payload != _payload(log, entry, previous) or entry.number != number:
            raise EvidenceCorruptError(f"The {document} does not follow its predecessor.")
        self._verified[known] = entry
        return entry

    # Checkpoints

    def _checkpoint(self, log: str) -> tuple[int, str]:
        """The last number and digest that were seen of a log."""
        path = self._checkpoints / f"{log}.json"
        try:
            seen = json.loads(path.read_bytes())
            return int(seen["number"]), str(seen["digest"])
        except FileNotFoundError:
            return 0, NOTHING_BEFORE
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvidenceCorruptError(f"The checkpoint {path} cannot be read; restore it from its backup.") from error

    def _hold_to_checkpoint(self, log: str, links: list[_Link], number: int, digest: str) -> None:
        if not number and len(links) > 1:
            raise EvidenceRolledBackError(
                f"The checkpoint of the evidence log {log} is gone, so it cannot be told whether the log was cut."
            )
        if number > len(links) or (number and links[number - 1].digest != digest):
            raise EvidenceRolledBackError(
                f"The evidence log {log} was cut or rewritten: entry {number} is not what was seen before."
            )
        if len(links) > number:
            self._remember(log, len(links), links[-1].digest)

    def _remember(self, log: str, number: int, digest: str) -> None:
        """Move the checkpoint forward, never back: another process may be ahead."""
        with self._exclusive(self._checkpoints / ".lock"):
            if self._checkpoint(log)[0] >= number:
                return
            self._write(self._checkpoints / f"{log}.json", canonical({"number": number, "digest": digest}))

    # Slots and claims

    def slot(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of a create-once slot, made and stored by whoever comes first."""
        path = self._folder / "slots" / hashlib.sha256(name.encode()).hexdigest()
        if not path.exists():
            self._write(path, make(), once=True)
        return self._read(path, f"slot {name}")

    @contextmanager
    def claim(self, name: str) -> Iterator[Callable[[], None]]:
        """Hold ``name`` until the block ends; waits for another holder. The lock dies with its process."""
        path = self._folder / "claims" / hashlib.sha256(name.encode()).hexdigest()
        with self._exclusive(path) as inode:

            def still_held() -> None:
                if not path.exists() or path.stat().st_ino != inode:
                    raise EvidenceMissingError(f"The claim on {name} was removed while it was held; try again.")

            yield still_held

    @contextmanager
    def _exclusive(self, path: Path) -> Iterator[int]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("ab")
        except OSError as error:
            raise _unwritable(path, error) from error
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield os.fstat(stream.fileno()).st_ino

    # Files

    def _blob(self, digest: EvidenceDigest) -> Path:
        return self._folder / "blobs" / "sha256" / digest.hex[:2] / digest.hex

    def _entry(self, log: str, number: int) -> Path:
        return self._folder / "logs" / log / f"{number:08}.json"

    def _read(self, path: Path, what: str) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise EvidenceMissingError(f"The {what} is gone from the store.") from error
        except OSError as error:
            raise EvidenceCorruptError(f"The {what} cannot be read: {error.strerror}.") from error

    def _write(self, path: Path, data: bytes, *, once: bool = False) -> bool:
        """Write a whole file durably, its name included. With ``once``, False when the name is already taken."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = write_atomically(path, data, once=once)
            sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from error
        return written


def _unwritable(path: Path, error: OSError) -> UnreadableError:
    return UnreadableError(f"The evidence store cannot be written ({path}): {error.strerror}.")


def _last_number(log: str, files: list[str]) -> int:
    """The highest number among the entries' names: a listing may miss what is added while it is made."""
    for number, name in enumerate(files, start=1):
        if not re.fullmatch(r"\d{8}\.json", name):
            raise EvidenceMissingError(f"Entry {number} of the evidence log {log} is gone.")
    return int(files[-1].removesuffix(".json")) if files else 0


def _payload(log: str, entry: LogEntry, previous: str) -> bytes:
    return canonical(
        {
            "log": log,
            "number": entry.number,
            "kind": entry.kind,
            "subject": entry.subject,
            "evidence": str(entry.evidence),
            "previous": previous,
            **({"at": entry.at.isoformat()} if entry.at else {}),
        }
    )


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FlywheelError(f"The evidence store cannot be listed ({folder}): {error.strerror}.") from error
