"""Two builds of one source that are not the same: what is in dispute from then on, whoever builds it again.

A record of it is this project's own, kept in a signed log: the two receipts may leave the sight of a later build, what
they disputed may not.
"""

from typing import Annotated

from pydantic import Field

from flywheel_assets.domain.artifacts import Artifact, BazelOutputs, NixClosure, OciImage, same_content
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.listings import Differences
from flywheel_assets.domain.names import BuilderLabel, Line, OutputName, RepositoryUri, StorePath

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Side(Closed):
    """One of the two: its receipt, and what that says.

    ``keys`` are the names of its signers in the catalogue of then, ``fingerprints`` what they are under any name, and
    ``content`` is what it has of all that is in dispute. Records that lack these four are of an earlier version: what
    such a side has is not told, and it is never found in quarantine.
    """

    receipt: EvidenceDigest
    build: BuildKey
    builder: BuilderLabel
    digest: Sha256
    repository: RepositoryUri | None = None
    keys: tuple[Line, ...] = ()
    fingerprints: tuple[Hex, ...] = ()
    content: tuple[Hex, ...] = ()


class Disagreement(Closed):
    """Two authentic builds of one revision of an output, with other content.

    ``sides`` are sorted, so that both builds record the same. ``disputed`` holds, sorted, the SHA-256 (hex) of all
    content that only one of them has; of two closures with the same root that too, and then what else is disputed is so
    within this root alone: other revisions may well hold a member of which one builder got another body.
    """

    output: OutputName
    revision: GitRevision
    sides: tuple[Side, Side]
    disputed: Annotated[tuple[Hex, ...], Field(min_length=1)]

    def against(self, artifact: Artifact) -> tuple[Side, ...]:
        """The sides that speak against an artifact: of what is in dispute it has what the other one had."""
        one, other = self.sides
        apart = set(self.disputed)
        if isinstance(artifact, NixClosure) and one.digest == other.digest:
            if artifact.digest.hex != one.digest.hex:
                return ()
            apart = apart - {one.digest.hex} or apart
        found = contents(artifact) & apart
        pairs = ((one, other), (other, one))
        return tuple(against for had, against in pairs if found & (set(had.content) if had.repository else apart))


class RecordedDisagreement(Closed):
    """A disagreement as it stands in the log."""

    evidence: EvidenceDigest
    disagreement: Disagreement


class Comparison(Closed):
    """Which files differ between two bodies of one store path, or of the roots of two closures.

    ``digests`` are the NAR hashes (hex) of the body in the mutable cache and of the rebuilt one; ``differences`` is
    None when one of them could not be read, and ``problem`` then says which, and why.
    """

    output: OutputName
    path: StorePath
    digests: tuple[Hex, Hex]
    differences: Differences | None
    problem: Line = ""


class RecordedComparison(Closed):
    """A comparison as it stands in the log."""

    evidence: EvidenceDigest
    comparison: Comparison


def contents(artifact: Artifact) -> frozenset[str]:
    """SHA-256 (hex) of all that an artifact consists of, as far as its receipt names it."""
    if isinstance(artifact, NixClosure):
        return frozenset(member.nar_hash.hex for member in artifact.members)
    return artifact.digests


def disputed(one: Artifact, other: Artifact) -> tuple[str, ...]:
    """What two builds of one source have each for itself, sorted; empty when they are the same artifact.

    Of two closures the roots, or where these are equal what lies below them and is not; of two images themselves and
    each platform that differs; of Bazel outputs the files.
    """
    if same_content(one, other):
        return ()
    apart = {one.digest.hex, other.digest.hex}
    if isinstance(one, NixClosure) and isinstance(other, NixClosure):
        mine, theirs = one.by_path, other.by_path
        shared = (path for path in mine.keys() & theirs.keys() if mine[path] != theirs[path])
        if one.digest == other.digest and one.root == other.root:
            apart |= {hex_ for path in shared for hex_ in (mine[path].nar_hash.hex, theirs[path].nar_hash.hex)}
    elif isinstance(one, OciImage) and isinstance(other, OciImage):
        apart |= {digest.hex for digest in set(one.platforms.values()) ^ set(other.platforms.values())}
    elif isinstance(one, BazelOutputs) and isinstance(other, BazelOutputs):
        files = {(f.path, f.digest.hex) for f in one.files} ^ {(f.path, f.digest.hex) for f in other.files}
        apart = {digest for _, digest in files}
    return tuple(sorted(apart))
