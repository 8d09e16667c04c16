"""From build events to the files of a target, and together with the log to the action that makes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.adapters.bazel import events as events_module
from flywheel_assets.adapters.bazel.builder import outputs_in_events, outputs_in_log
from flywheel_assets.adapters.bazel.events import EventFile, target_files
from flywheel_assets.domain.digests import ActionDigest
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError, UsageError

EVENTS_4 = Path(__file__).parents[2] / "vectors" / "bazel" / "build-events-4.2.3.json"
BIN = ["bazel-out", "k8-fastbuild", "bin"]
ACTION = ActionDigest.of(b"an action")


def file(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "uri": f"file:///x/{name}", "pathPrefix": BIN, **more}


def files(number: str, *named: dict[str, Any], within: tuple[str, ...] = ()) -> dict[str, Any]:
    sets = [{"id": each} for each in within]
    return {"id": {"namedSet": {"id": number}}, "namedSetOfFiles": {"files": list(named), "fileSets": sets}}


def completed(label: str, *sets: str, success: bool = True, group: str = "default", **more: Any) -> dict[str, Any]:
    groups = [{"name": group, "fileSets": [{"id": each} for each in sets]}]
    return {
        "id": {"targetCompleted": {"label": label, **more}},
        "completed": {"success": success, "outputGroup": groups},
    }


def written(folder: Path, *events: dict[str, Any]) -> Path:
    path = folder / "events.json"
    path.write_text("".join(json.dumps(each) + "\n" for each in events), encoding="utf-8")
    return path


def names(found: tuple[EventFile, ...]) -> list[str]:
    return [each.path.removeprefix("/".join(BIN) + "/") for each in found]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("//:two", ["a.txt", "sub/b.txt"]),
        ("//:folder", ["made/none", "made/s/t/y", "made/s/x"]),
        ("//:all", ["a.txt", "none.txt", "sub/b.txt"]),
    ],
)
def test_the_files_of_a_target_are_read_from_bazel_4_s_events(label: str, expected: list[str]) -> None:
    assert names(target_files(EVENTS_4, label)) == expected


def test_sets_within_sets_are_followed_once_even_in_circles(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        files("0", file("a"), within=("1",)),
        files("1", file("b"), file("a"), within=("0", "2")),
        files("2"),
        files("3", file("other")),
        completed("//:a", "0", "1"),
    )
    assert names(target_files(path, "//:a")) == ["a", "b"]


def test_other_groups_targets_and_aspects_count_for_nothing(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        files("0", file("a")),
        files("1", file("other")),
        completed("//:a", "1", group="validation"),
        completed("//:a", "1", aspect="lint"),
        completed("//:b", "1"),
        completed("//:a", "0"),
    )
    assert names(target_files(path, "//:a")) == ["a"]


@pytest.mark.parametrize("events", [[], [completed("//:b")], [completed("//:a", success=False)]])
def test_a_target_that_did_not_complete_or_failed_has_no_files(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match=r"//:a (is not complete|did not succeed)"):
        target_files(written(tmp_path, *events), "//:a")


@pytest.mark.parametrize(
    "events",
    [
        [completed("//:a", "0")],
        [{"completed": {}}],
        [{"id": {"namedSet": {"id": 7}}, "namedSetOfFiles": {}}],
        [files("0", {"pathPrefix": BIN})],
        [files("0", file("a", length="-1"))],
    ],
)
def test_malformed_events_are_refused(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidInputError):
        target_files(written(tmp_path, *events), "//:a")


def test_absent_cut_and_endless_events_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AbsentError):
        target_files(tmp_path / "nowhere", "//:a")
    path = written(tmp_path, files("0", file("a"), file("b"), file("c")))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInputError, match="ends within an object"):
        target_files(path, "//:a")
    monkeypatch.setattr(events_module, "MAX_FILES", 2)
    with pytest.raises(LimitExceededError):
        target_files(written(tmp_path, files("0", file("a"), file("b"), file("c"))), "//:a")


# --- with the execution log, which alone has the action's digest ---


def log_of(folder: Path, *spawns: dict[str, Any]) -> Path:
    path = folder / "log.json"
    path.write_text("\n".join(json.dumps(each) for each in spawns), encoding="utf-8")
    return path


def spawn(name: str, letter: str = "a") -> dict[str, Any]:
    """An action as Bazel 4 logs it: without a label."""
    digest = {"hash": letter * 64, "sizeBytes": "3", "hashFunctionName": "SHA-256"}
    return {"mnemonic": "X", "actualOutputs": [{"path": "/".join([*BIN, name]), "digest": digest}], "exitCode": 0}


def test_events_find_the_action_that_the_log_does_not_label(tmp_path: Path) -> None:
    made = target_files(written(tmp_path, files("0", file("a")), completed("//:a", "0")), "//:a")
    log = log_of(tmp_path, spawn("b"), spawn("a"))
    with pytest.raises(UsageError, match="holds no action"):
        outputs_in_log(log, "//:a", action=ACTION)
    found = outputs_in_log(log, "//:a", made=made, action=ACTION)
    assert [each.path for each in found.files] == ["/".join([*BIN, "a"])]


def test_events_and_a_log_of_different_builds_are_refused(tmp_path: Path) -> None:
    made = target_files(written(tmp_path, files("0", file("a", digest="b" * 64)), completed("//:a", "0")), "//:a")
    log = log_of(tmp_path, spawn("a"))
    with pytest.raises(InvalidInputError, match="another digest in the build events"):
        outputs_in_log(log, "//:a", made=made, action=ACTION)


def test_events_alone_say_what_they_do_not_hold() -> None:
    with pytest.raises(UsageError, match="no digests of the files of //:two: give --log too"):
        outputs_in_events(target_files(EVENTS_4, "//:two"), "//:two")
    with pytest.raises(UsageError, match="never hold the digest of an action"):
        outputs_in_events([EventFile(name="a", digest="a" * 64)], "//:a")
    with pytest.raises(UsageError, match="no digests"):
        outputs_in_events([], "//:a")
