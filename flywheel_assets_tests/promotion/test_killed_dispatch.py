"""SIGKILL at every step of a publication by a workflow, on real files and a real server: one run, one record."""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.promotion.following import follow
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.shown_releases import BETWEEN, LOOKS
from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets.wiring.installation import stand_in_url
from flywheel_assets_tests.promotion.installation import CHARTS, Installation, judged

OUTPUT = "depth-charts"
EVERY = 3  # each trace is two points, before and behind it: of every three some are right before one, some behind
pytestmark = pytest.mark.timeout(300)


def killed_at(place: Installation, deaths: int) -> bool:
    """Whether it was killed, and not through before."""
    command = [sys.executable, "-m", "flywheel_assets_tests.promotion.dying", str(place.home), str(deaths)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=100)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def moved(clock: Callable[[], datetime], by: timedelta) -> datetime:
    return clock() + by


def to_the_end(place: Installation) -> None:
    """What sensor, runs and, where the forge never heard of it, a person do afterwards."""
    flywheel = place.open()
    for _ in range(4):
        if isinstance(promote(flywheel, OUTPUT, CHARTS, anew=False), Promoted):
            return
    for look in range(1, LOOKS + 1):
        later = replace(flywheel, clock=partial(moved, flywheel.clock, look * BETWEEN))
        seen = follow(later, OUTPUT, CHARTS)
    assert seen is not None
    assert seen.state is DispatchState.FAILED
    for _ in range(4):
        if isinstance(promote(later, OUTPUT, CHARTS), Promoted):
            return
    raise AssertionError("it never came to an end")


def once(place: Installation, deaths: int) -> bool:
    stand_in = StandIn(stand_in_url(place.home).parent)
    stand_in_url(place.home).write_text(stand_in.start())
    try:
        killed = killed_at(place, deaths)
        assert len(stand_in.runs()) <= 1
        if killed:
            assert len(publications(place.open(), OUTPUT)) <= 1
            to_the_end(place)
        assert len(stand_in.runs()) == 1, deaths
        assert len(publications(place.open(), OUTPUT)) == 1, deaths
    finally:
        stand_in.stop()
    return killed


def test_a_kill_at_any_step_makes_one_run_and_one_record(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda n: once(judged(tmp_path / str(n)), n), range(0, 60, EVERY)))
    killed = found.index(False)
    assert killed * EVERY > 30, "all traces of a publication"
    assert not any(found[killed:])
