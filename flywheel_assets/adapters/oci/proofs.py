"""Attaching proofs to an image in a layout, and reading back what a consumer finds attached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.oci.bodies import Body, read_body
from flywheel_assets.adapters.oci.documents import (
    OCI_INDEX,
    BlobDescriptor,
    ChildDescriptor,
    Index,
    Manifest,
    parse_manifest,
)
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.referrers import (
    DSSE,
    EMPTY_CONFIG,
    Descriptor,
    descriptor,
    fallback_tag,
    proof_entry,
    proof_manifest,
    referrers_index,
)
from flywheel_assets.adapters.oci.tree import fits
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest, Sha256
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Proof
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.ports import Progress


@dataclass(frozen=True, slots=True)
class Found:
    """Something found beside an image: its reading, and its bytes when it is an envelope that fits its digest."""

    reading: Reading
    envelope: bytes | None = None


def attach(layout: OciLayout, subject: Descriptor, proofs: Sequence[Proof], limits: Limits) -> None:
    """Store each proof and list it under the subject's fallback tag, keeping what others listed there.

    Entries whose manifest is gone are dropped: deleting a referrer leaves the tag stale. Raises
    InvalidInputError when what lies under the tag is no index.
    """
    added = []
    for proof in proofs:
        manifest = proof_manifest(proof, subject)
        for data in (EMPTY_CONFIG, proof.envelope, manifest):
            _put(layout, data)
        added.append(proof_entry(manifest, proof))
    tag = fallback_tag(ManifestDigest(subject["digest"]))
    # Two promotions that list at once would each lose the other's entry: read and write under one lock.
    with layout.locked("referrers"):
        index = referrers_index([*_still_listed(layout, tag, limits), *added])
        _put(layout, index)
        layout.set_names({tag: descriptor(OCI_INDEX, index)}, moving=[tag], keep_replaced=False)


def find_proofs(layout: OciLayout, subject: ManifestDigest, limits: Limits, progress: Progress) -> Iterator[Found]:
    """What the fallback tag leads to: the list, each referrer of ``subject``, each envelope in it.

    Listed referrers that are gone are passed over. Layers of other kinds (SBOMs, foreign signatures) are not
    read. Raises ReadError or InvalidInputError when index.json cannot be read.
    """
    listed = layout.tag(fallback_tag(subject))
    if listed is None:
        return
    body, index = _document(layout, listed, limits, progress)
    yield Found(body.reading(f"referrers {fallback_tag(subject)}", listed.digest, listed.size))
    if not isinstance(index, Index):
        return
    for child in index.children:
        if layout.blob_size(child.digest) is not None:
            yield from _referrer(layout, child, subject, limits, progress)


def _referrer(
    layout: OciLayout, child: ChildDescriptor, subject: ManifestDigest, limits: Limits, progress: Progress
) -> Iterator[Found]:
    body, manifest = _document(layout, child, limits, progress)
    problems = []
    if isinstance(manifest, Manifest) and (manifest.subject is None or manifest.subject.digest != subject):
        problems.append(f"It is listed for {subject}, and its own subject is another.")
    yield Found(body.reading(f"referrer {child.digest}", child.digest, child.size, problems))
    if isinstance(manifest, Manifest) and not problems:
        for layer in manifest.layers:
            if layer.media_type == DSSE:
                yield _envelope(layout, layer, limits, progress)


def _envelope(layout: OciLayout, layer: BlobDescriptor, limits: Limits, progress: Progress) -> Found:
    body = read_body(layout, layer.digest, layer.size, limits.receipt_bytes, progress, keep=True)
    reading = body.reading(f"proof {layer.digest}", layer.digest, layer.size)
    return Found(reading, body.data if fits(body, layer.digest) else None)


def _document(
    layout: OciLayout, found: ChildDescriptor, limits: Limits, progress: Progress
) -> tuple[Body, Index | Manifest | None]:
    body = read_body(layout, found.digest, found.size, limits.manifest_bytes, progress, keep=True)
    if not fits(body, found.digest):
        return body, None
    try:
        return body, parse_manifest(body.data or b"", str(found.digest), limits, media_type=found.media_type)
    except InvalidInputError as error:
        return Body(state_of(error), body.digest, body.size, str(error)), None


def _still_listed(layout: OciLayout, tag: str, limits: Limits) -> list[Descriptor]:
    """The entries under the tag as they stand there, without those whose manifest is gone."""
    listed = layout.tag(tag)
    if listed is None:
        return []
    body, index = _document(layout, listed, limits, lambda _: None)
    if not isinstance(index, Index):
        raise InvalidInputError(
            str(layout.path), tag, f"cannot be read as an index: {body.detail or body.state}", "Delete the tag."
        )
    entries: list[Descriptor] = parse_json(
        body.data or b"", str(listed.digest), max_bytes=limits.manifest_bytes, limits=limits
    )["manifests"]
    digests: list[Sha256] = [child.digest for child in index.children]
    return [entry for entry, digest in zip(entries, digests, strict=True) if layout.blob_size(digest) is not None]


def _put(layout: OciLayout, data: bytes) -> None:
    layout.put_blob([data], BlobDigest.of(data), len(data))
