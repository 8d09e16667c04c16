"""Public keys: one key has one fingerprint however it is written, and what could be written in two ways is refused."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.public_keys import fingerprint_of, pem_of, spki_of

P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()
KEYS: dict[str, PublicKeyTypes] = {
    "P-256": P256,
    "P-384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    "P-521": ec.generate_private_key(ec.SECP521R1()).public_key(),
    "Ed25519": ED25519,
    "RSA": rsa.generate_private_key(65537, 2048).public_key(),
}


def der_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(der: bytes, *, width: int = 64, end: str = "\n") -> str:
    text = b64encode(der).decode()
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    return end.join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_its_subject_public_key_info(kind: str) -> None:
    written = KEYS[kind].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert spki_of(written) == der_of(KEYS[kind])


@given(st.integers(1, 200), st.sampled_from(["\n", "\r\n", "\n\n", "\n  "]))
def test_a_key_has_one_fingerprint_however_its_lines_are_broken(width: int, end: str) -> None:
    assert fingerprint_of(pem(der_of(P256), width=width, end=end)) == fingerprint_of(pem(der_of(P256)))
    assert fingerprint_of(pem(der_of(P256))) != fingerprint_of(pem(der_of(ED25519)))


def test_a_line_of_openssh_is_the_same_key_as_its_pem() -> None:
    line = ED25519.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert spki_of(pem_of(f"{line} alva@laptop")) == der_of(ED25519)
    for more in ("ssh-ed25519", f"{line}\n{line}", f"  {line}", line.replace("ssh-ed25519", "ssh-rsa", 1)):
        with pytest.raises(ValueError, match="of OpenSSH"):
            pem_of(more)


REFUSED = {
    "nothing": "",
    "text before it": f"alva\n{pem(der_of(P256))}",
    "text behind it": f"{pem(der_of(P256))}alva",
    "two keys": pem(der_of(P256)) + pem(der_of(ED25519)),
    "no end": pem(der_of(P256)).removesuffix("-----END PUBLIC KEY-----\n"),
    "no base64": pem(der_of(P256)).replace("M", "MMM", 1),
    "a byte too many": pem(der_of(P256) + b"\0"),
    "a byte too few": pem(der_of(P256)[:-1]),
    "empty": pem(b""),
    "a length of nothing": pem(b"\x30"),
    "a length that could be shorter": pem(b"\x30\x81" + der_of(P256)[1:]),
    "a point that is compressed": pem(
        bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
        + P256.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    ),
    "a key for exchange only": pem(der_of(x25519.X25519PrivateKey.generate().public_key())),
    "another curve": pem(der_of(ec.generate_private_key(ec.SECP256K1()).public_key())),
}


@pytest.mark.parametrize("written", REFUSED.values(), ids=REFUSED)
def test_what_is_no_key_or_one_of_two_ways_to_write_it_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^(is n|names its point compressed)"):
        spki_of(written)


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA"])
def test_people_sign_with_ed25519_and_p256_alone(kind: str) -> None:
    with pytest.raises(ValueError, match="neither an Ed25519 nor an ECDSA P-256 key"):
        pem_of(pem(der_of(KEYS[kind])))


@given(st.text(max_size=80), st.binary(max_size=120))
def test_nothing_fails_in_an_unforeseen_way(text: str, der: bytes) -> None:
    for written in (text, pem(der), f"ssh-ed25519 {text}"):
        for read in (pem_of, fingerprint_of):
            try:
                read(written)
            except ValueError:
                continue
