"""Writing into a durable cache folder: a file is there whole and synced to disk, or it is not there.

A crash at any point leaves at most ``.tmp-…`` files, which no consumer asks for and a later run sweeps away.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flywheel_assets.adapters.nix.folder import Folder
from flywheel_assets.domain.errors import PublicationError

_DRAFT = ".tmp-"
_ABANDONED_SECONDS = 24 * 3600


class Draft:
    """A file that is being written and has no name yet."""

    def __init__(self, path: Path, folder: Path, file: BinaryIO) -> None:
        self._path, self._folder, self._file = path, folder, file
        self.is_gone = False

    def write(self, data: bytes) -> None:
        """Append. Raises PublicationError."""
        with _writing(self._path):
            self._file.write(data)

    def keep(self, name: str, *, synced: bool = True) -> None:
        """Give it its name, in place of whatever has that name. Raises PublicationError.

        What is not ``synced`` may be empty after a power cut: for files that can be made again.
        """
        with _writing(self._folder / name):
            if synced:
                self._sync()
            else:
                self._file.flush()
            self._path.replace(self._folder / name)
            self.is_gone = True

    def keep_once(self, name: str) -> bool:
        """Give it its name unless something has that name already; whether it did. Raises PublicationError."""
        with _writing(self._folder / name):
            self._sync()
            try:
                (self._folder / name).hardlink_to(self._path)
            except FileExistsError:
                return False
            return True

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


class DurableFolder(Folder):
    """A folder that this process may write. Names given here are its own, never out of a narinfo."""

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A draft, thrown away at the end unless it was kept. Raises PublicationError."""
        path = self.path / f"{_DRAFT}{secrets.token_hex(8)}"
        with _writing(path):
            file = path.open("xb")
        draft = Draft(path, self.path, file)
        try:
            yield draft
        finally:
            with _writing(path):
                file.close()
                if not draft.is_gone:
                    path.unlink(missing_ok=True)

    def put(self, name: str, data: bytes, *, synced: bool = True) -> None:
        """Make ``data`` the file ``name``, in place of what is there. Raises PublicationError."""
        with self.draft() as draft:
            draft.write(data)
            draft.keep(name, synced=synced)

    def put_once(self, name: str, data: bytes) -> bool:
        """Make ``data`` the file ``name`` unless it exists; whether it did. Raises PublicationError."""
        with self.draft() as draft:
            draft.write(data)
            return draft.keep_once(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises PublicationError."""
        with _writing(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def make(self, *names: str) -> None:
        """Make the folder and these below it. Raises PublicationError."""
        for name in ("", *names):
            with _writing(self.path / name):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    def sync(self, *names: str) -> None:
        """Make sure that names given so far, in the folder itself and these below it, outlive a power cut."""
        for name in ("", *names):
            with _writing(self.path / name):
                descriptor = os.open(self.path / name, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def sweep(self) -> None:
        """Remove drafts that nobody has written to for a day. Raises PublicationError."""
        with _writing(self.path):
            for path in self.path.glob(f"{_DRAFT}*"):
                if path.lstat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublicationError(
            f"{path} cannot be written: {error.strerror or error}. Give this process room and access there."
        ) from error
