"""Builds of three kinds that the gate passes, with a small catalogue made in code, and ways to change them."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.catalog.references import complaints
from flywheel_assets.domain.artifacts import (
    Artifact,
    BazelFile,
    BazelOutputs,
    ClosureMember,
    NixClosure,
    OciImage,
)
from flywheel_assets.domain.builds import (
    Bootstrap,
    BuilderRun,
    BuildKey,
    Dependency,
    LockedInput,
    Source,
    Trigger,
    TriggerEvent,
    Validation,
    ValidationResult,
)
from flywheel_assets.domain.digests import (
    ActionDigest,
    BlobDigest,
    CasDigest,
    EvidenceDigest,
    GitRevision,
    ManifestDigest,
    NarHash,
    Sha256,
    to_nix32,
)
from flywheel_assets.domain.evidence import (
    AttestedReceipt,
    AttestedTest,
    EvidenceBundle,
    RecordedInspection,
    Signatures,
)
from flywheel_assets.domain.inspections import Inspection, Reading, ReadState
from flywheel_assets.domain.receipts import Receipt, TestOutcome
from flywheel_assets.domain.verdicts import Finding, Verdict, VerdictClass
from flywheel_assets.gate.evaluate import evaluate

Model = TypeVar("Model", bound=BaseModel)

PASSED, WAITING = VerdictClass.PASSED, VerdictClass.WAITING
APPROVAL, CANNOT = VerdictClass.NEEDS_APPROVAL, VerdictClass.CANNOT_DETERMINE
TEMPORARILY, PERMANENTLY = VerdictClass.REJECTED_TEMPORARILY, VerdictClass.REJECTED_PERMANENTLY

STARTED = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
FINISHED = STARTED + timedelta(minutes=30)
NOW = datetime(2026, 10, 2, 8, 0, tzinfo=UTC)
REPOSITORY = "https://github.com/example/tools"
KEY = BuildKey(run="100", attempt=1, system="x86_64-linux")
OTHER_KEY = BuildKey(run="200", attempt=1, system="x86_64-linux")
KINDS = ("nix", "oci", "bazel")
TRUSTED = ["source", "trigger", "bootstrap", "validation"]

_BUILDER = {"owner": "tools", "level": "first-class", "publication_boundary": "Fills caches, publishes nothing."}
_NIX = {**_BUILDER, "class": "nix", "makes": ["nix"], "must_prove_bootstrap_for": ["nix"], "trusted_claims": TRUSTED}
_MUTABLE = {"role": "mutable", "owner": "tools"}
_DURABLE = {"role": "durable", "owner": "tools", "visibility": "public", "retention": "never"}
_OUTPUT = {
    "role": "package",
    "audience": "user-facing",
    "consumption": "See the README.",
    "owner": "tools",
    "clean_because": "It is built from its own source.",
    "repository": REPOSITORY,
}
_IMAGE = {"surface": "registry", "way": "copies", "promotion": "automatic", "repository": "example/image"}


def a_public_key(name: str) -> str:
    """PEM of an Ed25519 key for which nobody has the private half."""
    made = bytes.fromhex("302a300506032b6570032100") + hashlib.sha256(name.encode()).digest()
    return f"-----BEGIN PUBLIC KEY-----\n{b64encode(made).decode()}\n-----END PUBLIC KEY-----\n"


def _person(name: str) -> dict[str, Any]:
    return {
        "name": name.title(),
        "contact": f"{name}@example.org",
        "keys": [a_public_key(name)],
        "forge_names": [f"{name}-on-the-forge"],
        "may": ["approve", "meet", "hold", "withdraw", "quarantine"],
    }


RAW: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "policy_uri": "urn:small:policy",
    "verifier_uri": "urn:small:verifier",
    "owners": {"tools": {"name": "Tools maintainers", "contact": "team:tools"}},
    "repositories": {
        REPOSITORY: {"visibility": "public"},
        "https://github.com/example/elsewhere": {"visibility": "public"},
    },
    "builders": {
        "nixer": _NIX,
        "nixer-two": _NIX,
        "docker": {
            **_BUILDER,
            "class": "docker",
            "makes": ["oci", "bazel"],
            "must_prove_bootstrap_for": [],
            "trusted_claims": ["source", "trigger", "validation"],
        },
    },
    "surfaces": {
        "attic": {**_MUTABLE, "protocol": "nix", "url": "file:attic"},
        "staging": {**_MUTABLE, "protocol": "oci", "url": "file:staging"},
        "bazel-cache": {**_MUTABLE, "protocol": "bazel", "url": "file:bazel"},
        "durable-nix": {**_DURABLE, "protocol": "nix", "url": "file:durable", "authority": True},
        "registry": {**_DURABLE, "protocol": "oci", "url": "file:registry"},
        "flakehub": {**_DURABLE, "protocol": "flakehub", "url": "https://api.flakehub.com"},
    },
    "keys": {
        "nixer": {"public_key": a_public_key("nixer"), "builders": ["nixer"], "repositories": [REPOSITORY]},
        "nixer-two": {"public_key": a_public_key("nixer-two"), "builders": ["nixer-two"], "repositories": [REPOSITORY]},
        "docker": {"public_key": a_public_key("docker"), "builders": ["docker"], "repositories": [REPOSITORY]},
        "platform": {
            "public_key": a_public_key("platform"),
            "builders": ["nixer", "docker"],
            "repositories": [REPOSITORY],
            "isolated": True,
            "slsa_build_level": 2,
        },
    },
    "people": {name: _person(name) for name in ("alice", "bob", "carol")},
    "products": {"tool": {"authority": "tool", "statement": "The derivation is the release."}},
    "outputs": {
        "tool": {
            **_OUTPUT,
            "type": "nix",
            "definition": "packages.x86_64-linux.tool",
            "cache": "attic",
            "validations": ["nix build", "smoke"],
            "builders_that_must_agree": 2,
            "built_from": ["library"],
            "product": "tool",
            "publication": {"surface": "durable-nix", "way": "copies", "promotion": "automatic"},
        },
        "library": {**_OUTPUT, "type": "nix", "definition": "packages.x86_64-linux.library", "cache": "attic"},
        "image": {
            **_OUTPUT,
            "type": "oci",
            "definition": "Containerfile",
            "cache": "staging",
            "validations": ["image build", "smoke"],
            "publication": {**_IMAGE, "tags": ["sha-{revision}"]},
        },
        "lint": {
            **_OUTPUT,
            "type": "bazel",
            "definition": "//lint:results",
            "cache": "bazel-cache",
            "validations": ["bazel build", "smoke"],
        },
    },
}
OUTPUTS = {"nix": "tool", "oci": "image", "bazel": "lint"}
BUILDERS = {"nix": "nixer", "oci": "docker", "bazel": "docker"}


def catalogue() -> Catalogue:
    """The small catalogue; it has no complaint."""
    made = Catalogue.model_validate(RAW)
    assert list(complaints(made)) == []
    return made


def store_path(name: str) -> str:
    """A store path whose hash comes from ``name``."""
    return f"/nix/store/{to_nix32(hashlib.sha256(name.encode()).digest()[:20])}-{name}"


GLIBC, LIBRARY, TOOL = store_path("glibc-2.40"), store_path("library-1.0"), store_path("tool-1.0")


def closure(content: bytes = b"tool") -> NixClosure:
    """The tool, its library, and a reference to an upstream path."""
    library = ClosureMember(path=LIBRARY, nar_hash=NarHash.of(b"library"), nar_size=70, references=(GLIBC,))
    tool = ClosureMember(path=TOOL, nar_hash=NarHash.of(content), nar_size=40, references=(TOOL, LIBRARY, GLIBC))
    return NixClosure(root=TOOL, deriver=None, members=(tool, library))


def image(content: bytes = b"index") -> OciImage:
    """An index of two platforms."""
    platforms = {f"linux/{name}": ManifestDigest.of(name.encode()) for name in ("amd64", "arm64")}
    return OciImage(repository="example/image", manifest=ManifestDigest.of(content), platforms=platforms)


def outputs(content: bytes = b"report") -> BazelOutputs:
    """Two files of one action."""
    files = (
        BazelFile(path="lint/a-report.txt", digest=CasDigest.of(content), size=6),
        BazelFile(path="lint/z-empty.txt", digest=CasDigest.of(b""), size=0),
    )
    return BazelOutputs(label="//lint:results", action=ActionDigest.of(b"action"), files=files)


def artifact(kind: str, content: bytes | None = None) -> Artifact:
    """The good artifact of a kind, or one with other content."""
    make: dict[str, Callable[..., Artifact]] = {"nix": closure, "oci": image, "bazel": outputs}
    return make[kind]() if content is None else make[kind](content)


def _read(member: str, expected: Sha256, size: int, vouched_by: str = "") -> Reading:
    text = str(expected)
    return Reading(
        member=member,
        state=ReadState.READ,
        expected_digest=text,
        expected_size=size,
        digest=text,
        size=size,
        vouched_by=vouched_by,
    )


def readings(kind: str) -> tuple[Reading, ...]:
    """What the cache's reader says of a good artifact."""
    if kind == "nix":
        members = sorted((m.path, m.nar_hash, m.nar_size) for m in closure().members)
        return (
            *(_read(*member) for member in members),
            _read(GLIBC, NarHash.of(b"glibc"), 900, vouched_by="upstream-1"),
        )
    if kind == "oci":
        made = image()
        manifests = [("index", made.manifest), *made.platforms.items()]
        return (
            *(_read(f"manifest {name}", digest, 500) for name, digest in manifests),
            _read("layer 0", BlobDigest.of(b"layer"), 5),
        )
    files = outputs().files
    action = Reading(member=f"action {outputs().action.hex}", state=ReadState.READ, size=99)
    return (action, *(_read(f"cas {file.path}", file.digest, file.size) for file in files))


