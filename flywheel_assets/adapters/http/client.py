"""The client: one surface, its credential, its connections. Safe for threads; each answer is read by one of them."""

import ssl
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.http.heads import HEAD_END, Head, parsed, written
from flywheel_assets.adapters.http.places import Places, authority, is_public, shown
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.wire import (
    CertificateRefusedError,
    Connection,
    HungUpError,
    Octets,
    Timeouts,
    WireError,
    connected,
    worded,
)
from flywheel_assets.domain.errors import LedAstrayError, UnauthorisedError, UnreadableError, UsageError
from flywheel_assets.domain.limits import DEFAULT_LIMITS

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})  # RFC 9110, 9.2.2
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})  # RFC 9110, 8.6: they say so when there is none
_NONE: Mapping[str, str] = MappingProxyType({})
OWN: Final = "(the credential of the surface)"
"""Default of ``authorization``: whatever the surface's credential gives."""

Body = bytes | Iterable[Octets]
Place = tuple[str, str, int]  # scheme, host, port


class HttpClient:
    """Requests to one surface at ``base`` (http or https URL). Raises UsageError for what is no such URL.

    ``hosts`` are those, besides its own, that the surface may lead to (``places``).
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials = ANONYMOUS,
        hosts: Collection[str] = (),
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - a frozen value
    ) -> None:
        self.places = Places(base, hosts)
        self.base, self.origin = self.places.base, self.places.origin
        self.credentials = credentials
        self._timeouts = timeouts
        self._idle: defaultdict[Place, deque[Connection]] = defaultdict(deque)
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] = _NONE,
        body: Body | None = None,
        length: int | None = None,
        authorization: str | None = OWN,
        follow: bool = True,
    ) -> Response:
        """Send a request and return the answer, whatever its status.

        ``target`` is a name below the base, a path on its host, or an absolute URL of an allowed place. A body that
        is no bytes needs its ``length``. ``authorization`` is shown to the surface's own origin alone. GET and HEAD
        ``follow`` redirects to allowed places. Raises UnreadableError when the server cannot be reached or does
        not keep to HTTP, LedAstrayError when it leads elsewhere, UsageError for a credential that would be readable.
        """
        url = self.places.resolve(target)
        if length is None and (body is not None or method in _WITH_BODY):
            length = len(body) if isinstance(body, bytes) else 0
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, self._headers(url, headers, length, authorization), body)
            location = response.header("Location")
            if not (follow and location and method in _SAFE and response.status in _REDIRECTS):
                return response
            response.close()
            url = self.places.resolve(location, url.geturl())
        problem = f"redirects more than {MAX_REDIRECTS} times"
        raise LedAstrayError(self.base, shown(target), problem, "Let its operator mend that.")

    def close(self) -> None:
        """Close idle connections."""
        for idle in list(self._idle.values()):
            while idle:
                idle.pop().close()

    def _send(self, method: str, url: SplitResult, headers: Mapping[str, str], body: Body | None) -> Response:
        place = (url.scheme, *authority(url))
        request = _Request(method, url, headers, body)
        try:
            reused = self._taken(place)
            if reused is not None:
                try:
                    return self._exchange(reused, place, request)
                except HungUpError:
                    # The server closed an idle connection just as it was taken up again.
                    if not request.is_repeatable:
                        raise
            return self._exchange(self._opened(place), place, request)
        except CertificateRefusedError as error:
            sentence = f"{shown(request.url)} refuses this client: {error}. Mend its certificate."
            raise UnauthorisedError(sentence) from error
        except WireError as error:
            raise UnreadableError(f"{shown(request.url)} cannot be reached: {error}. Try again later.") from error

    def _exchange(self, connection: Connection, place: Place, request: "_Request") -> Response:
        try:
            self._demand_secrecy(connection, request)
            is_whole = connection.send(request.head, request.pieces())
            head = _answered(connection, request.method, is_whole=is_whole)
        except BaseException:
            connection.close()  # half a request may be on the wire: what our own body raised passes on
            raise
        return Response(head, connection, self._idle[place] if is_whole else None, request.url)

    def _headers(
        self, url: SplitResult, given: Mapping[str, str], length: int | None, authorization: str | None
    ) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "flywheel-assets", **given}
        if length is not None:
            headers["Content-Length"] = str(length)
        credential = self._authorization(url, authorization)
        if credential is not None:
            headers["Authorization"] = credential
        return headers

    def _authorization(self, url: SplitResult, given: str | None) -> str | None:
        if given is None or not self.places.is_home(url):
            return None
        return self.credentials.authorization(self.places.home[0]) if given is OWN else given

    def _demand_secrecy(self, connection: Connection, request: "_Request") -> None:
        """A credential goes over https, or to a private address: of this very connection, not of the next lookup."""
        if not request.is_readable_secret or not is_public(connection.address):
            return
        problem, remedy = "is public and not https, so no credential is sent there", "Use https."
        if self.places.is_home(request.place):
            raise UsageError(f"{self.base} {problem}. {remedy}")
        raise LedAstrayError(self.base, shown(request.url), problem, remedy)

    def _taken(self, place: Place) -> Connection | None:
        idle = self._idle[place]
        with suppress(IndexError):  # another thread may take the last one at any moment
            while True:
                connection = idle.pop()
                if connection.is_quiet():
                    return connection
                connection.close()
        return None

    def _opened(self, place: Place) -> Connection:
        scheme, host, port = place
        context = self._context(is_home=(host, port) == self.places.home) if scheme == "https" else None
        return connected(host, port, self.places.addresses, self._timeouts, context)

    def _context(self, *, is_home: bool) -> ssl.SSLContext:
        """The client certificate is for the surface's own host alone; its CA counts for others besides the usual."""
        if is_home in self._contexts:
            return self._contexts[is_home]
        held = self.credentials
        try:
            context = ssl.create_default_context(cafile=held.ca if is_home else None)
            if held.ca is not None and not is_home:
                context.load_verify_locations(held.ca)
            if held.certificate is not None and is_home:
                # Without a password given, OpenSSL would ask for one at the terminal.
                context.load_cert_chain(held.certificate, held.certificate_key, password="")
        except OSError as error:
            raise UsageError(f"The certificates for {self.base} cannot be used: {worded(error)}.") from error
        return self._contexts.setdefault(is_home, context)


