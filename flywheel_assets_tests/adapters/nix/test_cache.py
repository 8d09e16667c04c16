"""Inspecting a mutable cache: each way in which it can be wrong has its own reading."""

import os
from pathlib import Path

import pytest

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest, FileHash, NarHash
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.nix.make_vectors import FOLDER
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, ignored, made, nar, store_path

UPSTREAM = NixSigningKey.generate("upstream-1")
LIB = made("lib")
APP = made("app", [LIB.path, store_path("app")])  # with a reference to itself


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    found = Cache(tmp_path / "cache")
    found.add(LIB)
    found.add(APP)
    return found


def inspect(cache: Cache, *paths: Made, limits: Limits | None = None) -> dict[str, Reading]:
    reader = NixCache(cache.folder, (UPSTREAM.public_text,), limits or Limits())
    readings = reader.inspect(closure(*(paths or (APP, LIB))), ignored)
    assert [reading.member for reading in readings] == sorted(reading.member for reading in readings)
    return {reading.member: reading for reading in readings}


@pytest.mark.parametrize("compression", ["zstd", "xz", "bzip2", "none"])
def test_a_sound_closure_is_read_whole(tmp_path: Path, compression: str) -> None:
    cache = Cache(tmp_path / "cache", compression)
    cache.add(LIB)
    cache.add(APP)
    seen: list[int] = []
    readings = NixCache(cache.folder).inspect(closure(APP, LIB), seen.append)
    assert {reading.member for reading in readings} == {APP.path, LIB.path}
    for reading in readings:
        assert reading.state is ReadState.READ
        assert reading.digest == reading.expected_digest == str(NarHash.of(cache.paths[reading.member].body))
        assert reading.size == reading.expected_size
        assert reading.index_problems == reading.added_references == ()
    assert sum(seen) == sum(path.stat().st_size for path in (cache.folder / "nar").iterdir())


def test_a_missing_narinfo_and_a_missing_file_are_absent(cache: Cache) -> None:
    cache.narinfo(LIB.path).unlink()
    cache.body(APP.path).unlink()
    readings = inspect(cache)
    assert [reading.state for reading in readings.values()] == [ReadState.ABSENT] * 2
    assert readings[LIB.path].expected_digest == str(NarHash.of(LIB.body))


def test_an_empty_and_a_truncated_file_are_told_apart(cache: Cache) -> None:
    cache.body(LIB.path).write_bytes(b"")
    cache.body(APP.path).write_bytes(cache.body(APP.path).read_bytes()[:-4])
    readings = inspect(cache)
    assert readings[LIB.path].state is ReadState.EMPTY
    assert readings[APP.path].state is ReadState.TRUNCATED


def test_other_bytes_are_read_and_their_digest_differs(cache: Cache) -> None:
    cache.add(Made(APP.path, nar(b"bad" * 50), APP.references))
    reading = inspect(cache)[APP.path]
    evil = NarHash.of(nar(b"bad" * 50))
    honest = NarHash.of(APP.body)
    assert reading.digest == str(evil)
    assert reading.expected_digest == str(honest)
    assert f"narinfo says NarHash {evil}, the receipt {honest}" in reading.index_problems


def test_a_bomb_is_stopped_at_the_size_that_the_receipt_declares(cache: Cache) -> None:
    cache.body(APP.path).write_bytes((FOLDER / "bomb.nar.zst").read_bytes())
    reading = inspect(cache)[APP.path]
    assert reading.state is ReadState.TOO_LARGE
    assert reading.size <= len(APP.body) + 1


def test_what_the_narinfo_says_otherwise_than_the_receipt_is_listed(cache: Cache) -> None:
    cache.add(APP, nar_size=7, references=(store_path("foreign"),), file_size=3, file_hash=FileHash.of(b""))
    reading = inspect(cache)[APP.path]
    assert reading.state is ReadState.READ
    assert reading.added_references == (store_path("foreign"),)
    assert [problem.split(",")[0] for problem in reading.index_problems] == [
        "narinfo says NarSize 7",
        "narinfo lacks 2 reference(s) that the receipt lists",
        f"narinfo says FileHash {FileHash.of(b'')}",
        "narinfo says FileSize 3",
    ]


