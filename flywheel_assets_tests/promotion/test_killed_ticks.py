"""Ticks that are killed (SIGKILL), over a forge that fails one call in ten: each build appears exactly once."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_RUN
from flywheel_assets_tests.forge import ForgeRun, Github, served
from flywheel_assets_tests.promotion.forged import OUTPUT, REPOSITORY, receipt_of
from flywheel_assets_tests.promotion.ticking import opened

BUILDS, SECONDS, KILLS = 1000, 200, 10
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_a_thousand_builds_appear_once_each_though_ticks_are_killed(tmp_path: Path) -> None:
    chance, forge = random.Random(7), Github(repository=REPOSITORY, fail_every=10)  # noqa: S311 - the same every time
    forge.clock.move(hours=-1)
    going = [_started(forge) for _ in range(BUILDS)]
    chance.shuffle(going)
    killed = 0
    with served(forge) as server:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with ticking(tmp_path, server.url) as process:
                started, patience = forge.calls, chance.uniform(0.2, 3) if killed < KILLS else 10
                while forge.calls == started and process.poll() is None:
                    time.sleep(0.02)
                until = time.monotonic() + patience
                while time.monotonic() < until and process.poll() is None:
                    for run in [going.pop() for _ in range(min(len(going), 5))]:
                        forge.end(run)
                    time.sleep(0.02)
                assert process.poll() is None, "it ended by itself"
            killed += 1
            if killed >= KILLS and not going and _recorded(tmp_path, server.url) >= BUILDS:
                break
        evidence = opened(tmp_path, server.url).evidence
    records = [
        entry.subject.split(" ")[1]
        for log in evidence.logs()
        if log.startswith("platform-")
        for entry in evidence.entries(log)
        if entry.kind == PLATFORM_RUN
    ]
    builds = [entry.subject for entry in evidence.entries(output_log(OUTPUT)) if entry.kind == RECEIPT]
    keys = [BuildKey(run=str(run), attempt=1, system="x86_64-linux") for run in forge.runs]
    assert sorted(records) == sorted(f"{run}.1" for run in forge.runs)
    assert sorted(builds) == sorted(map(str, keys))
    assert killed >= KILLS


@contextmanager
def ticking(folder: Path, forge: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ticks, killed when the block ends."""
    command = [sys.executable, "-m", "flywheel_assets_tests.promotion.ticking", str(folder), forge]
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


def _recorded(folder: Path, url: str) -> int:
    """How many runs are in evidence; the logs are read anew."""
    evidence = opened(folder, url).evidence
    return sum(len(evidence.entries(log)) for log in evidence.logs() if log.startswith("platform-"))
