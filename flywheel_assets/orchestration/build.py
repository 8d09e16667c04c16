"""From a pipeline to Definitions."""

import warnings

import dagster as dg

# Partitioned checks are a preview feature; design and tests rest on them knowingly.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from flywheel_assets.orchestration.assets import lineage  # noqa: E402 - the filter must stand before the checks
from flywheel_assets.orchestration.resources import Pipeline  # noqa: E402
from flywheel_assets.orchestration.sensors import pick_up_builds, reconcile_daily  # noqa: E402


def definitions_for(pipeline: Pipeline) -> dg.Definitions:
    """Every catalogued output's lineage and the two sensors."""
    catalogue = pipeline.catalogue
    return dg.Definitions(
        assets=[asset for name in catalogue.outputs for asset in lineage(catalogue, name)],
        sensors=[pick_up_builds, reconcile_daily],
        resources={"pipeline": pipeline},
        executor=dg.in_process_executor,
    )