def test_a_narinfo_of_another_path_is_a_problem(cache: Cache) -> None:
    cache.add(LIB)
    cache.narinfo(APP.path).write_bytes(cache.narinfo(LIB.path).read_bytes())
    problems = inspect(cache)[APP.path].index_problems
    assert f"narinfo says StorePath {LIB.path}, the receipt {APP.path}" in problems


@pytest.mark.parametrize(
    "name",
    ["url-absolute", "url-rooted", "url-traversal", "url-backslash", "url-escaped", "url-query", "url-dot"],
)
def test_a_url_that_leaves_the_cache_is_malformed(cache: Cache, name: str) -> None:
    line = next(row for row in (FOLDER / f"{name}.narinfo").read_text().splitlines() if row.startswith("URL"))
    (cache.folder.parent / "secret").write_bytes(LIB.body)
    cache.add(APP, url=line.removeprefix("URL: "))
    reading = inspect(cache)[APP.path]
    assert reading.state is ReadState.MALFORMED
    assert "is not a file name below the cache" in reading.detail


@pytest.mark.parametrize("what", ["file", "folder", "narinfo"])
def test_a_symbolic_link_out_of_the_cache_is_malformed(cache: Cache, what: str) -> None:
    place = {
        "file": cache.body(APP.path),
        "folder": cache.folder / "nar",
        "narinfo": cache.narinfo(APP.path),
    }[what]
    outside = cache.folder.parent / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    reading = inspect(cache)[APP.path]
    assert reading.state is ReadState.MALFORMED
    assert "symbolic link" in reading.detail


@pytest.mark.timeout(20)
def test_a_pipe_or_a_folder_in_place_of_a_file_is_malformed(cache: Cache) -> None:
    cache.body(APP.path).unlink()
    os.mkfifo(cache.folder / "pipe")
    cache.add(APP, url="pipe")
    cache.add(LIB, url="nar")
    assert {reading.state for reading in inspect(cache).values()} == {ReadState.MALFORMED}


