"""Tokens of a GitHub App's installation. Source: GitHub, "Generating an installation access token for a GitHub App"."""

import base64
import json
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.errors import (
    InvalidInputError,
    PublicationError,
    UnauthorisedError,
    UsageError,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.untrusted import parse_json

_BACK, _AHEAD = 60, 540  # seconds: clocks differ, and GitHub takes a claim for ten minutes at most
_RENEW = 300  # seconds before a token expires


class AppToken:
    """Called for the token that is valid now. ``private_key`` fetches the app's key, PEM, when one is needed.

    Calls raise UsageError for a key that is none, ReadError when GitHub gives no token.
    """

    def __init__(self, client: HttpClient, app: int, installation: int, private_key: Callable[[], str]) -> None:
        self._client = client
        self._app, self._installation = app, installation
        self._private_key = private_key
        self._token, self._until = "", 0.0

    def __call__(self) -> str:
        """The token; another one when the last has less than five minutes left."""
        if time.time() >= self._until - _RENEW:
            self._token, self._until = self._traded()
        return self._token

    def __repr__(self) -> str:
        return f"AppToken(app {self._app})"

    def _traded(self) -> tuple[str, float]:
        what = f"a token for the installation {self._installation} of the app {self._app}"
        target = f"app/installations/{self._installation}/access_tokens"
        claim = f"Bearer {self._claim()}"
        with self._client.request("POST", target, authorization=claim) as response:
            if response.status != HTTPStatus.CREATED:
                error = refusal(response, what, "Check the app's id, installation and key.")
                raise UnauthorisedError(str(error)) if isinstance(error, PublicationError) else error
            answer = parse_json(response.read(DEFAULT_LIMITS.token_bytes), what)
        try:
            return str(answer["token"]), datetime.fromisoformat(answer["expires_at"]).timestamp()
        except (KeyError, TypeError, ValueError):
            problem = "holds no token with its time"
        # Not while that error is handled: it may quote the token.
        raise InvalidInputError(self._client.base, "token", problem, "Point the source at GitHub's REST API.")

    def _claim(self) -> str:
        """A JSON Web Token, RS256 (RFC 7519, RFC 7518)."""
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT"}
        claims = {"iat": now - _BACK, "exp": now + _AHEAD, "iss": str(self._app)}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return (signed + b"." + _encoded(self._key().sign(signed, PKCS1v15(), SHA256()))).decode("ascii")

    def _key(self) -> RSAPrivateKey:
        try:
            key = load_pem_private_key(self._private_key().encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise UsageError(f"The private key of the app {self._app} is no RSA key in PEM, unencrypted.")
        return key


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
