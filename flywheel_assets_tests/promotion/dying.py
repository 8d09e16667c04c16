"""``python -m … HOME N``: promote the sample's flake, and be killed at the N-th thing that leaves a trace.

Exits with 0 when it came to its end before that.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.promotion.installation import CHARTS

LEAVES_A_TRACE = {"append", "slot", "copy", "attach", "reveal", "dispatch", "look"}


class Dying:
    """Another port's methods; before and after each that leaves a trace the process may die."""

    def __init__(self, port: object, die: Callable[[], None]) -> None:
        self._port = port
        self._die = die

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in LEAVES_A_TRACE:
            return found

        def called(*arguments: Any) -> Any:
            self._die()
            done = found(*arguments)
            self._die()
            return done

        return called


def main(home: Path, deaths: int) -> None:
    calls = iter(range(deaths))

    def die() -> None:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = open_flywheel(Settings(home, SAMPLE_CATALOGUE))
    flywheel = replace(
        opened,
        evidence=Dying(opened.evidence, die),
        surfaces={name: Dying(surface, die) for name, surface in opened.surfaces.items()},
        workflows={name: Dying(workflow, die) for name, workflow in opened.workflows.items()},
    )
    for _ in range(5):
        if isinstance(promote(flywheel, "depth-charts", CHARTS, anew=False), Promoted):
            return
    sys.exit(3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
