"""Public keys in PEM, by securesystemslib: which of the offered ones made a signature."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key, ssh_key_fingerprint
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature, SSlibKey

from flywheel_assets.adapters.signatures.envelopes import Signed
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.ports import Checked

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.hazmat.primitives.serialization.ssh import SSHPublicKeyTypes


def _key(pem: str, name: str) -> SSlibKey:
    try:
        return _parsed(pem)
    except (ValueError, TypeError) as error:
        raise UsageError(f"The key {name} is not a public key in PEM (SubjectPublicKeyInfo).") from error


@cache
def _parsed(pem: str) -> SSlibKey:
    return SSlibKey.from_crypto(load_pem_public_key(pem.encode("ascii", "replace")))


@cache
def _key_ids(pem: str) -> frozenset[str]:
    """The ids under which signers here and elsewhere name a key: its fingerprint, and securesystemslib's own."""
    ids = {str(_parsed(pem).keyid)}
    with suppress(ValueError):
        ids.add(fingerprint(load_pem_public_key(pem.encode("ascii"))))
    return frozenset(ids)


def fingerprint(public: "PublicKeyTypes") -> str:
    """The SSH fingerprint of a public key: how DSSE verifiers in Go derive a key's id. ValueError if it has none."""
    digest = ssh_key_fingerprint(cast("SSHPublicKeyTypes", public), SHA256())
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def check_by_keys(signed: Signed, public_keys: Mapping[str, str]) -> Checked:
    """Try each signature with every named key, whatever key id it carries.

    A key id is only a hint (DSSE, protocol.md): a signature with a wrong or empty one still counts for the key
    that verifies it. Raises UsageError for an offered key that cannot be used.
    """
    keys = {name: _key(pem, name) for name, pem in public_keys.items()}
    verified: list[str] = []
    unknown: list[str] = []
    invalid: list[str] = []
    for keyid, signature in signed.signatures:
        signers = [name for name, key in keys.items() if _verifies(key, signature, signed)]
        claimed = [name for name, pem in public_keys.items() if keyid in _key_ids(pem)]
        if signers:
            verified += signers
        elif claimed:
            invalid += claimed
        else:
            unknown.append(keyid or "(no key id)")
    return Checked(
        payload=signed.payload,
        payload_type=signed.payload_type,
        keys=tuple(dict.fromkeys(verified)),
        unknown=tuple(dict.fromkeys(unknown)),
        invalid=tuple(dict.fromkeys(invalid)),
    )


def _verifies(key: SSlibKey, signature: bytes, signed: Signed) -> bool:
    try:
        if signed.by_digest:
            return _verifies_digest(key, signature, signed.covered)
        key.verify_signature(Signature(key.keyid, signature.hex()), signed.covered)
    except (UnverifiedSignatureError, VerificationError, InvalidSignature):
        return False
    return True


def _verifies_digest(key: SSlibKey, signature: bytes, digest: bytes) -> bool:
    """Only ECDSA P-256 signs a digest that is already made. Raises InvalidSignature."""
    if key.scheme != "ecdsa-sha2-nistp256":
        return False
    public = load_pem_public_key(key.keyval["public"].encode("ascii"))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    public.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    return True
