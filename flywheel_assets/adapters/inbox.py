"""A folder that builders drop receipts into, as ``*.json`` files renamed into place."""

import os
from collections.abc import Iterator
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, UnreadableError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Delivery

_NAME_CHARS = 300


class FolderInbox:
    """ports.BuildSource over the files directly in ``folder``; names with a leading dot are not looked at."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._folder = Folder(
            folder, remedy="Put the receipt itself there.", shrink="Make the receipt smaller.", shown=readable_name
        )
        self._limits = limits

    def deliveries(self) -> Iterator[Delivery]:
        """Every ``*.json`` by name. Raises AbsentError, UnauthorisedError or UnreadableError for the folder."""
        inbox = f"The inbox {readable_name(str(self._folder.path))}"
        try:
            names = self._folder.names()
        except AbsentError as error:
            raise AbsentError(f"{inbox} is not there. Create the folder, or configure another.") from error
        except InvalidInputError as error:
            raise UnreadableError(f"{inbox} is no folder. Configure another.") from error
        return self._read_all([name for name in names if _is_delivery(name)])

    def _read_all(self, names: list[str]) -> Iterator[Delivery]:
        for name in names:
            delivery = self._delivery(name)
            if delivery is not None:
                yield delivery

    def _delivery(self, name: str) -> Delivery | None:
        """The file as a delivery; None when it was taken away since the folder was listed."""
        shown = readable_name(name)
        try:
            return Delivery(shown, self._folder.read(name, self._limits.receipt_bytes))
        except AbsentError:
            return None
        except InvalidInputError as error:
            return Delivery(shown, None, f"{shown} {error.problem}. {error.remedy}")
        except ReadError as error:
            return Delivery(shown, None, str(error))


def readable_name(name: str) -> str:
    """A file name for people and logs: bytes that are no UTF-8, and control characters, are spelled out."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _NAME_CHARS)


def _is_delivery(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")
