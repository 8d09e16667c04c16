"""Proofs beside an image: artifact manifests with a ``subject``, listed under the fallback tag. Pure.

Sources: OCI image-spec 1.1, manifest.md ("Guidelines for Artifact Usage"); OCI distribution-spec 1.1,
"Referrers Tag Schema". The names of a layer's media type and annotation are those cosign uses.
"""

from collections.abc import Iterable
from typing import Any

from flywheel_assets.adapters.oci.documents import OCI_INDEX, OCI_MANIFEST
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.publications import Proof
from flywheel_assets.domain.statements import canonical

DSSE = "application/vnd.dsse.envelope.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG = b"{}"

Descriptor = dict[str, Any]


def fallback_tag(digest: Sha256) -> str:
    """``sha256-<hex>``: the name of the index of what refers to ``digest``."""
    return f"sha256-{digest.hex}"


def descriptor(media_type: str, data: bytes, **more: object) -> Descriptor:
    """A descriptor of ``data``."""
    return {"mediaType": media_type, "digest": str(Sha256.of(data)), "size": len(data), **more}


def proof_manifest(proof: Proof, subject: Descriptor) -> bytes:
    """The artifact manifest of one proof: no time and no name in it, so that it is one however often made."""
    annotations = {"predicateType": proof.predicate_type}
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": DSSE,
            "config": descriptor(EMPTY_TYPE, EMPTY_CONFIG),
            "layers": [descriptor(DSSE, proof.envelope, annotations=annotations)],
            "subject": subject,
            "annotations": annotations,
        }
    )


def proof_entry(manifest: bytes, proof: Proof) -> Descriptor:
    """What the fallback index says of a proof's manifest."""
    annotations = {"predicateType": proof.predicate_type}
    return descriptor(OCI_MANIFEST, manifest, artifactType=DSSE, annotations=annotations)


def referrers_index(entries: Iterable[Descriptor]) -> bytes:
    """The fallback index of ``entries``: sorted, so that equal sets are equal bytes."""
    by_digest = {str(entry["digest"]): entry for entry in entries}
    manifests = [by_digest[digest] for digest in sorted(by_digest)]
    return canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
