"""The edges of the project as Protocols. Adapters implement them, promotion/ talks to nothing else.

An adapter turns every foreign exception into one of ``domain.errors``; a leaked ValueError is a bug.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from flywheel_assets.domain.artifacts import Artifact, ClosureMember, NixClosure
from flywheel_assets.domain.builds import LockedInput
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.dispatches import FlakeVersion, WorkflowRun
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.listings import FileListing
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.domain.publications import Attached, Plan, Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished

Progress = Callable[[int], None]
"""Called with the number of bytes just read or written."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One document that a builder left in an inbox.

    ``data`` is None when it was not read (too large, unreadable); ``problem`` then says why, and ``passing`` whether
    another try may read it. ``version`` changes whenever what lies under the name does; it is empty where the source
    cannot tell. ``made_at`` is when it came to be, by the word of a forge.
    """

    name: str
    data: bytes | None
    problem: str = ""
    version: str = field(default="", compare=False)
    passing: bool = False
    made_at: datetime | None = None


class BuildSource(Protocol):
    """Where receipts arrive."""

    def deliveries(self, seen: Container[str] = frozenset()) -> Iterator[Delivery]:
        """What lies there now, in a stable order, but for versions in ``seen``, which are not read.

        Raises ReadError when the place is not readable, here or while it is gone through.
        """
        ...

    def delivery(self, name: str) -> Delivery | None:
        """What lies under a name now, None when there is nothing. Raises as ``deliveries``."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """A run in a forge's list: its latest attempt, and whether that has ended.

    ``at`` is what the list is sorted by, ``version`` as of ``PlatformRun``.
    """

    run: str
    attempt: int
    at: datetime
    is_finished: bool
    version: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of sightings, newest first. ``is_full``: there may be more behind it."""

    sightings: tuple[Sighting, ...]
    is_full: bool


class RunSource(Protocol):
    """A forge's API about the runs of repositories. Every call is bounded, and none waits for a rate limit."""

    def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
        """A page of the runs between two times, both included; of one that changed later too, when ``upper`` is None.

        Raises ReadError, InvalidInputError when the answer is none that this reader knows.
        """
        ...

    def run(self, repository: str, run: str, attempt: int) -> PlatformRun | None:
        """All about one attempt; None while it goes on.

        Raises AbsentError only when the forge shows the repository and has no such attempt; else as ``listed``.
        """
        ...

    def receipts(self, run: PlatformRun) -> Iterator[Delivery]:
        """The documents in the run's artifacts that the catalogue names. What is spoilt or gone is one with a problem.

        Raises ReadError for what another try may read.
        """
        ...

    def attestations(self, repository: str, digest: Sha256) -> Iterator[Delivery]:
        """Bundles of SLSA provenance that the forge keeps about a digest; none where it keeps no such thing.

        What cannot be read is one with a problem. Raises ReadError for what another try may read.
        """
        ...


class SourceCache(Protocol):
    """A mutable cache that builders fill, read-only."""

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Read every member's whole body and hash it. Never raises for what the cache holds: that is a reading."""
        ...


def agreed() -> None:
    """A last word that lets everything happen."""


class PublicationSurface(Protocol):
    """A durable surface. ``plan`` decides, ``copy`` to ``reveal`` carry out, ``read_back`` proves.

    The caller runs plan, copy, attach, reveal, read_back in this order; each is safe to repeat, as ``withdraw`` is.
    """

    def plan(self, release: Release) -> Plan:
        """What is wanted minus what is present. Raises NameTakenError when a name holds other content."""
        ...

    def copy(self, plan: Plan, progress: Progress) -> None:
        """Copy what is missing, verifying bytes while they stream. Nothing becomes visible by name.

        Raises ReadError for the source, PublicationError when the bytes are not what the release says.
        """
        ...

    def attach(self, plan: Plan, proofs: Sequence[Proof]) -> None:
        """Put the proofs beside the artifact, once each however often this runs."""
        ...

    def reveal(self, plan: Plan, last_word: Callable[[], object] = agreed) -> None:
        """Make the names visible, last of all.

        Whatever goes before, ``last_word`` is asked right before the artifact itself can be found; what it raises
        leaves that out of sight, and is passed on.
        """
        ...

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        """Read everything as an anonymous consumer would; ``proofs``, which were attached, in each form and place."""
        ...

    def proofs(self, release: Release) -> tuple[Attached, ...]:
        """The proofs that a consumer finds beside the artifact."""
        ...

    def withdraw(self, release: Release, mark: Proof, others: Collection[str]) -> Unpublished:
        """Put ``mark`` beside the artifact, then take away the names by which consumers find it, as far as may be.

        ``others`` are the store paths of all else that is published: what they need stays. Names are taken that hold
        this very artifact, whoever gave them. Raises ReadError and PublicationError, and then some of it may be done.
        """
        ...


class PublishingWorkflow(Protocol):
    """A surface that only a trusted workflow can publish to: it is asked for, followed, and read back.

    Every call is bounded and none waits for the workflow.
    """

    def plan(self, release: Release) -> Plan:
        """``missing`` names the version unless it is there.

        Raises NameTakenError when it has another revision, or is yanked.
        """
        ...

    def dispatch(self, release: Release, request: str, summary: Proof) -> WorkflowRun:
        """Ask the forge, once, for the run ``request`` (Dispatch.id) and return it.

        Raises AmbiguousError when the forge may or may not have taken it; ReadError, PublicationError when it has not.
        """
        ...

    def find(self, release: Release, request: str, since: datetime) -> WorkflowRun | None:
        """The run that the forge started for ``request`` since then; None when it shows none."""
        ...

    def look(self, release: Release, run: str) -> WorkflowRun:
        """A run as it is now. Raises ReadError."""
        ...

    def cancel(self, release: Release, run: str) -> None:
        """Ask the forge to cancel a run that was looked at before; more than once does no harm.

        It may release all the same. Raises ReadError, PublicationError.
        """
        ...

    def released(self, release: Release) -> FlakeVersion | None:
        """The release as the surface tells of it to anonymous consumers; None while there is none. Raises ReadError."""
        ...

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        """As of PublicationSurface: the revision, the store path of the attribute, and what carries the closure."""
        ...


