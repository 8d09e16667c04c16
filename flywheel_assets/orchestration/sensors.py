"""The sensor that picks up builds and asks for their runs, and the daily reconciliation that finds what it missed."""

import json

import dagster as dg

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.keys import builds_name
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.wanted import add_requests, read_cursor, wanted
from flywheel_assets.promotion.intake import take_in

EVERY_SECONDS = 30


@dg.sensor(
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes receipts into evidence, reports their builds, and asks for what is not judged or published.",
)
def pick_up_builds(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """One tick; repeating it changes nothing."""
    try:
        taken = take_in(pipeline.flywheel)
    except FlywheelError as error:
        # What is in evidence already goes on; what could not be taken in stays in the inbox.
        context.log.error(f"Intake stopped: {error}")
    else:
        context.log.info(f"Took in {taken.total} documents, {taken.dead_letters} of them unreadable.")
    found = wanted(pipeline.flywheel, context.instance, read_cursor(context.cursor))
    for problem in found.problems:
        context.log.warning(problem)
    return dg.SensorResult(
        run_requests=found.runs,
        asset_events=found.events,
        dynamic_partitions_requests=add_requests(found),
        cursor=_cursor(found.settled),
        skip_reason=None if found.runs else dg.SkipReason("Nothing new: every build is judged on the evidence of now."),
    )


@dg.schedule(
    cron_schedule="15 3 * * *",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Finds builds that the sensor missed, and reads again what a cache could not serve.",
)
def reconcile_daily(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> list[dg.RunRequest] | dg.SkipReason:
    """The whole inbox and all evidence against all that Dagster holds, no cursor believed."""
    taken = take_in(pipeline.flywheel)
    found = wanted(pipeline.flywheel, context.instance, {}, reconciling=context.scheduled_execution_time.date())
    for event in found.events:
        context.instance.report_runless_asset_event(event)
    for name, keys in found.partitions.items():
        context.instance.add_dynamic_partitions(builds_name(name), keys)
    missed = sum(len(keys) for keys in found.partitions.values())
    context.log.info(f"Reconciled: {taken.total} documents and {missed} builds that the sensor had missed.")
    for problem in found.problems:
        context.log.warning(problem)
    return found.runs or dg.SkipReason("Nothing was missed and nothing is worth reading again.")


def _cursor(settled: dict[str, str]) -> str:
    return json.dumps(settled, sort_keys=True)
