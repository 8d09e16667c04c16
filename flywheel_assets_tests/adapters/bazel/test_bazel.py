"""A real build with a disk cache: its log gives the outputs, and the cache holds them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.bazel.builder import outputs_in_log
from flywheel_assets.adapters.bazel.disk_cache import BazelDiskCache
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets_tests.peers import PeerPath

pytestmark = [pytest.mark.peer("bazel"), pytest.mark.slow]

BUILD = """
load(":folder.bzl", "folder")
genrule(name = "two", outs = ["a.txt", "sub/b.txt"], cmd = "echo a > $(location a.txt); echo b > $(location sub/b.txt)")
genrule(name = "empty", outs = ["none.txt"], cmd = ": > $@")
folder(name = "folder")
"""
FOLDER = """
def _make(ctx):
    made = ctx.actions.declare_directory("made")
    command = "mkdir -p {0}/s/t && echo 1 > {0}/s/x && echo 2 > {0}/s/t/y && : > {0}/none".format(made.path)
    ctx.actions.run_shell(outputs = [made], command = command, mnemonic = "MakeFolder")
    return [DefaultInfo(files = depset([made]))]

folder = rule(implementation = _make)
"""


@dataclass
class Built:
    log: Path
    cache: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Built:
    folder = tmp_path_factory.mktemp("bazel")
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "WORKSPACE").touch()
    (workspace / "BUILD").write_text(BUILD)
    (workspace / "folder.bzl").write_text(FOLDER)
    command = [str(peer_path("bazel")), "--batch", f"--output_user_root={folder / 'root'}", "build"]
    command += [f"--disk_cache={folder / 'cache'}", f"--execution_log_json_file={folder / 'log.json'}"]
    command += ["--spawn_strategy=local", "--incompatible_strict_action_env", "//:two", "//:empty", "//:folder"]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Built(folder / "log.json", folder / "cache")


@pytest.mark.parametrize(
    ("label", "output", "files"),
    [
        ("//:two", None, 2),
        ("//:empty", None, 1),
        ("//:folder", "bazel-out/k8-fastbuild/bin/made/s/x", 3),
    ],
)
def test_what_bazel_built_is_described_and_inspected(built: Built, label: str, output: str | None, files: int) -> None:
    outputs = outputs_in_log(built.log, label, output=output, disk_cache=built.cache)
    assert len(outputs.files) == files
    readings = BazelDiskCache(built.cache).inspect(outputs, lambda _: None)
    assert len(readings) == files + 1
    assert {reading.state for reading in readings} == {ReadState.READ}
    assert all(r.digest == r.expected_digest and not r.index_problems for r in readings)


def test_a_target_that_was_not_built_is_a_usage_error(built: Built) -> None:
    with pytest.raises(UsageError, match="holds no action"):
        outputs_in_log(built.log, "//:other", disk_cache=built.cache)