class PublishedReader(Protocol):
    """One published artifact as a consumer meets it: a reference, and nothing else known."""

    def identity(self) -> str:
        """What the reference resolves to: a Nix store path, or the SHA-256 (hex) of a manifest."""
        ...

    def revision(self) -> GitRevision | None:
        """The source revision that the surface tells of beside the artifact; None where it tells none."""
        ...

    def resource(self) -> str | None:
        """What the summary must speak of; None where the artifact may be a mirror's."""
        ...

    def proofs(self) -> tuple[Attached, ...]:
        """The proofs beside the artifact."""
        ...

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Read every member of ``artifact`` from the surface."""
        ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One numbered entry of an evidence log: what kind of evidence, about which build, under which digest, since when.

    ``at`` is None in entries that were made before logs told the time.
    """

    number: int
    kind: str
    subject: str
    evidence: EvidenceDigest
    at: datetime | None = field(default=None, compare=False)


class EvidenceStore(Protocol):
    """Append-only evidence: blobs by digest, hash-chained logs, create-once slots, claims."""

    def put(self, data: bytes) -> EvidenceDigest:
        """Store ``data`` durably."""
        ...

    def get(self, digest: EvidenceDigest) -> bytes:
        """The bytes, hashed again. Raises EvidenceMissingError or EvidenceCorruptError."""
        ...

    def append(self, log: str, kind: str, subject: str, evidence: EvidenceDigest) -> LogEntry:
        """Add to a log what it does not hold yet; the present entry when it does."""
        ...

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        """The whole log, its chain verified. Raises EvidenceError when it contradicts itself."""
        ...

    def logs(self) -> tuple[str, ...]:
        """The names of all logs."""
        ...

    def slot(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of a create-once slot, made and stored by whoever comes first."""
        ...

    def claim(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        """Hold the name against other publishers; yields a function that raises when the claim was lost."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """A keyless signer: the OIDC issuer, and the whole subject alternative name, of its certificate.

    A reusable workflow has one subject whoever calls it. So where the certificate names a source repository, it must
    be the one that the subject lies in, or one of ``repositories``.
    """

    issuer: str
    subject: str
    repositories: tuple[str, ...] = ()


Trusted = str | Identity
"""Whom a verifier may believe: a public key (PEM), or a keyless identity."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verifier found in something signed: its payload, and which of the offered signers signed it.

    ``keys`` are the names of offered signers whose signature verified, ``unknown`` the key ids (or certificate
    identities) of signatures by others, ``invalid`` the names of offered signers whose signature does not verify,
    ``problems`` sentences that say why. ``origin`` is known only of what a keyless identity signed.
    """

    payload: bytes
    payload_type: str
    keys: tuple[str, ...]
    unknown: tuple[str, ...]
    invalid: tuple[str, ...]
    problems: tuple[str, ...] = ()
    origin: Origin | None = None


class Signer(Protocol):
    """Signs payloads as DSSE envelopes."""

    @property
    def keyid(self) -> str:
        """The key's id in envelopes."""
        ...

    @property
    def public_key(self) -> str:
        """The public key, PEM (SubjectPublicKeyInfo)."""
        ...

    def sign(self, payload: bytes, payload_type: str) -> bytes:
        """The envelope, as canonical JSON."""
        ...

    def sign_bytes(self, data: bytes) -> bytes:
        """A bare signature of ``data`` (ECDSA: DER, over its SHA-256), for formats that are no envelopes."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is known of a source once it was fetched: when it was committed, and what its lock files lock."""

    committed_at: datetime
    locked_inputs: tuple[LockedInput, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came out of building a source again."""

    closure: NixClosure
    source: Fetched


class Rebuilder(Protocol):
    """Builds again from source, independent of all who built before, and lists what differs."""

    @property
    def signer(self) -> Signer:
        """The key that speaks for what it builds."""
        ...

    def rebuild(self, repository: str, revision: GitRevision, definition: str) -> Rebuilt:
        """Fetch ``repository`` (as the catalogue names it) at a revision, and build what it defines there.

        Raises ReadError when that fails, InvalidInputError for an answer that is none.
        """
        ...

    def listing(self, member: ClosureMember) -> FileListing:
        """The files of what it built. Raises ReadError, InvalidInputError."""
        ...

    def cached_listing(self, cache: str, member: ClosureMember) -> FileListing:
        """The files of what a mutable cache holds, which must be this member. Raises ReadError, InvalidInputError."""
        ...


class Verifier(Protocol):
    """Opens what is signed: DSSE envelopes, Sigstore bundles, image signatures."""

    def check(self, signed: bytes, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        """Verify an envelope, or a bundle that wraps one, against named signers.

        ``document`` names it in errors. Raises InvalidInputError when it is neither.
        """
        ...

    def check_attached(self, attached: Attached, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        """As ``check``, for any form that lies beside an artifact. Raises InvalidInputError."""
        ...

    def under(self, trust_root: str | None) -> "Verifier":
        """The same with another catalogue's trust root."""
        ...
