"""Writing into a durable cache folder: a file is there whole, or it is not there.

A crash at any point leaves at most ``.tmp-…`` files, which no consumer asks for and a later run sweeps away. Many
files are synced to disk together: one by one that takes as long as copying them.
"""

import ctypes
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.adapters.writing import draft, publishing, sync_folder, write_atomically
from flywheel_assets.domain.errors import PublicationError

_DRAFT = ".tmp-"
_ABANDONED_SECONDS = 24 * 3600


class DurableFolder(CacheFolder):
    """``DurableFiles`` in a folder that this process may write."""

    def prepare(self, *folders: str) -> None:
        """Make the folder and these below it, and sweep out drafts that nobody has written to for a day.

        Raises PublicationError, also for links: they lead elsewhere.
        """
        for path in (self.path / name for name in folders):  # all of them before anything is made
            if path.is_symlink():
                raise PublicationError(f"{path} is a symbolic link, and nothing is published through one. Remove it.")
        for path in (self.path / name for name in ("", *folders)):
            with publishing(path):
                path.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def put(self, name: str, data: bytes, *, settled: bool = True) -> None:
        """Make ``data`` the file ``name``, in place of what is there."""
        path = self.path / name
        with publishing(path):
            write_atomically(path, data, synced=settled, temporary=self._new_path())

    def put_once(self, name: str, data: bytes) -> bool:
        """Make ``data`` the file ``name`` unless it exists; whether it did. It is on disk before it has its name."""
        path = self.path / name
        with publishing(path):
            return write_atomically(path, data, once=True, temporary=self._new_path())

    def upload(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        """Write ``chunks`` to a draft that gets its name at the end."""
        del size
        with publishing(self.path / name), draft(self._new_path()) as drafted:
            for chunk in chunks:
                drafted.write(chunk)
            drafted.keep(self.path / name, synced=False)

    def remove(self, name: str) -> bool:
        """Unlink the file; not even a power cut brings it back."""
        path = self.path / name
        with publishing(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            sync_folder(path.parent)
        return True

    def settle(self) -> None:
        """Sync all of the file system: what other processes wrote there before they died is settled too."""
        with publishing(self.path):
            _sync_file_system(self.path)

    def _sweep(self) -> None:
        with publishing(self.path):
            for path in self.path.glob(f"{_DRAFT}*"):
                with suppress(FileNotFoundError):  # another publisher finished it just now
                    if path.lstat().st_mtime < time.time() - _ABANDONED_SECONDS:
                        path.unlink()

    def _new_path(self) -> Path:
        return self.path / f"{_DRAFT}{secrets.token_hex(8)}"


def _sync_file_system(folder: Path) -> None:
    """All that was written to the file system of ``folder`` so far, names too, outlives a power cut. Raises OSError."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # not Linux
        os.sync()
        return
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syncfs(file) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(file)
