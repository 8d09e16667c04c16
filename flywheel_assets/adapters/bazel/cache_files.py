"""The files of a ``--disk_cache`` folder: ``ac/<2 hex>/<64 hex>`` and ``cas/<2 hex>/<64 hex>``.

No symbolic link below the folder is followed and no FIFO is waited for: anyone may write there.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import MIB

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Store = Literal["ac", "cas"]


class CacheFiles:
    """Reads entries by digest; only digests, which are validated, ever become file names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def chunks(self, store: Store, digest: ActionDigest | CasDigest) -> Iterator[bytes]:
        """An entry in chunks of at most 1 MiB, unverified. Errors come with the first chunk.

        Raises AbsentError, UnauthorisedError, UnreadableError, or InvalidInputError for what is no plain file.
        """
        name = f"{store}/{digest.hex}"
        file = self._open(name, store, digest.hex[:2], digest.hex)
        try:
            while chunk := os.read(file, MIB):
                yield chunk
        except OSError as error:
            raise _read_error(error, name) from error
        finally:
            os.close(file)

    def small(self, store: Store, digest: ActionDigest | CasDigest, bound: int) -> bytes:
        """A whole entry of at most ``bound`` bytes; LimitExceededError when it is larger."""
        data = bytearray()
        for chunk in self.chunks(store, digest):
            data += chunk
            if len(data) > bound:
                raise LimitExceededError(
                    f"{store}/{digest.hex}", "size", f"is over {bound:,} bytes", "Make the action's outputs fewer."
                )
        return bytes(data)

    def actions(self) -> Iterator[ActionDigest]:
        """The digests of all actions in the cache, in order. Raises ReadError when it cannot be listed."""
        folder = self._folder / "ac"
        try:
            subfolders = [sub for sub in os.listdir(folder) if re.fullmatch("[0-9a-f]{2}", sub)]  # noqa: PTH208 - names
            names = sorted(name for sub in subfolders for name in os.listdir(folder / sub))  # noqa: PTH208
        except OSError as error:
            raise _read_error(error, str(folder)) from error
        for name in names:
            try:
                yield ActionDigest.from_hex(name)
            except ValueError:
                continue  # a temporary file that Bazel is writing

    def _open(self, name: str, *parts: str) -> int:
        with ExitStack() as opened:
            try:
                at = os.open(self._folder, _FOLDER & ~os.O_NOFOLLOW)
                opened.callback(os.close, at)
                for part in parts[:-1]:
                    at = os.open(part, _FOLDER, dir_fd=at)
                    opened.callback(os.close, at)
                file = os.open(parts[-1], _FILE, dir_fd=at)
            except OSError as error:
                raise _read_error(error, name) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise InvalidInputError(name, "type", "is not a regular file", "Clear the disk cache and build again.")
        return file


def _read_error(error: OSError, name: str) -> FlywheelError:
    if error.errno == errno.ENOENT:
        return AbsentError(f"The disk cache has no {name}.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return UnauthorisedError(f"The disk cache's {name} may not be read by this user. Grant read permission.")
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return InvalidInputError(
            name, "path", "leads through a symbolic link or a file", "Clear the disk cache and build again."
        )
    return UnreadableError(f"The disk cache's {name} cannot be read: {error.strerror or error.errno}. Try again.")
