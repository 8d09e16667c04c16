"""cosign's tags beside an image: ``sha256-<hex>.sig`` and ``.att``, each a manifest whose layers are proofs. Pure.

Source: cosign, specs/SIGNATURE_SPEC.md and specs/ATTESTATION_SPEC.md. Many signers share one manifest, so that
one's own layers are added to what others left there.
"""

import json
from collections.abc import Sequence
from typing import Any

from flywheel_assets.adapters.oci.documents import OCI_MANIFEST
from flywheel_assets.adapters.oci.referrers import DSSE, Blob, blob, descriptor
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE, without_key_ids
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Form, Proof
from flywheel_assets.domain.statements import SIMPLE_SIGNING, canonical
from flywheel_assets.domain.untrusted import JsonObject

CONFIG = "application/vnd.oci.image.config.v1+json"
SIGNATURES, ATTESTATIONS = "sig", "att"
SUFFIXES = (SIGNATURES, ATTESTATIONS)


def cosign_tag(digest: Sha256, suffix: str) -> str:
    """Where cosign looks for the signatures (``sig``) or attestations (``att``) of ``digest``."""
    return f"sha256-{digest.hex}.{suffix}"


def layers_of(proofs: Sequence[Proof], suffix: str, limits: Limits) -> list[Blob]:
    """The layers that these proofs add under one of cosign's tags.

    Bundles add none: cosign keeps them as referrers. Raises InvalidInputError for a proof that is no envelope.
    """
    if suffix == SIGNATURES:
        return [
            blob(SIMPLE_SIGNING, proof.envelope, annotations=proof.annotations)
            for proof in proofs
            if proof.form is Form.SIMPLE_SIGNING
        ]
    return [
        blob(
            DSSE,
            without_key_ids(proof.envelope, f"the proof {proof.name}", limits),
            # cosign passes over a layer without the first; the signature itself is in the envelope.
            annotations={COSIGN_SIGNATURE: "", "predicateType": proof.predicate_type},
        )
        for proof in proofs
        if proof.form is Form.DSSE
    ]


def lacks(manifest: JsonObject | None, layers: Sequence[Blob]) -> list[Blob]:
    """Those of ``layers`` that are not in the manifest: another payload, or another signature of it."""
    present = {_identity(layer) for layer in manifest["layers"]} if manifest else set()
    return [layer for layer in layers if _identity(layer.descriptor) not in present]


def merged(manifest: JsonObject | None, layers: Sequence[Blob]) -> tuple[bytes, bytes]:
    """Config and manifest with ``layers`` after those that are there, which stay as they are.

    In one order whoever comes first, and without a time: equal sets are equal bytes.
    """
    kept = list(manifest["layers"]) if manifest else []
    added = [layer.descriptor for layer in lacks(manifest, layers)]
    everything = sorted([*kept, *added], key=_identity)
    config = canonical(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in everything]},
        }
    )
    fields = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, **(manifest or {})}
    fields |= {"config": descriptor(CONFIG, config), "layers": everything}
    # Not canonical(): what others put into the manifest may hold numbers that RFC 8785 cannot spell.
    return config, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _identity(layer: dict[str, Any]) -> tuple[str, str]:
    annotations = layer.get("annotations")
    signature = annotations.get(COSIGN_SIGNATURE) if isinstance(annotations, dict) else None
    return str(layer.get("digest")), str(signature or "")
