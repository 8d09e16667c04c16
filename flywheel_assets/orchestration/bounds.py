"""How long one tick may take."""

from collections.abc import Callable
from time import monotonic

# Dagster ends a tick after 60 s, and what it found is then lost with its cursor. Writing its events takes 10 s more.
INTAKE_SECONDS, WANTED_SECONDS = 20, 15
FORBEARANCE = 5
"""Seconds that the last look of a visit may take beyond that; a forge that goes on longer is heard at the next tick."""


def after(seconds: float) -> Callable[[], bool]:
    """Whether that many seconds have gone by since."""
    end = monotonic() + seconds
    return lambda: monotonic() >= end
