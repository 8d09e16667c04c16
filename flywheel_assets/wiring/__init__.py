"""The composition root: the only package that knows all adapters. The command line and Dagster's resources start here.

``builders`` is what a builder needs, ``installation`` all the rest. The names of ``installation`` are those of this
package too, looked up on first use: a builder imports ``builders`` alone, and need not even have what the rest imports.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flywheel_assets.wiring.installation import (
        FLAKEHUB,
        PACKAGE,
        SAMPLE,
        SAMPLE_CATALOGUE,
        Settings,
        open_flywheel,
        published_reader,
        read_catalogue,
        settings,
    )

__all__ = (
    "FLAKEHUB",
    "PACKAGE",
    "SAMPLE",
    "SAMPLE_CATALOGUE",
    "Settings",
    "open_flywheel",
    "published_reader",
    "read_catalogue",
    "settings",
)


def __getattr__(name: str) -> Any:
    """A name of ``installation`` (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flywheel_assets.wiring import installation

    return getattr(installation, name)
