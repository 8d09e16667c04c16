"""A flywheel with one Nix output that two builders must agree on, and a rebuilder in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.catalog.references import complaints
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuildKey, LockedInput
from flywheel_assets.domain.digests import GitRevision, NarHash, Sha256
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.domain.listings import Entry, FileKind, FileListing
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.ports import Fetched, Rebuilder, Rebuilt
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets_tests.fakes import FakeCache
from flywheel_assets_tests.gate.cases import RAW, REPOSITORY, STARTED, a_run, changed, store_path
from flywheel_assets_tests.promotion.installation import Memory, a_signer, in_memory

OUTPUT = "library"
DEFINITION = str(RAW["outputs"][OUTPUT]["definition"])
FIRST = BuildKey(run="100", attempt=1, system="x86_64-linux")
REVISION = GitRevision("a" * 40)
PATH = store_path("library-1.0")


def closure_of(content: bytes, path: str = PATH) -> NixClosure:
    member = ClosureMember(path=path, nar_hash=NarHash.of(content), nar_size=100, references=())
    return NixClosure(root=path, deriver=None, members=(member,))


def listing_of(content: bytes) -> FileListing:
    files = {
        name: Entry(FileKind.REGULAR, len(content), digest=Sha256.of(content).hex) for name in (b"bin/a", b"bin/b")
    }
    return {b"": Entry(FileKind.DIRECTORY), b"same": Entry(FileKind.REGULAR, 1, digest="0" * 64), **files}


@dataclass
class FakeRebuilder:
    """ports.Rebuilder that makes ``content`` of whatever it is asked for, and counts."""

    content: bytes = b"same"
    path: str = PATH
    signer: DsseSigner = field(default_factory=lambda: a_signer("rebuilder"))
    broken: FlywheelError | None = None
    unreadable: FlywheelError | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def rebuild(self, repository: str, revision: GitRevision, definition: str) -> Rebuilt:
        self.before()
        self.asked.append((repository, str(revision), definition))
        if self.broken:
            raise self.broken
        lock = (LockedInput(name="flake.lock", digest=Sha256.of(b"lock")),)
        return Rebuilt(closure_of(self.content, self.path), Fetched(STARTED, lock))

    def listing(self, member: ClosureMember) -> FileListing:
        assert member.nar_hash == NarHash.of(self.content)
        return listing_of(self.content)

    def cached_listing(self, cache: str, member: ClosureMember) -> FileListing:
        assert cache == "attic"
        if self.unreadable:
            raise self.unreadable
        return listing_of(b"the first")


def catalogue(*, rebuilds: bool = True, **output: object) -> Catalogue:
    """Builders nixer and nixer-two, each with its key, and the rebuilder with its own."""
    builder = {**RAW["builders"]["nixer"], "must_prove_bootstrap_for": []}
    keys = {
        name: {"public_key": a_signer(name).public_key, "builders": [name], "repositories": [REPOSITORY]}
        for name in ("nixer", "nixer-two", "rebuilder")
    }
    entry = {**RAW["outputs"][OUTPUT], "builders_that_must_agree": 2, **output}
    raw = {
        **RAW,
        "builders": {"nixer": builder, "nixer-two": builder, "rebuilder": builder},
        "keys": {**keys, "rebuilder": {**keys["rebuilder"], "isolated": True}},
        "products": {},
        "outputs": {OUTPUT: entry},
        "rebuilder": {"builder": "rebuilder", "nix": "/usr/bin/nix", "store": "local?root=/nowhere"}
        if rebuilds
        else None,
    }
    made = Catalogue.model_validate(raw)
    assert list(complaints(made)) == []
    return made


def receipt(
    content: bytes = b"same", *, run: str = "100", builder: str = "nixer", revision: str = "a" * 40, **more: object
) -> bytes:
    """A signed receipt of the library."""
    made = a_run(builder, BuildKey(run=run, attempt=1, system="x86_64-linux"), definition=DEFINITION, **more)
    made = changed(made, {"source": changed(made.source, {"revision": GitRevision(revision)})})
    statement = receipt_statement(Receipt(output=OUTPUT, run=made, artifact=closure_of(content)))
    return a_signer(builder).sign(statement, PAYLOAD_TYPE)


def rebuilding(*documents: bytes, known: Catalogue | None = None, rebuilder: Rebuilder | None = None) -> Memory:
    """A flywheel into which these receipts were taken."""
    memory = in_memory("nothing", catalogue=known or catalogue())
    flywheel: Flywheel = replace(memory.flywheel, caches={"attic": FakeCache()}, surfaces={}, rebuilder=rebuilder)
    memory = replace(memory, flywheel=flywheel)
    deliver(memory, *documents)
    return memory


def deliver(memory: Memory, *documents: bytes) -> None:
    for document in documents:
        memory.inbox.documents[f"{len(memory.inbox.documents)}.json"] = document
    take_in(memory.flywheel)
