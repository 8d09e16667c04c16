"""Writing into a layout so that a crash leaves either nothing or the whole: temporary file, fsync, rename.

Functions here let OSError through; OciLayout turns it into PublicationError with the object's name.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flywheel_assets.adapters.http.wire import Octets
from flywheel_assets.adapters.writing import sync_folder, write_atomically
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import PublicationError

PRIVATE = ".flywheel"
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def exclusive(layout: Path, name: str) -> Iterator[int]:
    """Hold ``.flywheel/<name>`` against every other thread and process; yields its descriptor.

    The kernel lets go of it when a process dies, so a crash locks nobody out and leaves one file to reuse.
    """
    path = layout / PRIVATE / name
    while True:
        file = os.open(path, _OPEN, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it before may have moved the file away: then this is no lock any more.
            if _is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


@contextmanager
def removed_unless_moved(part: Path) -> Iterator[Callable[[], None]]:
    """Remove the temporary file at the end, unless the function that is yielded was called.

    After a move the name may already be another writer's. The caller holds the file.
    """
    moved: list[bool] = []
    try:
        yield lambda: moved.append(True)
    finally:
        if not moved:
            part.unlink(missing_ok=True)


def write_verified(file: int, chunks: Iterable[Octets], digest: Sha256, size: int) -> None:
    """Replace the file's content by ``chunks`` and make it durable.

    PublicationError when they are not exactly ``size`` bytes under ``digest``.
    """
    os.ftruncate(file, 0)
    hasher = hashlib.sha256()
    written = 0
    for chunk in chunks:
        hasher.update(chunk)
        written += len(chunk)
        if written > size:
            break
        write_all(file, chunk)
    if written != size or hasher.hexdigest() != digest.hex:
        found = f"sha256:{hasher.hexdigest()}" if written <= size else "something longer"
        raise PublicationError(
            f"{digest} shall be {size:,} bytes, but the source gave {min(written, size):,} bytes, {found}. "
            "Nothing was kept; inspect the source again."
        )
    os.fsync(file)


def write_all(file: int, data: Octets) -> None:
    """Write all of ``data``, however the system splits it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def move(part: Path, target: Path) -> None:
    """Rename onto ``target``, durably."""
    part.replace(target)
    sync_folder(target.parent)


def replace(layout: Path, name: str, data: bytes) -> None:
    """Replace ``layout/name`` in one step. The caller holds the lock, so one temporary name is enough."""
    part = layout / PRIVATE / f"{name}.part"
    part.unlink(missing_ok=True)  # a dead process may have left one
    write_atomically(layout / name, data, mode=0o644, temporary=part)
    sync_folder(layout)
