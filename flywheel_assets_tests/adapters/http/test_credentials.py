"""Secrets, basic auth and netrc files. Whom they are shown to is in test_http_client.py."""

import traceback
from pathlib import Path

import pytest

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.domain.errors import UsageError


def test_a_secret_is_revealed_and_never_shown() -> None:
    secret = Secret("s3cret")
    held = Credentials(bearer=secret, user="me", password=secret)
    assert secret.reveal() == "s3cret"
    for text in (repr(secret), str(secret), f"{secret}", repr(held), str([secret]), f"{held!s:>10}"):
        assert "s3cret" not in text


@pytest.mark.parametrize("text", ["s3cret\n", "s3c\r\nret", "s3cr\u00e9t", "s3cret\0"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="check for a line end") as caught:
        Credentials(bearer=Secret(text)).authorization("a.example")
    assert "s3c" not in str(caught.value)


def test_a_secret_is_fetched_late_and_again_when_it_was_rotated() -> None:
    texts = iter(["first", "second"])
    held = Credentials(bearer=Secret(lambda: next(texts)))
    assert [held.authorization("a.example") for _ in range(2)] == ["Bearer first", "Bearer second"]


def test_a_bearer_token_comes_before_a_password_and_that_before_netrc(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine a.example login you password other\n")
    held = Credentials(bearer=Secret("t"), user="me", password=Secret("pw"), netrc=tmp_path / "netrc")
    assert held.authorization("a.example") == "Bearer t"
    held = Credentials(user="me", password=Secret("pw"), netrc=tmp_path / "netrc")
    assert held.authorization("a.example") == "Basic bWU6cHc="


def test_nothing_is_shown_without_a_credential() -> None:
    assert ANONYMOUS.authorization("a.example") is None
    assert ANONYMOUS.basic("a.example") is None


def test_a_netrc_file_is_asked_for_the_host(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine a.example login me password s3cret\n")
    held = Credentials(netrc=tmp_path / "netrc")
    found = held.basic("a.example")
    assert found is not None
    assert (found[0], found[1].reveal()) == ("me", "s3cret")
    assert held.authorization("a.example") == "Basic bWU6czNjcmV0"
    assert held.authorization("b.example") is None
    assert "s3cret" not in repr(held)


def test_a_netrc_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"netrc cannot be read: No such file"):
        Credentials(netrc=tmp_path / "netrc").authorization("a.example")


@pytest.mark.parametrize(
    "content", [b"machine a.example login me pasword s3cret\n", b"s3cret", b"machine a\xff s3cret"]
)
def test_a_netrc_file_that_is_none_is_named_without_what_it_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "netrc").write_bytes(content)
    with pytest.raises(UsageError, match="is not in netrc format") as caught:
        Credentials(netrc=tmp_path / "netrc").authorization("a.example")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
