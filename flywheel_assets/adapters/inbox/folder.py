"""A folder that builders drop receipts into, as ``*.json`` files renamed into place."""

from collections.abc import Container, Iterator
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.inbox.names import is_delivery, readable_name
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Delivery


class FolderInbox:
    """ports.BuildSource over the files directly in ``folder``; names with a leading dot are not looked at."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._folder = Folder(
            folder, remedy="Put the receipt itself there.", shrink="Make the receipt smaller.", shown=readable_name
        )
        self._limits = limits

    def deliveries(self, seen: Container[str] = frozenset()) -> Iterator[Delivery]:
        """Every ``*.json`` by name. Raises AbsentError, UnauthorisedError or UnreadableError for the folder."""
        return self._read_all([name for name in self._names() if is_delivery(name)], seen)

    def delivery(self, name: str) -> Delivery | None:
        """The one whose readable name it is. Raises as ``deliveries``."""
        found = [each for each in self._names() if is_delivery(each) and readable_name(each) == name]
        return self._delivery(found[0], self._version(found[0])) if found else None

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
        try:
            return Delivery(shown, self._folder.read(name, self._limits.signed_bytes), version=version)
        except AbsentError:
            return None
        except InvalidInputError as error:
            return Delivery(shown, None, f"{shown} {error.problem}. {error.remedy}", version)
        except ReadError as error:
            return Delivery(shown, None, str(error), version, passing=isinstance(error, UnreadableError))
