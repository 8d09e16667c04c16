"""Doing in this process what the daemon would do: tick the sensor, run what it asks for, until nothing is left.

The runs land in the same Dagster instance, so the UI shows them like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.build import definitions_for
from flywheel_assets.orchestration.dispatched import dispatch_events
from flywheel_assets.orchestration.keys import builds_name
from flywheel_assets.orchestration.requests import Wanted
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.sensors import watched
from flywheel_assets.orchestration.wanted import wanted
from flywheel_assets.promotion.deciding import hear
from flywheel_assets.promotion.dispatches import dispatched_outputs
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import Taken, take_in
from flywheel_assets.promotion.judging import read_again
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.rounds import follow_all
from flywheel_assets.promotion.runs import take_in_runs

MAX_ROUNDS = 50
ONE_BY_ONE = 60  # here a run costs half a second and keeps the order that a range run loses

_QUIETLY = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # a line for each failure is told at the end
_AS_THE_SENSOR = {"dagster/sensor_name": "pick_up_builds"}  # shown in the UI as what asked for the run

INSTANCE_SETTINGS = """\
# Written by `flywheel run`. Edit it as you like: it is never overwritten.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
  pools:
    granularity: op
    default_limit: 1
python_logs:
  python_log_level: WARNING
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
retention:
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
  schedule:
    purge_after_days: 90
"""


@dataclass(slots=True)
class Drained:
    """What was taken in, how many runs it took, why runs failed, and what did not settle."""

    taken: Taken = field(default_factory=Taken)
    runs: int = 0
    failures: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Said = Callable[[str, int, int], None]
"""Called with what is being done, how many runs are done, and how many are known of."""


def prepare_home(dagster_home: Path) -> None:
    """Make Dagster's folder, with telemetry off and one publisher at a time per surface."""
    dagster_home.mkdir(parents=True, exist_ok=True)
    settings = dagster_home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(INSTANCE_SETTINGS, "utf-8")


def sweep(instance: dg.DagsterInstance) -> int:
    """Close runs whose process cannot be alive any more; only for whoever holds the working folder's lock."""
    dead = [dg.DagsterRunStatus[name] for name in ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=dead))
    for run in runs:
        instance.report_run_failed(run, "The service was stopped while this run was going; it is asked for again.")
    _free_pools(instance)
    return len(runs)


def _free_pools(instance: dg.DagsterInstance) -> None:
    """Give back what dead processes still hold of pools: whoever waits for it would wait for ever."""
    storage = instance.event_log_storage
    for key in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(key)
        holders = {slot.run_id for slot in info.claimed_slots} | {step.run_id for step in info.pending_steps}
        for run_id in holders:
            storage.free_concurrency_slots_for_run(run_id)


def drain(pipeline: Pipeline, instance: dg.DagsterInstance, said: Said) -> Drained:
    """Take in, judge and publish until nothing is left. What failed before is tried once more."""
    drained = Drained()
    job = definitions_for(pipeline).resolve_implicit_global_asset_job_def()
    damaged = _read_again(pipeline.flywheel, said)
    place = ""
    for number in range(MAX_ROUNDS):
        progress, place, told = _take_in(pipeline.flywheel, place, drained.taken)
        followed = follow_all(pipeline.flywheel)
        found = wanted(pipeline.flywheel, instance, {}, trying_again=number == 0, single_runs=ONE_BY_ONE)
        _report(instance, found)
        drained.problems = list(dict.fromkeys([*damaged, *told, *followed.problems, *found.problems]))
        if not found.runs and not progress and not followed.changed:
            break
        for done, request in enumerate(found.runs):
            said(_about(request), drained.runs, drained.runs + len(found.runs) - done)
            result = job.execute_in_process(
                instance=instance,
                asset_selection=list(request.asset_selection or []),
                partition_key=request.partition_key,
                tags={**request.tags, **_AS_THE_SENSOR, "dagster/run_key": request.run_key or ""},
                run_config=_QUIETLY,
                raise_on_error=False,
            )
            drained.runs += 1
            if not result.success:
                drained.failures.append(_why_failed(request, result))
    watching, problems, _ = watched(pipeline.flywheel, instance)
    events = [*watching, *_on_their_way(pipeline.flywheel, instance)]
    for event in events:
        instance.report_runless_asset_event(event)
    drained.problems += [problem for problem in problems if problem not in drained.problems]
    return drained


def _on_their_way(flywheel: Flywheel, instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
    outputs = dispatched_outputs(flywheel)
    return [event for output in outputs for event in dispatch_events(flywheel, instance, output)]


def _take_in(flywheel: Flywheel, place: str, taken: Taken) -> tuple[int, str, list[str]]:
    """How much came in from the inbox and the forges, where to go on with these, and what could not be taken in.

    As with the sensors, neither holds up the other, nor what is in evidence already.
    """
    progress, problems = 0, list[str]()
    try:
        now = take_in(flywheel)
        hear(flywheel)
        taken.add(now)
        progress, problems = now.total, list(now.postponed)
    except FlywheelError as error:
        problems.append(str(error))
    try:
        forges = take_in_runs(flywheel, place)
        taken.add(forges.taken)
        return progress + forges.recorded + forges.taken.total, forges.cursor, [*problems, *forges.problems]
    except FlywheelError as error:
        return progress, place, [*problems, str(error)]


def _read_again(flywheel: Flywheel, said: Said) -> list[str]:
    """What caches could not serve when they were read last may be there by now: then it is judged anew.

    Returns why outputs could not be looked at.
    """
    flywheel, problems = one_reading(flywheel), []
    for name in flywheel.catalogue.outputs:
        try:
            for build in builds_of(flywheel, name):
                said(f"look at {name} {build} again", 0, 1)
                read_again(flywheel, name, build)
        except FlywheelError as error:
            problems.append(f"{name}: {error}")
    return problems


def _why_failed(request: dg.RunRequest, result: dg.ExecuteInProcessResult) -> str:
    """The first line of what a failed run says; the UI shows the rest."""
    for event in result.all_events:
        if event.is_step_failure:
            told = event.step_failure_data.user_failure_data
            if told and told.description:
                return told.description.partition("\n")[0]
    return f"{_about(request)}: the page of run {result.run_id} in the UI shows why"


def _report(instance: dg.DagsterInstance, found: Wanted) -> None:
    """In the order of a daemon's tick: events, then partitions; both are safe to repeat."""
    for event in found.events:
        instance.report_runless_asset_event(event)
    for name, keys in found.partitions.items():
        instance.add_dynamic_partitions(builds_name(name), keys)


def _about(request: dg.RunRequest) -> str:
    stage = "publish" if "flywheel/publishes" in request.tags else "judge"
    output = (request.asset_selection or [dg.AssetKey(["?"])])[0].path[-1]
    return f"{stage} {output} {request.partition_key or 'several builds'}"
