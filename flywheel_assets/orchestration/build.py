"""From a pipeline to Definitions."""

import warnings

import dagster as dg

# Partitioned checks are a preview feature; design and tests rest on them knowingly.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from flywheel_assets.catalog.models import Way  # noqa: E402 - the filter must stand before the checks
from flywheel_assets.orchestration.assets import lineage  # noqa: E402
from flywheel_assets.orchestration.builders import builder_assets  # noqa: E402
from flywheel_assets.orchestration.freshness import intake_assets  # noqa: E402
from flywheel_assets.orchestration.rebuilds import ask_for_rebuilds, rebuild_job  # noqa: E402
from flywheel_assets.orchestration.registering import register_assets  # noqa: E402
from flywheel_assets.orchestration.resources import Pipeline  # noqa: E402
from flywheel_assets.orchestration.sensors import (  # noqa: E402
    follow_forges,
    follow_publications,
    pick_up_builds,
    reconcile_daily,
    watch_builders,
)


def definitions_for(pipeline: Pipeline) -> dg.Definitions:
    """Every builder's page, every catalogued output's lineage, and the sensors."""
    catalogue = pipeline.catalogue
    owners = sorted({catalogue.owners[builder.owner].contact for builder in catalogue.builders.values()})
    targets = [output.publication for output in catalogue.outputs.values() if output.publication]
    are_dispatched = any(target.way is Way.TRIGGERS for target in targets)
    pages = [*builder_assets(catalogue), *intake_assets(owners, with_forges=bool(catalogue.sources))]
    pages += register_assets(sorted({catalogue.owners[each.owner].contact for each in catalogue.outputs.values()}))
    return dg.Definitions(
        assets=[*pages, *(asset for name in catalogue.outputs for asset in lineage(catalogue, name))],
        sensors=[
            pick_up_builds,
            reconcile_daily,
            watch_builders,
            *([follow_forges] if catalogue.sources else []),
            *([follow_publications] if are_dispatched else []),
        ],
        jobs=[rebuild_job] if catalogue.rebuilder else [],
        schedules=[ask_for_rebuilds] if catalogue.rebuilder else [],
        resources={"pipeline": pipeline},
        executor=dg.in_process_executor,
    )
