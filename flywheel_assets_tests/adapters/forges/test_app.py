"""Tokens of a GitHub App's installation: traded for a signed claim, kept for their time, never shown."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from flywheel_assets.adapters.forges.app import AppToken
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.catalog.models import ForgeSource, GithubApp, SourceKind
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, UnauthorisedError, UsageError
from flywheel_assets.wiring.sources import open_sources
from flywheel_assets_tests.forge import REPOSITORY, Github, served
from flywheel_assets_tests.gate.cases import catalogue
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

TARGET = "POST /app/installations/22/access_tokens"
KEY: RSAPrivateKey = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


TOKEN = "ghs_t0ken"


def granted(token: str = TOKEN, minutes: float = 60) -> Answer:
    expires = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    return Answer(201, body=json.dumps({"token": token, "expires_at": expires}).encode())


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serving(Scripted()) as found:
        yield found


def app(server: Scripted, key: str = PEM) -> AppToken:
    return AppToken(HttpClient(server.url), 11, 22, lambda: key)


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_claim_is_signed_by_the_apps_key_and_good_for_less_than_ten_minutes(server: Scripted) -> None:
    server.answers[TARGET] = granted()
    assert app(server)() == TOKEN
    header, claims, signature = server.asked[0].headers["Authorization"].removeprefix("Bearer ").split(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    KEY.public_key().verify(raw, f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    assert decoded(header) == {"alg": "RS256", "typ": "JWT"}
    told = decoded(claims)
    assert told["iss"] == "11"
    assert told["iat"] < time.time() < told["exp"] <= told["iat"] + 600


def test_a_token_is_kept_until_its_last_five_minutes(server: Scripted) -> None:
    answers = [granted("first", 60), granted("second", 4), granted("third", 60)]
    server.answers[TARGET] = lambda _: answers.pop(0)
    token = app(server)
    assert [token(), token()] == ["first", "first"]
    token._until = time.time() + 200
    assert [token(), token(), token()] == ["second", "third", "third"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401), UnauthorisedError),
        (Answer(404), AbsentError),
        (Answer(422), UnauthorisedError),
        (Answer(201, body=b"{}"), InvalidInputError),
        (Answer(201, body=b'{"token": "ghs_t0ken", "expires_at": "soon"}'), InvalidInputError),
    ],
)
def test_no_token_is_an_error_of_its_kind(server: Scripted, answer: Answer, error: type[Exception]) -> None:
    server.answers[TARGET] = answer
    with pytest.raises(error) as refused:
        app(server)()
    assert TOKEN not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


@pytest.mark.parametrize("key", ["", "-----BEGIN RSA PRIVATE KEY-----", PEM[:200]])
def test_a_key_that_is_none_is_told_without_showing_it(server: Scripted, key: str) -> None:
    with pytest.raises(UsageError, match="no RSA key") as refused:
        app(server, key)()
    assert "BEGIN" not in str(refused.value)
    assert PEM[40:80] not in repr(app(server))


def test_a_source_with_an_app_asks_with_its_tokens(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_text(PEM)
    forge = Github(token=TOKEN)
    forge.end(forge.start())
    with served(forge) as server:
        shown: list[Asked] = []

        def trade(asked: Asked) -> Answer:
            shown.append(asked)
            return granted()

        server.answers[TARGET] = trade
        source = ForgeSource(
            kind=SourceKind.GITHUB,
            url=server.url,
            app=GithubApp(id=11, installation=22, private_key="file:app.pem"),
            repositories=(REPOSITORY,),
        )
        opened = open_sources(tmp_path, catalogue().model_copy(update={"sources": {"forge": source}}))
        now = forge.clock()
        for _ in range(2):
            assert len(opened["forge"].listed(REPOSITORY, now - timedelta(days=1), None, 1).sightings) == 1
    assert len(shown) == 1
