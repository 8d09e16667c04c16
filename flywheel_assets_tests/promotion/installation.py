"""The recorded sample, for tests of the use cases: on folders, or wholly in memory."""

import atexit
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flywheel_assets.adapters.evidence.folder import FolderEvidence
from flywheel_assets.adapters.signatures.keys import DsseSigner, key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.domain.publications import Publication
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of, publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel, read_catalogue
from flywheel_assets_tests.fakes import FakeCache, FakeClock, FakeEvidence, FakeInbox, FakeSurface, FakeWorkflow


def key(text: str) -> BuildKey:
    """A build, by its run or in full."""
    return BuildKey.parse(text if "." in text else f"{text}.1.x86_64-linux")


CLOCK, RIVAL, DIRTY, OLDER = key("14402201001"), key("14402201002"), key("14402201003"), key("14402201006")
PLOTTER = key("14402201105")
CHARTS = key("14402201401")
MAP = key("14402201701.1.multi-platform")
CLOCK_IMAGE = key("14402201201.1.linux-amd64")
DASHBOARD_IMAGE = key("14402201902.1.linux-amd64")
PUBLISHED = {
    "tide-clock": CLOCK,
    "harbor-map-image": MAP,
    "tide-clock-image": CLOCK_IMAGE,
    "runner-dashboard-image": DASHBOARD_IMAGE,
}


# On folders


