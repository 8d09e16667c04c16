"""One NAR from a mutable cache to a durable one, judged while it streams and there only when it is right."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from flywheel_assets.adapters.files import reporting
from flywheel_assets.adapters.nix.bodies import Body, BodyReader, read_body
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import DurableFiles
from flywheel_assets.adapters.nix.closure import Expected
from flywheel_assets.adapters.nix.narinfo import NarInfo
from flywheel_assets.domain.digests import FileHash
from flywheel_assets.domain.errors import AbsentError, PublicationError, UnreadableError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import MIB, Limits
from flywheel_assets.ports import Progress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# These need no other bytes for the durable cache: their checked file is passed on as it is.
_PASSED_THROUGH = {"zstd": "zst", "xz": "xz"}
_STILL_ARRIVING = (ReadState.EMPTY, ReadState.TRUNCATED)
# Up to here a file is held in memory while it is judged.
_SMALL = MIB


@dataclass(frozen=True, slots=True)
class Filed:
    """A NAR's file on the durable cache: its compression, hash and size (bytes)."""

    compression: str
    hash: FileHash
    size: int

    @property
    def name(self) -> str:
        """Its name there, which no other bytes can have."""
        return f"nar/{self.hash.nix32.removeprefix('sha256:')}.nar.{_PASSED_THROUGH[self.compression]}"


def copy_nar(source: NixCache, expected: Expected, target: DurableFiles, limits: Limits, progress: Progress) -> Filed:
    """Copy the NAR of ``expected`` to ``nar/<hash of the file>.nar.<suffix>``.

    A large file of which the source does not say hash and size, or which is compressed anew, is read twice: its name
    has to be known before its first byte is sent. Raises ReadError or InvalidInputError for the source,
    PublicationError when the bytes are not the expected ones or cannot be written. Then nothing is left behind.
    """
    info, opened = source.open_nar(expected.path)
    chunks = reporting(opened, progress)
    head = _head(chunks)
    passage = _Passage(info, expected, limits)
    if sum(map(len, head)) <= _SMALL:
        data = b"".join(passage.bytes(head))
        target.put(passage.filed.name, data, settled=False)
        return passage.filed
    filed = _claimed(info)
    if filed is None:
        for _ in passage.bytes(chain(head, chunks)):
            pass
        filed, passage = passage.filed, _Passage(info, expected, limits)
        head, chunks = [], reporting(source.open_nar(expected.path)[1], progress)
    if not _holds(target, filed, expected, limits):
        target.upload(filed.name, filed.size, passage.bytes(chain(head, chunks), filed))
    return filed


class _Passage:
    """The bytes of one NAR's file on their way: judged, and compressed anew where its compression is not passed on."""

    def __init__(self, info: NarInfo, expected: Expected, limits: Limits) -> None:
        self._info, self._expected = info, expected
        self._packer = None if info.compression in _PASSED_THROUGH else _Packer()
        on_nar = self._packer.write if self._packer else None
        self._reader = BodyReader(info.compression, expected.nar_size, limits, on_nar)
        self.filed: Filed

    def bytes(self, chunks: Iterable[bytes], filed: Filed | None = None) -> Iterator[bytes]:
        """The file for the durable cache, its last piece only when all of it turned out to be right, and ``filed``.

        Raises UnreadableError, PublicationError, and what ``chunks`` raises.
        """
        size, last = 0, b""
        for chunk in chunks:
            if not self._reader.feed(chunk):
                break
            piece = self._packer.take() if self._packer else chunk
            size += len(piece)
            if filed and size > filed.size:
                raise self._differs(f"has over {filed.size:,} bytes")
            if last and piece:
                yield last
            last = piece or last
        body = self._reader.end()
        _require(body, self._info, self._expected)
        self.filed = Filed("zstd", *self._packer.end()) if self._packer else _passed(body, self._info)
        if filed and filed != self.filed:
            raise self._differs(f"is {self.filed.hash} with {self.filed.size:,} bytes")
        yield last + (self._packer.take() if self._packer else b"")

    def _differs(self, problem: str) -> PublicationError:
        return PublicationError(
            f"The NAR file of {self._expected.path} {problem}, and was said to be otherwise: "
            "let its builder push it again."
        )


class _Packer:
    """Compresses what is written to it, to be taken away bit by bit."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor()
        self._hash = hashlib.sha256()
        self._size = 0
        self._packed: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._add(self._compressor.compress(data))

    def take(self) -> bytes:
        """What was packed since the last time."""
        data, self._packed = b"".join(self._packed), []
        return data

    def end(self) -> tuple[FileHash, int]:
        """Hash and size of the file, which is complete now; its last bytes are there to take."""
        self._add(self._compressor.flush())
        return FileHash.from_hex(self._hash.hexdigest()), self._size

    def _add(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._packed.append(data)


def _head(chunks: Iterator[bytes]) -> list[bytes]:
    """The first chunks, until they are over _SMALL together or the file ends."""
    head: list[bytes] = []
    size = 0
    while size <= _SMALL and (chunk := next(chunks, b"")):
        head.append(chunk)
        size += len(chunk)
    return head


def _passed(body: Body, info: NarInfo) -> Filed:
    return Filed(info.compression, body.file_hash, body.file_size)


def _claimed(info: NarInfo) -> Filed | None:
    """What the source says of the file that will be passed on, if anything."""
    if info.compression not in _PASSED_THROUGH or info.file_hash is None or info.file_size is None:
        return None
    return Filed(info.compression, info.file_hash, info.file_size)


def _holds(target: DurableFiles, filed: Filed, expected: Expected, limits: Limits) -> bool:
    """Whether the file is there, from a promotion that was interrupted; its bytes decide, for a source may lie."""
    try:
        if target.size(filed.name) != filed.size:
            return False
        body = read_body(target.chunks(filed.name), filed.compression, expected.nar_size, limits)
    except AbsentError:
        return False
    return (body.state, body.file_hash, body.nar_hash) == (ReadState.READ, filed.hash, expected.nar_hash)


def _require(body: Body, info: NarInfo, expected: Expected) -> None:
    path = expected.path
    if body.state in _STILL_ARRIVING:
        raise UnreadableError(f"The NAR of {path} is {body.state}: {body.detail}. Try again once it is whole.")
    if body.state is not ReadState.READ:
        raise PublicationError(f"The NAR of {path} is {body.state}: {body.detail}. Let its builder push it again.")
    if body.nar_hash != expected.nar_hash:
        raise PublicationError(
            f"The NAR of {path} is {body.nar_hash}, and {expected.nar_hash} was approved: the mutable cache "
            "holds other bytes than the builder signed for. Inspect it again."
        )
    if info.file_hash is not None and info.file_hash != body.file_hash:
        raise PublicationError(
            f"The NAR file of {path} is {body.file_hash}, and its narinfo says {info.file_hash}: "
            "let its builder push it again."
        )
