"""The sensors: one picks up builds and asks for their runs, one finds daily what that missed, one watches both."""

import json

import dagster as dg

from flywheel_assets.domain.deadlines import within
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.bounds import FORBEARANCE, INTAKE_SECONDS, WANTED_SECONDS, after
from flywheel_assets.orchestration.builders import Events, builder_events
from flywheel_assets.orchestration.dispatched import dispatch_events
from flywheel_assets.orchestration.freshness import (
    FOLLOW_FORGES,
    forge_events,
    intake_events,
    missing_visits,
    place_in,
)
from flywheel_assets.orchestration.registering import NOT_TOLD, register_events
from flywheel_assets.orchestration.requests import Wanted
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.wanted import add_requests, is_through, read_cursor, wanted
from flywheel_assets.promotion.deciding import hear
from flywheel_assets.promotion.dispatches import dispatched_outputs
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.rounds import follow_all, look_at_released
from flywheel_assets.promotion.runs import RunsTaken, take_in_runs

EVERY_SECONDS = 30
WATCH_SECONDS = 60
FOLLOW_SECONDS = 60
RECONCILE_SECONDS = 300  # where a day takes more than one tick; any other tick costs nothing


@dg.sensor(
    asset_selection=dg.AssetSelection.all(),
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes receipts into evidence, reports their builds, and asks for what is not judged or published.",
)
def pick_up_builds(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """One tick; repeating it changes nothing."""
    _take_in(context, pipeline)
    found = wanted(pipeline.flywheel, context.instance, read_cursor(context.cursor), enough=after(WANTED_SECONDS))
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
    (UTC) that was reconciled last, with how far it has come where that took more than one tick; the first tick of an
    installation only starts the count.
    """
    today = pipeline.flywheel.clock().date()
    day, _, progress = (context.cursor or today.isoformat()).partition(" ")
    if day == today.isoformat() and not progress:
        return dg.SensorResult(skip_reason=dg.SkipReason("Today is reconciled."), cursor=today.isoformat())
    if day != today.isoformat():
        progress = ""
        pipeline.flywheel.seen.clear()  # what this tick has no time for, the next ones of pick_up_builds read again
    taken = _take_in(context, pipeline)
    found = wanted(
        pipeline.flywheel, context.instance, read_cursor(progress), reconciling=today, enough=after(WANTED_SECONDS)
    )
    missed = sum(len(keys) for keys in found.partitions.values())
    context.log.info("Reconciled: %d documents and %d builds that the sensor had missed.", taken, missed)
    rest = "" if is_through(pipeline.flywheel, found) else f" {json.dumps(found.settled, sort_keys=True)}"
    return _result(context, found, today.isoformat() + rest)


@dg.sensor(
    name=FOLLOW_FORGES,
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes what the catalogued forges say of runs, and the receipts in their artifacts, into evidence.",
)
def follow_forges(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """One visit, bounded in time; a sensor of its own, so that a slow forge holds up no inbox."""
    place = place_in(context.cursor)
    try:
        found = take_in_runs(pipeline.flywheel, place, after(INTAKE_SECONDS))
    except FlywheelError as error:
        context.log.error("Nothing of forges was taken in: %s", error)  # noqa: TRY400 - a sentence, no traceback
        found = RunsTaken(cursor=place, problems=[str(error)])
    context.log.info("Recorded %d runs; %d are open.", found.recorded + found.absent, found.open)
    for problem in found.problems:
        context.log.warning(problem)
    events = forge_events(found, pipeline.flywheel.clock(), context.instance)
    return dg.SensorResult(
        asset_events=events,
        cursor=json.dumps({"place": found.cursor}),
        skip_reason=None if events else dg.SkipReason("Nothing new is to be shown; builds are asked for elsewhere."),
    )


@dg.sensor(
    minimum_interval_seconds=FOLLOW_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the workflows that publish, and looks once a day whether what they released still stands.",
)
def follow_publications(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """One look at each build on its way, bounded in time. What was released is put on record by a run, not here."""
    flywheel, cursor = pipeline.flywheel, read_cursor(context.cursor)
    try:
        with within(INTAKE_SECONDS + FORBEARANCE):
            found = follow_all(flywheel, after(INTAKE_SECONDS))
        today = flywheel.clock().date()
        with within(WANTED_SECONDS + FORBEARANCE):
            released = look_at_released(flywheel, cursor.get("round", ""), today, after(WANTED_SECONDS))
        shown = one_reading(flywheel)
        outputs = dispatched_outputs(flywheel)
        events = [event for output in outputs for event in dispatch_events(shown, context.instance, output)]
    except FlywheelError as error:
        context.log.error("No workflow was followed: %s", error)  # noqa: TRY400 - a sentence, no traceback
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
    for problem in (*found.problems, *released.problems):
        context.log.warning(problem)
    context.log.info("%d builds are on their way; %d have come further.", found.open, len(found.changed))
    skipped = None if events else dg.SkipReason(f"{found.open} builds are on their way, and their pages show where.")
    return dg.SensorResult(
        asset_events=events,
        cursor=json.dumps({"round": released.place}),
        skip_reason=skipped,
    )


@dg.sensor(
    minimum_interval_seconds=WATCH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Shows what is so of each builder label (phase 0), and how far behind intake and judging are.",
)
def watch_builders(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """Reports only what changed. It stands alone, so that it also tells when pick_up_builds does nothing at all."""
    events, problems, register = watched(pipeline.flywheel, context.instance, context.cursor or "")
    for problem in problems:
        context.log.error("Not everything can be told: %s", problem)
    says = " ".join(problems) or "The pages of builders and intake show what is so."
    skipped = None if events else dg.SkipReason(says)
    return dg.SensorResult(asset_events=events, skip_reason=skipped, cursor=register)


def watched(flywheel: Flywheel, instance: dg.DagsterInstance, seen: str = "") -> tuple[Events, list[str], str]:
    """What the pages of builders, of intake and of the register do not show yet, and why some of it cannot be told.

    ``seen`` is what the register was gone through for last, and the last of the three what it is now.
    """
    flywheel, events, problems = one_reading(flywheel), Events(), []
    for page in (builder_events, intake_events, missing_visits):
        try:
            events += page(flywheel, instance)
        except FlywheelError as error:
            problems.append(str(error))
    registered, seen = register_events(flywheel, instance, seen)
    problems += [seen.removeprefix(NOT_TOLD)] if seen.startswith(NOT_TOLD) else []
    return [*events, *registered], problems, seen


def _take_in(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> int:
    """How many documents were taken. What is in evidence already goes on whatever becomes of the inbox."""
    try:
        taken = take_in(pipeline.flywheel, after(INTAKE_SECONDS))
        hear(pipeline.flywheel)
    except FlywheelError as error:
        context.log.error("Intake stopped: %s", error)  # noqa: TRY400 - a sentence, no traceback
        return 0
    context.log.info("Took in %d documents, %d of them unreadable.", taken.total, taken.dead_letters)
    for problem in taken.postponed:
        context.log.warning("Tried again next time: %s", problem)
    if taken.more:
        context.log.info("There is more in the inbox; the next tick goes on.")
    return taken.total


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
