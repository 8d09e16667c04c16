"""One folder, read without ever leaving it: the only place of this adapter that opens files.

A name comes out of an untrusted narinfo, so each of its steps is opened from the one before and no symbolic
link is followed: what the folder's writer links to elsewhere is not part of the cache.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from flywheel_assets.adapters.nix.bodies import CHUNK
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LimitExceededError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
)

_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,199}")
_MOST_STEPS = 4
_REMEDY = "Copy the path into the cache again with `nix copy`."
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


def relative_name(url: str, document: str) -> str:
    """``url`` when it is a plain relative file name, steps joined by ``/``; InvalidInputError otherwise.

    No scheme, no leading slash, no ``.`` or ``..``, no backslash, query, fragment or percent sign.
    """
    steps = url.split("/")
    if len(steps) > _MOST_STEPS or not all(map(_STEP.fullmatch, steps)):
        raise InvalidInputError(document, "URL", f"{url[:200]!r} is not a file name below the cache", _REMEDY)
    return url


class Folder:
    """Files below ``path``, by relative names."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises as ``open``, and LimitExceededError when it is over ``most`` bytes."""
        with self.open(name) as file:
            try:
                data = file.read(most + 1)
            except OSError as error:
                raise _read_error(error, self.path / name) from error
        if len(data) > most:
            raise LimitExceededError(name, "size", f"over {most:,} bytes, which is all that is read", _REMEDY)
        return data

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in chunks of 1 MiB at most. Raises as ``open``, at the first chunk."""
        with self.open(name) as file:
            while True:
                try:
                    chunk = file.read(CHUNK)
                except OSError as error:
                    raise _read_error(error, self.path / name) from error
                if not chunk:
                    return
                yield chunk

    def size(self, name: str) -> int:
        """The file's size in bytes. Raises as ``open``."""
        with self.open(name) as file:
            return os.fstat(file.fileno()).st_size

    def open(self, name: str) -> BinaryIO:
        """Open a regular file for reading.

        Raises AbsentError, UnauthorisedError or UnreadableError, and InvalidInputError for a symbolic link
        or anything else that is no regular file.
        """
        path = self.path / name
        try:
            return self._opened(name.split("/"))
        except OSError as error:
            if error.errno in _LINK_ERRORS:
                problem = "leads through a symbolic link, or is no regular file"
                raise InvalidInputError(str(path), "file", problem, _REMEDY) from error
            raise _read_error(error, path) from error

    def names(self, folder: str) -> tuple[str, ...]:
        """What lies in a subfolder, sorted; nothing when there is none. Raises ReadError."""
        try:
            return tuple(sorted(path.name for path in (self.path / folder).iterdir()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _read_error(error, self.path / folder) from error

    def _opened(self, steps: list[str]) -> BinaryIO:
        flags = os.O_RDONLY | os.O_CLOEXEC
        where = os.open(self.path, flags | os.O_DIRECTORY)
        try:
            for step in steps[:-1]:
                below = os.open(step, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
                os.close(where)
                where = below
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            descriptor = os.open(steps[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=where)
        finally:
            os.close(where)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.ENOTDIR, "not a regular file")
        return os.fdopen(descriptor, "rb")


def _read_error(error: OSError, path: Path) -> ReadError:
    """The domain's error for what the system said."""
    if isinstance(error, FileNotFoundError):
        return AbsentError(f"{path} is not there.")
    if isinstance(error, PermissionError):
        return UnauthorisedError(f"{path} may not be read: give this user access to it.")
    return UnreadableError(f"{path} cannot be read: {error.strerror or error}. Try again.")
