"""Real builds with a disk cache, and with HTTP caches: their logs give the outputs, and the caches hold them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.bazel.builder import outputs_in_log
from flywheel_assets.adapters.bazel.cache import BazelCache
from flywheel_assets.adapters.bazel.entries import DiskEntries, Entries, HttpEntries
from flywheel_assets.adapters.bazel.events import target_files
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.artifacts import BazelOutputs
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets_tests.adapters.bazel.caches import INSTANCE, Remote
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.scripted import Scripted
from flywheel_assets_tests.servers import WebServer
from flywheel_assets_tests.token_issuer import PASSWORD, USER

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


LABELS = {"//:two": (None, 2), "//:empty": (None, 1), "//:folder": ("bazel-out/k8-fastbuild/bin/made/s/x", 3)}


@dataclass
class Built:
    log: Path
    cache: Path
    events: Path

    def outputs(self, label: str) -> BazelOutputs:
        return outputs_in_log(self.log, label, output=LABELS[label][0], disk_cache=self.cache)


def build(folder: Path, bazel: Path, *options: str) -> Built:
    """Build all labels with a disk cache, and whatever else the options name."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "WORKSPACE").touch()
    (workspace / "BUILD").write_text(BUILD)
    (workspace / "folder.bzl").write_text(FOLDER)
    command = [str(bazel), "--batch", f"--output_user_root={folder / 'root'}", "build", *options]
    command += [f"--disk_cache={folder / 'cache'}", f"--execution_log_json_file={folder / 'log.json'}"]
    command += [f"--build_event_json_file={folder / 'events.json'}"]
    command += ["--spawn_strategy=local", "--incompatible_strict_action_env", *LABELS]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Built(folder / "log.json", folder / "cache", folder / "events.json")


def assert_holds(entries: Entries, outputs: BazelOutputs) -> None:
    """Everything of ``outputs`` is read from the cache, and is what Bazel says."""
    readings = BazelCache(entries).inspect(outputs, lambda _: None)
    assert len(readings) == len(outputs.files) + 1
    assert [r for r in readings if r.state is not ReadState.READ] == []
    assert all(r.digest == r.expected_digest and not r.index_problems for r in readings)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Built:
    return build(tmp_path_factory.mktemp("bazel"), peer_path("bazel"))


@pytest.mark.parametrize("label", LABELS)
def test_what_bazel_built_is_described_and_inspected(built: Built, label: str) -> None:
    outputs = built.outputs(label)
    assert len(outputs.files) == LABELS[label][1]
    assert_holds(DiskEntries(built.cache), outputs)


@pytest.mark.parametrize("label", LABELS)
def test_build_events_find_every_target_s_action_without_an_output_s_path(built: Built, label: str) -> None:
    made = target_files(built.events, label)
    assert outputs_in_log(built.log, label, made=made, disk_cache=built.cache) == built.outputs(label)


def test_what_bazel_uploads_over_webdav_is_inspected(tmp_path: Path, peer_path: PeerPath, nginx: WebServer) -> None:
    built = build(tmp_path, peer_path("bazel"), f"--remote_cache={nginx.url}")
    for label in LABELS:
        assert_holds(HttpEntries(HttpClient(nginx.url)), built.outputs(label))


def test_what_bazel_uploads_to_an_instance_with_basic_auth_is_inspected_even_where_results_are_rewritten(
    tmp_path: Path, peer_path: PeerPath, scripted: Scripted
) -> None:
    remote = Remote(tmp_path / "remote", scripted)
    url = f"http://{USER}:{PASSWORD}@127.0.0.1:{scripted.port}/{INSTANCE}"
    built = build(tmp_path, peer_path("bazel"), f"--remote_cache={url}")
    client = HttpClient(remote.url, Credentials(user=USER, password=Secret(PASSWORD)))
    for label in LABELS:
        assert_holds(HttpEntries(client), built.outputs(label))


def test_a_target_that_was_not_built_is_a_usage_error(built: Built) -> None:
    with pytest.raises(UsageError, match="holds no action"):
        outputs_in_log(built.log, "//:other", disk_cache=built.cache)