def a_run(builder: str, key: BuildKey = KEY, **more: Any) -> BuilderRun:
    """A clean run of a builder."""
    fields: dict[str, Any] = {
        "key": key,
        "builder": builder,
        "invocation": f"https://github.com/example/tools/actions/runs/{key.run}",
        "source": Source(
            repository=REPOSITORY,
            revision=GitRevision("a" * 40),
            ref="refs/heads/main",
            dirty=False,
            committed_at=STARTED - timedelta(days=1),
        ),
        "definition": RAW["outputs"][OUTPUTS["nix"]]["definition"],
        "locked_inputs": (LockedInput(name="flake.lock", digest=Sha256.of(b"lock")),),
        "trigger": Trigger(event=TriggerEvent.PUSH, actor="someone"),
        "started_at": STARTED,
        "finished_at": FINISHED,
        "bootstrap": Bootstrap(
            tool="nix",
            installed_by="determinate-nix-action",
            verified_version="2.24.10",
            finished_at=STARTED + timedelta(minutes=1),
        ),
        "validations": (),
        "dependencies": (),
    }
    return BuilderRun(**(fields | more))


def attested(
    receipt: Receipt, *keys: str, unknown: tuple[str, ...] = (), invalid: tuple[str, ...] = ()
) -> AttestedReceipt:
    """A receipt signed by these keys."""
    signatures = Signatures(keys=keys, unknown=unknown, invalid=invalid)
    named = receipt.model_dump_json() + signatures.model_dump_json()
    return AttestedReceipt(evidence=EvidenceDigest.of(named.encode()), signatures=signatures, receipt=receipt)


