"""What a build made, as its receipt declares it: a Nix closure, an OCI image or Bazel outputs.

An artifact is its digest and its system; runs are only witnesses of it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.digests import ActionDigest, CasDigest, ManifestDigest, NarHash, Sha256
from flywheel_assets.domain.names import FilePath, Line, OciRepository, Platform, StorePath

MAX_SIZE = 2**53 - 1  # what canonical JSON can hold (RFC 8785, section 3.2.2.3)


class ClosureMember(Closed):
    """One store path of a closure, as the builder's own store knew it."""

    path: StorePath
    nar_hash: NarHash
    nar_size: Annotated[PositiveInt, Field(le=MAX_SIZE)]
    references: tuple[StorePath, ...]

    @field_validator("references")
    @classmethod
    def _sorted(cls, references: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(references)))


class NixClosure(Closed):
    """A store path and everything that it refers to.

    ``members`` holds the root and each path that the builder vouches for. A reference that is not a member
    must be vouched for by a trusted upstream cache.
    """

    kind: Literal["nix"] = "nix"
    root: StorePath
    deriver: Line | None
    members: tuple[ClosureMember, ...]

    @model_validator(mode="after")
    def _root_is_a_member_and_paths_are_unique(self) -> "NixClosure":
        paths = [member.path for member in self.members]
        if self.root not in paths:
            raise ValueError("the closure does not list its own root")
        if len(set(paths)) != len(paths):
            raise ValueError("the closure lists a path twice")
        return self

    @property
    def by_path(self) -> Mapping[str, ClosureMember]:
        """Members by store path."""
        return {member.path: member for member in self.members}

    @property
    def digest(self) -> Sha256:
        """The NAR hash of the root."""
        return self.by_path[self.root].nar_hash

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 (hex) of all that attestations may be about."""
        return frozenset({self.digest.hex})

    @property
    def contents(self) -> frozenset[str]:
        """SHA-256 (hex) of all that a consumer receives with it: every member of the closure that a receipt lists."""
        return frozenset(member.nar_hash.hex for member in self.members)

    @property
    def name(self) -> str:
        """How the artifact is called in a statement's subject."""
        return self.root


class OciImage(Closed):
    """An image manifest, or an index of several platforms, in a staging repository."""

    kind: Literal["oci"] = "oci"
    repository: OciRepository
    manifest: ManifestDigest
    platforms: dict[Platform, ManifestDigest]

    @model_validator(mode="after")
    def _names_a_platform(self) -> "OciImage":
        if not self.platforms:
            raise ValueError("the image names no platform")
        return self

    @property
    def digest(self) -> Sha256:
        """The digest that a consumer pulls by."""
        return self.manifest

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 (hex) of all that attestations may be about: the image and each platform."""
        return frozenset({self.manifest.hex, *(digest.hex for digest in self.platforms.values())})

    @property
    def contents(self) -> frozenset[str]:
        """SHA-256 (hex) of all that a consumer receives with it."""
        return self.digests

    @property
    def name(self) -> str:
        """How the artifact is called in a statement's subject."""
        return self.repository


class BazelFile(Closed):
    """One output file in the content-addressed store."""

    path: FilePath
    digest: CasDigest
    size: Annotated[NonNegativeInt, Field(le=MAX_SIZE)]


class BazelOutputs(Closed):
    """The output files of one Bazel action."""

    kind: Literal["bazel"] = "bazel"
    label: Line
    action: ActionDigest
    files: tuple[BazelFile, ...]

    @model_validator(mode="after")
    def _has_files_with_unique_paths(self) -> "BazelOutputs":
        paths = [file.path for file in self.files]
        if not paths:
            raise ValueError("the action has no output files")
        if len(set(paths)) != len(paths):
            raise ValueError("the action lists an output path twice")
        return self

    @property
    def digest(self) -> Sha256:
        """The CAS digest of the first output by path."""
        return min(self.files, key=lambda file: file.path).digest

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 (hex) of all that attestations may be about: each file."""
        return frozenset(file.digest.hex for file in self.files)

    @property
    def contents(self) -> frozenset[str]:
        """SHA-256 (hex) of all that a consumer receives with it."""
        return self.digests

    @property
    def name(self) -> str:
        """How the artifact is called in a statement's subject."""
        return self.label


Artifact = Annotated[NixClosure | OciImage | BazelOutputs, Field(discriminator="kind")]


def same_content(one: NixClosure | OciImage | BazelOutputs, other: NixClosure | OciImage | BazelOutputs) -> bool:
    """Whether two witnesses saw the same artifact, everything that a consumer receives included."""
    if isinstance(one, NixClosure) and isinstance(other, NixClosure):
        mine, theirs = one.by_path, other.by_path
        # Fields and not models: pydantic takes three times as long, and this is most of a verdict's time.
        shared = mine.keys() & theirs.keys()
        return one.root == other.root and all(vars(mine[path]) == vars(theirs[path]) for path in shared)
    if isinstance(one, OciImage) and isinstance(other, OciImage):
        return one.manifest == other.manifest
    if isinstance(one, BazelOutputs) and isinstance(other, BazelOutputs):
        return {(f.path, f.digest.hex) for f in one.files} == {(f.path, f.digest.hex) for f in other.files}
    return False


def resource_uri(artifact: Artifact, surface: str | None, repository: str | None = None) -> str:
    """What a summary speaks of: the artifact where its builder left it, or on a durable surface.

    ``nix:<store path>`` or ``nix:<surface>/<store path>``; ``oci:<repository>`` or ``oci:<surface>/<repository>``;
    ``bazel:<label>``.
    """
    if isinstance(artifact, NixClosure):
        return f"nix:{surface or ''}{artifact.root}"
    name = repository or artifact.name
    return f"{artifact.kind}:{surface}/{name}" if surface else f"{artifact.kind}:{name}"
