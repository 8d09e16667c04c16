"""Opening files below a folder that others write to: no symbolic link is followed, no FIFO is waited for.

Only this module turns the operating system's errors for OCI layouts into ours.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    PublicationError,
    UnauthorisedError,
    UnreadableError,
    printable,
)
from flywheel_assets.domain.limits import MIB

CHUNK = MIB
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that nobody writes to would otherwise hang for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_error(error: OSError, name: str) -> FlywheelError:
    """What a failed open or read of ``name`` means here."""
    name = printable(name, 300)
    if error.errno == errno.ENOENT:
        return AbsentError(f"{name} is not there.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return UnauthorisedError(f"{name} may not be read by this user. Grant read permission on it.")
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return InvalidInputError(
            name, "path", "leads through a symbolic link or a file", "Put a plain file into plain folders."
        )
    return UnreadableError(f"{name} cannot be read: {error.strerror or error.errno}. Check the disk and try again.")


def write_error(error: OSError, name: str) -> PublicationError:
    """What a failed write of ``name`` means here."""
    reason = error.strerror or error.errno
    return PublicationError(f"{printable(name, 300)} cannot be written: {reason}. Free it and publish again.")


def open_below(folder: Path, *parts: str) -> int:
    """A descriptor of the regular file at ``parts`` below ``folder``; the caller closes it.

    Each step is opened relative to the one before it, so nothing can be swapped for a link in between.
    Raises AbsentError, UnauthorisedError, UnreadableError, or InvalidInputError for what is no plain file.
    """
    name = str(folder.joinpath(*parts))
    with ExitStack() as opened:
        try:
            at = os.open(folder, _FOLDER)
            opened.callback(os.close, at)
            for part in parts[:-1]:
                at = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                opened.callback(os.close, at)
            file = os.open(parts[-1], _FILE, dir_fd=at)
        except OSError as error:
            raise read_error(error, name) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise InvalidInputError(name, "type", "is not a regular file", "Put a plain file there.")
    return file


def chunks_of(file: int, name: str) -> Iterator[bytes]:
    """The rest of an open file in chunks of at most 1 MiB; ``name`` is for errors. Closes the descriptor."""
    try:
        while chunk := os.read(file, CHUNK):
            yield chunk
    except OSError as error:
        raise read_error(error, name) from error
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    file = os.open(folder, _FOLDER)
    try:
        os.fsync(file)
    finally:
        os.close(file)