def attested_test(
    subject: Sha256, name: str, result: ValidationResult, signatures: Signatures | None = None
) -> AttestedTest:
    """A test result about ``subject``, signed by the platform's isolated key unless said otherwise."""
    signed = signatures or Signatures(keys=("platform",))
    outcome = TestOutcome(subjects=(Sha256(str(subject)),), validation=Validation(name=name, result=result))
    named = outcome.model_dump_json() + signed.model_dump_json()
    return AttestedTest(evidence=EvidenceDigest.of(named.encode()), signatures=signed, outcome=outcome)


def inspection(output: str, cache: str, *found: Reading, after: int = 0) -> RecordedInspection:
    """What was read from the cache, ``after`` hours later than the first time."""
    time = FINISHED + timedelta(hours=1 + after)
    made = Inspection(output=output, build=KEY, cache=cache, started_at=time, finished_at=time, readings=tuple(found))
    return RecordedInspection(evidence=EvidenceDigest.of(made.model_dump_json().encode()), inspection=made)


@dataclass(frozen=True)
class Bench:
    """A bundle and a catalogue, and short ways to change a copy of either."""

    kind: str
    bundle: EvidenceBundle
    catalogue: Catalogue

    @property
    def output(self) -> str:
        return self.bundle.output

    @property
    def builder(self) -> str:
        return BUILDERS[self.kind]

    @property
    def receipt(self) -> Receipt:
        return self.bundle.receipts[0].receipt

    @property
    def run(self) -> BuilderRun:
        return self.receipt.run

    @property
    def readings(self) -> tuple[Reading, ...]:
        return self.bundle.inspections[-1].inspection.readings

    def verdict(self) -> Verdict:
        return evaluate(self.bundle, self.catalogue, NOW)

    def finding(self, rule: str) -> Finding:
        return next(found for found in self.verdict().findings if found.rule == rule)

    def says(self, rule: str) -> tuple[VerdictClass, str]:
        """The verdict and the reason of one rule."""
        found = self.finding(rule)
        return found.verdict, found.reason

    @property
    def passes(self) -> bool:
        """Whether anything lets it go on: to publication, or as a validated artifact."""
        verdict = self.verdict()
        return verdict.publishable or verdict.validated

    def with_bundle(self, **changes: Any) -> Self:
        return replace(self, bundle=changed(self.bundle, changes))

    def with_receipt(self, **changes: Any) -> Self:
        """Another receipt under the same signatures."""
        first = self.bundle.receipts[0]
        other = changed(attested(changed(first.receipt, changes)), {"signatures": first.signatures})
        return self.with_bundle(receipts=(other, *self.bundle.receipts[1:]))

    def with_run(self, **changes: Any) -> Self:
        return self.with_receipt(run=changed(self.run, changes))

    def with_source(self, **changes: Any) -> Self:
        return self.with_run(source=changed(self.run.source, changes))

    def with_signatures(self, signatures: Signatures) -> Self:
        first = changed(self.bundle.receipts[0], {"signatures": signatures})
        return self.with_bundle(receipts=(first, *self.bundle.receipts[1:]))

    def with_reading(self, number: int, **changes: Any) -> Self:
        """The last inspection with one reading changed."""
        found = list(self.readings)
        found[number] = changed(found[number], changes)
        return self.with_readings(*found)

    def with_readings(self, *found: Reading) -> Self:
        return self.with_bundle(inspections=(*self.bundle.inspections[:-1], self.inspected(*found)))

    def then_inspected(self, *found: Reading) -> Self:
        """Another inspection after the others."""
        return self.with_bundle(inspections=(*self.bundle.inspections, self.inspected(*found, after=1)))

    def inspected(self, *found: Reading, after: int = 0) -> RecordedInspection:
        return inspection(self.output, self.catalogue.outputs[self.output].cache, *found, after=after)

    def with_entry(self, part: str, name: str, **changes: Any) -> Self:
        """The catalogue with one entry of a part changed."""
        entries: Mapping[str, BaseModel] = getattr(self.catalogue, part)
        return self.with_part(part, {**entries, name: changed(entries[name], changes)})

    def without_entry(self, part: str, name: str) -> Self:
        entries: Mapping[str, BaseModel] = getattr(self.catalogue, part)
        return self.with_part(part, {key: value for key, value in entries.items() if key != name})

    def with_part(self, part: str, entries: Mapping[str, BaseModel]) -> Self:
        return replace(self, catalogue=changed(self.catalogue, {part: entries}))

    def with_output(self, **changes: Any) -> Self:
        return self.with_entry("outputs", self.output, **changes)

    def with_builder(self, **changes: Any) -> Self:
        return self.with_entry("builders", self.builder, **changes)


