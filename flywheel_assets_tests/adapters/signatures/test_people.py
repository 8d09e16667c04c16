"""Keys of people, as they really keep them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from flywheel_assets.adapters.signatures.people import person_key
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import Person
from flywheel_assets.domain.errors import UsageError

SECRET = "correct horse"


def never() -> str:
    raise AssertionError("there is no passphrase to ask for")


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def pem(path: Path, private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, secret: str) -> Path:
    how: KeySerializationEncryption = BestAvailableEncryption(secret.encode()) if secret else NoEncryption()
    return written(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))


def openssh(path: Path, secret: str, kind: str = "ed25519") -> Path:
    command = ["ssh-keygen", "-q", "-t", kind, "-N", secret, "-C", "alva@laptop", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


MAKES: dict[str, Callable[[Path, str], Path]] = {
    "PEM, Ed25519": lambda path, secret: pem(path, Ed25519PrivateKey.generate(), secret),
    "PEM, P-256": lambda path, secret: pem(path, ec.generate_private_key(ec.SECP256R1()), secret),
    "OpenSSH": openssh,
}


@pytest.mark.parametrize("secret", ["", SECRET])
@pytest.mark.parametrize("kind", MAKES)
def test_what_a_key_file_signs_verifies_by_the_catalogues_public_key(tmp_path: Path, kind: str, secret: str) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append(secret)
        return secret

    path = MAKES[kind](tmp_path / "key", secret)
    signer = person_key(path, ask if secret else never)
    assert len(asked) == bool(secret)
    public = (tmp_path / "key.pub").read_text().strip() if kind == "OpenSSH" else signer.public_key
    person = Person.model_validate({"name": "A", "contact": "a@example.org", "keys": [public], "may": ["hold"]})
    (known,) = person.public_keys
    checked = SignatureVerifier().check(signer.sign(b"{}", "application/x"), "it", {"alva": known})
    assert (checked.keys, checked.payload) == (("alva",), b"{}")


@pytest.mark.parametrize("kind", MAKES)
def test_a_wrong_passphrase_is_a_sentence_that_quotes_nothing(tmp_path: Path, kind: str) -> None:
    path = MAKES[kind](tmp_path / "key", SECRET)
    with pytest.raises(UsageError, match="or the passphrase is wrong") as refused:
        person_key(path, lambda: "battery staple")
    assert "battery" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("kind", ["rsa", "p384", "openssh ecdsa 384"])
def test_other_kinds_of_key_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "openssh ecdsa 384":
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(path)], check=True)
    elif kind == "rsa":
        pem(path, rsa.generate_private_key(65537, 2048), "")
    else:
        pem(path, ec.generate_private_key(ec.SECP384R1()), "")
    with pytest.raises(UsageError, match="neither an Ed25519 nor an ECDSA P-256 key"):
        person_key(path, never)


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"-" * 20_000])
def test_what_is_no_key_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UsageError, match="is no private key"):
        person_key(written(tmp_path / "key", data), never)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = pem(tmp_path / "key", Ed25519PrivateKey.generate(), "")
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        person_key(path, never)
