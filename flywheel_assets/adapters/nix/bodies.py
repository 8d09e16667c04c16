"""Reading a NAR's file once: decompress, hash file and NAR, in bounded memory and bounded output.

What comes out is judged against the size that the receipt declares, never against what the file itself says.
"""

import bz2
import hashlib
import lzma
import sys
from collections.abc import Callable, Iterable
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


def read_body(chunks: Iterable[bytes], compression: str, nar_size: int, limits: Limits = DEFAULT_LIMITS) -> Body:
    """Read a NAR of ``nar_size`` declared bytes from the chunks of its file. What ``chunks`` raises passes through."""
    reader = BodyReader(compression, nar_size, limits)
    if reader.is_open:
        for chunk in chunks:
            if not reader.feed(chunk):
                break
    return reader.end()


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


class BodyReader:
    """Reads one file as it comes, 1 MiB at a time at most. ``on_nar`` gets the NAR's bytes.

    What is wrong with the bytes is the Body's state; nothing is raised for it.
    """

    def __init__(
        self, compression: str, nar_size: int, limits: Limits = DEFAULT_LIMITS, on_nar: Sink | None = None
    ) -> None:
        self._compression, self._declared, self._limits, self._on_nar = compression, nar_size, limits, on_nar
        # A stream of empty frames has no output to bound: the file is bounded by what an honest one can need.
        self._most = nar_size + nar_size // 8 + MIB
        self._file, self._nar = hashlib.sha256(), hashlib.sha256()
        self._file_size = self._nar_size = 0
        self._frame: _Decompressor | None = None
        self._trailing = False
        self._stop = self._refused()

    @property
    def is_open(self) -> bool:
        """Whether more of the file is of any use."""
        return self._stop is None

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes of the file; False when there is no use in more."""
        if self._stop is None:
            try:
                self._take_file(chunk)
            except _Stop as stop:
                self._stop = stop
        return self._stop is None

    def end(self) -> Body:
        """What the file was, all of it fed or as far as it was of use."""
        stop = self._stop or self._unfinished()
        return Body(
            state=stop.state if stop else ReadState.READ,
            file_hash=FileHash.from_hex(self._file.hexdigest()),
            file_size=self._file_size,
            nar_hash=NarHash.from_hex(self._nar.hexdigest()),
            nar_size=self._nar_size,
            detail=stop.detail if stop else "",
        )

    def _refused(self) -> _Stop | None:
        if self._declared > self._limits.nar_bytes:
            problem = f"{self._declared:,} bytes declared, over {self._limits.nar_bytes:,}"
            return _Stop(ReadState.TOO_LARGE, problem)
        if self._compression not in COMPRESSIONS:
            problem = f"compression {self._compression[:40]!r} is none of {', '.join(COMPRESSIONS)}"
            return _Stop(ReadState.MALFORMED, problem)
        return None

    def _unfinished(self) -> _Stop | None:
        """Why the file is no whole one, now that it has ended."""
        if self._file_size == 0:
            return _Stop(ReadState.EMPTY, "the file holds no byte at all")
        if self._frame is not None and not self._frame.eof:
            if self._trailing:
                return _Stop(ReadState.UNDECODABLE, f"bytes after the last complete {self._compression} frame")
            problem = f"the {self._compression} frame ends early, after {self._nar_size:,} bytes"
            return _Stop(ReadState.TRUNCATED, problem)
        if self._nar_size < self._declared:
            return _Stop(ReadState.TRUNCATED, f"{self._nar_size:,} of {self._declared:,} declared bytes")
        return None

    def _take_file(self, chunk: bytes) -> None:
        self._file_size += len(chunk)
        if self._file_size > self._most:
            problem = f"the file is over {self._most:,} bytes for a NAR of {self._declared:,}"
            raise _Stop(ReadState.TOO_LARGE, problem)
        self._file.update(chunk)
        if self._compression == "none":
            self._take_nar(chunk)
        else:
            self._decode(chunk)

    def _take_nar(self, piece: bytes) -> None:
        self._nar_size += len(piece)
        if self._nar_size > self._declared:
            problem = f"more than the {self._declared:,} declared bytes come out of it"
            raise _Stop(ReadState.TOO_LARGE, problem)
        self._nar.update(piece)
        if self._on_nar:
            self._on_nar(piece)

    def _decode(self, chunk: bytes) -> None:
        """Decompress. Several frames in a row are one body: Attic serves one frame per chunk."""
        pending = chunk
        while pending:
            if self._frame is None or self._frame.eof:
                self._trailing = self._frame is not None and self._nar_size == self._declared
                self._frame = _decompressor(self._compression, self._limits)
            self._inflate(self._frame, pending)
            pending = self._frame.unused_data if self._frame.eof else b""

    def _inflate(self, frame: _Decompressor, data: bytes) -> None:
        """All that ``data`` gives, in pieces of at most CHUNK and one byte past the declared size at most."""
        pending = data
        while True:
            room = min(CHUNK, self._declared - self._nar_size + 1)
            try:
                piece = frame.decompress(pending, room)
            except _DECODE_ERRORS as error:
                raise _Stop(ReadState.UNDECODABLE, self._undecodable(error)) from error
            pending = b""
            if piece:
                self._take_nar(piece)
            if frame.eof or not piece:
                return

    def _undecodable(self, error: BaseException) -> str:
        window = f"windows over 2^{self._limits.zstd_window_log} bytes are refused"
        return f"not {self._compression}, after {self._nar_size:,} bytes ({window}): {error}"[:400]


def _decompressor(compression: str, limits: Limits) -> _Decompressor:
    if compression == "zstd":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: limits.zstd_window_log})
    if compression == "xz":
        # The dictionary of xz is bounded as the window of zstd is, and a little for the decoder itself.
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=(1 << limits.zstd_window_log) + MIB)
    return bz2.BZ2Decompressor()
