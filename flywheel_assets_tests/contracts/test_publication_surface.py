"""What every publication surface holds to: the durable Nix cache, the OCI layouts and the fake."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciLayoutSurface
from flywheel_assets.domain.errors import NameTakenError, PublicationError, ReadError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.publications import Proof, Release
from flywheel_assets.ports import PublicationSurface
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, made, nar, release
from flywheel_assets_tests.adapters.oci.images import PLATFORMS, blob_file, make_image, release_of
from flywheel_assets_tests.fakes import FakeSurface

PROOFS = (
    Proof(name="provenance", predicate_type="p", envelope=b'{"payload":"cA=="}'),
    Proof(name="vsa", predicate_type="v", envelope=b'{"payload":"dg=="}'),
)
KEY = NixSigningKey.generate("release-1")


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
    lib = made("lib")
    app = made("app", [lib.path])
    other = Made(app.path, nar(b"other"), app.references)
    target = folder / "target"

    def surface(name: str, root: Made) -> NixCacheSurface:
        source = Cache(folder / name)
        source.add(lib)
        source.add(root)
        return NixCacheSurface(target, NixCache(source.folder), KEY)

    def damage() -> None:
        body = max((target / "nar").iterdir(), key=lambda path: path.name)
        data = bytearray(body.read_bytes())
        data[len(data) // 2] ^= 1
        body.write_bytes(data)

    return Bench(
        surface("source", app),
        release(closure(app, lib)),
        surface("rival", other),
        release(closure(other, lib)),
        is_visible=lambda: bool(list(target.glob("*.narinfo"))),
        damage=damage,
    )


def oci(folder: Path) -> Bench:
    image = make_image(folder / "staging")
    newer = make_image(folder / "staging", seed="newer")
    surface = OciLayoutSurface(folder / "durable", OciStaging(folder / "staging"))
    layout = OciLayout(folder / "durable", "released/dashboard")

    def damage() -> None:
        path = blob_file(folder / "durable/released/dashboard", image.platforms[PLATFORMS[0]])
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257", 1))

    return Bench(
        surface,
        release_of(image, "v1"),
        surface,
        release_of(newer, "v1"),
        is_visible=lambda: (layout.path / "index.json").exists() and layout.tag("v1") is not None,
        damage=damage,
    )


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


@pytest.fixture(params=[nix, oci, fake])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    found: Bench = request.param(tmp_path)
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


def test_after_all_steps_nothing_is_left_to_plan_and_all_reads_back(bench: Bench) -> None:
    first = bench.surface.plan(bench.release)
    bench.publish()
    again = bench.surface.plan(bench.release)
    assert again.reference == first.reference
    assert (again.missing, again.names) == ((), ())
    assert set(again.present) == set(first.missing)
    assert is_whole(bench.surface.read_back(bench.release, silent))


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
    assert sorted(bench.surface.proofs(bench.release)) == sorted(proof.envelope for proof in PROOFS)


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
    assert sorted(bench.surface.proofs(bench.release)) == sorted(proof.envelope for proof in PROOFS)
