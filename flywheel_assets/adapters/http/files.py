"""Files of a surface by plain GET: what ``adapters.files.Folder`` is for folders."""

from collections.abc import Iterator
from http import HTTPStatus

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.domain.errors import InvalidInputError, PublicationError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits


class HttpFiles:
    """Files below the base of a client, by relative names or URLs of allowed places."""

    def __init__(self, client: HttpClient, limits: Limits = DEFAULT_LIMITS) -> None:
        self.client = client
        self._limits = limits

    @property
    def place(self) -> str:
        """The surface's URL, for messages."""
        return self.client.base

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises ReadError by its kind, LimitExceededError when it is over ``most`` bytes."""

        def once() -> bytes:
            with self._got("GET", name) as response:
                return response.read(most)

        return patiently(once)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in pieces of at most 1 MiB, as far as ``limits.blob_bytes``. Raises as ``read``.

        Only opening is tried again: once bytes were handed on, what breaks off is an UnreadableError.
        """
        yield from patiently(lambda: self._got("GET", name)).chunks(self._limits.blob_bytes)

    def size(self, name: str) -> int:
        """The file's size in bytes. Raises as ``read``, and UnreadableError when the server does not say."""

        def once() -> int:
            with self._got("HEAD", name) as response:
                if response.length is None:
                    raise UnreadableError(f"{response.url} does not say how large it is. Look at the server.")
                return response.length

        return patiently(once)

    def _got(self, method: str, name: str) -> Response:
        response = self.client.request(method, name)
        if response.status == HTTPStatus.OK:
            return response
        error = refusal(response, "the file")
        if isinstance(error, PublicationError):  # nothing is published here: it is the answer that makes no sense
            raise InvalidInputError(response.url, "status", str(response.status), "Point at a server of such files.")
        raise error
