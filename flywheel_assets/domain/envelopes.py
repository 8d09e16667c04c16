"""DSSE envelopes, and the other forms in which stock verifiers take the same signatures. Pure.

Each form is derived from an envelope's bytes alone, so that all who derive it get the same bytes. Sources: DSSE
v1.0.2 (envelope.md); Sigstore protobuf-specs, sigstore_bundle.proto, bundle v0.3.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Form
from flywheel_assets.domain.statements import canonical, invalid
from flywheel_assets.domain.untrusted import parse_json

BUNDLE = "application/vnd.dev.sigstore.bundle"
"""How the media types of all versions of Sigstore bundles begin."""
BUNDLE_V03 = f"{BUNDLE}.v0.3+json"
COSIGN_SIGNATURE = "dev.cosignproject.cosign/signature"
"""The annotation that holds the signature (base64) of a simple signing payload."""


_Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/_-]+={0,2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Signature(_Part):
    sig: _Base64


class _Envelope(_Part):
    payload: _Base64
    payload_type: Annotated[str, Field(alias="payloadType", pattern=r"^[!-~]{1,200}$")]
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=16)]


def bundles_of(envelope: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, ...]:
    """A Sigstore bundle for each signature in an envelope: a bundle's envelope has exactly one.

    The key is the verifier's to know. Raises InvalidInputError, naming ``document``, for what is no signed envelope.
    """
    parts = _parse(envelope, document, limits)
    return tuple(
        canonical(
            {
                "mediaType": BUNDLE_V03,
                "verificationMaterial": {"publicKey": {"hint": ""}},
                "dsseEnvelope": _fields(parts, [signature]),
            }
        )
        for signature in parts.signatures
    )


def without_key_ids(envelope: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The envelope as verifiers in Go take it whoever signed it.

    They skip a signature whose key id is not the SSH fingerprint of their key, and know one base64 alphabet.
    Raises InvalidInputError for what is no signed envelope.
    """
    parts = _parse(envelope, document, limits)
    return canonical(_fields(parts, parts.signatures))


def form_of(signed: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> Form:
    """Whether this is a Sigstore bundle or an envelope: an envelope has no media type. Raises InvalidInputError."""
    media_type = parse_json(signed, document, max_bytes=limits.signed_bytes, limits=limits).get("mediaType")
    return Form.BUNDLE if str(media_type).startswith(BUNDLE) else Form.DSSE


def _parse(envelope: bytes, document: str, limits: Limits) -> _Envelope:
    fields = parse_json(envelope, document, max_bytes=limits.signed_bytes, limits=limits)
    try:
        return _Envelope.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, document, "Sign it as a DSSE envelope.") from error


def _fields(parts: _Envelope, signatures: Sequence[_Signature]) -> dict[str, Any]:
    named = [{"keyid": "", "sig": _standard(signature.sig)} for signature in signatures]
    return {"payload": _standard(parts.payload), "payloadType": parts.payload_type, "signatures": named}


def _standard(base64: str) -> str:
    """In the standard alphabet: DSSE allows both."""
    return base64.replace("-", "+").replace("_", "/")
