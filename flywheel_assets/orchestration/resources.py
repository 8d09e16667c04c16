"""What assets and sensors are given: one plain object, never a run-configurable resource.

A ConfigurableResource's fields can be replaced by whoever launches a run. Catalogue, keys, stores and surfaces
bear trust, so they come from here and from nowhere else.
"""

from functools import cached_property

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.wiring import Settings, open_flywheel, read_catalogue, settings
from flywheel_assets.wiring.surfaces import file_url


class Pipeline:
    """Opens the flywheel when it is first needed: loading definitions must not make keys or folders."""

    def __init__(self, chosen: Settings | None = None, flywheel: Flywheel | None = None) -> None:
        """With ``flywheel`` given (tests), nothing is opened."""
        self._chosen = chosen or settings()
        self._given = flywheel

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue that this code location was loaded with."""
        return self._given.catalogue if self._given else read_catalogue(self._chosen)

    @cached_property
    def flywheel(self) -> Flywheel:
        """The flywheel of this process."""
        return self._given or open_flywheel(self._chosen)

    def carrier_of(self, output: str) -> str:
        """The address of the cache that carries a flake's binaries; empty for what is no flake."""
        target = self.flywheel.output(output).publication
        if target is None or target.flake is None:
            return ""
        url = file_url(self._chosen.home, self.flywheel.catalogue.durable(target.flake.binaries).url)
        return url.replace("file:/", "file:///", 1)
