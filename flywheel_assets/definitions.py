"""The code location: ``build_definitions(**overrides)`` and ``defs``. Nothing imports this module."""

import dagster as dg

from flywheel_assets.orchestration.build import definitions_for
from flywheel_assets.orchestration.resources import Pipeline


def build_definitions(pipeline: Pipeline | None = None) -> dg.Definitions:
    """Definitions of the installation that the environment names, or of the pipeline that a test brings."""
    return definitions_for(pipeline or Pipeline())


defs = build_definitions()
