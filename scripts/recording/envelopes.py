"""The builders' keys, which live only as long as the recording, and DSSE envelopes signed with them."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from flywheel_assets.domain.statements import PAYLOAD_TYPE, canonical

TRUSTED = ("tinyland-nix", "tinyland-docker", "tinyland-dind", "image-workflow")
STRANGER = "stranger"


class Keys:
    """Fresh Ed25519 keys by name. The private halves are never written anywhere."""

    def __init__(self) -> None:
        self._private = {name: Ed25519PrivateKey.generate() for name in (*TRUSTED, STRANGER)}
        self._signers = {name: CryptoSigner(key) for name, key in self._private.items()}

    def keyid(self, name: str) -> str:
        """The keyid that securesystemslib gives the public key."""
        return str(self._signers[name].public_key.keyid)

    def write_public(self, folder: Path) -> None:
        """Write the public half of each key that may be known, as PEM SubjectPublicKeyInfo."""
        folder.mkdir(parents=True)
        for name in TRUSTED:
            public = self._private[name].public_key()
            pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (folder / f"{name}.pub").write_bytes(pem)

    def sealed(self, statement: bytes, signer: str | None) -> bytes:
        """The envelope of a Statement in canonical JSON; without a signer it carries no signature."""
        envelope = Envelope(statement, PAYLOAD_TYPE, {})
        if signer is not None:
            envelope.sign(self._signers[signer])
        return canonical(envelope.to_dict())
