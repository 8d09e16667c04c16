"""One NAR from cache to cache: large ones stream, and what a source says of a file is never simply believed."""

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.closure import members
from flywheel_assets.adapters.nix.copying import Filed, copy_nar
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.domain.digests import FileHash
from flywheel_assets.domain.errors import PublicationError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, MIB
from flywheel_assets_tests.adapters.nix.making import PACK, Cache, Made, closure, made

CHANCE = random.Random(7)  # noqa: S311 - bytes that do not compress, the same in every run
LARGE = made("large", contents=CHANCE.randbytes(5 * MIB))
OTHER = made("other", contents=CHANCE.randbytes(5 * MIB))


class Target(DurableFolder):
    """A durable folder that keeps in mind what was uploaded to it, finished or not."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sent: list[int] = []

    def upload(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        def watched() -> Iterator[bytes]:
            for chunk in chunks:
                self.sent.append(len(chunk))
                yield chunk

        super().upload(name, size, watched())


@pytest.fixture
def source(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    found = Target(tmp_path / "target")
    found.prepare("nar")
    return found


def copy(source: Cache, target: Target, path: Made = LARGE) -> tuple[Filed, int]:
    """What was filed, and the bytes that were read of the source's file."""
    read: list[int] = []
    cache, expected = NixCache(CacheFolder(source.folder)), members(closure(path))[path.path]
    return copy_nar(cache, expected, target, DEFAULT_LIMITS, read.append), sum(read)


def nars(target: Target) -> dict[str, bytes]:
    return {f"nar/{path.name}": path.read_bytes() for path in (target.path / "nar").iterdir()}


@pytest.mark.parametrize("compression", ["zstd", "xz"])
def test_a_large_file_whose_hash_is_known_is_read_once(source: Cache, target: Target, compression: str) -> None:
    source.compression = compression
    source.add(LARGE)
    filed, read = copy(source, target)
    data = source.body(LARGE.path).read_bytes()
    assert filed == Filed(compression, FileHash.of(data), len(data))
    assert nars(target) == {filed.name: data}
    assert read == sum(target.sent) == len(data)


def test_a_large_file_whose_hash_nobody_says_is_read_twice(source: Cache, target: Target) -> None:
    source.add(LARGE, file_hash=None, file_size=None)
    filed, read = copy(source, target)
    data = source.body(LARGE.path).read_bytes()
    assert filed == Filed("zstd", FileHash.of(data), len(data))
    assert nars(target) == {filed.name: data}
    assert read == 2 * len(data)


@pytest.mark.parametrize("compression", ["bzip2", "none"])
def test_a_large_file_that_is_not_passed_through_becomes_zstd(source: Cache, target: Target, compression: str) -> None:
    source.compression = compression
    source.add(LARGE)
    filed, _ = copy(source, target)
    data = nars(target)[filed.name]
    assert filed == Filed("zstd", FileHash.of(data), len(data))
    again = Cache(target.path.parent / "again")
    again.add(LARGE, file_hash=filed.hash, file_size=filed.size, url=filed.name)
    (again.folder / filed.name).write_bytes(data)
    assert copy(again, target)[0] == filed


def test_a_large_file_that_is_there_already_is_not_sent_again(source: Cache, target: Target) -> None:
    source.add(LARGE)
    filed, _ = copy(source, target)
    target.sent.clear()
    assert copy(source, target)[0] == filed
    assert target.sent == []


def test_a_damaged_file_that_is_there_already_is_sent_again(source: Cache, target: Target) -> None:
    source.add(LARGE)
    filed, _ = copy(source, target)
    whole = nars(target)
    place = target.path / filed.name
    place.write_bytes(bytes(len(whole[filed.name])))
    copy(source, target)
    assert nars(target) == whole


def test_a_source_that_names_another_file_of_the_target_is_refused(source: Cache, target: Target) -> None:
    source.add(OTHER)
    other, _ = copy(source, target, OTHER)
    before = nars(target)
    source.add(LARGE, file_hash=other.hash, file_size=other.size)
    with pytest.raises(PublicationError, match="its narinfo says"):
        copy(source, target)
    assert nars(target) == before


@pytest.mark.parametrize("lie", [-1, -3 * MIB, 1, 3 * MIB])
def test_no_more_is_sent_than_was_announced_and_a_wrong_size_is_refused(
    source: Cache, target: Target, lie: int
) -> None:
    size = len(PACK["zstd"](LARGE.body))
    source.add(LARGE, file_size=size + lie)
    with pytest.raises(PublicationError, match="was said to be otherwise"):
        copy(source, target)
    assert sum(target.sent) < size + lie
    assert nars(target) == {}


def test_the_last_piece_of_a_bad_file_is_never_sent(source: Cache, target: Target) -> None:
    lying = Made(LARGE.path, LARGE.body[:-8] + b"12345678")
    source.add(lying)
    with pytest.raises(PublicationError, match="was approved"):
        copy(source, target)
    assert sum(target.sent) < source.body(LARGE.path).stat().st_size
    assert nars(target) == {}


def test_memory_is_bounded_whatever_the_size(source: Cache, target: Target) -> None:
    huge = made("huge", contents=CHANCE.randbytes(MIB) * 40)
    source.compression = "none"
    source.add(huge, compression="zstd", file_hash=None, file_size=None)
    stored = b"".join(PACK["zstd"](huge.body[start : start + MIB]) for start in range(0, len(huge.body), MIB))
    source.body(huge.path).write_bytes(stored)
    tracemalloc.start()
    copy(source, target, huge)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(target.sent) == len(stored) > 40 * MIB
    assert peak < 12 * MIB


def test_a_small_file_is_put_under_its_own_hash(source: Cache, target: Target) -> None:
    small = made("small")
    source.add(small, file_hash=None, file_size=None)
    filed, read = copy(source, target, small)
    data = source.body(small.path).read_bytes()
    assert filed == Filed("zstd", FileHash.of(data), len(data))
    assert nars(target) == {filed.name: data}
    assert (read, target.sent) == (len(data), [])
    assert copy(source, target, small) == (filed, read)
