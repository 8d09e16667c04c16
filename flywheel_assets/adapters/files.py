"""Reading files in folders that others write to: a folder is never left, and each failure has its own error.

Only this module turns the operating system's errors of reading into ours. Writing is in ``adapters.writing``.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
    printable,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import MIB
from flywheel_assets.ports import Progress

CHUNK = MIB
_NAME_CHARS = 300
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise hang for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# EMLINK is what some systems say of a link that is not followed.
_NOT_PLAIN = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}


class Folder:
    """Files below ``path`` by relative names, steps joined by ``/``; no symbolic link below it is followed.

    Each step is opened relative to the one before it, so nothing can be swapped for a link in between.
    ``remedy`` is what to do about a file that is no plain one, ``shrink`` about one that is too large, and
    ``shown`` makes a name fit for errors; it is the whole path otherwise.
    """

    def __init__(
        self, path: Path, *, remedy: str, shrink: str = "Make it smaller.", shown: Callable[[str], str] | None = None
    ) -> None:
        self.path = path.absolute()
        self._remedy, self._shrink = remedy, shrink
        self._shown = shown

    def open(self, name: str) -> BinaryIO:
        """A regular file, for reading. Whatever else lies there is never opened.

        Raises AbsentError, UnauthorisedError, UnreadableError, or InvalidInputError for what is no plain file.
        """
        *folders, last = self._steps(name)
        with self._reading(name), _inside(self.path, folders) as at:
            self._require_regular(os.stat(last, dir_fd=at, follow_symlinks=False), name)
            descriptor = os.open(last, _FILE, dir_fd=at)
            try:
                # Once more: it may have been swapped since.
                self._require_regular(os.fstat(descriptor), name)
            except InvalidInputError:
                os.close(descriptor)
                raise
            return os.fdopen(descriptor, "rb")

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in chunks of at most 1 MiB. Raises as ``open``, with the first chunk."""
        with self.open(name) as file:
            while chunk := self._read(file, CHUNK, name):
                yield chunk

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises as ``open``, and LimitExceededError when it is over ``most`` bytes."""
        with self.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            # One byte over the limit tells a file that grew since.
            data = b"" if size > most else self._read(file, most + 1, name)
        size = max(size, len(data))
        if size > most:
            problem = f"has {size:,} bytes, and at most {most:,} are read"
            raise LimitExceededError(self._called(name), "size", problem, self._shrink)
        return data

    def size(self, name: str) -> int:
        """The file's size in bytes. Raises as ``open``."""
        with self.open(name) as file:
            return os.fstat(file.fileno()).st_size

    def names(self, name: str = "") -> list[str]:
        """What lies in the subfolder ``name``, or in the folder itself, sorted. Raises as ``open``."""
        steps = self._steps(name) if name else []
        with self._reading(name), _inside(self.path, steps) as at:
            return sorted(os.listdir(at))  # noqa: PTH208 - a descriptor has no path

    def _called(self, name: str) -> str:
        return self._shown(name) if self._shown and name else str(self.path / name)

    def _steps(self, name: str) -> list[str]:
        steps = name.split("/")
        if any(step in {"", ".", ".."} or "\0" in step for step in steps):
            raise InvalidInputError(self._called(name), "path", "is no name below its folder", self._remedy)
        return steps

    def _require_regular(self, found: os.stat_result, name: str) -> None:
        if stat.S_ISREG(found.st_mode):
            return
        is_link = stat.S_ISLNK(found.st_mode)
        problem = (
            "is a symbolic link, which is never followed" if is_link else "is not a regular file, and was not opened"
        )
        raise InvalidInputError(self._called(name), "type", problem, self._remedy)

    def _read(self, file: BinaryIO, count: int, name: str) -> bytes:
        with self._reading(name):
            return file.read(count)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise read_error(error, self._called(name), self._remedy) from error


@contextmanager
def _inside(folder: Path, steps: list[str]) -> Iterator[int]:
    """A descriptor of the folder that ``steps`` lead to. The folder itself may be a link, for its owner chose it."""
    with ExitStack() as opened:
        at = os.open(folder, _FOLDER)
        opened.callback(os.close, at)
        for step in steps:
            at = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            opened.callback(os.close, at)
        yield at


def read_error(error: OSError, name: str, remedy: str) -> ReadError | InvalidInputError:
    """What a failed open or read of ``name`` means; ``remedy`` is for what is no plain file."""
    name, reason = printable(name, _NAME_CHARS), error.strerror or error
    if isinstance(error, FileNotFoundError):
        return AbsentError(f"{name} is not there.")
    if isinstance(error, PermissionError):
        return UnauthorisedError(f"{name} cannot be read: {reason}. Check its permissions.")
    if error.errno in _NOT_PLAIN:
        return InvalidInputError(name, "path", "leads through a symbolic link or a file", remedy)
    return UnreadableError(f"{name} cannot be read: {reason}. Check the disk and try again.")


def state_of(error: FlywheelError) -> ReadState:
    """The state of a reading that ended in ``error``."""
    if isinstance(error, AbsentError):
        return ReadState.ABSENT
    if isinstance(error, UnauthorisedError):
        return ReadState.UNAUTHORISED
    if isinstance(error, RateLimitedError):
        return ReadState.RATE_LIMITED
    if isinstance(error, LimitExceededError):
        return ReadState.TOO_LARGE
    return ReadState.MALFORMED if isinstance(error, InvalidInputError) else ReadState.UNREADABLE


def one_at_a_time(progress: Progress) -> Progress:
    """``progress`` for files that several threads read: callers' counters and bars need not be thread-safe."""
    lock = Lock()

    def call(count: int) -> None:
        with lock:
            progress(count)

    return call


def reporting(chunks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    """The chunks, their sizes told as they pass."""
    for chunk in chunks:
        progress(len(chunk))
        yield chunk
