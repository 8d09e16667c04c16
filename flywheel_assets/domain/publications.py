"""What goes to a durable surface: the release, the plan for it, its proofs, and the record that it is there."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.names import Line, OciRepository, OciTag, OutputName


class Release(Closed):
    """An approved artifact and the names it shall have on a surface.

    ``repository`` and ``tags`` are for OCI; of the tags, those in ``moving`` are declared channels that may
    point elsewhere today, all others are immutable.
    """

    output: OutputName
    build: BuildKey
    artifact: Artifact
    repository: OciRepository | None = None
    tags: tuple[OciTag, ...] = ()
    moving: tuple[OciTag, ...] = ()


class Plan(Closed):
    """What a promotion will do on a surface. Empty ``missing`` and ``names`` mean: it is all there."""

    release: Release
    reference: Annotated[str, Field(max_length=1200)]
    missing: tuple[str, ...]
    present: tuple[str, ...]
    names: tuple[str, ...]


class Proof(Closed):
    """A DSSE envelope to be published beside the artifact."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]
    predicate_type: Line
    envelope: bytes

    @property
    def digest(self) -> Sha256:
        """Digest of the envelope as published."""
        return Sha256.of(self.envelope)


class Ownership(Closed):
    """Phase 6: who answers for a published artifact, and why it may stay published."""

    builder_path_owner: Line
    publication_path_owner: Line
    clean_because: Line


class Publication(Closed):
    """The record that an artifact was published and read back."""

    output: OutputName
    build: BuildKey
    artifact_digest: Sha256
    surface: Line
    way: Line
    reference: Annotated[str, Field(max_length=1200)]
    revision: GitRevision
    committed_at: AwareDatetime | None
    published_at: AwareDatetime
    bytes_read_back: int
    proofs: tuple[EvidenceDigest, ...]
    ownership: Ownership
