"""The registry as the platform's own image workflow left it: an image, and its receipt as a referrer."""

from typing import Any

from flywheel_assets.domain.statements import PROVENANCE_V1, canonical
from recording.images import INDEX, MANIFEST, Layout

DSSE = "application/vnd.dsse.envelope.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
PREDICATE = {"predicateType": PROVENANCE_V1}


def attach(layout: Layout, tag: str, envelope: bytes) -> None:
    """Attach an attestation to the image at ``tag``.

    The registry knows no referrers, so the list of them lies at a fallback tag (OCI distribution-spec).
    """
    image = {key: value for key, value in layout.tagged(tag).items() if key in {"mediaType", "digest", "size"}}
    layer = layout.add_blob(envelope, DSSE) | {"annotations": PREDICATE}
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": DSSE,
        "config": layout.add_blob(b"{}", EMPTY),
        "layers": [layer],
        "subject": image,
        "annotations": PREDICATE,
    }
    referrer = layout.add_blob(canonical(manifest), MANIFEST) | {"artifactType": DSSE, "annotations": PREDICATE}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [referrer]}
    layout.tag(layout.add_blob(canonical(index), INDEX), image["digest"].replace(":", "-"))
