"""The one limits policy: how large, long and deep untrusted input may be, applied before it is parsed.

Every reader of receipts, indexes, manifests and bodies takes its bounds from here and nowhere else.
"""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds. Sizes in bytes, depths in levels, counts in items."""

    catalogue_bytes: int = 2 * MIB
    yaml_depth: int = 32
    receipt_bytes: int = 4 * MIB
    json_depth: int = 32
    string_chars: int = 64 * KIB
    closure_members: int = 20_000
    references_per_path: int = 5_000
    validations: int = 200
    narinfo_bytes: int = 256 * KIB
    nar_bytes: int = 32 * GIB
    # A zstd frame may ask its reader for a window of up to 2^31 bytes; level 19 needs 2^23.
    zstd_window_log: int = 27
    manifest_bytes: int = 4 * MIB  # OCI distribution-spec 1.1, "Pushing Manifests": 4 MiB
    index_depth: int = 2
    index_children: int = 64
    layers: int = 512
    blob_bytes: int = 64 * GIB
    action_result_bytes: int = 4 * MIB
    inbox_batch: int = 500


DEFAULT_LIMITS = Limits()
