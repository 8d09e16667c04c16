"""What every publication surface holds to: the durable Nix cache, OCI layouts and registries, and the fake."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from _pytest.mark import ParameterSet

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.nix.bucket import Bucket
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import CacheFiles, DurableFiles
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.adapters.nix.narinfo import parse_narinfo
from flywheel_assets.adapters.nix.remote import RemoteDurable, RemoteFiles
from flywheel_assets.adapters.nix.shelf import narinfo_name
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.errors import AbsentError, NameTakenError, PublicationError, ReadError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import MIB
from flywheel_assets.domain.publications import Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished
from flywheel_assets.ports import PublicationSurface
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, made, nar, release, s3_environment
from flywheel_assets_tests.adapters.oci.images import (
    PLATFORMS,
    PROOFS,
    REPOSITORY,
    blob_file,
    envelope,
    envelopes,
    layouts,
    make_image,
    release_of,
)
from flywheel_assets_tests.adapters.oci.registries import push, repositories, stored
from flywheel_assets_tests.fakes import FakeSurface
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.servers import WebServer

KEY = NixSigningKey.generate("release-1")
MARK = Proof(name="vsa", predicate_type=PROOFS[0].predicate_type, envelope=envelope("bWFyaw=="))
Registries = Callable[[str], Any]


def silent(_count: int) -> None:
    """A progress that nobody watches."""


@dataclass
class Bench:
    """A surface with a release for it, and a rival release that wants the same name for other content."""

    surface: PublicationSurface
    release: Release
    rival_surface: PublicationSurface
    rival: Release
    is_visible: Callable[[], bool]
    damage: Callable[[], object]

    def publish(self) -> None:
        publish(self.surface, self.release)


def publish(surface: PublicationSurface, wanted: Release) -> None:
    plan = surface.plan(wanted)
    surface.copy(plan, silent)
    surface.attach(plan, PROOFS)
    surface.reveal(plan)


def nix(folder: Path) -> Bench:
    return nix_from_to(CacheFolder, DurableFolder(folder / "target"), folder)


def nix_over_http(folder: Path, servers: Registries) -> Bench:
    """From one place on a web server to another one, which takes PUT."""
    server: WebServer = servers("nginx")

    def source(path: Path) -> CacheFiles:
        path.rename(server.folder / path.name)
        return RemoteFiles(HttpClient(f"{server.url}/{path.name}"))

    return nix_from_to(source, RemoteDurable(HttpClient(f"{server.url}/durable")), folder)


def nix_in_s3(folder: Path, servers: Registries) -> Bench:
    bucket: str = servers("s3_bucket")
    for name, value in s3_environment(servers("s3").url).items():
        servers("monkeypatch").setenv(name, value)
    return nix_from_to(CacheFolder, Bucket(f"s3://{bucket}/durable"), folder)


def nix_from_to(open_source: Callable[[Path], CacheFiles], target: DurableFiles, folder: Path) -> Bench:
    lib = made("lib")
    app = made("app", [lib.path])
    other = Made(app.path, nar(b"other"), app.references)

    def surface(name: str, root: Made) -> NixCacheSurface:
        source = Cache(folder / name)
        source.add(lib)
        source.add(root)
        return NixCacheSurface(target, NixCache(open_source(source.folder)), KEY)

    def narinfo(path: str) -> bytes | None:
        try:
            return target.read(narinfo_name(path), MIB)
        except AbsentError:
            return None

    def damage() -> None:
        name = parse_narinfo(narinfo(app.path) or b"", app.path).url
        data = bytearray(target.read(name, MIB))
        data[len(data) // 2] ^= 1
        target.put(name, bytes(data))

    return Bench(
        surface("source", app),
        release(closure(app, lib)),
        surface("rival", other),
        release(closure(other, lib)),
        is_visible=lambda: any(narinfo(path) for path in (app.path, lib.path)),
        damage=damage,
    )


def oci(folder: Path) -> Bench:
    image = make_image(folder / "staging")
    newer = make_image(folder / "staging", seed="newer")
    surface = OciSurface(layouts(folder / "durable"), OciStaging(layouts(folder / "staging")))
    layout = OciLayout(folder / "durable", "released/dashboard")
    return Bench(
        surface,
        release_of(image, "v1"),
        surface,
        release_of(newer, "v1"),
        is_visible=lambda: (layout.path / "index.json").exists() and layout.tag("v1") is not None,
        damage=lambda: harm(blob_file(layout.path, image.platforms[PLATFORMS[0]])),
    )


def harm(*manifests: Path) -> None:
    for manifest in manifests:
        manifest.chmod(0o644)
        manifest.write_bytes(manifest.read_bytes().replace(b"sha256", b"sha257", 1))


def from_layouts_to(target: str) -> Callable[[Path, Registries], Bench]:
    """Staging in a folder, published into a registry, read back by whoever may only pull."""

    def bench(folder: Path, registries: Registries) -> Bench:
        realm = urlsplit(registries("token_issuer").realm).netloc
        return over_http(folder, registries(target), layouts(folder / "staging"), target, realm)

    return bench


def between(source: str, target: str) -> Callable[[Path, Registries], Bench]:
    """Staging in one registry, published into another one, or into another repository of the same."""

    def bench(folder: Path, registries: Registries) -> Bench:
        staging = repositories(registries(source), f"{folder.name}/staging")
        found = over_http(folder, registries(target), staging, target)
        push(folder / "staging" / REPOSITORY, registries(source), f"{folder.name}/staging/{REPOSITORY}")
        return found

    return bench


def over_http(
    folder: Path, server: Server, staging: Callable[[str], Repository], target: str, realm: str = ""
) -> Bench:
    image, newer = (make_image(folder / "staging", seed=f"{folder}{each}") for each in "ab")
    prefix, hosts = f"{folder.name}/durable", [realm] if realm else []
    publisher = repositories(server, prefix, pusher=target.startswith("registry_with"), hosts=hosts)
    consumer = repositories(server, prefix, pusher=target == "registry_with_basic", hosts=hosts)
    surface = OciSurface(publisher, OciStaging(staging), consumer=consumer)
    return Bench(
        surface,
        release_of(image, "v1"),
        surface,
        release_of(newer, "v1"),
        is_visible=lambda: publisher("released/dashboard").tag("v1") is not None,
        damage=lambda: harm(*stored(server, image.platforms[PLATFORMS[0]])),
    )


def from_registry_to_layouts(folder: Path, registries: Registries) -> Bench:
    found = oci(folder)
    push(folder / "staging" / REPOSITORY, registries("registry"), f"{folder.name}/staging/{REPOSITORY}")
    staging = repositories(registries("registry"), f"{folder.name}/staging")
    surface = OciSurface(layouts(folder / "durable"), OciStaging(staging))
    return replace(found, surface=surface, rival_surface=surface)


def fake(folder: Path) -> Bench:
    staged = folder / "staging"
    surface = FakeSurface()
    image, newer = make_image(staged), make_image(staged, seed="newer")
    return Bench(
        surface,
        release_of(image, "v1"),
        surface,
        release_of(newer, "v1"),
        is_visible=lambda: "v1" in surface.names,
        damage=lambda: surface.bodies.update({f"manifest {image.manifest}": "sha256:" + "0" * 64}),
    )


def with_parts(name: str, make: Callable[[Path, Registries], Bench], *parts: str) -> ParameterSet:
    return pytest.param(make, id=name, marks=pytest.mark.peer(*parts))


REGISTRIES = [
    with_parts("layouts to a registry", from_layouts_to("registry"), "docker-registry"),
    with_parts("layouts to a registry with referrers", from_layouts_to("referrers_registry"), "olareg"),
    with_parts("layouts to a registry with tokens", from_layouts_to("registry_with_token"), "docker-registry"),
    with_parts("layouts to a registry with basic auth", from_layouts_to("registry_with_basic"), "docker-registry"),
    with_parts("within a registry", between("registry", "registry"), "docker-registry"),
    with_parts("within a registry with referrers", between("referrers_registry", "referrers_registry"), "olareg"),
    with_parts("between registries", between("referrers_registry", "registry"), "docker-registry", "olareg"),
    with_parts("a registry to layouts", from_registry_to_layouts, "docker-registry"),
]
NIX_SERVERS = [
    with_parts("nix over http put", nix_over_http, "nginx"),
    pytest.param(nix_in_s3, id="nix in s3"),
]


@pytest.fixture(params=[nix, oci, fake, *NIX_SERVERS, *REGISTRIES])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    needs_servers = request.param not in (nix, oci, fake)
    found: Bench = request.param(tmp_path, *([request.getfixturevalue] if needs_servers else []))
    return found


def is_whole(readings: tuple[Reading, ...]) -> bool:
    good = [r.state is ReadState.READ and r.digest == r.expected_digest and not r.index_problems for r in readings]
    return bool(good) and all(good)


def test_a_plan_for_an_empty_surface_wants_everything_and_writes_nothing(bench: Bench) -> None:
    plan = bench.surface.plan(bench.release)
    assert plan.release == bench.release
    assert plan.missing
    assert plan.present == ()
    assert plan.names
    assert bench.release.artifact.digest.hex in plan.reference or bench.release.artifact.name in plan.reference
    assert bench.surface.plan(bench.release) == plan
    assert not bench.is_visible()


def test_a_name_is_visible_only_after_the_last_step(bench: Bench) -> None:
    plan = bench.surface.plan(bench.release)
    bench.surface.copy(plan, silent)
    assert not bench.is_visible()
    bench.surface.attach(plan, PROOFS)
    assert not bench.is_visible()
    bench.surface.reveal(plan)
    assert bench.is_visible()


def test_the_last_word_is_asked_while_it_is_out_of_sight_and_can_leave_it_there(bench: Bench) -> None:
    plan = bench.surface.plan(bench.release)
    bench.surface.copy(plan, silent)
    bench.surface.attach(plan, PROOFS)
    # Of a closure the members that the root refers to may be there by then; they lead nobody to it.
    leading = {name for name in plan.names if name in {bench.release.artifact.name, *bench.release.tags}}
    out_of_sight: list[bool] = []

    def look() -> None:
        out_of_sight.append(leading <= set(bench.surface.plan(bench.release).names))

    def refuse() -> None:
        look()
        raise PublicationError("it is held")

    with pytest.raises(PublicationError, match="it is held"):
        bench.surface.reveal(plan, refuse)
    look()
    bench.surface.reveal(plan, look)
    look()
    assert out_of_sight == [True, True, True, False]
    assert is_whole(bench.surface.read_back(bench.release, silent, PROOFS))


def test_after_all_steps_nothing_is_left_to_plan_and_all_reads_back(bench: Bench) -> None:
    first = bench.surface.plan(bench.release)
    bench.publish()
    again = bench.surface.plan(bench.release)
    assert again.reference == first.reference
    assert (again.missing, again.names) == ((), ())
    assert set(again.present) == set(first.missing)
    assert is_whole(bench.surface.read_back(bench.release, silent, PROOFS))


def test_each_step_may_be_repeated(bench: Bench) -> None:
    plan = bench.surface.plan(bench.release)
    for _ in range(2):
        bench.surface.copy(plan, silent)
    for _ in range(2):
        bench.surface.attach(plan, PROOFS)
    for _ in range(2):
        bench.surface.reveal(plan)
    bench.publish()
    assert is_whole(bench.surface.read_back(bench.release, silent))
    assert envelopes(bench.surface, bench.release) == sorted(proof.envelope for proof in PROOFS)


def test_there_are_no_proofs_before_they_are_attached(bench: Bench) -> None:
    assert bench.surface.proofs(bench.release) == ()


def test_progress_is_told_of_bytes(bench: Bench) -> None:
    copied: list[int] = []
    read: list[int] = []
    bench.surface.copy(bench.surface.plan(bench.release), copied.append)
    bench.publish()
    bench.surface.read_back(bench.release, read.append)
    assert sum(copied) > 0
    assert sum(read) > 0


def test_a_name_that_holds_other_content_is_refused_in_the_plan(bench: Bench) -> None:
    bench.publish()
    with pytest.raises(NameTakenError) as refused:
        bench.rival_surface.plan(bench.rival)
    assert bench.rival.artifact.digest.hex in str(refused.value)
    assert is_whole(bench.surface.read_back(bench.release, silent))


def test_a_name_that_was_taken_since_the_plan_is_not_taken_over(bench: Bench) -> None:
    plan = bench.surface.plan(bench.release)
    bench.surface.copy(plan, silent)
    publish(bench.rival_surface, bench.rival)
    with pytest.raises(NameTakenError):
        bench.surface.reveal(plan)
    assert is_whole(bench.rival_surface.read_back(bench.rival, silent))


def test_what_was_not_copied_cannot_be_revealed(bench: Bench) -> None:
    with pytest.raises((PublicationError, ReadError)):
        bench.surface.reveal(bench.surface.plan(bench.release))
    assert not bench.is_visible()


def test_reading_back_what_is_not_there_never_looks_whole(bench: Bench) -> None:
    assert not is_whole(bench.surface.read_back(bench.release, silent))


def test_reading_back_sees_damage(bench: Bench) -> None:
    bench.publish()
    bench.damage()
    assert not is_whole(bench.surface.read_back(bench.release, silent))


def test_publishers_at_the_same_time_converge(bench: Bench) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(bench.publish) for _ in range(8)]:
            done.result()
    assert is_whole(bench.surface.read_back(bench.release, silent))
    assert envelopes(bench.surface, bench.release) == sorted(proof.envelope for proof in PROOFS)


def withdraw(bench: Bench, *others: str) -> Unpublished:
    return bench.surface.withdraw(bench.release, MARK, others)


def test_what_is_withdrawn_is_marked_and_found_by_no_name_unless_the_place_refuses_that(bench: Bench) -> None:
    bench.publish()
    gone = withdraw(bench)
    assert bool(gone.removed) is not bool(gone.remaining)
    assert bench.is_visible() is bool(gone.remaining)
    assert MARK.envelope in envelopes(bench.surface, bench.release)
    if gone.remaining:
        assert "lets nobody delete tags (4" in gone.remaining[0]


def test_withdrawing_again_changes_nothing(bench: Bench) -> None:
    bench.publish()
    first = withdraw(bench)
    assert withdraw(bench) == Unpublished(remaining=first.remaining)
    assert envelopes(bench.surface, bench.release).count(MARK.envelope) == 1


def test_tags_that_the_release_did_not_set_go_or_are_told_as_well(bench: Bench) -> None:
    if not bench.release.tags:
        pytest.skip("a closure has no tags")
    bench.publish()
    also = bench.release.model_copy(update={"tags": ("also",), "moving": ()})
    bench.surface.reveal(bench.surface.plan(also))
    gone = withdraw(bench)
    told = " ".join(gone.removed or gone.remaining)
    assert "also" in told
    assert all(tag in told for tag in bench.release.tags)


def test_withdrawing_leaves_a_name_that_holds_other_content(bench: Bench) -> None:
    bench.publish()
    if withdraw(bench).remaining:
        pytest.skip("its names are immutable and stay")
    plan = bench.rival_surface.plan(bench.rival)  # without proofs: in a Nix cache the mark has their name for good
    bench.rival_surface.copy(plan, silent)
    bench.rival_surface.reveal(plan)
    withdraw(bench, *([bench.rival.artifact.root] if isinstance(bench.rival.artifact, NixClosure) else []))
    assert bench.is_visible()
    assert is_whole(bench.rival_surface.read_back(bench.rival, silent))


def test_a_closure_that_is_withdrawn_leaves_what_another_one_needs(tmp_path: Path) -> None:
    bench = nix(tmp_path)
    bench.publish()
    app, lib = (member.path for member in closure_of(bench.release).members)
    assert withdraw(bench, lib).removed == (app,)
    assert withdraw(bench).removed == (lib,)


def test_a_root_that_another_closure_needs_stays_marked_and_says_why(tmp_path: Path) -> None:
    bench = nix(tmp_path)
    bench.publish()
    gone = withdraw(bench, closure_of(bench.release).root)
    assert gone.removed == ()
    assert "needed by something else" in gone.remaining[0]
    assert MARK.envelope in envelopes(bench.surface, bench.release)


def test_a_withdrawal_that_is_cut_off_shows_nothing_that_refers_to_what_is_gone_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = nix(tmp_path)
    removed: list[str] = []
    bench.publish()
    app, lib = (member.path for member in closure_of(bench.release).members)
    whole = DurableFolder.remove

    def cut_off(folder: DurableFolder, name: str) -> bool:
        if removed:
            raise PublicationError("The disk went away.")
        removed.append(name)
        return whole(folder, name)

    with monkeypatch.context() as patched:
        patched.setattr(DurableFolder, "remove", cut_off)
        with pytest.raises(PublicationError):
            withdraw(bench)
    assert removed == [narinfo_name(app)]
    assert MARK.envelope in envelopes(bench.surface, bench.release), "the mark comes first"
    assert withdraw(bench).removed == (lib,)


def test_a_narinfo_of_others_that_cannot_be_read_keeps_all_that_they_may_need_and_not_the_root(tmp_path: Path) -> None:
    bench = nix(tmp_path)
    bench.publish()
    app, lib = (member.path for member in closure_of(bench.release).members)
    other = f"/nix/store/{'0' * 32}-other"
    narinfo = tmp_path / "target" / narinfo_name(other)
    narinfo.write_bytes(b"nonsense")
    gone = withdraw(bench, other)
    assert gone.removed == (app,)
    assert gone.remaining[0].startswith(f"what {other} needs cannot be told: ")
    assert MARK.envelope in envelopes(bench.surface, bench.release)
    narinfo.unlink()
    assert withdraw(bench, other) == Unpublished(removed=(lib,))


def test_a_narinfo_of_its_own_that_cannot_be_read_keeps_what_it_may_refer_to_and_not_the_mark(tmp_path: Path) -> None:
    bench = nix(tmp_path)
    bench.publish()
    app, lib = (member.path for member in closure_of(bench.release).members)
    (tmp_path / "target" / narinfo_name(app)).write_bytes(b"nonsense")
    gone = withdraw(bench)
    assert gone.removed == ()
    assert gone.remaining[0].startswith(f"{app}, and what it refers to: ")
    assert (tmp_path / "target" / narinfo_name(lib)).exists()
    assert MARK.envelope in envelopes(bench.surface, bench.release)


def closure_of(wanted: Release) -> NixClosure:
    assert isinstance(wanted.artifact, NixClosure)
    return wanted.artifact
