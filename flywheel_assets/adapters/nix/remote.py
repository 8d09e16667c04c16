"""A Nix cache on a web server: Attic, nginx, anything that answers GET; a durable one also takes PUT.

Source: the Nix manual, "HTTP binary cache store"; RFC 9110, 9.3.4 (PUT) and 13.1.2 (If-None-Match). Attic answers
401 for what a private cache does not hold (server/src/error.rs), as it does for a reader that it does not know; S3
behind a web server answers 403 to both.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, partial
from http import HTTPStatus

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.files import HttpFiles
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.adapters.nix.attic import retention_note
from flywheel_assets.adapters.nix.cache_files import CACHE_INFO, DISTANT_THREADS, LOCAL_THREADS
from flywheel_assets.adapters.nix.folder import relative_name
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LimitExceededError,
    PublicationError,
    ReadError,
    UnauthorisedError,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits

_NEARBY_SECONDS = 0.005
_WRITTEN = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_TAKEN = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT}


class RemoteFiles(HttpFiles):
    """``CacheFiles`` over HTTP."""

    def __init__(self, client: HttpClient, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(client, limits)
        self._most = limits.narinfo_bytes
        self._fastest: float | None = None

    @property
    def threads(self) -> int:
        """Few for a server nearby, where Python itself is the limit; many where most of the time is the way."""
        if self._fastest is None:
            try:
                self._seconds()  # opens the connection
                self._fastest = min(self._seconds() for _ in range(3))
            except (ReadError, InvalidInputError):
                return LOCAL_THREADS  # whoever reads on meets the same error, and says so
        return LOCAL_THREADS if self._fastest < _NEARBY_SECONDS else DISTANT_THREADS

    def located(self, url: str, document: str) -> str:
        """An absolute URL goes to the client, which follows it only to places that the surface may lead to."""
        return url if url.startswith(("http://", "https://")) else relative_name(url, document)

    def read(self, name: str, most: int) -> bytes:
        """As ``HttpFiles.read``, but what is refused to a reader who may read the cache's own description is absent."""
        try:
            return super().read(name, most)
        except (AbsentError, UnauthorisedError) as error:
            self._demand_known(name, error)
            note = self._note if name.endswith(".narinfo") else ""
            raise AbsentError(f"{self.place}/{name} is not there.{note}") from error

    def size(self, name: str) -> int:
        """As ``HttpFiles.size``; what is refused is absent as in ``read``."""
        try:
            return super().size(name)
        except UnauthorisedError as error:
            self._demand_known(name, error)
            raise AbsentError(f"{self.place}/{name} is not there.") from error

    def _demand_known(self, name: str, error: ReadError) -> None:
        """Raises UnauthorisedError when ``error`` is that this reader is refused here altogether."""
        if isinstance(error, UnauthorisedError):
            if name == CACHE_INFO:
                raise error
            super().read(CACHE_INFO, self._most)

    def _seconds(self) -> float:
        """How long a small answer takes; that there is no such file yet is one too."""
        began = time.monotonic()
        with suppress(AbsentError, UnauthorisedError):
            self.read(CACHE_INFO, self._most)
        return time.monotonic() - began

    @cached_property
    def _note(self) -> str:
        return retention_note(self.client)


class RemoteDurable(RemoteFiles):
    """``DurableFiles`` on a server that takes PUT.

    Such a server promises less than a folder or S3 does: where it does not heed ``If-None-Match`` (nginx), two
    publishers that write one name within the same moment may both be told that they were first. Each reads back what
    is there after its write, and the promotion reads all of it again before anything is called published.
    """

    _note = ""  # nothing is collected here

    def prepare(self, *folders: str) -> None:
        """Nothing: the server makes folders as files come."""

    def settle(self) -> None:
        """Nothing: how durable an answered PUT is, is up to the server."""

    def put(self, name: str, data: bytes, *, settled: bool = True) -> None:
        """PUT ``data``."""
        del settled
        if not patiently(partial(self._put, name, data)):
            raise PublicationError(f"{self.place}/{name} cannot be replaced. Let the server take PUT over a file.")

    def put_once(self, name: str, data: bytes) -> bool:
        """Look, PUT on the condition that there is nothing, and read back what is there then."""
        if self._is_there(name) or not patiently(partial(self._put, name, data, {"If-None-Match": "*"})):
            return False
        try:
            return self.read(name, len(data)) == data
        except LimitExceededError:
            return False

    def upload(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        """PUT ``chunks`` as they come, and ask how many bytes arrived."""
        with self.client.request("PUT", name, body=chunks, length=size) as response:
            self._demand_written(response, name)
        if (found := self.size(name)) != size:
            raise PublicationError(f"{self.place}/{name} has {found:,} bytes on the server, and {size:,} were sent.")

    def remove(self, name: str) -> bool:
        """DELETE the file, and look that it is gone."""
        if not self._is_there(name):
            return False
        patiently(partial(self._delete, name))
        if self._is_there(name):
            raise PublicationError(f"{self.place}/{name} is still served after the server took its DELETE.")
        return True

    def _delete(self, name: str) -> None:
        with self.client.request("DELETE", name) as response:
            if response.status not in {*_WRITTEN, *_GONE}:
                raise refusal(response, f"removing {name}", "Let the server take DELETE from this credential.")

    def _is_there(self, name: str) -> bool:
        try:
            self.size(name)
        except AbsentError:
            return False
        return True

    def _put(self, name: str, data: bytes, headers: dict[str, str] | None = None) -> bool:
        with self.client.request("PUT", name, body=data, headers=headers or {}) as response:
            if response.status in _TAKEN:
                return False
            self._demand_written(response, name)
        return True

    def _demand_written(self, response: Response, name: str) -> None:
        if response.status not in _WRITTEN:
            raise refusal(response, f"writing {name}", "Let the server take PUT from this pipeline's credential.")