class _Request:
    """What is sent; only a repeatable one more than once."""

    def __init__(self, method: str, url: SplitResult, headers: Mapping[str, str], body: Body | None) -> None:
        self.method, self.place, self.url = method, url, url.geturl()
        self._body = body
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self.head = written(method, url, path, headers)
        self._length = int(headers.get("Content-Length", 0))
        self.is_readable_secret = url.scheme == "http" and "Authorization" in headers
        self.is_repeatable = method in _IDEMPOTENT and (body is None or isinstance(body, bytes))

    def pieces(self) -> Iterator[Octets]:
        """The body. Raises UsageError when it is not as long as announced: the next request would begin within it."""
        left = self._length
        body = self._body
        for piece in (body,) if isinstance(body, bytes) else body or ():
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            problem = "longer" if left < 0 else f"{left:,} bytes shorter"
            raise UsageError(f"The body for {shown(self.url)} is {problem} than was announced, {self._length:,} bytes.")


def _answered(connection: Connection, method: str, *, is_whole: bool) -> Head:
    """The head of the answer. What is only for the time being (RFC 9110, 15.2) is passed over, as far as one head."""
    room = DEFAULT_LIMITS.http_head_bytes
    while True:
        block = connection.until(HEAD_END, room)
        head = parsed(block, method)
        if head is not None:
            return head
        if not is_whole:
            raise WireError("it answers for the time being in the middle of the request")
        room -= len(block) + len(HEAD_END)
