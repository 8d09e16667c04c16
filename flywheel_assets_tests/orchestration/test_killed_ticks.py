"""Ticks that are killed anywhere in a burst: in the end each build is in evidence, and shown, exactly once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.orchestration.keys import Stage, asset_key, builds_name
from flywheel_assets.promotion.intake import take_in
from flywheel_assets_tests.orchestration.bench import bench
from flywheel_assets_tests.orchestration.bursts import FIRST_RUN, ONE, burst, instance_of

BUILDS, LATE = 250, 20
# The process is killed when evidence holds so many entries: in an intake, or in what a tick reports after it.
KILLS = (3, 41, 77, 130, 200, 229)
PATIENCE = 100
ROOT = Path(__file__).parents[2]


def start(home: Path) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-W", "ignore", "-m", "flywheel_assets_tests.orchestration.bursts", str(home)]
    return subprocess.Popen(
        program,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def entries(home: Path) -> int:
    return len(list((home / "evidence/logs/output-tide-clock").glob("[0-9]*.json")))


def killed_at(home: Path, count: int) -> None:
    running, ends = start(home), time.monotonic() + PATIENCE
    while entries(home) < count and running.poll() is None:
        assert time.monotonic() < ends
        time.sleep(0.002)
    assert running.poll() is None, "it ended by itself"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


@pytest.mark.slow
@pytest.mark.timeout(6 * PATIENCE)
def test_each_build_of_a_burst_appears_exactly_once_however_often_ticks_are_killed(tmp_path: Path) -> None:
    signer = key_file(tmp_path / "burst.pem")
    with bench(tmp_path, ONE) as opened:
        burst(opened.settings.home, signer, range(LATE, BUILDS))
        for count in KILLS:
            killed_at(tmp_path, count)
        burst(opened.settings.home, signer, range(LATE))  # they finished long ago, arrive last, and sort first
        assert start(tmp_path).wait(PATIENCE) == 0
    with bench(tmp_path, instance=instance_of(tmp_path)) as opened:
        assert take_in(opened.flywheel).total == 0
        expected = [f"{FIRST_RUN + number}.1.x86_64-linux" for number in range(BUILDS)]
        expected.append("14402201001.1.x86_64-linux")
        logged = [entry.subject for entry in opened.flywheel.evidence.entries("output-tide-clock")]
        assert Counter(logged) == Counter(expected)
        assert sorted(opened.instance.get_dynamic_partitions(builds_name("tide-clock"))) == sorted(expected)
        records = opened.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset_key(Stage.BUILDER_RUN, "tide-clock")), limit=1000
        ).records
        shown = Counter(str(record.partition_key) for record in records)
        assert shown == Counter(expected)
