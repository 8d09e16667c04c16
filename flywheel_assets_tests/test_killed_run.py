"""A run that is killed at any time, and started again, ends where an undisturbed one ends. And no secret leaks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.promotion.ledger import PUBLICATION, builds_of, publications
from flywheel_assets.promotion.report import State, report
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel

PROGRAM = str(Path(sys.executable).with_name("flywheel"))
# A run is killed when so many log entries and slots are there: in intake, in judging, around each publication,
# and while a workflow is on with one. Progress, unlike seconds, means the same everywhere. There are 94 in the end.
KILLS = (6, 27, 40, 52, 64, 70, 79, 88)
PATIENCE = 120

pytestmark = pytest.mark.timeout(2 * PATIENCE)


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLYWHEEL_", "DAGSTER_"))}
    return {**kept, "FLYWHEEL_HOME": str(home)}


def start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PROGRAM, "run", "--no-ui"],
        env=environment(home),
        cwd=home.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def progress_of(home: Path) -> int:
    return len(list(home.glob("evidence/logs/*/*.json"))) + len(list(home.glob("evidence/slots/*")))


def run_until(home: Path, progress: int) -> bool:
    """Run, and kill it at so much progress; False when it was done before."""
    running = start(home)
    ends = time.monotonic() + PATIENCE
    try:
        while running.poll() is None and progress_of(home) < progress:
            assert time.monotonic() < ends
            time.sleep(0.005)
        killed = running.poll() is None
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return killed


def finish(home: Path) -> None:
    running = start(home)
    try:
        assert running.wait(PATIENCE) == 0
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)


def report_of(home: Path) -> Any:
    done = subprocess.run(
        [PROGRAM, "report", "--json"], env=environment(home), capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout.replace(str(home), "HOME"))


def disturbed(home: Path) -> int:
    killed = sum(run_until(home, progress) for progress in KILLS)
    finish(home)
    return killed


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An undisturbed home, and one whose runs were killed again and again; both at the same time."""
    root = tmp_path_factory.mktemp("killed")
    found = {name: root / name for name in ("undisturbed", "killed")}
    with ThreadPoolExecutor(2) as pool:
        undisturbed = pool.submit(finish, found["undisturbed"])
        killed = pool.submit(disturbed, found["killed"])
        undisturbed.result()
        assert killed.result() == len(KILLS), "each was killed before it was done"
    return found


def every(homes: dict[str, Path]) -> list[Path]:
    return list(homes.values())


def test_a_killed_run_that_is_started_again_ends_like_an_undisturbed_one(homes: dict[str, Path]) -> None:
    expected = report_of(homes["undisturbed"])
    assert len(expected["builds"]) == 25
    assert report_of(homes["killed"]) == expected


def test_every_build_is_in_the_logs_exactly_once(homes: dict[str, Path]) -> None:
    for home in every(homes):
        flywheel = open_flywheel(Settings(home, SAMPLE_CATALOGUE))
        taken: Counter[tuple[str, str]] = Counter()
        for log in flywheel.evidence.logs():
            entries = flywheel.evidence.entries(log)
            assert len({(entry.kind, entry.subject, entry.evidence) for entry in entries}) == len(entries)
            taken.update((log, e.subject) for e in entries if e.kind in {"receipt", "unknown-output", "dead-letter"})
        assert set(taken.values()) == {1}
        assert len(taken) == 25


def test_every_artifact_has_one_record_and_one_summary(homes: dict[str, Path]) -> None:
    for home in every(homes):
        flywheel = open_flywheel(Settings(home, SAMPLE_CATALOGUE))
        records = [p for name in flywheel.catalogue.outputs for p in publications(flywheel, name)]
        assert len(records) == len({record.reference for record in records}) == 5
        # A summary of each but the one that another workflow publishes, and of two images two forms of a signature;
        # of the flake a summary of its release, too, and the id of the one request for it.
        slots = [path for path in (home / "evidence/slots").iterdir() if not path.name.startswith(".")]  # of a kill
        assert len(slots) == 4 + 2 * 2 + 2
        for record in records:
            log = flywheel.evidence.entries(f"output-{record.output}")
            assert [entry.kind for entry in log if entry.subject == str(record.build)].count(PUBLICATION) == 1
        # An image carries its summary in an envelope for each kind of verifier: one payload, however many envelopes.
        summaries = {
            payload
            for path in (home / "surfaces").rglob("*")
            if path.is_file() and b"verification_summary" in (payload := payload_of(path.read_bytes()))
        }
        assert len(summaries) == 5


