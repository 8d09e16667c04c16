"""Writing files so that a crash leaves the whole of them or nothing under their name.

Functions here let OSError through, for not all that is written is published; ``publishing`` is for what is.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flywheel_assets.domain.errors import PublicationError, printable

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Draft:
    """A file that is being written and does not have its name yet."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.is_gone = False

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def keep(self, path: Path, *, once: bool = False, synced: bool = True) -> bool:
        """Make it ``path``, in place of what is there; with ``once``, False when something is there.

        What is not ``synced`` may be empty after a power cut: for files that can be made again.
        """
        self._file.flush()
        if synced:
            os.fsync(self._file.fileno())
        if not once:
            self._path.replace(path)
            self.is_gone = True
            return True
        try:
            path.hardlink_to(self._path)
        except FileExistsError:
            return False
        return True


@contextmanager
def draft(path: Path, *, mode: int = 0o666) -> Iterator[Draft]:
    """A new file at ``path``, removed at the end unless it was kept. The umask is taken from ``mode``."""
    with os.fdopen(os.open(path, _NEW_FILE, mode), "wb") as file:
        drafted = Draft(path, file)
        try:
            yield drafted
        finally:
            if not drafted.is_gone:
                path.unlink(missing_ok=True)


def write_atomically(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o666,
    once: bool = False,
    synced: bool = True,
    temporary: Path | None = None,
) -> bool:
    """Make ``data`` the file ``path``, whole or not at all; with ``once``, False when something is there.

    It is written to ``temporary`` first, a new name beside it unless given. The name itself outlives a power cut
    once ``sync_folder`` was called.
    """
    with draft(temporary or path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp"), mode=mode) as drafted:
        drafted.write(data)
        return drafted.keep(path, once=once, synced=synced)


def sync_folder(folder: Path) -> None:
    """Make sure that the names given in ``folder`` so far outlive a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def publishing(place: Path) -> Iterator[None]:
    """What the system refuses in the block is a PublicationError that names ``place``."""
    try:
        yield
    except OSError as error:
        name, reason = printable(str(place), 300), error.strerror or error
        raise PublicationError(
            f"{name} cannot be written: {reason}. Give this process room and access there."
        ) from error