def test_a_file_that_may_not_be_read_is_unauthorised(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def refuse(path: str, *args: object, **keywords: object) -> int:
        if str(path).endswith(".narinfo"):
            raise PermissionError(13, "no")
        return really(path, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    assert {reading.state for reading in inspect(cache).values()} == {ReadState.UNAUTHORISED}


def test_a_disk_that_fails_is_unreadable(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def fail(path: str, *args: object, **keywords: object) -> int:
        if str(path).endswith(".narinfo"):
            raise OSError(5, "Input/output error")
        return really(path, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", fail)
    assert {reading.state for reading in inspect(cache).values()} == {ReadState.UNREADABLE}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("StoreDir: /gnu/store\n", ReadState.MALFORMED),
        ("Priority: 1\n", ReadState.MALFORMED),
        ("StoreDir: /nix/store\nStoreDir: /other\n", ReadState.MALFORMED),
        (None, ReadState.ABSENT),
    ],
)
def test_a_cache_for_another_store_folder_says_nothing(cache: Cache, text: str | None, state: ReadState) -> None:
    place = cache.folder / "nix-cache-info"
    place.unlink() if text is None else place.write_text(text)
    assert {reading.state for reading in inspect(cache).values()} == {state}


def test_an_oversized_narinfo_is_too_large(cache: Cache) -> None:
    cache.narinfo(APP.path).write_bytes(b"x" * 2000)
    assert inspect(cache, limits=Limits(narinfo_bytes=1000))[APP.path].state is ReadState.TOO_LARGE


def test_a_path_that_the_receipt_does_not_list_needs_a_trusted_upstream_key(cache: Cache) -> None:
    base = made("base")
    lib = made("lib", [base.path])
    cache.add(lib, UPSTREAM)
    cache.add(base, NixSigningKey.generate("stranger"), UPSTREAM)
    readings = inspect(cache, APP)
    assert set(readings) == {APP.path, lib.path, base.path}
    assert readings[lib.path].vouched_by == readings[base.path].vouched_by == "upstream-1"
    assert readings[base.path].expected_digest == readings[base.path].digest == str(NarHash.of(base.body))
    assert readings[APP.path].vouched_by == ""


def test_without_such_a_signature_nothing_is_expected_and_nothing_followed(cache: Cache) -> None:
    lib = cache.add(made("lib", [store_path("base")]), NixSigningKey.generate("upstream-1"))
    readings = inspect(cache, APP)
    assert set(readings) == {APP.path, lib.path}
    assert readings[lib.path].state is ReadState.READ
    assert readings[lib.path].expected_digest == readings[lib.path].vouched_by == ""


def test_the_upstream_narinfo_of_another_path_vouches_for_nothing(cache: Cache) -> None:
    other = cache.add(made("other"), UPSTREAM)
    cache.narinfo(LIB.path).write_bytes(cache.narinfo(other.path).read_bytes())
    assert inspect(cache, APP)[LIB.path].vouched_by == ""


def test_references_that_only_the_narinfo_has_are_not_followed(cache: Cache) -> None:
    extra = cache.add(made("extra"), UPSTREAM)
    cache.add(APP, references=(*APP.references, extra.path))
    readings = inspect(cache)
    assert set(readings) == {APP.path, LIB.path}
    assert readings[APP.path].added_references == (extra.path,)


@pytest.mark.timeout(20)
def test_a_circle_of_references_ends(cache: Cache) -> None:
    one, two = store_path("one"), store_path("two")
    root = cache.add(Made(store_path("root"), nar(b"r" * 99), (one,)))
    cache.add(Made(one, nar(b"1" * 99), (two,)), UPSTREAM)
    cache.add(Made(two, nar(b"2" * 99), (one,)), UPSTREAM)
    assert set(inspect(cache, root)) == {root.path, one, two}


def test_an_endless_upstream_closure_is_cut_off_and_says_so(cache: Cache) -> None:
    for number in range(10):
        cache.add(made(f"p{number}", [store_path(f"p{number + 1}")]), UPSTREAM)
    readings = inspect(cache, cache.paths[store_path("p0")], limits=Limits(closure_members=5))
    assert [readings[store_path(f"p{number}")].state for number in range(6)] == [
        *[ReadState.READ] * 5,
        ReadState.TOO_LARGE,
    ]
    assert len(readings) == 6


def test_where_members_are_to_be_signed_an_unsigned_one_is_a_problem(cache: Cache) -> None:
    cache.add(LIB, UPSTREAM)
    reader = NixCache(cache.folder, (UPSTREAM.public_text,), members_are_signed=True)
    readings = {reading.member: reading for reading in reader.inspect(closure(APP, LIB), ignored)}
    assert readings[LIB.path].vouched_by == "upstream-1"
    assert readings[LIB.path].index_problems == ()
    assert readings[APP.path].vouched_by == ""
    assert "not signed for this path" in readings[APP.path].index_problems[0]


def test_what_progress_raises_ends_the_reading(cache: Cache) -> None:
    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NixCache(cache.folder).inspect(closure(APP, LIB), stop)


def test_another_kind_of_artifact_is_a_usage_error(cache: Cache) -> None:
    bazel = BazelOutputs(
        label="//:a",
        action=ActionDigest.of(b""),
        files=(BazelFile(path="a", digest=CasDigest.of(b""), size=0),),
    )
    with pytest.raises(UsageError, match="not bazel artifacts"):
        NixCache(cache.folder).inspect(bazel, ignored)


def test_a_trusted_key_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Nix public key"):
        NixCache(tmp_path, ("nonsense",))


def test_opening_a_nar_gives_its_narinfo_and_its_file(cache: Cache) -> None:
    info, chunks = NixCache(cache.folder).open_nar(APP.path)
    assert info.store_path == APP.path
    assert b"".join(chunks) == cache.body(APP.path).read_bytes()
    cache.add(APP, url="../x")
    with pytest.raises(InvalidInputError):
        NixCache(cache.folder).open_nar(APP.path)
    with pytest.raises(AbsentError):
        NixCache(cache.folder).open_nar(store_path("nowhere"))
