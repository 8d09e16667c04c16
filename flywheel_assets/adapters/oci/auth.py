"""How a registry is shown who asks: nothing, basic auth, or tokens that its token service gives for a scope.

Sources: distribution, docs/spec/auth/token.md and scope.md; RFC 9110, section 11. With a credential, what to show is
asked before anything else: to strangers a registry may say of what it has that it is absent. Without one it is learned
from the first refusal. Bodies are sent only once a request without one was let through: none is sent twice for a 401.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from threading import Lock
from urllib.parse import urlencode, urlsplit

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import Body, HttpClient
from flywheel_assets.adapters.http.credentials import Credentials
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.domain.errors import InvalidInputError, PublicationError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.untrusted import parse_json

Scopes = tuple[str, ...]
# RFC 9110, 11.6.1: a scheme, or with a value one of its parameters.
_PART = re.compile(r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?""")
_DEFAULT_SECONDS = 60  # token.md: what a token lasts that does not say
_LONGEST_SECONDS = 3600
_REMEDY = "Look at the registry's token service."


def scope(repository: str, *actions: str) -> str:
    """``repository:<name>:pull[,push]``."""
    return f"repository:{repository}:{','.join(actions)}"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for: basic auth, or tokens of ``realm`` (a URL, unchecked) for ``service``."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """The challenge in a ``WWW-Authenticate`` header, tokens before basic auth; None when neither is served there."""
    offered: dict[str, dict[str, str]] = {}
    given: dict[str, str] = {}
    for name, value, quoted, plain in _PART.findall(header):
        if value:
            given.setdefault(name.lower(), quoted or plain)
        else:
            given = offered.setdefault(name.lower(), {})
    token = offered.get("bearer", {})
    if token.get("realm"):
        return Challenge("bearer", token["realm"], token.get("service", ""))
    return Challenge("basic") if "basic" in offered else None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renewed_at: float


class Access:
    """Requests to one registry with what it asks for. Tokens are kept per scopes until shortly before they end.

    Safe for threads. ``clock`` is a monotonic one, in seconds.
    """

    def __init__(
        self, client: HttpClient, limits: Limits = DEFAULT_LIMITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client = client
        self._limits, self._clock = limits, clock
        self._challenge: Challenge | None = None
        self._has_asked = False
        self._tokens: dict[Scopes, _Token] = {}
        self._lock = Lock()

    def request(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        *,
        headers: dict[str, str],
        body: Body | None = None,
        length: int | None = None,
        follow: bool = True,
    ) -> Response:
        """As ``HttpClient.request``; a 401 is answered once, with a credential or another token, unless a body streams.

        Raises UnauthorisedError when the token service refuses, LedAstrayError when it is where it may not be.
        """
        send = partial(self.client.request, method, target, headers=headers, body=body, length=length, follow=follow)
        shown = self._shown(scopes)
        response = send(authorization=shown)
        if response.status != HTTPStatus.UNAUTHORIZED or not (body is None or isinstance(body, bytes)):
            return response
        challenge = self._challenged(response)
        if challenge is None:
            return response
        renewed = self._renewed(challenge, scopes, shown)
        if renewed is None or renewed == shown:
            return response
        response.close()
        return send(authorization=renewed)

    def _challenged(self, response: Response) -> Challenge | None:
        """What a 401 asks for. Only the registry itself may ask, and not a host that it led to."""
        if not self.client.places.is_home(urlsplit(response.location)):
            return None
        return parse_challenge(response.header("WWW-Authenticate"))

    def _shown(self, scopes: Scopes) -> str | None:
        with self._lock:
            if not self._has_asked:
                self._ask()
        challenge = self._challenge
        return None if challenge is None else self._answer(challenge, scopes)

    def _ask(self) -> None:
        """Learn the challenge where every registry has one, if there is a credential to show.

        A registry that answers neither 200, 401 nor 404 there is an error: what it said next might be for strangers.
        """
        if self.client.credentials.authorization(self.client.places.home[0]) is not None:
            with self.client.request("GET", "/v2/", authorization=None) as response:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    self._challenge = self._challenged(response)
                if self._challenge is None and response.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
                    raise refusal(response, "the API of the registry")
        self._has_asked = True

    def _renewed(self, challenge: Challenge, scopes: Scopes, refused: str | None) -> str | None:
        self._challenge = challenge
        with self._lock:
            kept = self._tokens.get(scopes)
            if kept is not None and kept.value == refused:
                del self._tokens[scopes]
        return self._answer(challenge, scopes)

    def _answer(self, challenge: Challenge, scopes: Scopes) -> str | None:
        credentials, host = self.client.credentials, self.client.places.home[0]
        if challenge.scheme == "basic" or credentials.bearer is not None:
            return credentials.authorization(host)
        with self._lock:  # one thread asks for a token, the others wait for it
            kept = self._tokens.get(scopes)
            if kept is None or kept.renewed_at <= self._clock():
                kept = self._tokens[scopes] = self._fetched(challenge, scopes, credentials)
        return kept.value

    def _fetched(self, challenge: Challenge, scopes: Scopes, credentials: Credentials) -> _Token:
        began = self._clock()
        query = urlencode([("service", challenge.service), *(("scope", each) for each in scopes)])
        url = challenge.realm + ("&" if "?" in challenge.realm else "?") + query
        # The realm is often another host, which may see user and password and nobody else: no redirect is followed.
        account = Credentials(user=credentials.user, password=credentials.password, netrc=credentials.netrc)
        places = self.client.places
        basic = account.authorization(places.home[0]) if places.is_named(places.resolve(url)) else None
        headers = {"Accept": "application/json", **({"Authorization": basic} if basic else {})}
        with self.client.request("GET", url, headers=headers, authorization=None, follow=False) as response:
            if response.status != HTTPStatus.OK:
                raise _refused(response, scopes)
            data = response.read(self._limits.token_bytes)
        value, seconds = self._parsed(data, response.url)
        return _Token(f"Bearer {value}", began + seconds - min(10.0, seconds / 4))

    def _parsed(self, data: bytes, url: str) -> tuple[str, float]:
        fields = parse_json(data, url, max_bytes=self._limits.token_bytes, limits=self._limits)
        value = fields.get("token") or fields.get("access_token")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            raise InvalidInputError(url, "token", "is no token that a header can carry", _REMEDY)
        seconds = fields.get("expires_in")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            seconds = _DEFAULT_SECONDS
        return value, float(min(seconds, _LONGEST_SECONDS))


def _refused(response: Response, scopes: Scopes) -> Exception:
    remedy = "Give this registry a credential that may do that, or look whether the repository is there at all."
    error = refusal(response, f"a token for {' '.join(scopes)}", remedy)
    if isinstance(error, PublicationError):
        return InvalidInputError(response.url, "status", str(response.status), _REMEDY)
    return error
