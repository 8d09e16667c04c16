"""In-memory fakes of the ports, one per port. Tests change their attributes directly; nothing is ever mocked.

The contract tests run the same cases on these and on the real adapters. ``before`` is called with the name of each
step just before it happens: a test makes it raise, or lets the world change there.
"""

import threading
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flywheel_assets.domain.artifacts import Artifact, BazelOutputs, NixClosure
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.dispatches import FlakeVersion, WorkflowRun
from flywheel_assets.domain.errors import (
    AbsentError,
    EvidenceCorruptError,
    EvidenceMissingError,
    EvidenceRolledBackError,
    FlywheelError,
    NameTakenError,
    PublicationError,
    ReadError,
)
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Attached, FlakeRelease, Plan, Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished
from flywheel_assets.ports import Delivery, LogEntry, Progress, agreed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def nothing(_step: str) -> None:
    """A hook that lets everything happen."""


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move it by days, hours or seconds."""
        self.now += timedelta(**by)


@dataclass
class FakeEvidence:
    """ports.EvidenceStore in dictionaries."""

    blobs: dict[EvidenceDigest, bytes] = field(default_factory=dict)
    chains: dict[str, list[LogEntry]] = field(default_factory=dict)
    slots: dict[str, bytes] = field(default_factory=dict)
    lost_claims: set[str] = field(default_factory=set)
    before: Callable[[str], None] = nothing
    clock: Callable[[], datetime] = field(default_factory=FakeClock)
    _seen: dict[str, list[LogEntry]] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, data: bytes) -> EvidenceDigest:
        self.before("put")
        digest = EvidenceDigest.of(data)
        self.blobs.setdefault(digest, data)
        return digest

    def get(self, digest: EvidenceDigest) -> bytes:
        if digest not in self.blobs:
            raise EvidenceMissingError(f"The evidence {digest} is gone from the store.")
        if EvidenceDigest.of(self.blobs[digest]) != digest:
            raise EvidenceCorruptError(f"Evidence {digest} reads back with another digest: it was altered.")
        return self.blobs[digest]

    def append(self, log: str, kind: str, subject: str, evidence: EvidenceDigest) -> LogEntry:
        with self._lock:
            for entry in self.entries(log):
                if (entry.kind, entry.subject, entry.evidence) == (kind, subject, evidence):
                    return entry
            self.before(f"append {kind}")
            chain = self.chains.setdefault(log, [])
            chain.append(LogEntry(len(chain) + 1, kind, subject, evidence, self.clock()))
            self._seen[log] = list(chain)
            return chain[-1]

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        with self._lock:
            chain, seen = self.chains.get(log, []), self._seen.get(log, [])
            if chain[: len(seen)] != seen:
                raise EvidenceRolledBackError(f"The evidence log {log} was cut or rewritten.")
            return tuple(chain)

    def logs(self) -> tuple[str, ...]:
        return tuple(sorted(self.chains.keys() | self._seen.keys()))

    def slot(self, name: str, make: Callable[[], bytes]) -> bytes:
        if name not in self.slots:
            data = make()
            self.before("slot")
            self.slots.setdefault(name, data)
        return self.slots[name]

    @contextmanager
    def claim(self, name: str) -> Iterator[Callable[[], None]]:
        self.before("claim")
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())

        def still_held() -> None:
            if name in self.lost_claims:
                raise EvidenceMissingError(f"The claim on {name} was removed while it was held; try again.")

        with lock:
            yield still_held


@dataclass
class FakeInbox:
    """ports.BuildSource: documents by name, what could not be read, and what fails only now."""

    documents: dict[str, bytes] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    largest: int = 4 * 1024 * 1024
    broken: ReadError | None = None

    def deliveries(self, seen: Container[str] = frozenset()) -> Iterator[Delivery]:
        if self.broken is not None:
            raise self.broken
        found = [self._delivery(name) for name in sorted(self.documents.keys() | self.problems.keys())]
        return iter([each for each in found if each.version not in seen])

    def delivery(self, name: str) -> Delivery | None:
        if self.broken is not None:
            raise self.broken
        return self._delivery(name) if name in self.documents or name in self.problems else None

    def _delivery(self, name: str) -> Delivery:
        if name in self.failing:
            return Delivery(name, None, f"{name} failed.", f"{name} failing", passing=True)
        if name in self.problems:
            return Delivery(name, None, f"{name} {self.problems[name]}", f"{name} spoilt")
        data = self.documents[name]
        version = f"{name} {EvidenceDigest.of(data)}"
        if len(data) > self.largest:
            problem = f"{name} has {len(data):,} bytes, and at most {self.largest:,} are read."
            return Delivery(name, None, problem, version)
        return Delivery(name, data, version=version)


def members_of(artifact: Artifact) -> dict[str, tuple[str, int]]:
    """What makes up an artifact: member to digest and size."""
    if isinstance(artifact, NixClosure):
        return {member.path: (str(member.nar_hash), member.nar_size) for member in artifact.members}
    if isinstance(artifact, BazelOutputs):
        return {f"cas {file.path}": (str(file.digest), file.size) for file in artifact.files}
    digests = {artifact.manifest, *artifact.platforms.values()}
    return {f"manifest {digest}": (str(digest), 1) for digest in digests}


@dataclass
class FakeCache:
    """ports.SourceCache that holds every artifact whole, but for the readings that a test puts in its place."""

    instead: dict[str, Reading] = field(default_factory=dict)
    reads: int = 0

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        self.reads += 1
        found = []
        for member, (digest, size) in members_of(artifact).items():
            progress(size)
            found.append(self.instead.get(member) or whole(member, digest, size))
        return tuple(found)


def whole(member: str, digest: str, size: int) -> Reading:
    """The reading of a member that is what it must be."""
    return Reading(
        member=member, state=ReadState.READ, expected_digest=digest, expected_size=size, digest=digest, size=size
    )


@dataclass
class FakeSurface:
    """ports.PublicationSurface: bodies by member, names that point to digests, proofs by digest and name.

    ``steps`` lists what was called, in order, and ``demanded`` are the proofs that had to read back.
    """

    bodies: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    attached: dict[str, dict[str, Attached]] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    demanded: tuple[Proof, ...] = ()
    others: frozenset[str] = frozenset()
    lets_nobody_delete: bool = False
    before: Callable[[str], None] = nothing

    def plan(self, release: Release) -> Plan:
        self._step("plan")
        wanted, digest = members_of(release.artifact), release.artifact.digest.hex
        for name in self._wanted_names(release):
            held = self.names.get(name, digest)
            if held != digest and name not in release.moving:
                raise NameTakenError(f"{name} holds {held}, and {digest} was approved.")
        missing = [member for member, (body, _) in wanted.items() if self.bodies.get(member) != body]
        return Plan(
            release=release,
            reference=f"fake:{release.output}@sha256:{digest}",
            missing=tuple(sorted(missing)),
            present=tuple(sorted(wanted.keys() - set(missing))),
            names=tuple(name for name in self._wanted_names(release) if self.names.get(name) != digest),
        )

    def copy(self, plan: Plan, progress: Progress) -> None:
        self._step("copy")
        wanted = members_of(plan.release.artifact)
        for member in plan.missing:
            self.bodies[member] = wanted[member][0]
            progress(wanted[member][1])

    def attach(self, plan: Plan, proofs: Sequence[Proof]) -> None:
        self._step("attach")
        held = self.attached.setdefault(_place(plan.release), {})
        for proof in proofs:
            attached = Attached(data=proof.envelope, form=proof.form, annotations=proof.annotations)
            if held.setdefault(proof.name, attached) != attached:
                raise PublicationError(f"{proof.name} holds another proof already.")

    def reveal(self, plan: Plan, last_word: Callable[[], object] = agreed) -> None:
        self._step("reveal")
        digest = plan.release.artifact.digest.hex
        lacking = [m for m, (body, _) in members_of(plan.release.artifact).items() if self.bodies.get(m) != body]
        if lacking:
            raise PublicationError(f"{lacking[0]} was not copied.")
        for name in plan.names:
            if self.names.get(name, digest) != digest and name not in plan.release.moving:
                raise NameTakenError(f"{name} was taken since the plan.")
        last_word()
        self.names.update(dict.fromkeys(plan.names, digest))

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        self._step("read_back")
        self.demanded = tuple(proofs)
        found = []
        for member, (digest, size) in members_of(release.artifact).items():
            progress(size)
            body = self.bodies.get(member, "")
            state = ReadState.READ if body else ReadState.ABSENT
            found.append(Reading(member=member, state=state, expected_digest=digest, digest=body, size=size))
        return tuple(found)

    def proofs(self, release: Release) -> tuple[Attached, ...]:
        self._step("proofs")
        return tuple(self.attached.get(_place(release), {}).values())

    def withdraw(self, release: Release, mark: Proof, others: Collection[str]) -> Unpublished:
        self._step("withdraw")
        self.others = frozenset(others)
        digest = release.artifact.digest.hex
        self.attached.setdefault(_place(release), {})[mark.name] = Attached(data=mark.envelope, form=mark.form)
        names = tuple(name for name, held in self.names.items() if held == digest)
        if self.lets_nobody_delete:
            return Unpublished(remaining=names)
        for name in names:
            del self.names[name]
        return Unpublished(removed=names)

    def _wanted_names(self, release: Release) -> tuple[str, ...]:
        return release.tags or (release.artifact.name,)

    def _step(self, name: str) -> None:
        self.before(name)
        self.steps.append(name)


def _place(release: Release) -> str:
    """Where the proofs lie: of a release of a flake beside those of the artifact."""
    return release.artifact.digest.hex + (f" {release.flake.resource}" if release.flake else "")


@dataclass
class FakeWorkflow:
    """ports.PublishingWorkflow: a forge whose runs move on as they are looked at, and the releases they make.

    ``asked`` lists every request that was taken. ``refuses`` is raised instead of taking one, ``loses`` after it was
    taken; ``hides`` keeps runs out of the forge's list, and ``lag`` releases for so many looks. ``bare``
    ones tell no store path.
    """

    asked: list[str] = field(default_factory=list)
    runs: dict[str, WorkflowRun] = field(default_factory=dict)
    releases: dict[str, FlakeVersion] = field(default_factory=dict)
    store_paths: dict[str, str] = field(default_factory=dict)
    refuses: FlywheelError | None = None
    loses: FlywheelError | None = None
    hides: bool = False
    lag: int = 0
    looks: int = 2
    ending: Ending = Ending.PASSED
    conclusion: str = "success"
    revision: GitRevision | None = None
    store_path: str = ""
    bare: bool = False
    broken: ReadError | None = None
    summaries: list[Proof] = field(default_factory=list)
    before: Callable[[str], None] = nothing

    def plan(self, release: Release) -> Plan:
        self._step("plan")
        flake, version = flake_of(release), self._version(release)
        held = self._shown(release)
        if held is not None and held.revision != flake.revision:
            raise NameTakenError(f"{flake.name} {version} is of {held.revision}, and {flake.revision} was approved.")
        if held is not None and held.yanked:
            raise NameTakenError(f"{flake.name} {version} is yanked.")
        missing = () if held is not None else (version,)
        return Plan(
            release=release,
            reference=f"flakehub:{flake.name}/{flake.version or 'rolling'}#{flake.attribute}",
            missing=missing,
            present=() if missing else (version,),
            names=(),
        )

    def dispatch(self, release: Release, request: str, summary: Proof) -> WorkflowRun:
        self._step("dispatch")
        if self.refuses is not None:
            raise self.refuses
        number = str(len(self.asked) + 1)
        self.asked.append(request)
        self.summaries.append(summary)
        url = f"{flake_of(release).repository}/actions/runs/{number}"
        self.runs[request] = WorkflowRun(id=number, url=url)
        self._seen[number] = 0
        self.before("answer")
        if self.loses is not None:
            raise self.loses
        return self.runs[request]

    def find(self, release: Release, request: str, since: datetime) -> WorkflowRun | None:
        del release, since
        self._step("find")
        return None if self.hides else self.runs.get(request)

    def look(self, release: Release, run: str) -> WorkflowRun:
        self._step("look")
        request = next((request for request, each in self.runs.items() if each.id == run), None)
        if request is None:
            raise AbsentError(f"The forge has no run {run}.")
        self._seen[run] += 1
        if self._seen[run] >= self.looks and self.runs[request].ending is None:
            ended = {"ending": self.ending, "conclusion": self.conclusion}
            self.runs[request] = self.runs[request].model_copy(update=ended)
            if self.ending is Ending.PASSED:
                self.release(release)
        return self.runs[request]

    def cancel(self, release: Release, run: str) -> None:
        del release
        self._step("cancel")
        request, seen = next((request, each) for request, each in self.runs.items() if each.id == run)
        if seen.ending is None:
            self.runs[request] = seen.model_copy(update={"ending": Ending.FAILED, "conclusion": "cancelled"})

    def release(self, release: Release) -> None:
        """What the workflow does at its end."""
        flake, version = flake_of(release), self._version(release)
        self.releases[version] = FlakeVersion(version=version, revision=self.revision or flake.revision)
        self.store_paths[version] = self.store_path or release.artifact.name

    def released(self, release: Release) -> FlakeVersion | None:
        self._step("released")
        if self.lag > 0:
            self.lag -= 1
            return None
        return self._shown(release)

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        del progress, proofs
        self._step("read_back")
        version, revision = self._version(release), str(flake_of(release).revision)
        held = self.releases.get(version)
        if held is None or held.yanked:
            detail = "yanked" if held else "not there"
            return (Reading(member="revision", state=ReadState.ABSENT, expected_digest=revision, detail=detail),)
        if self.bare:
            revised = Reading(
                member="revision", state=ReadState.READ, digest=str(held.revision), expected_digest=revision
            )
            return (revised.model_copy(update={"detail": "no store path is told"}),)
        expected = {
            "revision": (str(held.revision), revision),
            "store path": (self.store_paths[version], release.artifact.name),
        }
        return tuple(
            Reading(member=member, state=ReadState.READ, digest=digest, expected_digest=wanted)
            for member, (digest, wanted) in expected.items()
        )

    def run_again(self) -> None:
        """A person has the last run run once more, which now passes."""
        request, self.ending, self.conclusion = self.asked[-1], Ending.PASSED, "success"
        old = self.runs[request]
        self.runs[request] = old.model_copy(update={"ending": None, "conclusion": "", "attempt": old.attempt + 1})
        self._seen[old.id] = 0

    def yank(self) -> None:
        """Every release drops out of the list."""
        self.releases = {v: each.model_copy(update={"yanked": True}) for v, each in self.releases.items()}

    def _shown(self, release: Release) -> FlakeVersion | None:
        """A yanked one is told of under its version alone."""
        found = self.releases.get(self._version(release))
        return None if found and found.yanked and flake_of(release).version is None else found

    def _version(self, release: Release) -> str:
        flake = flake_of(release)
        return flake.version or f"0.1.1+rev-{flake.revision}"

    def _step(self, name: str) -> None:
        self.before(name)
        if self.broken is not None:
            raise self.broken

    _seen: dict[str, int] = field(default_factory=dict)


def flake_of(release: Release) -> FlakeRelease:
    """How it is released."""
    assert release.flake is not None
    return release.flake
