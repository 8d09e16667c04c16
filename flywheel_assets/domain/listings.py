"""What lies in a body: its files by path, and which of them two bodies do not have in common. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, NonNegativeInt

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.errors import printable
from flywheel_assets.domain.names import Line

SHOWN_CHANGES = 50
_PATH_CHARS = 200


class FileKind(StrEnum):
    """What a NAR can hold (Nix manual, "Nix Archive (NAR) format")."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class Entry:
    """One node. ``size`` (bytes), ``executable`` and ``digest`` (SHA-256, hex) are of a file, ``target`` of a link."""

    kind: FileKind
    size: int = 0
    executable: bool = False
    target: bytes = b""
    digest: str = ""


FileListing = Mapping[bytes, Entry]
"""Nodes by path: the root's is empty, others are relative and without dot segments. Names are bytes, as in the NAR."""


class Change(Closed):
    """A path that is not the same in both bodies. ``sizes`` are in bytes, None where there is nothing or no file."""

    path: Line
    how: Line
    sizes: tuple[NonNegativeInt | None, NonNegativeInt | None]

    def __str__(self) -> str:
        """``path (how, size → size bytes)``."""
        sizes = " → ".join("none" if size is None else f"{size:,}" for size in self.sizes)
        return f"{self.path} ({self.how}{'' if self.sizes == (None, None) else f', {sizes} bytes'})"


class Differences(Closed):
    """How two bodies differ: all that does is counted, and the first SHOWN_CHANGES in the order of paths are told."""

    added: NonNegativeInt
    removed: NonNegativeInt
    changed: NonNegativeInt
    same: NonNegativeInt
    first: Annotated[tuple[Change, ...], Field(max_length=SHOWN_CHANGES)]

    @property
    def count(self) -> int:
        """How many paths differ."""
        return self.added + self.removed + self.changed

    def told(self, most: int) -> str:
        """A sentence with the first ``most`` of them."""
        more = self.count - min(most, len(self.first))
        named = ", ".join(map(str, self.first[:most])) + (f" and {more:,} more" if more else "")
        return f"{self.count:,} of {self.count + self.same:,} files differ: {named}"


def compare(one: FileListing, other: FileListing, most: int = SHOWN_CHANGES) -> Differences:
    """From ``one`` to ``other``; ``most`` are told. Directories count only where they are not one in both."""
    counts = {"added": 0, "removed": 0, "changed": 0}
    first: list[Change] = []
    for path, how in _changes(one, other):
        counts[how if how in counts else "changed"] += 1
        if len(first) < most:
            sizes = (_size(one.get(path)), _size(other.get(path)))
            first.append(Change(path=_shown(path), how=how, sizes=sizes))
    both = one.keys() & other.keys()
    same = sum(one[path] == other[path] and one[path].kind is not FileKind.DIRECTORY for path in both)
    return Differences(**counts, same=same, first=tuple(first))


def _changes(one: FileListing, other: FileListing) -> Iterator[tuple[bytes, str]]:
    for path in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(path), other.get(path)
        if mine == theirs:
            continue
        if mine is None:
            yield path, "added"
        elif theirs is None:
            yield path, "removed"
        else:
            yield path, _how(mine, theirs)


def _how(mine: Entry, theirs: Entry) -> str:
    if mine.kind is not theirs.kind:
        return f"{mine.kind.value} → {theirs.kind.value}"
    if mine.kind is FileKind.SYMLINK:
        return f"target {_shown(mine.target)} → {_shown(theirs.target)}"
    if mine.digest == theirs.digest:
        return "executable" if theirs.executable else "no longer executable"
    return "content" if mine.executable == theirs.executable else "content and executable"


def _size(entry: Entry | None) -> int | None:
    return entry.size if entry is not None and entry.kind is FileKind.REGULAR else None


def _shown(path: bytes) -> str:
    """As a person reads it: names may hold anything but a slash and NUL."""
    return printable(path.decode("utf-8", "backslashreplace"), _PATH_CHARS) or "(the root)"
