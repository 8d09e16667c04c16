"""From an execution log to the outputs of a receipt."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.bazel import stream
from flywheel_assets.adapters.bazel.builder import outputs_in_log, read_log
from flywheel_assets.domain.digests import ActionDigest
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError, UsageError

VECTORS = Path(__file__).parents[2] / "vectors" / "bazel"
LOG_4 = VECTORS / "execution-log-4.2.3.json"
ACTION = ActionDigest.of(b"an action")


def output(path: str = "bin/a", **digest: Any) -> dict[str, Any]:
    whole = {"hash": "a" * 64, "sizeBytes": "3", "hashFunctionName": "SHA-256", **digest}
    return {"path": path, "digest": whole}


def spawn(**more: Any) -> dict[str, Any]:
    """As Bazel 7 writes it (spawn.proto)."""
    return {
        "targetLabel": "//:a",
        "mnemonic": "Genrule",
        "actualOutputs": [output()],
        "digest": {"hash": ACTION.hex, "sizeBytes": "142", "hashFunctionName": "SHA-256"},
        "exitCode": 0,
        **more,
    }


def log_of(folder: Path, *spawns: dict[str, Any]) -> Path:
    path = folder / "exec.json"
    path.write_text("\n".join(json.dumps(each, indent=2) for each in spawns))
    return path


def test_the_outputs_of_a_target_are_read_from_bazel_4_s_log() -> None:
    found = outputs_in_log(LOG_4, "//:a", action=ACTION)
    assert [(file.path, file.size) for file in found.files] == [
        ("bazel-out/k8-fastbuild/bin/a.txt", 3),
        ("bazel-out/k8-fastbuild/bin/sub/b.txt", 3),
    ]


def test_bazel_4_s_log_alone_does_not_hold_the_action_digest() -> None:
    with pytest.raises(UsageError, match="--disk_cache"):
        outputs_in_log(LOG_4, "//:a")


def test_an_output_s_path_finds_an_action_that_the_log_does_not_label() -> None:
    log = VECTORS / "execution-log-tree-4.2.3.json"
    with pytest.raises(UsageError, match="name an output's path"):
        outputs_in_log(log, "//:t", action=ACTION)
    found = outputs_in_log(log, "//:t", output="bazel-out/k8-fastbuild/bin/t_d/s/x", action=ACTION)
    assert len(found.files) == 3


@pytest.mark.parametrize("label", ["//:a", "@//:a", "@@//:a"])
def test_the_digest_is_taken_from_a_log_that_has_it(tmp_path: Path, label: str) -> None:
    found = outputs_in_log(log_of(tmp_path, spawn(targetLabel="//:b"), spawn()), label)
    assert (found.action, found.label) == (ACTION, label)


def test_one_of_several_actions_is_chosen_by_mnemonic_or_output(tmp_path: Path) -> None:
    log = log_of(tmp_path, spawn(), spawn(mnemonic="CppLink", actualOutputs=[output("bin/b")]))
    with pytest.raises(UsageError) as caught:
        outputs_in_log(log, "//:a")
    assert "Genrule making bin/a; CppLink making bin/b" in str(caught.value)
    assert outputs_in_log(log, "//:a", mnemonic="CppLink").files[0].path == "bin/b"
    assert outputs_in_log(log, "//:a", output="bin/b").files[0].path == "bin/b"


def test_an_action_that_is_logged_twice_is_one_and_a_failed_one_is_none(tmp_path: Path) -> None:
    assert outputs_in_log(log_of(tmp_path, spawn(), spawn(), spawn(exitCode=1)), "//:a").action == ACTION
    with pytest.raises(UsageError, match="holds no action"):
        outputs_in_log(log_of(tmp_path, spawn(exitCode=1)), "//:a")


@pytest.mark.parametrize(
    "fields",
    [
        {"actualOutputs": [output(hash="../../etc/passwd")]},
        {"actualOutputs": [output(hashFunctionName="BLAKE3")]},
        {"actualOutputs": [output(sizeBytes="-1")]},
        {"actualOutputs": [output("../a")]},
        {"actualOutputs": [output("/etc/passwd")]},
        {"actualOutputs": [{"path": "bin/link"}]},
        {"actualOutputs": [output(), output()]},
        {"actualOutputs": []},
        {"digest": {"hash": "short"}},
        {"actualOutputs": 7},
    ],
)
def test_what_cannot_be_in_a_receipt_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        outputs_in_log(log_of(tmp_path, spawn(**fields)), "//:a")


def test_a_log_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_READ", 7)
    many = [spawn(targetLabel=f"//:{number}", inputs=[{"path": '{}[]\\"' * number}]) for number in range(50)]
    assert [each.label for each in read_log(log_of(tmp_path, *many))] == [f"//:{number}" for number in range(50)]


def test_an_entry_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_READ", 100)
    monkeypatch.setattr(stream, "ENTRY_CHARS", 1000)
    with pytest.raises(LimitExceededError):
        list(read_log(log_of(tmp_path, spawn(inputs=["x" * 5000]))))


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"not JSON",
        b"\x28\xb5\x2f\xfd compact",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"exitCode": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_malformed_log_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(InvalidInputError):
        list(read_log(tmp_path / "log"))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_log_or_refused(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            list(read_log(Path(file.name)))
        except InvalidInputError:
            return


def test_an_absent_log_is_absent(tmp_path: Path) -> None:
    with pytest.raises(AbsentError):
        list(read_log(tmp_path / "nowhere"))
