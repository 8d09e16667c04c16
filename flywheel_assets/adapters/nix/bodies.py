"""Reading a NAR's file once: decompress, hash file and NAR, in bounded memory and bounded output.

What comes out is judged against the size that the receipt declares, never against what the file itself says.
"""

import bz2
import hashlib
import lzma
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.domain.digests import FileHash, NarHash
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, MIB, Limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSIONS = ("none", "zstd", "xz", "bzip2")
_DECODE_ERRORS = (zstd.ZstdError, lzma.LZMAError, OSError, ValueError, EOFError)
Sink = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Body:
    """What one file holds. Hashes and sizes (bytes) cover what was read, also when ``state`` is not READ."""

    state: ReadState
    file_hash: FileHash
    file_size: int
    nar_hash: NarHash
    nar_size: int
    detail: str = ""


def read_body(
    chunks: Iterable[bytes],
    compression: str,
    nar_size: int,
    limits: Limits = DEFAULT_LIMITS,
    *,
    on_file: Sink | None = None,
    on_nar: Sink | None = None,
) -> Body:
    """Read a NAR of ``nar_size`` declared bytes from the chunks of its file (1 MiB each at most).

    ``on_file`` gets the file's bytes and ``on_nar`` the NAR's, as they come. Whatever ``chunks`` or a sink
    raises passes through; what is wrong with the bytes themselves is the Body's state.
    """
    reader = _Reader(nar_size, limits, on_file, on_nar)
    try:
        reader.run(chunks, compression)
    except _Stop as stop:
        return reader.body(stop.state, stop.detail)
    return reader.body(ReadState.READ)


class _Stop(Exception):  # noqa: N818 - not an error, and it never leaves this module
    """Reading ends here, with this state."""

    def __init__(self, state: ReadState, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


class _Decompressor(Protocol):
    """What the three decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Reader:
    """The two running hashes, and what stops the reading."""

    def __init__(self, nar_size: int, limits: Limits, on_file: Sink | None, on_nar: Sink | None) -> None:
        self._declared = nar_size
        self._limits = limits
        self._on_file, self._on_nar = on_file, on_nar
        self._file, self._nar = hashlib.sha256(), hashlib.sha256()
        self._file_size = self._nar_size = 0

    def run(self, chunks: Iterable[bytes], compression: str) -> None:
        """Read to the end, or raise _Stop."""
        if self._declared > self._limits.nar_bytes:
            problem = f"{self._declared:,} bytes declared, over {self._limits.nar_bytes:,}"
            raise _Stop(ReadState.TOO_LARGE, problem)
        if compression not in COMPRESSIONS:
            problem = f"compression {compression[:40]!r} is none of {', '.join(COMPRESSIONS)}"
            raise _Stop(ReadState.MALFORMED, problem)
        filed = self._filed(chunks)
        for piece in filed if compression == "none" else self._decoded(filed, compression):
            self._take(piece)
        if self._file_size == 0:
            raise _Stop(ReadState.EMPTY, "the file holds no byte at all")
        if self._nar_size < self._declared:
            raise _Stop(ReadState.TRUNCATED, f"{self._nar_size:,} of {self._declared:,} declared bytes")

    def body(self, state: ReadState, detail: str = "") -> Body:
        """What was read so far."""
        return Body(
            state=state,
            file_hash=FileHash.from_hex(self._file.hexdigest()),
            file_size=self._file_size,
            nar_hash=NarHash.from_hex(self._nar.hexdigest()),
            nar_size=self._nar_size,
            detail=detail,
        )

    def _filed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        # A stream of empty frames has no output to bound: the file is bounded by what an honest one can need.
        most = self._declared + self._declared // 8 + MIB
        for chunk in chunks:
            self._file_size += len(chunk)
            if self._file_size > most:
                problem = f"the file is over {most:,} bytes for a NAR of {self._declared:,}"
                raise _Stop(ReadState.TOO_LARGE, problem)
            self._file.update(chunk)
            if self._on_file:
                self._on_file(chunk)
            yield chunk

    def _take(self, piece: bytes) -> None:
        self._nar_size += len(piece)
        if self._nar_size > self._declared:
            problem = f"more than the {self._declared:,} declared bytes come out of it"
            raise _Stop(ReadState.TOO_LARGE, problem)
        self._nar.update(piece)
        if self._on_nar:
            self._on_nar(piece)

    def _decoded(self, chunks: Iterator[bytes], compression: str) -> Iterator[bytes]:
        """Decompressed pieces. Several frames in a row are one body: Attic serves one frame per chunk."""
        frame = _decompressor(compression, self._limits)
        fed = trailing = False
        for chunk in chunks:
            pending = chunk
            while pending:
                if frame.eof:
                    frame = _decompressor(compression, self._limits)
                    trailing = self._nar_size == self._declared
                fed = True
                yield from self._inflated(frame, pending, compression)
                pending = frame.unused_data if frame.eof else b""
        if fed and not frame.eof:
            if trailing:
                raise _Stop(ReadState.UNDECODABLE, f"bytes after the last complete {compression} frame")
            problem = f"the {compression} frame ends early, after {self._nar_size:,} bytes"
            raise _Stop(ReadState.TRUNCATED, problem)

    def _inflated(self, frame: _Decompressor, data: bytes, compression: str) -> Iterator[bytes]:
        """All that ``data`` gives, in pieces of at most CHUNK and one byte past the declared size at most."""
        pending = data
        while True:
            room = min(CHUNK, self._declared - self._nar_size + 1)
            try:
                piece = frame.decompress(pending, room)
            except _DECODE_ERRORS as error:
                raise _Stop(ReadState.UNDECODABLE, self._undecodable(compression, error)) from error
            pending = b""
            if piece:
                yield piece
            if frame.eof or not piece:
                return

    def _undecodable(self, compression: str, error: BaseException) -> str:
        window = f"windows over 2^{self._limits.zstd_window_log} bytes are refused"
        return f"not {compression}, after {self._nar_size:,} bytes ({window}): {error}"[:400]


def _decompressor(compression: str, limits: Limits) -> _Decompressor:
    if compression == "zstd":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: limits.zstd_window_log})
    if compression == "xz":
        # The dictionary of xz is bounded as the window of zstd is, and a little for the decoder itself.
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=(1 << limits.zstd_window_log) + MIB)
    return bz2.BZ2Decompressor()
