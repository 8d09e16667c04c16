"""Whatever is done to the files of the evidence store, what was refused stays refused."""

import json
import random
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.promotion.installation import REFUSED, Installation, published

OTHERS = 10


def delete(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


HARMS = (delete, flip, truncate)


def concerned(place: Installation, flywheel: Flywheel, output: str, build: BuildKey) -> set[str]:
    """The files that hold something about the build: its log, its evidence, its checkpoint."""
    named = {str(digest.hex) for digest in assemble(flywheel, output, build).digests}
    for entry in flywheel.evidence.entries(f"output-{output}"):
        if entry.subject == str(build):
            named.add(entry.evidence.hex)
    blobs = {f"evidence/blobs/sha256/{name[:2]}/{name}" for name in named}
    log = {name for name in place.files("evidence/logs") if f"/output-{output}/" in name}
    mine = {name for name in log if str(build) in json.dumps(_payload(place.home / name))}
    return blobs | mine | {f"checkpoints/output-{output}.json"}


def _payload(path: Path) -> object:
    return json.loads(b64decode(json.loads(path.read_bytes())["payload"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return published().copy(tmp_path_factory.mktemp("fail-closed") / "home")


@pytest.fixture(scope="module")
def flywheel(place: Installation) -> Flywheel:
    return place.open()


@pytest.fixture(autouse=True)
def restored(place: Installation) -> Iterator[None]:
    """Evidence and checkpoints as they were, after each test."""
    kept = place.home.parent / "kept"
    for name in ("evidence", "checkpoints"):
        shutil.copytree(place.home / name, kept / name)
    yield
    for name in ("evidence", "checkpoints"):
        shutil.rmtree(place.home / name)
        (kept / name).rename(place.home / name)


def still_refused(place: Installation, flywheel: Flywheel, output: str, build: BuildKey) -> None:
    """Promoting fails and judging does not pass, for a process that sees this store for the first time."""
    with pytest.raises(FlywheelError):
        promote(place.reopen(flywheel), output, build)
    try:
        verdict = judge(place.reopen(flywheel), output, build).verdict
    except FlywheelError:
        return
    assert not verdict.publishable


@pytest.mark.parametrize(("output", "build"), REFUSED, ids=lambda value: str(value).partition(".")[0])
@pytest.mark.parametrize("harm", HARMS)
def test_no_harm_to_a_file_of_the_store_lets_a_refused_build_out(
    place: Installation, flywheel: Flywheel, output: str, build: BuildKey, harm: Callable[[Path], None]
) -> None:
    everything = [*place.files("evidence"), *place.files("checkpoints")]
    mine = concerned(place, flywheel, output, build) & set(everything)
    assert len(mine) >= 4
    chance = random.Random(f"{output} {build}")  # noqa: S311 - the same files in every run
    rest = chance.sample(sorted(set(everything) - mine), OTHERS)
    surfaces = place.files("surfaces")
    for name in sorted(mine | set(rest)):
        path = place.home / name
        if not path.exists() or not path.stat().st_size:
            continue
        data = path.read_bytes()
        harm(path)
        still_refused(place, flywheel, output, build)
        path.write_bytes(data)
    assert place.files("surfaces") == surfaces


@pytest.mark.parametrize("output", ["tide-clock", "chart-plotter"])
def test_no_two_log_entries_can_change_places_or_be_doubled(
    place: Installation, flywheel: Flywheel, output: str
) -> None:
    log = sorted((place.home / f"evidence/logs/output-{output}").glob("*.json"))
    refusals = [build for name, build in REFUSED if name == output]
    chance = random.Random(7)  # noqa: S311 - the same pairs in every run
    for _ in range(12):
        one, other = chance.sample(log, 2)
        kept = one.read_bytes(), other.read_bytes()
        one.write_bytes(kept[1])
        other.write_bytes(chance.choice(kept))
        still_refused(place, flywheel, output, chance.choice(refusals))
        one.write_bytes(kept[0])
        other.write_bytes(kept[1])


def test_a_store_that_is_gone_lets_nothing_out(place: Installation, flywheel: Flywheel) -> None:
    shutil.rmtree(place.home / "evidence")
    (place.home / "evidence").mkdir()
    for output, build in REFUSED:
        still_refused(place, flywheel, output, build)
