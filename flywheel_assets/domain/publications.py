"""What goes to a durable surface: the release, the plan for it, its proofs, and the record that it is there."""

from base64 import b64encode
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.names import (
    FlakeName,
    Line,
    OciRepository,
    OciTag,
    OutputName,
    RepositoryUri,
    SemanticVersion,
    StorePath,
    WorkflowFile,
)
from flywheel_assets.domain.statements import canonical

ROLLING = "rolling"


class FlakeRelease(Closed):
    """How a flake output is to be released on FlakeHub, and by which workflow.

    ``version`` is a semantic version, or None for a rolling release, whose version FlakeHub makes from ``revision``.
    ``attribute`` is the flake output that must evaluate to the approved store path. ``workflow`` is the file name of
    the publishing workflow in ``repository``, as it is on ``ref``.
    """

    name: FlakeName
    version: SemanticVersion | None
    revision: GitRevision
    attribute: Line
    repository: RepositoryUri
    workflow: WorkflowFile
    ref: Line

    @property
    def resource(self) -> str:
        """What a summary for the publishing workflow speaks of: all that it must not release otherwise.

        The digest of a store path alone would fit other revisions and versions too.
        """
        return flake_resource(self.name, self.version, self.revision, self.attribute)


def flake_resource(name: str, version: str | None, revision: GitRevision, attribute: str) -> str:
    """``flakehub:<ORG/FLAKE>/<version>?rev=<revision>#<attribute>``, ``rolling`` for a version that FlakeHub makes."""
    return f"flakehub:{name}/{version or ROLLING}?rev={revision}#{attribute}"


class Release(Closed):
    """An approved artifact and the names it shall have on a surface.

    ``repository`` and ``tags`` are for OCI; of the tags, those in ``moving`` are declared channels that may
    point elsewhere today, all others are immutable. ``flake`` is for FlakeHub.
    """

    output: OutputName
    build: BuildKey
    artifact: Artifact
    repository: OciRepository | None = None
    tags: tuple[OciTag, ...] = ()
    moving: tuple[OciTag, ...] = ()
    flake: FlakeRelease | None = None


class Plan(Closed):
    """What a promotion will do on a surface. Empty ``missing`` and ``names`` mean: it is all there."""

    release: Release
    reference: Annotated[str, Field(max_length=1200)]
    missing: tuple[str, ...]
    present: tuple[str, ...]
    names: tuple[str, ...]


class Form(StrEnum):
    """The forms in which something signed lies beside an artifact."""

    DSSE = "dsse"
    """A DSSE envelope of an in-toto Statement."""
    BUNDLE = "bundle"
    """A Sigstore bundle (JSON), by a key or keyless."""
    SIMPLE_SIGNING = "simple-signing"
    """A payload of cosign's first format; signature, certificate and log entry are annotations."""


class Attached(Closed):
    """Something signed that lies beside an artifact, as it was found; nothing of it is verified yet."""

    data: bytes
    form: Form = Form.DSSE
    annotations: dict[str, str] = Field(default_factory=dict)


class Proof(Closed):
    """Something signed that is to be published beside the artifact: mostly a DSSE envelope.

    ``predicate_type`` says what an envelope's statement is; ``annotations`` belong to a simple signing payload.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]
    predicate_type: Line
    envelope: bytes
    form: Form = Form.DSSE
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def digest(self) -> Sha256:
        """Digest of the envelope as published."""
        return Sha256.of(self.envelope)

    @property
    def document(self) -> bytes:
        """What evidence keeps of it: the bytes as published, and with them the annotations where there are any."""
        if not self.annotations:
            return self.envelope
        payload = b64encode(self.envelope).decode("ascii")
        return canonical({"form": self.form.value, "data": payload, "annotations": self.annotations})


class Ownership(Closed):
    """Phase 6: who answers for a published artifact, and why it may stay published."""

    builder_path_owner: Line
    publication_path_owner: Line
    clean_because: Line


class Publication(Closed):
    """The record that an artifact was published and read back.

    The last five say by which names it went out, whatever the catalogue says since; earlier records lack them. Of an
    image ``repository`` and ``tags``, those in ``moving`` being channels; of a closure its ``root``, and for a flake
    the surface that carries it, ``binaries``.
    """

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
    repository: OciRepository | None = None
    tags: tuple[OciTag, ...] = ()
    moving: tuple[OciTag, ...] = ()
    root: StorePath | None = None
    binaries: OutputName | None = None
