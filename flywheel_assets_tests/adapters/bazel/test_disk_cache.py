"""Inspecting a disk cache: the action result and every output, each way of being wrong told apart."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.adapters.bazel.disk_cache import BazelDiskCache, matching_actions
from flywheel_assets.adapters.bazel.messages import message_class
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs, OciImage
from flywheel_assets.domain.digests import ActionDigest, CasDigest, ManifestDigest
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import Limits

ACTION = ActionDigest.of(b"an action")
BODIES = {"bin/app": b"machine code" * 100, "bin/empty": b"", "bin/sub/notes.txt": b"notes"}


def nothing(count: int) -> None:
    """A progress that nobody watches."""


def entry(cache: Path, store: str, digest: object) -> Path:
    name = str(digest).removeprefix("sha256:")
    return cache / store / name[:2] / name


def put(cache: Path, store: str, digest: object, data: bytes) -> None:
    path = entry(cache, store, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def described(data: bytes) -> dict[str, Any]:
    return {"hash": CasDigest.of(data).hex, "size_bytes": len(data)}


def put_result(cache: Path, **more: Any) -> None:
    fields = {"output_files": [{"path": path, "digest": described(data)} for path, data in BODIES.items()], **more}
    put(cache, "ac", ACTION, message_class("ActionResult")(**fields).SerializeToString())


def outputs(bodies: dict[str, bytes]) -> BazelOutputs:
    files = [BazelFile(path=path, digest=CasDigest.of(data), size=len(data)) for path, data in bodies.items()]
    return BazelOutputs(label="//:app", action=ACTION, files=tuple(files))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    put_result(tmp_path)
    for data in BODIES.values():
        if data:  # Bazel stores no empty blob
            put(tmp_path, "cas", CasDigest.of(data), data)
    return tmp_path


def inspect(cache: Path, limits: Limits | None = None) -> tuple[Reading, ...]:
    return BazelDiskCache(cache, limits or Limits()).inspect(outputs(BODIES), nothing)


def test_the_action_and_every_output_are_read(cache: Path) -> None:
    counted: list[int] = []
    readings = BazelDiskCache(cache).inspect(outputs(BODIES), counted.append)
    assert [r.member for r in readings] == [f"action {ACTION.hex}", *(f"cas {path}" for path in BODIES)]
    assert {r.state for r in readings} == {ReadState.READ}
    assert all(r.digest == r.expected_digest and r.index_problems == () for r in readings)
    assert [r.size for r in readings[1:]] == [r.expected_size for r in readings[1:]]
    assert sum(counted) == sum(map(len, BODIES.values()))


def test_action_cache_bytes_are_never_hashed(cache: Path) -> None:
    [action, *_] = inspect(cache)
    assert (action.digest, action.expected_digest) == ("", "")


def test_an_absent_action_is_told_apart_from_absent_blobs(cache: Path) -> None:
    entry(cache, "ac", ACTION).unlink()
    [action, *files] = inspect(cache)
    assert action.state is ReadState.ABSENT
    assert {r.state for r in files} == {ReadState.READ}
    put_result(cache)
    entry(cache, "cas", CasDigest.of(BODIES["bin/app"])).unlink()
    assert [r.state for r in inspect(cache)] == [ReadState.READ, ReadState.ABSENT, ReadState.READ, ReadState.READ]


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
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), ReadState.READ),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), ReadState.MALFORMED),
        (put_fifo, ReadState.MALFORMED),
        (lambda path: (path.unlink(), path.mkdir()), ReadState.MALFORMED),
    ],
)
def test_a_harmed_blob_is_told(cache: Path, harm: Callable[[Path], object], state: ReadState) -> None:
    harm(entry(cache, "cas", CasDigest.of(BODIES["bin/app"])))
    found = inspect(cache)[1]
    assert found.state is state
    assert found.digest != found.expected_digest


def test_an_output_that_the_action_result_names_otherwise_is_an_index_problem(cache: Path) -> None:
    files = [{"path": path, "digest": described(data)} for path, data in BODIES.items()]
    files[0] = {"path": "bin/app", "digest": described(b"other")}
    files[2] = {"path": "bin/new", "digest": described(b"new")}
    put_result(cache, output_files=files, exit_code=3, output_symlinks=[{"path": "bin/link", "target": "/"}])
    [action, app, empty, notes] = inspect(cache)
    assert [problem.split(" ")[-1] for problem in action.index_problems] == ["3.", "bin/link.", "list."]
    assert len(app.index_problems) == 2
    assert empty.index_problems == ()
    assert "does not name bin/sub/notes.txt" in notes.index_problems[0]
    assert {r.state for r in (action, app, empty, notes)} == {ReadState.READ}


@pytest.mark.parametrize(
    ("data", "state"), [(b"", ReadState.EMPTY), (b"\xff", ReadState.MALFORMED), (b"x" * 2000, ReadState.TOO_LARGE)]
)
def test_a_harmed_action_result_is_told(cache: Path, data: bytes, state: ReadState) -> None:
    put(cache, "ac", ACTION, data)
    [action, *files] = inspect(cache, Limits(action_result_bytes=1000))
    assert action.state is state
    assert {r.state for r in files} == {ReadState.READ}


def test_a_blob_over_the_limit_is_told(cache: Path) -> None:
    assert inspect(cache, Limits(blob_bytes=100))[1].state is ReadState.TOO_LARGE


def test_a_tree_that_does_not_match_its_digest_is_malformed(cache: Path) -> None:
    put_result(cache, output_directories=[{"path": "bin/d", "tree_digest": described(b"tree")}])
    put(cache, "cas", CasDigest.of(b"tree"), b"other")
    assert inspect(cache)[0].state is ReadState.MALFORMED
    entry(cache, "cas", CasDigest.of(b"tree")).unlink()
    assert inspect(cache)[0].state is ReadState.ABSENT
    put_result(cache, output_directories=[{"path": "bin/d", "tree_digest": {"hash": "../../etc/passwd"}}])
    assert inspect(cache)[0].state is ReadState.MALFORMED


def test_a_cache_that_is_a_link_inside_is_refused(cache: Path, tmp_path: Path) -> None:
    (cache / "cas").rename(cache / "moved")
    (cache / "cas").symlink_to(cache / "moved")
    assert inspect(cache)[1].state is ReadState.MALFORMED


def test_a_cache_that_is_not_there_is_absent(tmp_path: Path) -> None:
    assert inspect(tmp_path / "nowhere")[0].state is ReadState.ABSENT


def test_what_is_no_bazel_output_is_not_asked_of_the_cache(cache: Path) -> None:
    digest = ManifestDigest.of(b"")
    with pytest.raises(UsageError):
        BazelDiskCache(cache).inspect(
            OciImage(repository="a", manifest=digest, platforms={"linux/amd64": digest}), nothing
        )


def test_what_progress_raises_comes_out(cache: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BazelDiskCache(cache).inspect(outputs(BODIES), stop)


def test_actions_are_found_by_exactly_their_outputs(cache: Path) -> None:
    put(cache, "ac", ActionDigest.of(b"broken"), b"\xff")
    put(cache, "ac", ActionDigest.of(b"other"), message_class("ActionResult")(exit_code=1).SerializeToString())
    (cache / "ac" / "tmp").mkdir()
    (cache / "ac" / "tmp" / "being-written").touch()
    assert matching_actions(cache, outputs(BODIES).files) == (ACTION,)
    assert matching_actions(cache, outputs(BODIES).files[:2]) == ()


def test_a_cache_folder_that_cannot_be_listed_is_an_error(cache: Path) -> None:
    (cache / "ac" / "0f").touch()
    with pytest.raises(InvalidInputError):
        matching_actions(cache, outputs(BODIES).files)
    with pytest.raises(AbsentError):
        matching_actions(cache / "nowhere", outputs(BODIES).files)
