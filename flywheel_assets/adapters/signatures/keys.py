"""Private keys as PEM files, and signing with them, by securesystemslib.

Sources: DSSE v1.0.2 (envelope.md, protocol.md). Private keys are PKCS #8, made on first use with mode 0600.
"""

from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from flywheel_assets.adapters.signatures.public_keys import fingerprint
from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.domain.errors import UsageError

PRIVATE_MODE = 0o600


class DsseSigner:
    """Signs with one private key. ECDSA P-256 and Ed25519 keys are both accepted."""

    def __init__(self, pem: bytes, document: str) -> None:
        """Take the key from PKCS #8 PEM. Raises UsageError when it is none."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
            public = SSlibKey.from_crypto(private.public_key(), keyid=fingerprint(private.public_key()))
            self._signer = CryptoSigner(private, public)
            # securesystemslib holds an Ed25519 public key as hex, not as PEM.
            self._public = private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        except (ValueError, TypeError) as error:
            raise UsageError(f"{document} is not an unencrypted PKCS #8 private key in PEM.") from error

    @property
    def keyid(self) -> str:
        """``SHA256:<base64>``, the SSH fingerprint: verifiers in Go skip a signature under any other id."""
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

    def sign_bytes(self, data: bytes) -> bytes:
        """A bare signature of ``data``: Ed25519, or ECDSA in DER over its SHA-256."""
        return bytes.fromhex(self._signer.sign(data).signature)


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
