"""Keys as PEM files and DSSE envelopes, by securesystemslib.

Sources: DSSE v1.0.2 (envelope.md, protocol.md). Private keys are PKCS #8, made on first use with mode 0600.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.domain.errors import InvalidInputError, UsageError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.ports import Checked

PRIVATE_MODE = 0o600
MAX_SIGNATURES = 16


class DsseSigner:
    """Signs with one private key. ECDSA P-256 and Ed25519 keys are both accepted."""

    def __init__(self, pem: bytes, document: str) -> None:
        """Take the key from PKCS #8 PEM. Raises UsageError when it is none."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
            self._signer = CryptoSigner(private)
            # securesystemslib holds an Ed25519 public key as hex, not as PEM.
            self._public = private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        except (ValueError, TypeError) as error:
            raise UsageError(f"{document} is not an unencrypted PKCS #8 private key in PEM.") from error

    @property
    def keyid(self) -> str:
        """Key id as securesystemslib derives it from the public key."""
        return str(self._signer.public_key.keyid)

    @property
    def public_key(self) -> str:
        """The public key, PEM (SubjectPublicKeyInfo)."""
        return self._public.decode("ascii")

    def sign(self, payload: bytes, payload_type: str) -> bytes:
        """A DSSE envelope, canonical JSON."""
        envelope = Envelope(payload, payload_type, {})
        envelope.sign(self._signer)
        return rfc8785.dumps(envelope.to_dict())


class DsseVerifier:
    """Opens envelopes and says which named keys signed them."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Bound what is parsed by ``limits``."""
        self._limits = limits
        self._keys: dict[str, SSlibKey] = {}

    def check(self, envelope: bytes, document: str, public_keys: Mapping[str, str]) -> Checked:
        """Verify each signature against the named PEM keys, whatever key id it carries.

        A key id is only a hint (DSSE, protocol.md): a signature with a wrong or empty one still counts for
        the key that verifies it.
        """
        payload, payload_type, signatures = self._open(envelope, document)
        pae = Envelope(payload, payload_type, {}).pae()
        keys = {name: self._key(name, pem) for name, pem in public_keys.items()}
        verified: list[str] = []
        unknown: list[str] = []
        invalid: list[str] = []
        for keyid, signature in signatures:
            signers = [name for name, key in keys.items() if _verifies(key, signature, pae)]
            claimed = [name for name, key in keys.items() if key.keyid == keyid]
            if signers:
                verified += signers
            elif claimed:
                invalid += claimed
            else:
                unknown.append(keyid or "(no key id)")
        return Checked(
            payload=payload,
            payload_type=payload_type,
            keys=tuple(dict.fromkeys(verified)),
            unknown=tuple(dict.fromkeys(unknown)),
            invalid=tuple(dict.fromkeys(invalid)),
        )

    def _open(self, data: bytes, document: str) -> tuple[bytes, str, list[tuple[str, bytes]]]:
        # Base64 grows its payload by a third.
        limit = self._limits.receipt_bytes * 3 // 2
        envelope = parse_json(data, document, max_bytes=limit, limits=self._limits)
        payload_type = envelope.get("payloadType")
        entries = envelope.get("signatures")
        if not isinstance(payload_type, str) or len(payload_type) > self._limits.string_chars:
            raise InvalidInputError(document, "payloadType", "is not a string", "Emit a DSSE envelope.")
        if not isinstance(entries, list) or len(entries) > MAX_SIGNATURES:
            problem = f"is not a list of at most {MAX_SIGNATURES}"
            raise InvalidInputError(document, "signatures", problem, "Emit a DSSE envelope.")
        signatures = []
        for number, entry in enumerate(entries):
            field = f"signatures.{number}"
            if not isinstance(entry, dict) or not isinstance(entry.get("keyid", ""), str):
                raise InvalidInputError(document, field, "is not a DSSE signature", "Emit a DSSE envelope.")
            signatures.append((entry.get("keyid", ""), _unbase64(entry.get("sig"), document, f"{field}.sig")))
        return _unbase64(envelope.get("payload"), document, "payload"), payload_type, signatures

    def _key(self, name: str, pem: str) -> SSlibKey:
        if pem not in self._keys:
            self._keys[pem] = public_key(pem, name)
        return self._keys[pem]


def public_key(pem: str, name: str) -> SSlibKey:
    """The key in a PEM text. Raises UsageError naming it when it cannot be used."""
    try:
        return SSlibKey.from_crypto(serialization.load_pem_public_key(pem.encode("ascii", "replace")))
    except (ValueError, TypeError) as error:
        raise UsageError(f"The key {name} is not a public key in PEM (SubjectPublicKeyInfo).") from error


def _verifies(key: SSlibKey, signature: bytes, pae: bytes) -> bool:
    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), pae)
    except (UnverifiedSignatureError, VerificationError):
        return False
    return True


def _unbase64(value: object, document: str, field: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidInputError(document, field, "is not a string", "Emit a DSSE envelope.")
    try:
        # DSSE allows both alphabets.
        return base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(document, field, "is not base64", "Emit a DSSE envelope.") from error


def key_file(path: Path) -> DsseSigner:
    """The signer of a PEM file; a new ECDSA P-256 key is made there (0600) on first use.

    P-256 because stock verifiers of signatures and VSAs take it. Two processes that start together agree on
    one key: the file is linked into place, and whoever comes second reads the first one's.
    """
    if not path.exists():
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        create_once(path, pem, PRIVATE_MODE)
    signer = DsseSigner(private_bytes(path), str(path))
    public = path.with_suffix(".pub")
    if not public.exists():
        create_once(public, signer.public_key.encode(), 0o644)
    return signer


def private_bytes(path: Path) -> bytes:
    """What a private key's file holds. Raises UsageError when others than its owner may read it."""
    if path.stat().st_mode & 0o077:
        raise UsageError(f"The private key {path} can be read by others. Run: chmod 600 {path}")
    return path.read_bytes()


def create_once(path: Path, data: bytes, mode: int) -> bool:
    """Write a whole file or nothing; False when another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write_atomically(path, data, mode=mode, once=True)