def test_the_workflow_ran_once_whenever_the_run_was_killed(homes: dict[str, Path]) -> None:
    for home in every(homes):
        state = json.loads((home / "sample/flakehub/state.json").read_bytes())
        assert len(state["runs"]) == 1
        assert [len(releases) for releases in state["releases"].values()] == [1]


def payload_of(data: bytes) -> bytes:
    """What an envelope holds; nothing of what is no envelope."""
    return b64decode(json.loads(data).get("payload", "")) if b'"payload"' in data else b""


DAGSTER = """
import json, sys
import dagster as dg
from flywheel_assets.orchestration.keys import Stage, asset_key
from flywheel_assets.wiring import read_catalogue, settings

found = {"materialized": {}, "observed": {}, "runs": []}
with dg.DagsterInstance.get() as instance:
    for name, output in read_catalogue(settings()).outputs.items():
        key = asset_key(Stage.PUBLISHED_ARTIFACT, name)
        counts = {}
        for record in instance.fetch_materializations(key, limit=1000).records:
            counts[record.partition_key] = counts.get(record.partition_key, 0) + 1
        found["materialized"][name] = {k: counts[k] for k in instance.get_materialized_partitions(key)}
        seen = set()
        for stage in (Stage.CACHE_ENTRY, Stage.VALIDATED_ARTIFACT):
            for record in instance.fetch_observations(asset_key(stage, name), limit=1000).records:
                seen.add(record.partition_key)
        found["observed"][name] = sorted(seen)
    found["runs"] = sorted({run.status.value for run in instance.get_runs()})
print(json.dumps(found))
"""


def test_dagster_shows_each_published_build_and_each_judged_one(homes: dict[str, Path]) -> None:
    for home in every(homes):
        done = subprocess.run(
            [sys.executable, "-c", DAGSTER],
            env={**environment(home), "DAGSTER_HOME": str(home / "dagster")},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        shown = json.loads(done.stdout.splitlines()[-1])
        flywheel = open_flywheel(Settings(home, SAMPLE_CATALOGUE))
        published = {(row.output, row.build) for row in report(flywheel) if row.state is State.PUBLISHED}
        assert {(name, build) for name, builds in shown["materialized"].items() for build in builds} == published
        for name in flywheel.catalogue.outputs:
            assert shown["observed"][name] == sorted(str(build) for build in builds_of(flywheel, name))
        assert set(shown["runs"]) <= {"SUCCESS", "FAILURE"}, "no run is left going"
        if home == homes["undisturbed"]:
            assert shown["runs"] == ["SUCCESS"]
            assert {count for builds in shown["materialized"].values() for count in builds.values()} == {1}


def test_no_secret_is_anywhere_but_in_the_folder_of_keys(homes: dict[str, Path]) -> None:
    for home in every(homes):
        secrets: list[bytes] = []
        for path in (home / "keys").glob("*.pem"):
            body = path.read_bytes().split(b"-----")[2]
            secrets += [max(body.split(), key=len), b"".join(body.split())]
            assert path.stat().st_mode & 0o077 == 0
        nix = (home / "keys/release.nix.key").read_bytes().strip()
        assert (home / "keys/release.nix.key").stat().st_mode & 0o077 == 0
        secrets += [nix, nix.partition(b":")[2], nix.partition(b":")[2][:43]]
        assert len(secrets) == 7
        looked = 0
        for path in home.rglob("*"):
            if path.is_file() and home / "keys" not in path.parents:
                data = path.read_bytes()
                looked += 1
                assert not [secret for secret in secrets if secret in data], path
                assert not re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", data), path
        assert looked > 200
