"""A folder that builders drop receipts into, as ``*.json`` files renamed into place.

Until they are, they have other names: what still has one after an hour was meant to be left so, and is told of.
"""

import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.inbox.names import is_delivery, is_left, misnamed, readable_name
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Delivery

_WRITING_SECONDS = 3600.0


class FolderInbox:
    """ports.BuildSource over the files directly in ``folder``; names with a leading dot are not looked at."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS, clock: Callable[[], float] = time.time) -> None:
        self._folder = Folder(
            folder, remedy="Put the receipt itself there.", shrink="Make the receipt smaller.", shown=readable_name
        )
        self._limits = limits
        self._clock = clock

    def deliveries(self, seen: Container[str] = frozenset()) -> Iterator[Delivery]:
        """Every ``*.json`` by name, and unread whatever else was left there for an hour.

        Raises AbsentError, UnauthorisedError or UnreadableError for the folder.
        """
        return self._read_all([name for name in self._names() if self._is_there(name)], seen)

    def delivery(self, name: str) -> Delivery | None:
        """The one whose readable name it is. Raises as ``deliveries``."""
        found = [each for each in self._names() if self._is_there(each) and readable_name(each) == name]
        return self._delivery(found[0], self._version(found[0])) if found else None

    def _is_there(self, name: str) -> bool:
        """Whether it is delivered. Nobody but the file system sets the time that tells how long it was not touched."""
        if is_delivery(name) or not is_left(name):
            return is_delivery(name)
        try:
            return self._clock() - (self._folder.path / name).lstat().st_ctime > _WRITING_SECONDS
        except OSError:
            return False

    def _names(self) -> list[str]:
        inbox = f"The inbox {readable_name(str(self._folder.path))}"
        try:
            return self._folder.names()
        except AbsentError as error:
            raise AbsentError(f"{inbox} is not there. Create the folder, or configure another.") from error
        except InvalidInputError as error:
            raise UnreadableError(f"{inbox} is no folder. Configure another.") from error

    def _read_all(self, names: list[str], seen: Container[str]) -> Iterator[Delivery]:
        for name in names:
            # Before it is read: what is written meanwhile has another version.
            version = self._version(name)
            if version not in seen:
                delivery = self._delivery(name, version)
                if delivery is not None:
                    yield delivery

    def _version(self, name: str) -> str:
        """Name, inode, size and times: another file, or the same one written or given access to, has another."""
        try:
            found = (self._folder.path / name).lstat()
        except OSError:
            return ""
        return f"{readable_name(name)} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"

    def _delivery(self, name: str, version: str) -> Delivery | None:
        """The file as a delivery; None when it was taken away since the folder was listed."""
        shown = readable_name(name)
        if not is_delivery(name):
            return misnamed(name, version)
        try:
            return Delivery(shown, self._folder.read(name, self._limits.signed_bytes), version=version)
        except AbsentError:
            return None
        except InvalidInputError as error:
            return Delivery(shown, None, f"{shown} {error.problem}. {error.remedy}", version)
        except ReadError as error:
            return Delivery(shown, None, str(error), version, passing=isinstance(error, UnreadableError))
