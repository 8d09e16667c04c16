"""A token service for a registry, as the distribution project specifies it: bearer tokens with scopes, RS256.

Source: distribution, docs/spec/auth/token.md and jwt.md. Whoever names no account may pull, but not from ``private``
repositories; USER with PASSWORD may do all. Wrong credentials are answered with 401. ``scripted.asked`` records.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from flywheel_assets_tests.certificates import certify, rsa_key, write_pair
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

SERVICE = "a registry"
ISSUER = "a test's issuer"
USER, PASSWORD = "pusher", "opens-nothing"
LIFETIME = 300


class TokenIssuer:
    """Issues tokens at ``realm``; a registry trusts them by ``certificate`` (PEM)."""

    def __init__(self, folder: Path, scripted: Scripted) -> None:
        self._key = rsa_key()
        certificate = certify("a test's issuer", self._key)
        self._x5c = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        self.certificate = write_pair(folder, "issuer", certificate, self._key).certificate
        self.private: set[str] = set()
        self.scripted = scripted
        scripted.answers["GET /token"] = self._answer

    @property
    def realm(self) -> str:
        # By name: clients of registries refuse token services at the bare address of this machine.
        return f"{self.scripted.url.replace('127.0.0.1', 'localhost')}/token"

    def _answer(self, asked: Asked) -> Answer:
        authorization = asked.headers.get("Authorization")
        if authorization not in {None, "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}:
            return Answer(401, body=b'{"errors": [{"code": "UNAUTHORIZED"}]}')
        scopes = " ".join(asked.query.get("scope", [])).split()
        access = [self._granted(scope, may_push=authorization is not None) for scope in scopes]
        token = self._token([each for each in access if each["actions"]])
        body = json.dumps({"token": token, "expires_in": LIFETIME}).encode()
        return Answer(headers={"Content-Type": "application/json"}, body=body)

    def _granted(self, scope: str, *, may_push: bool) -> dict[str, Any]:
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        may_pull = may_push or name not in self.private
        granted = [action for action in actions.split(",") if may_push or (may_pull and action == "pull")]
        return {"type": kind, "name": name, "actions": granted}

    def _token(self, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {"iss": ISSUER, "aud": SERVICE, "sub": "", "jti": uuid4().hex, "access": access}
        claims |= {"iat": now, "nbf": now - 10, "exp": now + LIFETIME}
        signed = ".".join(_part(each) for each in ({"typ": "JWT", "alg": "RS256", "x5c": [self._x5c]}, claims))
        signature = self._key.sign(signed.encode(), PKCS1v15(), SHA256())
        return f"{signed}.{_unpadded(signature)}"


def _part(value: dict[str, Any]) -> str:
    return _unpadded(json.dumps(value).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def issuing(folder: Path) -> Iterator[TokenIssuer]:
    """Issue tokens on a free port of 127.0.0.1."""
    with serving(Scripted()) as scripted:
        yield TokenIssuer(folder, scripted)
