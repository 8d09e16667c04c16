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
    signature_material_bytes: int = 256 * KIB  # certificates and log entries beside a signature
    json_depth: int = 32
    string_chars: int = 64 * KIB
    closure_members: int = 20_000
    references_per_path: int = 5_000
    validations: int = 200
    narinfo_bytes: int = 256 * KIB
    nar_bytes: int = 32 * GIB
    listing_entries: int = 200_000  # files, links and directories of one body that is compared with another
    # A zstd frame may ask its reader for a window of up to 2^31 bytes, xz for a dictionary of 2^32, and one is held for
    # every thread that reads. zstd's level 19 needs 2^23, xz's default 2^23 and its level 7 2^24.
    zstd_window_log: int = 24
    manifest_bytes: int = 4 * MIB  # OCI distribution-spec 1.1, "Pushing Manifests": 4 MiB
    index_depth: int = 2
    index_children: int = 64
    tags: int = 10_000  # of one repository, when those of one image are looked for
    layers: int = 512
    blob_bytes: int = 64 * GIB
    proofs: int = 512  # what refers to one image, by whomever
    proof_manifest_bytes: int = 128 * KIB  # of a manifest that refers to an image: it names one proof
    cosign_layers: int = 1000  # cosign's own bound of signatures under one tag
    proofs_bytes: int = 64 * MIB
    token_bytes: int = 64 * KIB
    http_head_bytes: int = 64 * KIB  # of one answer, with all that is sent around its body
    # What refers to an image (signatures, SBOMs, attestations) and travels along with it, all together.
    referrers: int = 100
    referrer_depth: int = 2
    referrer_bytes: int = 256 * MIB
    action_result_bytes: int = 4 * MIB
    inbox_batch: int = 500
    # Of one visit to a repository at its forge: pages of runs, and runs that are read whole.
    forge_pages: int = 20
    forge_runs: int = 100
    forge_answer_bytes: int = 16 * MIB
    forge_jobs: int = 1000  # of one run
    forge_artifacts: int = 1000
    forge_finding_pages: int = 10  # of the runs of one workflow, when one is looked for; GitHub shows no more
    flake_releases: int = 20_000
    workflow_input_chars: int = 65_535  # of all inputs of a dispatch together (GitHub Actions, "Inputs")
    forge_attempts: int = 50  # of one run, the last ones: GitHub lets nobody re-run it more often
    forge_troubles: int = 200  # runs of one repository that could not be read, and are tried again
    receipt_artifacts: int = 50  # of one run
    attested_receipts: int = 50  # of one run that attestations are looked for
    attestations: int = 200  # of one digest
    attestation_pages: int = 10  # a forge may show pages that are short, or empty
    archive_bytes: int = 16 * MIB
    archive_entries: int = 2_000  # of all kinds, before its directory is parsed
    # Of one run, what is thrown away counted in: documents, bytes of archives and again bytes unpacked.
    archive_files: int = 200
    archive_unpacked_bytes: int = 64 * MIB

    @property
    def signed_bytes(self) -> int:
        """An envelope or bundle around a receipt: base64 grows its payload by a third."""
        return self.receipt_bytes * 3 // 2 + self.signature_material_bytes


DEFAULT_LIMITS = Limits()
