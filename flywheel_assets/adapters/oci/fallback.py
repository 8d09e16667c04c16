"""The index of what refers to an image, under its fallback tag or from a referrers API: reading and merging it.

Source: OCI distribution-spec 1.1, "Referrers Tag Schema". Entries are kept as they are listed, whatever they hold: a
tool that lists its own must not lose those of others.
"""

from collections.abc import Iterable, Sequence

from flywheel_assets.adapters.oci.documents import OCI_INDEX
from flywheel_assets.adapters.oci.referrers import Descriptor, referrers_index
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.untrusted import parse_json

_REMEDY = "Delete what lies there, and let its tools list again what they know."


def entries_of(data: bytes, document: str, limits: Limits) -> list[Descriptor]:
    """What an index lists. Raises InvalidInputError for what is no list of descriptors, or one that is too long."""
    fields = parse_json(data, document, max_bytes=limits.manifest_bytes, limits=limits)
    entries = [] if fields.get("manifests", "") is None else fields.get("manifests")  # Go writes none as null
    if fields.get("mediaType", OCI_INDEX) != OCI_INDEX or not isinstance(entries, list):
        raise InvalidInputError(document, "manifests", "is no index of referrers", _REMEDY)
    if len(entries) > limits.proofs:
        problem = f"lists {len(entries):,} referrers, and at most {limits.proofs:,} are read"
        raise LimitExceededError(document, "manifests", problem, "Delete those that nobody needs.")
    if not all(isinstance(entry, dict) and isinstance(entry.get("digest"), str) for entry in entries):
        raise InvalidInputError(document, "manifests", "holds what is no descriptor", _REMEDY)
    return entries


def includes(present: Iterable[Descriptor], entries: Iterable[Descriptor]) -> bool:
    """Whether all ``entries`` are listed."""
    there = {entry["digest"] for entry in present}
    return all(entry["digest"] in there for entry in entries)


def with_entries(repository: Repository, present: Sequence[Descriptor], added: Sequence[Descriptor]) -> bytes:
    """The index of both. Entries whose manifest is gone are dropped: deleting a referrer leaves the tag stale."""
    return referrers_index([*(entry for entry in present if _is_there(repository, entry)), *added])


def _is_there(repository: Repository, entry: Descriptor) -> bool:
    try:
        digest = ManifestDigest(entry["digest"])
    except ValueError:
        return True  # a digest of another kind: not ours to judge
    return repository.manifest_size(digest) is not None
