"""Lists what a NAR holds while it streams: every file is hashed, none is kept.

Source: the Nix manual, "Nix Archive (NAR) format". What it does not allow is refused: names that are none or out of
order, padding that is not zero, anything after the end. Nesting is held in a list, so that no input can exhaust the
interpreter's stack.
"""

import hashlib
from collections.abc import Generator

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.listings import Entry, FileKind, FileListing

MAGIC = b"nix-archive-1"
_WORD = 8  # bytes: lengths are this long, and strings are padded to a multiple of it
_LONGEST_KEYWORD = 16
_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # Linux: NAME_MAX, and PATH_MAX without its NUL
_REMEDY = "Have its builder push it again."
_Reading = Generator[int, bytes, bytes]


class NarLister:
    """Takes a NAR's bytes as they come. ``document`` names it in errors.

    ``feed`` and ``end`` raise InvalidInputError for what is no NAR, LimitExceededError for one that holds too much.
    """

    def __init__(self, document: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._document, self._limits = document, limits
        self._found: dict[bytes, Entry] = {}
        self._buffer = bytearray()
        self._parsing = self._nar()
        self._wanted = next(self._parsing)
        self._is_whole = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; at most CHUNK of them, and what ``data`` holds, are in memory at a time."""
        self._buffer += data
        while len(self._buffer) >= self._wanted and not self._is_whole:
            piece = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            try:
                self._wanted = self._parsing.send(piece)
            except StopIteration:
                self._is_whole = True
        if self._is_whole and self._buffer:
            raise self._wrong("there are bytes after its end")

    def end(self) -> FileListing:
        """All nodes, once the last byte was fed."""
        if not self._is_whole:
            raise self._wrong(f"it ends early, after {len(self._found):,} entries")
        return self._found

    def _nar(self) -> Generator[int, bytes, None]:
        """Asks for as many bytes as it names, and gets just these. ``open`` holds directories: path and last name."""
        yield from self._keyword(MAGIC)
        open_: list[tuple[bytes, bytes]] = []
        path = b""
        while True:
            kind = yield from self._node(path)
            if kind is FileKind.DIRECTORY:
                open_.append((path, b""))
            while open_:
                parent, last = open_[-1]
                word = yield from self._string(_LONGEST_KEYWORD)
                if word == b"entry":
                    name = yield from self._name(parent, last)
                    open_[-1] = (parent, name)
                    path = parent + b"/" + name if parent else name
                    break
                self._require(word, b")")
                open_.pop()
                if open_:  # a directory that was itself an entry
                    yield from self._keyword(b")")
            else:
                return

    def _node(self, path: bytes) -> Generator[int, bytes, FileKind]:
        """A node up to its end, or a directory up to its first entry; the entry around a node that has ended too."""
        if len(self._found) >= self._limits.listing_entries:
            problem = f"holds over {self._limits.listing_entries:,} entries"
            raise LimitExceededError(self._document, "NAR", problem, _REMEDY)
        yield from self._keyword(b"(", b"type")
        match (yield from self._string(_LONGEST_KEYWORD)):
            case b"directory":
                self._found[path] = Entry(FileKind.DIRECTORY)
                return FileKind.DIRECTORY
            case b"symlink":
                yield from self._keyword(b"target")
                target = yield from self._string(_LONGEST_PATH)
                if not target or b"\0" in target:
                    raise self._wrong("a link leads to no path")
                self._found[path] = Entry(FileKind.SYMLINK, target=target)
            case b"regular":
                self._found[path] = yield from self._file()
            case other:
                raise self._wrong(f"{other!r} is no type of node")
        yield from self._keyword(b")", *((b")",) if path else ()))
        return self._found[path].kind

    def _file(self) -> Generator[int, bytes, Entry]:
        word = yield from self._string(_LONGEST_KEYWORD)
        executable = word == b"executable"
        if executable:
            yield from self._keyword(b"")
            word = yield from self._string(_LONGEST_KEYWORD)
        self._require(word, b"contents")
        size = int.from_bytes((yield _WORD), "little")
        hashed, left = hashlib.sha256(), size
        while left:
            piece = yield min(left, CHUNK)
            hashed.update(piece)
            left -= len(piece)
        yield from self._padding(size)
        return Entry(FileKind.REGULAR, size, executable, digest=hashed.hexdigest())

    def _name(self, parent: bytes, last: bytes) -> _Reading:
        yield from self._keyword(b"(", b"name")
        name = yield from self._string(_LONGEST_NAME)
        if name in {b"", b".", b".."} or b"/" in name or b"\0" in name:
            raise self._wrong(f"{name!r} is no name")
        if name <= last:
            raise self._wrong(f"{name!r} comes after {last!r}")
        if len(parent) + 1 + len(name) > _LONGEST_PATH:
            raise LimitExceededError(self._document, "NAR", f"has paths over {_LONGEST_PATH:,} bytes", _REMEDY)
        yield from self._keyword(b"node")
        return name

    def _keyword(self, *words: bytes) -> Generator[int, bytes, None]:
        for word in words:
            self._require((yield from self._string(_LONGEST_KEYWORD)), word)

    def _string(self, longest: int) -> _Reading:
        length = int.from_bytes((yield _WORD), "little")
        if length > longest:
            raise self._wrong(f"a name or word has {length:,} bytes, and at most {longest:,} are one")
        text = (yield length) if length else b""
        yield from self._padding(length)
        return text

    def _padding(self, length: int) -> Generator[int, bytes, None]:
        missing = -length % _WORD
        if missing and any((yield missing)):
            raise self._wrong("padding is not zero")

    def _require(self, word: bytes, wanted: bytes) -> None:
        if word != wanted:
            raise self._wrong(f"{word!r} stands where {wanted!r} must")

    def _wrong(self, problem: str) -> InvalidInputError:
        return InvalidInputError(self._document, "NAR", problem, _REMEDY)