@dataclass(frozen=True)
class Installation:
    """A working folder."""

    home: Path

    def open(self) -> Flywheel:
        """As a new process would."""
        return open_flywheel(Settings(self.home, SAMPLE_CATALOGUE))

    def reopen(self, flywheel: Flywheel) -> Flywheel:
        """The same with nothing remembered: a fresh evidence store on this folder."""
        store = FolderEvidence(
            self.home / "evidence",
            self.home / "checkpoints",
            key_file(self.home / "keys/verifier.pem"),
            SignatureVerifier(),
        )
        return replace(flywheel, evidence=store, opened={}, seen=set(), gists={}, standing={}, catalogues=set())

    def copy(self, target: Path) -> "Installation":
        shutil.copytree(self.home, target)
        return Installation(target)

    def files(self, *below: str) -> dict[str, bytes]:
        """Every file below a folder, by its path."""
        folder = self.home.joinpath(*below)
        return {str(p.relative_to(self.home)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def promote_at_once(flywheel: Flywheel, output: str, build: BuildKey) -> Promoted:
    """Promote what no workflow is waited for with."""
    done = promote(flywheel, output, build)
    assert isinstance(done, Promoted)
    return done


def judge_all(flywheel: Flywheel) -> None:
    for output in flywheel.catalogue.outputs:
        for build in builds_of(flywheel, output):
            judge(flywheel, output, build)


def publish_all(flywheel: Flywheel) -> None:
    """What `flywheel run` does, without Dagster: judge, publish, and judge again what that changed."""
    judge_all(flywheel)
    for output, build in PUBLISHED.items():
        promote(flywheel, output, build)
    release_flake(flywheel)
    judge_all(flywheel)


def release_flake(flywheel: Flywheel) -> None:
    """Publish the flake, whose workflow is a fake."""
    served = replace(flywheel, workflows={"flakehub": FakeWorkflow()})
    for _ in range(4):
        if isinstance(promote(served, "depth-charts", CHARTS), Promoted):
            return
    raise AssertionError("the workflow never came to its end")


@cache
def _template(*, published: bool) -> Installation:
    folder = Path(mkdtemp(prefix="flywheel-sample-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Installation(folder / "home")
    flywheel = made.open()
    take_in(flywheel)
    (publish_all if published else judge_all)(flywheel)
    return made


def judged(target: Path) -> Installation:
    """A folder in which everything was taken in and judged, and nothing published."""
    return _template(published=False).copy(target)


def published() -> Installation:
    """The one folder in which everything is done. It is shared: read it, or copy it."""
    return _template(published=True)


# In memory


@cache
def sample_catalogue() -> Catalogue:
    return read_catalogue(Settings(Path("/nowhere"), SAMPLE_CATALOGUE))


@cache
def a_signer(name: str) -> DsseSigner:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return DsseSigner(pem, name)


@dataclass(frozen=True)
class Memory:
    """A flywheel on fakes alone, and the fakes."""

    flywheel: Flywheel
    evidence: FakeEvidence
    inbox: FakeInbox
    caches: dict[str, FakeCache]
    surfaces: dict[str, FakeSurface]
    clock: FakeClock

    def but(self, **changes: Any) -> Flywheel:
        """The same with other parts, as a new process that remembers nothing."""
        return replace(self.flywheel, **{"opened": {}, "seen": set(), "gists": {}, "standing": {}, **changes})


def in_memory(*documents: str, catalogue: Catalogue | None = None) -> Memory:
    """The sample's catalogue, and those of its documents whose names begin so; all without names."""
    clock = FakeClock()
    evidence, inbox = FakeEvidence(clock=clock), FakeInbox()
    for path in sorted((SAMPLE / "inbox").glob("*.json")):
        if not documents or path.name.startswith(documents):
            inbox.documents[path.name] = path.read_bytes()
    catalogue = catalogue or sample_catalogue()
    caches = {name: FakeCache() for name in ("attic-main", "bazel-cache", "oci-staging")}
    surfaces = {"durable-nix": FakeSurface(), "ghcr": FakeSurface()}
    flywheel = Flywheel(
        catalogue=catalogue,
        evidence=evidence,
        inbox=inbox,
        caches=caches,
        surfaces={
            ("durable-nix", "attic-main"): surfaces["durable-nix"],
            ("ghcr", "oci-staging"): surfaces["ghcr"],
        },
        verifier=SignatureVerifier(),
        verifier_signer=a_signer("verifier"),
        release_signer=a_signer("release"),
        clock=clock,
    )
    return Memory(flywheel, evidence, inbox, caches, surfaces, clock)


def trusting(name: str, signer: DsseSigner, catalogue: Catalogue | None = None) -> Catalogue:
    """A catalogue in which the key called ``name`` is the signer's."""
    catalogue = catalogue or sample_catalogue()
    changed = catalogue.keys[name].model_copy(update={"public_key": signer.public_key})
    return catalogue.model_copy(update={"keys": {**catalogue.keys, name: changed}})


def without_output(name: str) -> Catalogue:
    """A catalogue that does not know an output yet."""
    catalogue = sample_catalogue()
    outputs = {n: output for n, output in catalogue.outputs.items() if n != name}
    return catalogue.model_copy(update={"outputs": outputs})


def statement_of(document: bytes) -> dict[str, Any]:
    """The statement in an envelope."""
    found: dict[str, Any] = json.loads(b64decode(json.loads(document)["payload"]))
    return found


def resigned(document: bytes, signer: DsseSigner, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An envelope with its statement changed and signed by another."""
    envelope, statement = json.loads(document), statement_of(document)
    change(statement)
    return signer.sign(json.dumps(statement).encode(), envelope["payloadType"])


def with_statement(document: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An envelope with its statement changed, under the old signatures."""
    envelope, statement = json.loads(document), statement_of(document)
    change(statement)
    return json.dumps({**envelope, "payload": b64encode(json.dumps(statement).encode()).decode()}).encode()


def outcome(action: Callable[[], object]) -> str:
    """The name of the project's error that the action ends with; empty when it ends well."""
    try:
        action()
    except FlywheelError as error:
        return type(error).__name__
    return ""


# Every build of the sample: output, build, state, verdict, reason.
SAMPLE_ROWS = (
    ("runner-dashboard", "14402201901.1.x86_64-linux", "validated", "rejected permanently", "not-the-authority"),
    ("runner-dashboard-image", "14402201902.1.linux-amd64", "published", "passed", "every-rule-holds"),
    ("default", "14402201801.1.x86_64-linux", "cached", "rejected permanently", "alias"),
    ("tide-clock", "14402201001.1.x86_64-linux", "published", "passed", "every-rule-holds"),
    ("tide-clock", "14402201002.1.x86_64-linux", "rejected", "rejected permanently", "pull-request"),
    ("tide-clock", "14402201003.1.x86_64-linux", "rejected", "rejected permanently", "tree-dirty"),
    ("tide-clock", "14402201004.1.x86_64-linux", "rejected", "rejected temporarily", "bootstrap-unproven"),
    ("tide-clock", "14402201005.1.x86_64-linux", "rejected", "rejected permanently", "validation-failed"),
    ("tide-clock", "14402201006.1.x86_64-linux", "validated", "needs approval", "older-than-channel"),
    ("tide-clock", "14402201007.1.x86_64-linux", "rejected", "rejected temporarily", "receipt-unsigned"),
    ("tide-clock", "14402201008.1.x86_64-linux", "rejected", "rejected temporarily", "key-untrusted"),
    ("chart-plotter", "14402201101.1.x86_64-linux", "rejected", "rejected temporarily", "body-empty"),
    ("chart-plotter", "14402201102.1.x86_64-linux", "rejected", "rejected permanently", "body-differs"),
    ("chart-plotter", "14402201103.1.x86_64-linux", "rejected", "rejected permanently", "reference-not-in-receipt"),
    ("chart-plotter", "14402201104.1.x86_64-linux", "rejected", "rejected temporarily", "member-missing"),
    ("chart-plotter", "14402201105.1.x86_64-linux", "rejected", "rejected permanently", "builders-disagree"),
    ("chart-plotter", "14402201106.1.x86_64-linux", "rejected", "rejected permanently", "builders-disagree"),
    ("sounding-line", "14402201301.1.x86_64-linux", "validated", "passed", "promotion-on-demand"),
    ("depth-charts", "14402201401.1.x86_64-linux", "published", "passed", "every-rule-holds"),
    ("ci-toolchain", "14402201501.1.x86_64-linux", "cached", "rejected permanently", "acceleration-only"),
    ("lint-results", "14402201601.1.x86_64-linux", "cached", "rejected permanently", "acceleration-only"),
    ("harbor-map-image", "14402201701.1.multi-platform", "published", "passed", "every-rule-holds"),
    ("tide-clock-image", "14402201201.1.linux-amd64", "published", "passed", "every-rule-holds"),
    ("mystery-box", "14402202001.1.x86_64-linux", "unrouted", "cannot determine", "unknown-output"),
    ("?", "truncated-receipt.json", "unrouted", "cannot determine", "unreadable-delivery"),
)
REFUSED = tuple(
    (output, key(build))
    for output, build, state, verdict, _ in SAMPLE_ROWS
    if verdict != "passed" and state != "unrouted"
)


@cache
def publication_of(output: str) -> Publication:
    """The one record of an output's publication in ``published()``."""
    (found,) = publications(published().open(), output)
    return found
