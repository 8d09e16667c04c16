"""The sample's stand-in for a forge and FlakeHub: it runs while `flywheel run` does, or one command that asks it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from flywheel_assets.domain.errors import FlywheelError, UsageError
from flywheel_assets.wiring import FLAKEHUB, Settings
from flywheel_assets.wiring.installation import STAND_IN, stand_in_url


@contextmanager
def stand_in(chosen: Settings) -> Iterator[None]:
    """Serve it on a free port, whose address all processes of this installation find; nothing without the sample."""
    if not chosen.on_sample:
        yield
        return
    address = stand_in_url(chosen.home)
    with _served(chosen.home) as url:
        try:
            address.write_text(url, "ascii")
            yield
        finally:
            address.unlink(missing_ok=True)


@contextmanager
def at_stand_in(chosen: Settings) -> Iterator[Settings]:
    """Settings for one command: with the stand-in that `flywheel run` serves, or one that only this command knows."""
    if not chosen.on_sample or _answering(chosen.home):
        yield chosen
        return
    with _served(chosen.home) as url:
        yield replace(chosen, stand_in=url)


@contextmanager
def flakehub_of(reference: str, named: str, home: Path) -> Iterator[str]:
    """Base of the API that knows ``reference``: ``named``, or the stand-in for what the sample in ``home`` released.

    Raises UsageError where the stand-in has released nothing there.
    """
    if named != FLAKEHUB or not reference.startswith(f"flakehub:{urlsplit(STAND_IN).hostname}/"):
        yield named
    elif running := _answering(home):
        yield running
    elif not (stand_in_url(home).parent / "state.json").exists():
        raise UsageError(
            f"{reference} was released on the sample's stand-in for FlakeHub, which has released nothing in {home}. "
            "Run `flywheel run` on the sample first, or name by FLYWHEEL_HOME where it ran."
        )
    else:
        with _served(home) as url:
            yield url


@contextmanager
def _served(home: Path) -> Iterator[str]:
    from flywheel_assets.sample.flakehub_stand_in import StandIn

    folder = stand_in_url(home).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        served = StandIn(folder)
        url = served.start()
    except OSError as error:
        raise FlywheelError(f"The sample's stand-in for FlakeHub cannot be served: {error.strerror}.") from error
    try:
        yield url
    finally:
        served.stop()


def _answering(home: Path) -> str:
    """Where one is served already; empty where none is, also where one was killed and left its address behind."""
    try:
        url = stand_in_url(home).read_text("ascii").strip()
        place = urlsplit(url)
        socket.create_connection((place.hostname or "", place.port or 0), timeout=1).close()
    except (OSError, ValueError):
        return ""
    return url
