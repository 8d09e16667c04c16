"""Nix's own signatures: Ed25519 over a narinfo's fingerprint, keys and signatures as ``name:base64``.

Source: Nix, src/libutil/signature/local-keys.cc. A secret key is 64 bytes, the seed and the public key.
"""

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flywheel_assets.domain.errors import UsageError, printable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


class NixSigningKey:
    """A secret key with its name. Its repr shows the name alone."""

    __slots__ = ("_key", "name")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        """Raises UsageError for a name that cannot stand in a narinfo."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{printable(name)!r} cannot name a Nix key: use letters, digits and ._-")
        self.name = name
        self._key = key

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """From what ``nix-store --generate-binary-cache-key`` wrote. The UsageError never shows it."""
        name, _, encoded = text.strip().partition(":")
        raw = _decoded(encoded)
        if len(raw) != 2 * _KEY_BYTES:
            raise UsageError("The Nix secret key is not 'name:base64 of 64 bytes': give what Nix wrote.")
        key = Ed25519PrivateKey.from_private_bytes(raw[:_KEY_BYTES])
        if key.public_key().public_bytes_raw() != raw[_KEY_BYTES:]:
            raise UsageError("The two halves of the Nix secret key do not belong together: generate it anew.")
        return cls(name, key)

    def to_text(self) -> str:
        """The secret key as Nix keeps it in a file."""
        return _named(self.name, self._key.private_bytes_raw() + self._key.public_key().public_bytes_raw())

    @property
    def public_text(self) -> str:
        """The public key, for ``trusted-public-keys``."""
        return _named(self.name, self._key.public_key().public_bytes_raw())

    def sign(self, fingerprint: str) -> str:
        """The value of a ``Sig`` line: ``name:base64``."""
        return _named(self.name, self._key.sign(fingerprint.encode()))

    def __repr__(self) -> str:
        return f"NixSigningKey({self.name!r})"


def verify_signature(sig: str, fingerprint: str, public_keys: Sequence[str]) -> str | None:
    """The name of the public key that ``sig`` verifies with; None when there is none.

    Raises UsageError when one of ``public_keys``, which the caller trusts, is not ``name:base64``.
    """
    name, _, encoded = sig.partition(":")
    raw = _decoded(encoded)
    if len(raw) != _SIGNATURE_BYTES:
        return None
    for key_name, key in map(public_key, public_keys):
        if key_name == name and _verifies(key, raw, fingerprint):
            return name
    return None


@lru_cache(maxsize=256)
def public_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """Name and key out of ``name:base64``; UsageError otherwise."""
    name, _, encoded = text.strip().partition(":")
    raw = _decoded(encoded)
    if not _NAME.fullmatch(name) or len(raw) != _KEY_BYTES:
        raise UsageError(
            f"{printable(text)!r} is no Nix public key: write it as 'name:base64', as in trusted-public-keys."
        )
    return name, Ed25519PublicKey.from_public_bytes(raw)


def _verifies(key: Ed25519PublicKey, signature: bytes, fingerprint: str) -> bool:
    try:
        key.verify(signature, fingerprint.encode())
    except InvalidSignature:
        return False
    return True


def _named(name: str, raw: bytes) -> str:
    return f"{name}:{base64.b64encode(raw).decode()}"


def _decoded(text: str) -> bytes:
    """The bytes; none for what is not base64, so that callers judge by length alone."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
