"""Writing into a durable cache folder: a file is there whole and synced to disk, or it is not there.

A crash at any point leaves at most ``.tmp-…`` files, which no consumer asks for and a later run sweeps away.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.nix.folder import REMEDY
from flywheel_assets.adapters.writing import Draft, draft, publishing, sync_folder, write_atomically
from flywheel_assets.domain.errors import PublicationError

_DRAFT = ".tmp-"
_ABANDONED_SECONDS = 24 * 3600


class DurableFolder(Folder):
    """A folder that this process may write. Names given here are its own, never out of a narinfo."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, remedy=REMEDY)

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A draft, thrown away at the end unless it was kept. Raises PublicationError."""
        path = self._new_path()
        with publishing(path), draft(path) as drafted:
            yield drafted

    def put(self, name: str, data: bytes, *, synced: bool = True) -> None:
        """Make ``data`` the file ``name``, in place of what is there. Raises PublicationError.

        What is not ``synced`` may be empty after a power cut: for files that can be made again.
        """
        with publishing(self.path / name):
            write_atomically(self.path / name, data, synced=synced, temporary=self._new_path())

    def put_once(self, name: str, data: bytes) -> bool:
        """Make ``data`` the file ``name`` unless it exists; whether it did. Raises PublicationError."""
        with publishing(self.path / name):
            return write_atomically(self.path / name, data, once=True, temporary=self._new_path())

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises PublicationError."""
        with publishing(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def make(self, *names: str) -> None:
        """Make the folder and these below it. Raises PublicationError, also for links: they lead elsewhere."""
        for path in (self.path / name for name in names):  # all of them before anything is made
            if path.is_symlink():
                raise PublicationError(f"{path} is a symbolic link, and nothing is published through one. Remove it.")
        for path in (self.path / name for name in ("", *names)):
            with publishing(path):
                path.mkdir(parents=True, exist_ok=True)

    def sync(self, *names: str) -> None:
        """Make sure that names given so far, in the folder itself and these below it, outlive a power cut."""
        for name in ("", *names):
            with publishing(self.path / name):
                sync_folder(self.path / name)

    def sweep(self) -> None:
        """Remove drafts that nobody has written to for a day. Raises PublicationError."""
        with publishing(self.path):
            for path in self.path.glob(f"{_DRAFT}*"):
                with suppress(FileNotFoundError):  # another publisher finished it just now
                    if path.lstat().st_mtime < time.time() - _ABANDONED_SECONDS:
                        path.unlink()

    def _new_path(self) -> Path:
        return self.path / f"{_DRAFT}{secrets.token_hex(8)}"
