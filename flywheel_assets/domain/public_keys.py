"""Public keys as what they are, however they are written: two spellings of one key must never pass for two keys.

Sources: RFC 7468 (section 13, PEM of SubjectPublicKeyInfo), RFC 5480 and RFC 8410 (what it holds of EC and Ed25519
keys), RFC 8709 (section 4, OpenSSH's Ed25519).
"""

import binascii
import re
from base64 import b64decode, b64encode
from functools import cache
from hashlib import sha256

_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
_OPENSSH = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/=]+)( .*)?")
_P256, _ED25519 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"), bytes.fromhex("300506032b6570")
_P384 = bytes.fromhex("301006072a8648ce3d020106052b81040022")
_P521 = bytes.fromhex("301006072a8648ce3d020106052b81040023")
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_SEQUENCE, _BIT_STRING, _LONG, _UNCOMPRESSED = 0x30, 0x03, 0x80, b"\x04"
_SSH_ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
_ED25519_BYTES = 32


def spki_of(pem: str) -> bytes:
    """SubjectPublicKeyInfo (DER) of a key in PEM. ValueError when it is none.

    Of the forms that DER and libraries leave to choose only one is taken: else a key would have two fingerprints.
    """
    found = _PEM.fullmatch(pem)
    if found is None:
        raise ValueError("is no PEM of one public key (SubjectPublicKeyInfo), and nothing else")
    try:
        der = b64decode("".join(found[1].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("is no base64 between the lines of its PEM") from error
    _demand_known(der)
    return der


@cache
def fingerprint_of(pem: str) -> str:
    """SHA-256 (hex) of its SubjectPublicKeyInfo. ValueError when it is no public key in PEM."""
    return sha256(spki_of(pem)).hexdigest()


def pem_of(key: str) -> str:
    """A person's key, PEM or a line of OpenSSH, as PEM. ValueError when it is neither Ed25519 nor ECDSA P-256."""
    spki = spki_of(key) if key.startswith("-----") else _of_openssh(key)
    if not spki[2:].startswith((_P256, _ED25519)):
        raise ValueError("is neither an Ed25519 nor an ECDSA P-256 key")
    return f"-----BEGIN PUBLIC KEY-----\n{b64encode(spki).decode('ascii')}\n-----END PUBLIC KEY-----\n"


def _of_openssh(line: str) -> bytes:
    found = _OPENSSH.fullmatch(line)
    try:
        blob = b64decode(found[1], validate=True) if found else b""
    except binascii.Error as error:
        raise ValueError("is no line of an OpenSSH public key") from error
    if not blob.startswith(_SSH_ED25519) or len(blob) != len(_SSH_ED25519) + _ED25519_BYTES:
        raise ValueError("is no Ed25519 key of OpenSSH")
    return b"\x30\x2a" + _ED25519 + b"\x03\x21\0" + blob.removeprefix(_SSH_ED25519)


def _demand_known(der: bytes) -> None:
    info = _content(der, _SEQUENCE)
    algorithm = next((each for each in (_P256, _ED25519, _RSA, _P384, _P521) if info.startswith(each)), None)
    if algorithm is None:
        raise ValueError("is neither an Ed25519, an ECDSA (P-256, P-384, P-521) nor an RSA key")
    bits = _content(info.removeprefix(algorithm), _BIT_STRING)
    if not bits.startswith(b"\0"):
        raise ValueError("is no SubjectPublicKeyInfo in DER")
    if algorithm not in {_ED25519, _RSA} and bits[1:2] != _UNCOMPRESSED:
        raise ValueError("names its point compressed: write it out (`openssl ec -pubin -conv_form uncompressed`)")


def _content(der: bytes, tag: int) -> bytes:
    """What one DER value of this tag holds, to the last byte; its length is written as short as it can be."""
    for start in (2, 3, 4):
        if len(der) >= start and der[:start] == _header(tag, len(der) - start):
            return der[start:]
    raise ValueError("is no SubjectPublicKeyInfo in DER")


def _header(tag: int, size: int) -> bytes:
    """Of fewer than 128 bytes their number, else how many bytes of it follow (X.690, sections 8.1.3 and 10.1)."""
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, size]) if size < _LONG else bytes([tag, _LONG + len(length)]) + length
