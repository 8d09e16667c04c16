"""The sensor that picks up builds and asks for their runs, and the daily reconciliation that finds what it missed."""

import json

import dagster as dg

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.wanted import Wanted, add_requests, read_cursor, wanted
from flywheel_assets.promotion.intake import take_in

EVERY_SECONDS = 30
RECONCILE_SECONDS = 3600


@dg.sensor(
    asset_selection=dg.AssetSelection.all(),
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
        context.log.error("Intake stopped: %s", error)  # noqa: TRY400 - a sentence, no traceback
    else:
        context.log.info("Took in %d documents, %d of them unreadable.", taken.total, taken.dead_letters)
    found = wanted(pipeline.flywheel, context.instance, read_cursor(context.cursor))
    return _result(context, found, json.dumps(found.settled, sort_keys=True))


@dg.sensor(
    asset_selection=dg.AssetSelection.all(),
    minimum_interval_seconds=RECONCILE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Once a day: finds builds that the sensor missed, and reads again what a cache could not serve.",
)
def reconcile_daily(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """The whole inbox and all evidence against all that Dagster holds, no cursor believed.

    A sensor and not a schedule, because its runs span outputs whose partitions differ. Its cursor is the day
    (UTC) that was reconciled last; the first tick of an installation only starts the count.
    """
    today = pipeline.flywheel.clock().date()
    if not context.cursor or context.cursor == today.isoformat():
        return dg.SensorResult(skip_reason=dg.SkipReason("Today is reconciled."), cursor=today.isoformat())
    taken = take_in(pipeline.flywheel)
    found = wanted(pipeline.flywheel, context.instance, {}, reconciling=today)
    missed = sum(len(keys) for keys in found.partitions.values())
    context.log.info("Reconciled: %d documents and %d builds that the sensor had missed.", taken.total, missed)
    return _result(context, found, today.isoformat())


def _result(context: dg.SensorEvaluationContext, found: Wanted, cursor: str) -> dg.SensorResult:
    for problem in found.problems:
        context.log.warning(problem)
    nothing = dg.SkipReason("Nothing to ask for: every build is judged on the evidence of now, or is being judged.")
    return dg.SensorResult(
        run_requests=found.runs,
        asset_events=found.events,
        dynamic_partitions_requests=add_requests(found),
        cursor=cursor,
        skip_reason=None if found.runs else nothing,
    )