def changed(model: Model, changes: Mapping[str, Any]) -> Model:
    unknown = set(changes) - set(type(model).model_fields)
    assert not unknown, f"{type(model).__name__} has no {unknown}"
    return model.model_copy(update=dict(changes))


def good(kind: str = "nix") -> Bench:
    """A build of ``kind`` with which every rule is content, but that nothing is durable for Bazel."""
    output, builder, made = OUTPUTS[kind], BUILDERS[kind], artifact(kind)
    known = catalogue()
    claimed, tested = known.outputs[output].validations
    library = NixClosure(root=LIBRARY, deriver=None, members=(closure().by_path[LIBRARY],))
    uses = (Dependency(output="library", store_path=LIBRARY, digest=Sha256(str(library.digest))),)
    is_nix = kind == "nix"
    run = a_run(
        builder,
        definition=known.outputs[output].definition,
        validations=(Validation(name=claimed, result=ValidationResult.PASSED),),
        dependencies=uses if is_nix else (),
    )
    run = run if is_nix else changed(run, {"bootstrap": None})
    receipt = Receipt(output=output, run=run, artifact=made)
    witness = Receipt(
        output=output, run=a_run("nixer-two", OTHER_KEY, definition=known.outputs[output].definition), artifact=made
    )
    defined = RAW["outputs"]["library"]["definition"]
    dependency = Receipt(output="library", run=a_run("nixer", OTHER_KEY, definition=defined), artifact=library)
    bundle = EvidenceBundle(
        output=output,
        build=KEY,
        receipts=(attested(receipt, builder),),
        witnesses=(attested(witness, "nixer-two"),) if is_nix else (),
        dependencies=(attested(dependency, "nixer"),) if is_nix else (),
        tests=(attested_test(made.digest, tested, ValidationResult.PASSED),),
        inspections=(inspection(output, known.outputs[output].cache, *readings(kind)),),
    )
    return Bench(kind, bundle, known)


def witness_of(bench: Bench, content: bytes, *, builder: str | None = None) -> AttestedReceipt:
    """An authentic receipt of another run that got ``content`` from the same revision."""
    by = builder or bench.builder
    run = changed(bench.run, {"key": OTHER_KEY, "builder": by})
    return attested(Receipt(output=bench.output, run=run, artifact=artifact(bench.kind, content)), by)
