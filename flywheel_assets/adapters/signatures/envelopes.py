"""DSSE envelopes as they arrive, and what all forms of signed content come down to.

Sources: DSSE v1.0.2 (envelope.md, protocol.md).
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from securesystemslib.dsse import Envelope

from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.untrusted import JsonObject

MAX_SIGNATURES = 16
REMEDY = "Emit a DSSE envelope."


@dataclass(frozen=True, slots=True)
class Signed:
    """Content and the signatures under it, each with the key id that it carries (a hint and no more).

    ``covered`` are the bytes that a signature covers, which for an envelope are more than its payload. Where only
    their SHA-256 is known (``by_digest``), it stands in for them.
    """

    payload: bytes
    payload_type: str
    covered: bytes
    signatures: tuple[tuple[str, bytes], ...]
    is_envelope: bool = True
    by_digest: bool = False

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what a signature covers."""
        return self.covered if self.by_digest else sha256(self.covered).digest()


def read_envelope(envelope: JsonObject, document: str, limits: Limits) -> Signed:
    """The content of a DSSE envelope. Raises InvalidInputError naming the field that is wrong."""
    payload_type, entries = envelope.get("payloadType"), envelope.get("signatures")
    if not isinstance(payload_type, str) or len(payload_type) > limits.string_chars:
        raise InvalidInputError(document, "payloadType", "is not a string", REMEDY)
    if not isinstance(entries, list) or len(entries) > MAX_SIGNATURES:
        raise InvalidInputError(document, "signatures", f"is not a list of at most {MAX_SIGNATURES}", REMEDY)
    signatures = []
    for number, entry in enumerate(entries):
        field = f"signatures.{number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("keyid", ""), str):
            raise InvalidInputError(document, field, "is not a DSSE signature", REMEDY)
        signatures.append((entry.get("keyid", ""), unbase64(entry.get("sig"), document, f"{field}.sig")))
    payload = unbase64(envelope.get("payload"), document, "payload")
    try:
        covered: bytes = Envelope(payload, payload_type, {}).pae()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can spell
        raise InvalidInputError(document, "payloadType", "is not Unicode text", REMEDY) from error
    return Signed(payload, payload_type, covered, tuple(signatures))


def unbase64(value: object, document: str, field: str, remedy: str = REMEDY) -> bytes:
    """The bytes in a base64 text of either alphabet, both of which DSSE allows. Raises InvalidInputError."""
    if not isinstance(value, str):
        raise InvalidInputError(document, field, "is not a string", remedy)
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(document, field, "is not base64", remedy) from error


def base64_text(data: bytes) -> str:
    """``data`` in base64, standard alphabet."""
    return base64.b64encode(data).decode("ascii")
