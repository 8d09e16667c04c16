"""Nix keys and signatures."""

import base64

import pytest

from flywheel_assets.adapters.nix.signatures import NixSigningKey, public_key, verify_signature
from flywheel_assets.domain.errors import UsageError

KEY = NixSigningKey.generate("release.example-1")


def test_a_signature_verifies_with_its_key_and_names_it() -> None:
    other = NixSigningKey.generate("other")
    assert verify_signature(KEY.sign("x"), "x", (other.public_text, KEY.public_text)) == "release.example-1"


def test_a_secret_key_survives_its_text() -> None:
    again = NixSigningKey.from_text(KEY.to_text() + "\n")
    assert again.sign("x") == KEY.sign("x")
    assert again.public_text == KEY.public_text


def test_another_text_another_key_or_another_name_does_not_verify() -> None:
    same_name = NixSigningKey.generate("release.example-1")
    renamed = KEY.public_text.replace("release", "elsewhere")
    assert verify_signature(KEY.sign("x"), "y", (KEY.public_text,)) is None
    assert verify_signature(KEY.sign("x"), "x", (same_name.public_text,)) is None
    assert verify_signature(KEY.sign("x"), "x", (renamed,)) is None
    assert verify_signature(KEY.sign("x"), "x", ()) is None


@pytest.mark.parametrize("sig", ["", ":", "release.example-1:", "release.example-1:AAAA", "release.example-1:é", "x"])
def test_what_is_no_signature_does_not_verify(sig: str) -> None:
    assert verify_signature(sig, "x", (KEY.public_text,)) is None


@pytest.mark.parametrize("text", ["", "name", "name:", "name:AAAA", f"na me:{'A' * 43}=", KEY.to_text()])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no Nix public key"):
        public_key(text)


def test_a_bad_secret_key_is_refused_without_being_shown() -> None:
    encoded = KEY.to_text().partition(":")[2]
    crossed = base64.b64decode(encoded)[:32] + base64.b64decode(NixSigningKey.generate("x").to_text()[2:])[32:]
    for text in (KEY.public_text, "secretname", f"k:{encoded}x", f"k:{base64.b64encode(crossed).decode()}"):
        with pytest.raises(UsageError) as raised:
            NixSigningKey.from_text(text)
        assert encoded[:8] not in str(raised.value)


def test_a_key_does_not_show_itself() -> None:
    assert repr(KEY) == "NixSigningKey('release.example-1')"
