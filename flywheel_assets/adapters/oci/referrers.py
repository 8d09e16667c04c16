"""Proofs beside an image as artifact manifests with a ``subject``: our own envelopes, and Sigstore bundles. Pure.

Sources: OCI image-spec 1.1, manifest.md ("Guidelines for Artifact Usage"); OCI distribution-spec 1.1,
"Referrers Tag Schema"; cosign, specs/BUNDLE_SPEC.md. The names of media types and annotations are those cosign uses.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flywheel_assets.adapters.oci.documents import OCI_INDEX, OCI_MANIFEST
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.envelopes import BUNDLE_V03, bundles_of
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Form, Proof
from flywheel_assets.domain.statements import canonical

DSSE = "application/vnd.dsse.envelope.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG = b"{}"

Descriptor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes, and the descriptor that a manifest or list has of them."""

    descriptor: Descriptor
    data: bytes


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact manifest of one layer, and its entry in a list of referrers."""

    entry: Descriptor
    manifest: bytes
    layer: Blob


def fallback_tag(digest: Sha256) -> str:
    """``sha256-<hex>``: the name of the index of what refers to ``digest``."""
    return f"sha256-{digest.hex}"


def descriptor(media_type: str, data: bytes, **more: object) -> Descriptor:
    """A descriptor of ``data``."""
    return {"mediaType": media_type, "digest": str(Sha256.of(data)), "size": len(data), **more}


def blob(media_type: str, data: bytes, **more: object) -> Blob:
    """``data`` with its descriptor."""
    return Blob(descriptor(media_type, data, **more), data)


def referrers_of(proof: Proof, subject: Descriptor, limits: Limits) -> list[Referrer]:
    """What refers to the image for one proof: an envelope as it is, and a Sigstore bundle for each of its signatures.

    A simple signing payload has none: cosign keeps it under a tag. Raises InvalidInputError for what is no envelope.
    """
    said = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": proof.predicate_type}
    if proof.form is Form.BUNDLE:
        return [_referrer(BUNDLE_V03, proof.envelope, said, subject)]
    if proof.form is Form.SIMPLE_SIGNING:
        return []
    envelope = _referrer(DSSE, proof.envelope, {"predicateType": proof.predicate_type}, subject)
    bundles = bundles_of(proof.envelope, f"the proof {proof.name}", limits)
    return [envelope, *(_referrer(BUNDLE_V03, bundle, said, subject) for bundle in bundles)]


def _referrer(kind: str, data: bytes, annotations: dict[str, str], subject: Descriptor) -> Referrer:
    """No time and no name in it, so that it is one however often made."""
    layer = blob(kind, data, annotations=annotations)
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY_TYPE, EMPTY_CONFIG),
            "layers": [layer.descriptor],
            "subject": subject,
            "annotations": annotations,
        }
    )
    entry = descriptor(OCI_MANIFEST, manifest, artifactType=kind, annotations=annotations)
    return Referrer(entry, manifest, layer)


def referrers_index(entries: Iterable[Descriptor]) -> bytes:
    """The fallback index of ``entries``: sorted, so that equal sets are equal bytes."""
    by_digest = {str(entry["digest"]): entry for entry in entries}
    manifests = [by_digest[digest] for digest in sorted(by_digest)]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    # Not canonical(): what others list may hold numbers that RFC 8785 cannot spell.
    return json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
