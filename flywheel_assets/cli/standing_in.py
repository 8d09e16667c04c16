"""The sample flywheel's stand-in for a forge and FlakeHub: it runs while `flywheel run` does."""

from collections.abc import Iterator
from contextlib import contextmanager

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.wiring import Settings
from flywheel_assets.wiring.installation import stand_in_url


@contextmanager
def stand_in(chosen: Settings) -> Iterator[None]:
    """Serve it on a free port, whose address all processes of this installation find; nothing without the sample."""
    if not chosen.on_sample:
        yield
        return
    from flywheel_assets.sample.flakehub_stand_in import StandIn

    address = stand_in_url(chosen.home)
    try:
        address.parent.mkdir(parents=True, exist_ok=True)
        served = StandIn(address.parent)
        url = served.start()
    except OSError as error:
        raise FlywheelError(f"The sample's stand-in for FlakeHub cannot be served: {error.strerror}.") from error
    try:
        address.write_text(url, "ascii")
        yield
    finally:
        address.unlink(missing_ok=True)
        served.stop()
