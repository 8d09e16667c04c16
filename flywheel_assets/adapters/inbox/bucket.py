"""A prefix in S3, or in what speaks its protocol, that builders put receipts under, as ``*.json`` objects."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flywheel_assets.adapters.inbox.names import (
    after_unaddressable,
    is_delivery,
    is_in_folder,
    is_left,
    misnamed,
    readable_name,
)
from flywheel_assets.adapters.s3 import UnaddressableError, asking, open_bucket
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, UnauthorisedError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Delivery

if TYPE_CHECKING:
    from obstore import ObjectMeta

_PAGE = 1000  # ListObjectsV2 gives no more at once
_UNADDRESSABLE = 20  # names that a listing is gone on with behind


@contextmanager
def _asking(told: str) -> Iterator[None]:
    """As ``s3.asking``: but what a server makes of a request says nothing of a receipt, which may be read later."""
    try:
        with asking(told):
            yield
    except InvalidInputError as error:
        raise UnreadableError(str(error)) from None


class BucketInbox:
    """ports.BuildSource at ``s3://bucket/prefix``: the objects directly below it.

    The listing is read page by page, and a body only when somebody takes it. Raises UsageError for what is no such URL.

    A name that nothing can address (``//``, ``..``, control characters) is a delivery that cannot be read, whatever
    folder it is in. obstore gives nothing of its page. Of one in a folder below, the server is asked again for what is
    in none, and all is there. Else the listing goes on behind it, and ends with an error that names it, for there may
    be receipts before it that nobody saw.
    """

    def __init__(self, url: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self._place = url.rstrip("/")
        self._store = open_bucket(self._place)
        prefix = str(self._store.prefix or "")
        self._below = f"{prefix}/" if prefix else ""
        self._limits = limits

    def deliveries(self, seen: Container[str] = frozenset()) -> Iterator[Delivery]:
        """Every ``*.json`` by name, in the order of S3: bytes; and unread what else lies directly there.

        Raises ReadError when it cannot be listed.
        """
        for found in self._listed():
            if isinstance(found, UnaddressableError):
                yield self._unaddressable(found)
            elif (version := _version(found)) not in seen:
                delivery = self._delivery(found, version)
                if delivery is not None:
                    yield delivery

    def delivery(self, name: str) -> Delivery | None:
        """The one whose readable name it is. Raises as ``deliveries``."""
        for found in self._listed():
            if isinstance(found, UnaddressableError):
                if readable_name(found.key) == name:
                    return self._unaddressable(found)
            elif readable_name(found["path"]) == name:
                return self._delivery(found, _version(found))
        return None

    def _listed(self) -> Iterator["ObjectMeta | UnaddressableError"]:
        """All deliveries, and between them what obstore stopped at. Raises the first of that if it may hide others."""
        last = ""
        try:
            for found in self._listed_behind(None):
                last = found["path"]
                yield found
        except UnaddressableError as error:
            flat = self._outside_folders() if is_in_folder(error.key, self._below) else None
            if flat is None:
                yield from self._listed_around(error)
                return
            yield error
            yield from (found for found in flat if found["path"].encode() > last.encode())

    def _listed_around(self, first: UnaddressableError) -> Iterator["ObjectMeta | UnaddressableError"]:
        """What comes after the page that holds ``first``, and all further such names. Raises it at the end."""
        met, behind = first, ""
        for _ in range(_UNADDRESSABLE):
            if not met.key:
                break
            yield met
            last, behind = behind, after_unaddressable(met.key, self._below)
            if behind.encode() <= last.encode():
                break
            try:
                yield from self._listed_behind(behind)
                break
            except UnaddressableError as error:
                met = error
        raise first

    def _outside_folders(self) -> "list[ObjectMeta] | None":
        """What lies in no folder, all at once; None where there is a name of that kind too that nothing can address."""
        import obstore

        try:
            with _asking(f"The inbox {self._place}"):
                found = obstore.list_with_delimiter(self._store)["objects"]
        except UnaddressableError:
            return None
        return sorted((each for each in found if is_left(each["path"])), key=lambda each: each["path"].encode())

    def _listed_behind(self, name: str | None) -> Iterator["ObjectMeta"]:
        import obstore

        told = f"The inbox {self._place}"
        with _asking(told):
            pages = iter(obstore.list(self._store, offset=name, chunk_size=_PAGE))
        while True:
            with _asking(told):
                page = next(pages, None)
            if page is None:
                return
            yield from (found for found in page if is_left(found["path"]))

    @staticmethod
    def _unaddressable(error: UnaddressableError) -> Delivery:
        shown = readable_name(error.key)
        return Delivery(shown, None, "is a name that nothing can address. Remove that object.")

    def _delivery(self, found: "ObjectMeta", version: str) -> Delivery | None:
        """The object as a delivery; None when it was taken away since it was listed."""
        if not is_delivery(found["path"]):
            return misnamed(found["path"], version)
        shown, size, most = readable_name(found["path"]), int(found["size"]), self._limits.signed_bytes
        if size > most:
            problem = f"{shown} has {size:,} bytes, and at most {most:,} are read. Make the receipt smaller."
            return Delivery(shown, None, problem, version)
        try:
            data = self._read(found["path"], shown, most)
        except AbsentError:
            return None
        except ReadError as error:
            return Delivery(shown, None, str(error), version, passing=not isinstance(error, UnauthorisedError))
        if len(data) > most:  # it grew since it was listed, and so has another version
            return None
        return Delivery(shown, data, version=version)

    def _read(self, path: str, shown: str, most: int) -> bytes:
        import obstore

        with _asking(f"{self._place}/{shown}"):
            data = bytearray()
            for piece in obstore.get(self._store, path).stream():
                data += bytes(piece)
                if len(data) > most:
                    break
            return bytes(data)


def _version(found: "ObjectMeta") -> str:
    return f"{readable_name(found['path'])} {found['e_tag']} {found['size']} {found['last_modified'].isoformat()}"
