"""Cosign's first formats: the signature, its certificate and the log's promise are annotations beside the content.

A keyless one becomes a bundle v0.1, so that one verifier serves all. Source: cosign, specs/SIGNATURE_SPEC.md.
"""

from collections.abc import Mapping
from json import dumps

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flywheel_assets.adapters.signatures.bundles import MEDIA_TYPES, Bundle
from flywheel_assets.adapters.signatures.envelopes import Signed, base64_text, unbase64
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.statements import SIMPLE_SIGNING
from flywheel_assets.domain.untrusted import JsonObject, parse_json

CERTIFICATE = "dev.sigstore.cosign/certificate"
LOG_ENTRY = "dev.sigstore.cosign/bundle"
REMEDY = "Sign it again with cosign."
# The first formats carry no inclusion proof, and the model of a bundle asks for one; it is never looked at.
_NO_PROOF = {"logIndex": "0", "treeSize": "1", "rootHash": "", "hashes": list[str]()}


def read_simple_signing(data: bytes, annotations: Mapping[str, str], document: str) -> Signed:
    """A simple signing payload and the signature in its annotations. Raises InvalidInputError."""
    signature = unbase64(annotations.get(COSIGN_SIGNATURE), document, COSIGN_SIGNATURE, REMEDY)
    return Signed(data, SIMPLE_SIGNING, data, (("", signature),), is_envelope=False)


def read_keyless(content: Signed, annotations: Mapping[str, str], document: str, limits: Limits) -> Bundle | None:
    """The bundle that the annotations beside ``content`` amount to; None when they hold no certificate.

    Raises InvalidInputError for a certificate or log entry that is none, LimitExceededError for too many bytes.
    """
    if sum(len(value) for value in annotations.values()) > limits.signature_material_bytes:
        problem = f"more than {limits.signature_material_bytes:,} bytes"
        raise LimitExceededError(document, "annotations", problem, REMEDY)
    if not annotations.get(CERTIFICATE):
        return None
    certificate = _der(annotations[CERTIFICATE], document)
    entries = [_log_entry(annotations[LOG_ENTRY], document, limits)] if annotations.get(LOG_ENTRY) else []
    bundle = {
        "mediaType": MEDIA_TYPES[0],
        "verificationMaterial": {
            "x509CertificateChain": {"certificates": [{"rawBytes": base64_text(certificate)}]},
            "tlogEntries": entries,
        },
        **_content(content),
    }
    return Bundle(content, certificate, dumps(bundle).encode(), promised=True)


def _content(content: Signed) -> JsonObject:
    if not content.is_envelope:
        digest = {"algorithm": "SHA2_256", "digest": base64_text(content.digest)}
        return {"messageSignature": {"messageDigest": digest, "signature": base64_text(content.signatures[0][1])}}
    signatures = [{"keyid": keyid, "sig": base64_text(sig)} for keyid, sig in content.signatures]
    payload = {"payload": base64_text(content.payload), "payloadType": content.payload_type}
    return {"dsseEnvelope": {**payload, "signatures": signatures}}


def _der(pem: str, document: str) -> bytes:
    try:
        return x509.load_pem_x509_certificate(pem.encode("ascii")).public_bytes(Encoding.DER)
    except ValueError as error:
        raise InvalidInputError(document, CERTIFICATE, "is no certificate in PEM", REMEDY) from error


def _log_entry(text: str, document: str, limits: Limits) -> JsonObject:
    """The log entry in cosign's annotation as an entry of a bundle. Raises InvalidInputError."""
    annotation = parse_json(text.encode("utf-8", "replace"), f"{document}: {LOG_ENTRY}", limits=limits)
    entry = annotation.get("Payload")
    if not isinstance(entry, dict):
        raise InvalidInputError(document, LOG_ENTRY, "holds no Payload", REMEDY)
    body = parse_json(unbase64(entry.get("body"), document, f"{LOG_ENTRY}.body"), f"{document}: log entry")
    try:
        log_id = bytes.fromhex(entry["logID"])
        numbers = {"logIndex": str(int(entry["logIndex"])), "integratedTime": str(int(entry["integratedTime"]))}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(document, LOG_ENTRY, "is no entry of a transparency log", REMEDY) from error
    return {
        **numbers,
        "logId": {"keyId": base64_text(log_id)},
        "kindVersion": {"kind": body.get("kind"), "version": body.get("apiVersion")},
        "inclusionPromise": {"signedEntryTimestamp": annotation.get("SignedEntryTimestamp")},
        "inclusionProof": _NO_PROOF,
        "canonicalizedBody": entry["body"],
    }
