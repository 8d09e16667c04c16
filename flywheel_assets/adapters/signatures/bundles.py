"""Sigstore bundles as they arrive: content, and how it was signed.

Source: sigstore protobuf-specs, sigstore_bundle.proto (v0.1 to v0.3, in JSON).
"""

from dataclasses import dataclass

from flywheel_assets.adapters.signatures.envelopes import Signed, read_envelope, unbase64
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.statements import MESSAGE_DIGEST
from flywheel_assets.domain.untrusted import JsonObject

MEDIA_TYPES = (
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
)
REMEDY = "Attach a Sigstore bundle as cosign or gh write it."
SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Bundle:
    """Signed content with its signer's certificate (DER), or None when a key signed it.

    ``raw`` is the bundle itself, JSON. ``promised``: the log's signed promise of an entry stands in for the proof
    that the entry is included, as in cosign's first format.
    """

    content: Signed
    certificate: bytes | None
    raw: bytes
    promised: bool = False


def is_bundle(document: JsonObject) -> bool:
    """Whether this says that it is a bundle, and not an envelope or a bare Statement."""
    return "mediaType" in document


def read_bundle(raw: bytes, bundle: JsonObject, document: str, limits: Limits) -> Bundle:
    """What ``raw``, parsed as ``bundle``, holds. Raises InvalidInputError naming the field that is wrong."""
    if bundle.get("mediaType") not in MEDIA_TYPES:
        raise InvalidInputError(document, "mediaType", "is no version of a Sigstore bundle that is known", REMEDY)
    material = _object(bundle, "verificationMaterial", document)
    envelope, message = bundle.get("dsseEnvelope"), bundle.get("messageSignature")
    if (envelope is None) == (message is None):
        raise InvalidInputError(document, "$", "holds not one of dsseEnvelope and messageSignature", REMEDY)
    if message is None:
        content = read_envelope(_object(bundle, "dsseEnvelope", document), document, limits)
    else:
        content = _message(_object(bundle, "messageSignature", document), document)
    return Bundle(content, _certificate(material, document), raw)


def _message(message: JsonObject, document: str) -> Signed:
    digest = _object(message, "messageDigest", document)
    if digest.get("algorithm") != "SHA2_256":
        raise InvalidInputError(document, "messageDigest.algorithm", "is not SHA2_256", REMEDY)
    value = unbase64(digest.get("digest"), document, "messageDigest.digest", REMEDY)
    if len(value) != SHA256_BYTES:
        raise InvalidInputError(document, "messageDigest.digest", "is no SHA-256", REMEDY)
    signature = unbase64(message.get("signature"), document, "messageSignature.signature", REMEDY)
    return Signed(value, MESSAGE_DIGEST, value, (("", signature),), is_envelope=False, by_digest=True)


def _certificate(material: JsonObject, document: str) -> bytes | None:
    """The signer's own certificate; None when the bundle names a key."""
    ways = [way for way in ("certificate", "x509CertificateChain", "publicKey") if way in material]
    if len(ways) != 1:
        problem = "holds not one of certificate, x509CertificateChain and publicKey"
        raise InvalidInputError(document, "verificationMaterial", problem, REMEDY)
    if ways == ["publicKey"]:
        return None
    leaf = _object(material, ways[0], document)
    if ways == ["x509CertificateChain"]:
        chain = leaf.get("certificates")
        if not isinstance(chain, list) or not chain or not isinstance(chain[0], dict):
            raise InvalidInputError(document, "x509CertificateChain", "holds no certificate", REMEDY)
        leaf = chain[0]
    return unbase64(leaf.get("rawBytes"), document, f"{ways[0]}.rawBytes", REMEDY)


def _object(holder: JsonObject, field: str, document: str) -> JsonObject:
    value = holder.get(field)
    if not isinstance(value, dict):
        raise InvalidInputError(document, field, "is not an object", REMEDY)
    return value
