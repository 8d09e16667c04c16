"""Private keys of people: PKCS #8 PEM as this project makes them, or as OpenSSH keeps them, either with a passphrase.

Sources: RFC 8410 and RFC 5915 in PKCS #8; OpenSSH, PROTOCOL.key.
"""

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from flywheel_assets.adapters.signatures.keys import DsseSigner, private_bytes
from flywheel_assets.domain.errors import UsageError

OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
MAX_KEY_BYTES = 16 * 1024


def person_key(path: Path, ask: Callable[[], str]) -> DsseSigner:
    """The signer of a person's key file; ``ask`` is called for its passphrase where it has one.

    Raises UsageError for what is no Ed25519 or ECDSA P-256 key, for a wrong passphrase, and for a file that others may
    read.
    """
    data = private_bytes(path)
    if len(data) > MAX_KEY_BYTES:
        raise UsageError(f"{path} is no private key: it has {len(data):,} bytes.")
    load = load_ssh_private_key if data.lstrip().startswith(OPENSSH) else load_pem_private_key
    try:
        private = load(data, password=ask().encode() if _has_passphrase(data, load) else None)
    except UnsupportedAlgorithm as error:
        raise UsageError(
            f"{path} is kept in a way that cannot be read here. Give a copy of it without a passphrase, or in PKCS #8."
        ) from error
    except (ValueError, TypeError):
        # None of what the library says: it may quote what it was given.
        raise UsageError(f"{path} is no private key in PEM or OpenSSH's format, or the passphrase is wrong.") from None
    is_p256 = isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1)
    if not is_p256 and not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path} is neither an Ed25519 nor an ECDSA P-256 key. `ssh-keygen -t ed25519` makes one.")
    return DsseSigner(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), str(path))


def _has_passphrase(data: bytes, load: Callable[..., object]) -> bool:
    try:
        load(data, password=None)
    except TypeError:  # how the library says that one is missing
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False
