"""A folder that builders drop receipts into, as ``*.json`` files renamed into place."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from flywheel_assets.domain.errors import AbsentError, ReadError, UnauthorisedError, UnreadableError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Delivery

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# The checks before the open are repeated after it; these flags keep a swapped-in link or FIFO from doing harm.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAME_CHARS = 300


class FolderInbox:
    """ports.BuildSource over the files directly in ``folder``; names with a leading dot are not looked at."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._folder = folder
        self._limits = limits

    def deliveries(self) -> Iterator[Delivery]:
        """Every ``*.json`` by name. Raises AbsentError, UnauthorisedError or UnreadableError for the folder."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if _is_delivery(name))  # noqa: PTH208 - bare names
        except OSError as error:
            raise _folder_error(error, self._folder) from error
        return self._read_all(names)

    def _read_all(self, names: list[str]) -> Iterator[Delivery]:
        for name in names:
            delivery = self._delivery(name)
            if delivery is not None:
                yield delivery

    def _delivery(self, name: str) -> Delivery | None:
        """The file as a delivery; None when it was taken away since the folder was listed."""
        shown = readable_name(name)
        try:
            data, problem = self._read(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Delivery(
                shown, None, f"{shown} cannot be read: {error.strerror or error.errno}. Check its permissions."
            )
        return Delivery(shown, data, f"{shown} {problem}" if problem else "")

    def _read(self, name: str) -> tuple[bytes | None, str]:
        folder = os.open(self._folder, _FOLDER)
        try:
            problem = self._problem(os.stat(name, dir_fd=folder, follow_symlinks=False))
            if problem:
                return None, problem
            file = os.open(name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        with os.fdopen(file, "rb") as opened:
            problem = self._problem(os.fstat(file))
            # One byte over the limit tells a file that grew since.
            data = b"" if problem else opened.read(self._limits.receipt_bytes + 1)
        if len(data) > self._limits.receipt_bytes:
            problem = self._too_large(len(data))
        return (None, problem) if problem else (data, "")

    def _problem(self, found: os.stat_result) -> str:
        if stat.S_ISLNK(found.st_mode):
            return "is a symbolic link, which is never followed. Put the receipt itself there."
        if not stat.S_ISREG(found.st_mode):
            return "is not a regular file, and was not opened. Put the receipt itself there."
        return self._too_large(found.st_size) if found.st_size > self._limits.receipt_bytes else ""

    def _too_large(self, size: int) -> str:
        return f"has {size:,} bytes, and at most {self._limits.receipt_bytes:,} are read. Make the receipt smaller."


def readable_name(name: str) -> str:
    """A file name for people and logs: bytes that are no UTF-8, and control characters, are spelled out."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _NAME_CHARS)


def _is_delivery(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _folder_error(error: OSError, folder: Path) -> ReadError:
    name = readable_name(str(folder))
    if error.errno == errno.ENOENT:
        return AbsentError(f"The inbox {name} is not there. Create the folder, or configure another.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return UnauthorisedError(f"The inbox {name} may not be listed by this user. Grant read permission on it.")
    return UnreadableError(f"The inbox {name} cannot be listed: {error.strerror or error.errno}. Check the folder.")
