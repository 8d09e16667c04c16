"""Ticks that are killed (SIGKILL), over a forge that fails one call in ten: each build appears exactly once."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration.keys import Stage, asset_key, builds_name
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_RUN
from flywheel_assets_tests.forge import ForgeRun, Github, served
from flywheel_assets_tests.orchestration.bursts import instance_of
from flywheel_assets_tests.orchestration.following import opened
from flywheel_assets_tests.promotion.forged import OUTPUT, REPOSITORY, receipt_of

BUILDS, SECONDS, KILLS = 1000, 200, 10
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_a_thousand_builds_appear_once_each_though_ticks_are_killed(tmp_path: Path) -> None:
    chance, forge = random.Random(7), Github(repository=REPOSITORY, fail_every=10)  # noqa: S311 - the same every time
    forge.clock.move(hours=-1)
    going = [_started(forge) for _ in range(BUILDS)]
    chance.shuffle(going)
    with served(forge) as server:
        for _ in range(KILLS):
            with ticking(tmp_path, server.url) as process:
                started, until = forge.calls, time.monotonic() + SECONDS
                while forge.calls == started and process.poll() is None and time.monotonic() < until:
                    time.sleep(0.02)
                until = time.monotonic() + chance.uniform(0.2, 4)
                while time.monotonic() < until and process.poll() is None:
                    for run in [going.pop() for _ in range(min(len(going), 5))]:
                        forge.end(run)
                    time.sleep(0.02)
                assert process.poll() is None, "it ended by itself"
        for run in going:
            forge.end(run)
        with ticking(tmp_path, server.url) as process:
            until = time.monotonic() + SECONDS
            while len(_partitions(tmp_path)) < BUILDS and process.poll() is None and time.monotonic() < until:
                time.sleep(1)
        evidence = opened(tmp_path, server.url).evidence
    records = [
        entry.subject.split(" ")[1]
        for log in evidence.logs()
        if log.startswith("platform-")
        for entry in evidence.entries(log)
        if entry.kind == PLATFORM_RUN
    ]
    builds = [entry.subject for entry in evidence.entries(output_log(OUTPUT)) if entry.kind == RECEIPT]
    keys = Counter(f"{run}.1.x86_64-linux" for run in forge.runs)
    assert Counter(records) == Counter(f"{run}.1" for run in forge.runs)
    assert Counter(builds) == keys
    assert Counter(_partitions(tmp_path)) == keys
    assert Counter(_shown(tmp_path)) == keys


@contextmanager
def ticking(folder: Path, forge: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ticks, killed when the block ends."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "flywheel_assets_tests.orchestration.following",
        str(folder),
        forge,
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _started(forge: Github) -> ForgeRun:
    forge.clock.move(seconds=1)
    run = forge.start()
    forge.leave(run, "receipt", tide=receipt_of(run))
    return run


def _partitions(folder: Path) -> list[str]:
    with instance_of(folder) as instance:
        return list(instance.get_dynamic_partitions(builds_name(OUTPUT)))


def _shown(folder: Path) -> list[str]:
    """The build of each event of builder_run in the UI, doubles included."""
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(Stage.BUILDER_RUN, OUTPUT))
    with instance_of(folder) as instance:
        records = instance.fetch_materializations(wanted, limit=2 * BUILDS).records
    return [str(record.partition_key) for record in records]
