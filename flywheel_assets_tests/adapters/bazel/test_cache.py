"""Inspecting a cache, on disk and over HTTP: the result and every output, each way of being wrong told apart."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.adapters.bazel.cache import BazelCache, matching_actions
from flywheel_assets.adapters.bazel.entries import DiskEntries, HttpEntries
from flywheel_assets.adapters.bazel.messages import message_class
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ActionDigest, CasDigest, ManifestDigest
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.bazel.caches import (
    ACTION,
    BODIES,
    Cache,
    Remote,
    described,
    flat,
    in_subfolders,
    outputs,
)
from flywheel_assets_tests.scripted import Scripted
from flywheel_assets_tests.servers import WebServer
from flywheel_assets_tests.token_issuer import PASSWORD, USER

ACCOUNT = Credentials(user=USER, password=Secret(PASSWORD))


def nothing(count: int) -> None:
    """A progress that nobody watches."""


@pytest.fixture
def disk(tmp_path: Path) -> Cache:
    return Cache(in_subfolders(tmp_path), lambda _: DiskEntries(tmp_path)).fill()


@pytest.fixture
def webdav(nginx: WebServer) -> Cache:
    return Cache(flat(nginx.folder), lambda limits: HttpEntries(HttpClient(nginx.url), limits)).fill()


@pytest.fixture
def remote(tmp_path: Path, scripted: Scripted) -> Cache:
    client = HttpClient(Remote(tmp_path, scripted).url, ACCOUNT)
    return Cache(flat(tmp_path), lambda limits: HttpEntries(client, limits), hides_results=True).fill()


@pytest.fixture(params=["disk", pytest.param("webdav", marks=pytest.mark.peer("nginx")), "remote"])
def cache(request: pytest.FixtureRequest) -> Cache:
    made: Cache = request.getfixturevalue(request.param)
    return made


def inspect(cache: Cache, limits: Limits | None = None) -> tuple[Reading, ...]:
    limits = limits or Limits()
    return BazelCache(cache.entries(limits), limits).inspect(outputs(BODIES), nothing)


def test_the_action_and_every_output_are_read(cache: Cache) -> None:
    counted: list[int] = []
    readings = BazelCache(cache.entries(Limits())).inspect(outputs(BODIES), counted.append)
    assert [r.member for r in readings] == [f"action {ACTION.hex}", *(f"cas {path}" for path in BODIES)]
    assert {r.state for r in readings} == {ReadState.READ}
    assert all(r.digest == r.expected_digest and r.index_problems == () for r in readings)
    assert [r.size for r in readings[1:]] == [r.expected_size for r in readings[1:]]
    assert sum(counted) == sum(map(len, BODIES.values()))


def test_action_cache_bytes_are_never_hashed(cache: Cache) -> None:
    [action, *_] = inspect(cache)
    assert (action.digest, action.expected_digest) == ("", "")


def test_an_absent_action_is_told_apart_from_absent_blobs(cache: Cache) -> None:
    cache.entry("ac", ACTION).unlink()
    [action, *files] = inspect(cache)
    assert action.state is ReadState.ABSENT
    assert "All blobs that the receipt lists are" in action.detail
    assert {r.state for r in files} == {ReadState.READ}
    cache.put_result()
    cache.entry("cas", CasDigest.of(BODIES["bin/app"])).unlink()
    [action, app, *others] = inspect(cache)
    assert action.state is (ReadState.ABSENT if cache.hides_results else ReadState.READ)
    assert app.state is ReadState.ABSENT
    assert "outlives the blobs" in app.detail
    assert {r.state for r in others} == {ReadState.READ}


def test_of_an_absent_action_is_said_which_of_its_blobs_are_gone_too(cache: Cache) -> None:
    cache.entry("ac", ACTION).unlink()
    cache.entry("cas", CasDigest.of(BODIES["bin/app"])).unlink()
    assert "Nor are 1 of its 3 blobs, among them cas bin/app" in inspect(cache)[0].detail
    only = outputs({"bin/app": BODIES["bin/app"]})
    [action, _] = BazelCache(cache.entries(Limits())).inspect(only, nothing)
    assert "Nor is any of its blobs" in action.detail


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def put_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (lambda path: path.write_bytes(b""), ReadState.EMPTY),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), ReadState.TRUNCATED),
        (flip, ReadState.READ),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), ReadState.TOO_LARGE),
    ],
)
def test_a_harmed_blob_is_told(cache: Cache, harm: Callable[[Path], object], state: ReadState) -> None:
    harm(cache.entry("cas", CasDigest.of(BODIES["bin/app"])))
    found = inspect(cache)[1]
    assert found.state is state
    assert found.digest != found.expected_digest


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
        put_fifo,
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_in_a_folder_what_is_no_plain_file_is_malformed(disk: Cache, harm: Callable[[Path], object]) -> None:
    harm(disk.entry("cas", CasDigest.of(BODIES["bin/app"])))
    assert inspect(disk)[1].state is ReadState.MALFORMED


def test_an_output_that_the_action_result_names_otherwise_is_an_index_problem(cache: Cache) -> None:
    files = [{"path": path, "digest": described(data)} for path, data in BODIES.items()]
    files[0] = {"path": "bin/app", "digest": described(b"other")}
    files[2] = {"path": "bin/new", "digest": described(b"new")}
    cache.put("cas", CasDigest.of(b"other"), b"other")
    cache.put("cas", CasDigest.of(b"new"), b"new")
    cache.put_result(output_files=files, exit_code=3, output_symlinks=[{"path": "bin/link", "target": "/"}])
    [action, app, empty, notes] = inspect(cache)
    assert [problem.split(" ")[-1] for problem in action.index_problems] == ["3.", "bin/link.", "list."]
    assert len(app.index_problems) == 2
    assert empty.index_problems == ()
    assert "does not name bin/sub/notes.txt" in notes.index_problems[0]
    assert {r.state for r in (action, app, empty, notes)} == {ReadState.READ}


@pytest.mark.parametrize(
    ("data", "state"), [(b"", ReadState.EMPTY), (b"\xff", ReadState.MALFORMED), (b"x" * 2000, ReadState.TOO_LARGE)]
)
def test_a_harmed_action_result_is_told(cache: Cache, data: bytes, state: ReadState) -> None:
    cache.put("ac", ACTION, data)
    [action, *files] = inspect(cache, Limits(action_result_bytes=1000))
    assert action.state is state
    assert {r.state for r in files} == {ReadState.READ}


def test_a_blob_over_the_limit_is_told(cache: Cache) -> None:
    assert inspect(cache, Limits(blob_bytes=100))[1].state is ReadState.TOO_LARGE


def test_a_tree_that_does_not_match_its_digest_is_malformed(cache: Cache) -> None:
    cache.put_result(output_directories=[{"path": "bin/d", "tree_digest": described(b"tree")}])
    cache.put("cas", CasDigest.of(b"tree"), b"other")
    assert inspect(cache)[0].state is ReadState.MALFORMED


def test_a_tree_that_is_not_there_is_told_apart_from_an_action_that_is_not(cache: Cache) -> None:
    cache.put_result(output_directories=[{"path": "bin/d", "tree_digest": described(b"tree")}])
    [action, *files] = inspect(cache)
    assert action.state is ReadState.ABSENT
    hidden, seen = "that it alone names is gone", "there, but not the tree of bin/d"
    assert (hidden in action.detail, seen in action.detail) == (cache.hides_results, not cache.hides_results)
    assert {r.state for r in files} == {ReadState.READ}


def test_a_tree_whose_digest_is_none_is_malformed(disk: Cache) -> None:
    disk.put_result(output_directories=[{"path": "bin/d", "tree_digest": {"hash": "../../etc/passwd"}}])
    assert inspect(disk)[0].state is ReadState.MALFORMED


def test_a_cache_that_is_a_link_inside_is_refused(disk: Cache, tmp_path: Path) -> None:
    (tmp_path / "cas").rename(tmp_path / "moved")
    (tmp_path / "cas").symlink_to(tmp_path / "moved")
    assert inspect(disk)[1].state is ReadState.MALFORMED


def test_a_cache_that_is_not_there_is_absent(tmp_path: Path) -> None:
    nowhere = BazelCache(DiskEntries(tmp_path / "nowhere"))
    assert nowhere.inspect(outputs(BODIES), nothing)[0].state is ReadState.ABSENT


def test_what_is_no_bazel_output_is_not_asked_of_the_cache(cache: Cache) -> None:
    digest = ManifestDigest.of(b"")
    with pytest.raises(UsageError):
        BazelCache(cache.entries(Limits())).inspect(
            OciImage(repository="a", manifest=digest, platforms={"linux/amd64": digest}), nothing
        )


def test_what_progress_raises_comes_out(cache: Cache) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BazelCache(cache.entries(Limits())).inspect(outputs(BODIES), stop)


def test_actions_are_found_by_exactly_their_outputs(disk: Cache, tmp_path: Path) -> None:
    disk.put("ac", ActionDigest.of(b"broken"), b"\xff")
    disk.put("ac", ActionDigest.of(b"other"), message_class("ActionResult")(exit_code=1).SerializeToString())
    (tmp_path / "ac" / "tmp").mkdir()
    (tmp_path / "ac" / "tmp" / "being-written").touch()
    assert matching_actions(tmp_path, outputs(BODIES).files) == (ACTION,)
    assert matching_actions(tmp_path, outputs(BODIES).files[:2]) == ()


def test_a_cache_folder_that_cannot_be_listed_is_an_error(disk: Cache, tmp_path: Path) -> None:
    (tmp_path / "ac" / "0f").touch()
    with pytest.raises(InvalidInputError):
        matching_actions(tmp_path, outputs(BODIES).files)
    with pytest.raises(AbsentError):
        matching_actions(tmp_path / "nowhere", outputs(BODIES).files)
