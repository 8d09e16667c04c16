"""Attaching proofs to an image, in a layout or a registry, each in every form that a stock verifier looks for.

Where they go: as referrers (listed by a registry itself, or under the fallback tag), and under cosign's tags.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from flywheel_assets.adapters.oci.bodies import in_parallel
from flywheel_assets.adapters.oci.cosign import SUFFIXES, cosign_tag, lacks, layers_of, merged
from flywheel_assets.adapters.oci.documents import OCI_MANIFEST, Manifest, parse_manifest
from flywheel_assets.adapters.oci.proofs import sound
from flywheel_assets.adapters.oci.referrers import (
    EMPTY_CONFIG,
    Blob,
    Descriptor,
    Referrer,
    descriptor,
    referrers_of,
)
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, PublicationError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Proof
from flywheel_assets.domain.untrusted import JsonObject, parse_json

ATTEMPTS = 8
"""How often what others take away or write over is put there again."""


def attach(repository: Repository, subject: Descriptor, proofs: Sequence[Proof], limits: Limits) -> None:
    """Put each proof beside the image in each form, once, and keep what others put there.

    Two who attach at once end up with both: whatever a stalled writer took away is merged again, until a whole
    look finds ours in their places. Raises InvalidInputError for a proof that is no envelope, PublicationError when
    others keep writing over ours.
    """
    referrers = [referrer for proof in proofs for referrer in referrers_of(proof, subject, limits)]
    digest = ManifestDigest(subject["digest"])
    layers = {cosign_tag(digest, suffix): layers_of(proofs, suffix, limits) for suffix in SUFFIXES}
    there = in_parallel(lambda each: _is_there(repository, each), referrers)
    _put_referrers(repository, [each for each, is_there in zip(referrers, there, strict=True) if not is_there])
    repository.list_referrers(subject, [referrer.entry for referrer in referrers])
    for _ in range(ATTEMPTS):
        changed = [_merge(repository, tag, wanted, limits) for tag, wanted in layers.items()]
        if not any([*changed, _list_again(repository, subject, referrers)]):
            return
    raise PublicationError(f"{repository.place}: others keep replacing the signatures of {digest}. Promote again.")


def lacking(
    repository: Repository, subject: Descriptor, proofs: Sequence[Proof], read: Collection[str], limits: Limits
) -> Iterator[tuple[str, BlobDigest]]:
    """What of the proofs is not in each place where ``attach`` puts it: the place in words, and the digest.

    ``read`` are the digests of what was found beside the image and read whole. Raises as ``attach``.
    """
    for proof in proofs:
        for referrer in referrers_of(proof, subject, limits):
            digest, layer = referrer.entry["digest"], referrer.layer.descriptor["digest"]
            if not {digest, layer} <= {*read}:
                yield f"as the referrer {digest}", BlobDigest(layer)
    for suffix in SUFFIXES:
        tag = cosign_tag(ManifestDigest(subject["digest"]), suffix)
        wanted = layers_of(proofs, suffix, limits)
        absent = lacks(_tagged(repository, tag, limits), wanted) if wanted else []
        for layer in wanted:
            if layer in absent or layer.descriptor["digest"] not in read:
                yield f"under the tag {tag}", BlobDigest(layer.descriptor["digest"])


def _is_there(repository: Repository, referrer: Referrer) -> bool:
    return repository.manifest_size(ManifestDigest(referrer.entry["digest"])) is not None


def _put_referrers(repository: Repository, referrers: Sequence[Referrer]) -> None:
    if referrers:
        in_parallel(lambda data: _put(repository, data), [EMPTY_CONFIG, *(each.layer.data for each in referrers)])
    for referrer in referrers:  # one after the other: each changes the one list of what refers to the image
        repository.put_manifest(referrer.manifest, OCI_MANIFEST)


def _list_again(repository: Repository, subject: Descriptor, referrers: Sequence[Referrer]) -> bool:
    """Put what was listed and is no longer once more; False when all is listed."""
    listed = {entry["digest"] for entry in repository.referrers(ManifestDigest(subject["digest"]))}
    lost = [referrer for referrer in referrers if referrer.entry["digest"] not in listed]
    _put_referrers(repository, lost)
    if lost:
        repository.list_referrers(subject, [referrer.entry for referrer in lost])
    return bool(lost)


def _merge(repository: Repository, tag: str, layers: Sequence[Blob], limits: Limits) -> bool:
    """Add the layers under one of cosign's tags; False when they were all there."""
    with repository.locked(tag):
        present = _tagged(repository, tag, limits)
        lacking = lacks(present, layers)
        if not lacking:
            return False
        config, manifest = merged(present, layers)
        for data in (config, *(layer.data for layer in lacking)):
            _put(repository, data)
        repository.put_manifest(manifest, OCI_MANIFEST)
        repository.set_names({tag: descriptor(OCI_MANIFEST, manifest)}, moving=[tag])
        return True


def _tagged(repository: Repository, tag: str, limits: Limits) -> JsonObject | None:
    """The manifest under a tag, as it is; None when there is none that cosign could read either.

    Whoever leaves nonsense under a tag must not keep ours out. LimitExceededError for what is only too much for us.
    """
    found = repository.tag(tag)
    if found is None:
        return None
    data = sound(repository.open_manifest, found.digest, limits.manifest_bytes, lambda _: None)
    try:
        if data is None:
            _demand_bounded(repository.manifest_size(found.digest) or 0, limits)
            return None
        manifest = parse_manifest(data, tag, replace(limits, layers=limits.cosign_layers))
        fields = parse_json(data, tag, max_bytes=limits.manifest_bytes, limits=limits)
    except LimitExceededError as error:
        remedy = "It is not written over: delete what nobody needs of it, or the tag."
        raise LimitExceededError(f"{repository.place}:{tag}", error.field, error.problem, remedy) from error
    except InvalidInputError:
        return None
    return fields if isinstance(manifest, Manifest) else None


def _demand_bounded(size: int, limits: Limits) -> None:
    if size > limits.manifest_bytes:
        problem = f"{size:,} bytes, and at most {limits.manifest_bytes:,} are read"
        raise LimitExceededError("manifest", "size", problem, "Make it smaller.")


def _put(repository: Repository, data: bytes) -> None:
    repository.put_blob([data], BlobDigest.of(data), len(data))
