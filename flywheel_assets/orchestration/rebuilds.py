"""Rebuilds: once a day those builds that lack a second opinion are asked for, one run of the job for each.

Output and build are all that a run is told. Whoever launches one by hand can name others, and nothing else: what is
fetched, built and signed with comes from the catalogue.
"""

from collections.abc import Sequence

import dagster as dg

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.assets import build_key
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.promotion.rebuilding import Opinion, rebuild, to_ask_for

REBUILDS_TAG = "flywheel/rebuilds"
ATTEMPTS = 3  # a day apart; after that a person launches it
AT = "20 2 * * *"


class Asked(dg.Config):
    """Which build is to be built again."""

    output: str
    build: str


@dg.op(
    pool="rebuilds",
    description="Builds again from source what a build was made from, in this installation's own Nix store.",
)
def rebuild_from_source(context: dg.OpExecutionContext, config: Asked, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """One build; once it is in evidence, nothing is built again. The sensor judges what that changes."""
    try:
        found = rebuild(pipeline.flywheel, config.output, build_key(config.build))
    except FlywheelError as error:
        raise dg.Failure(
            f"{config.output[:80]} {config.build[:80]} is not built again: {error}",
            metadata={"error": type(error).__name__},
            allow_retries=False,
        ) from None
    context.log.info(_told(found))


@dg.job(
    name="rebuild",
    description="A second opinion from this installation's own rebuilder (docs/rebuilds.md).",
    executor_def=dg.in_process_executor,
)
def rebuild_job() -> None:
    """One build."""
    rebuild_from_source()


@dg.schedule(
    job=rebuild_job,
    cron_schedule=AT,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day: asks for rebuilds of what lacks a second opinion, as many as the catalogue allows.",
)
def ask_for_rebuilds(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> list[dg.RunRequest] | dg.SkipReason:
    """A repeated tick gives the same run keys. What failed three times is left to a person."""
    try:
        wanted = to_ask_for(pipeline.flywheel, lambda name, build: _is_left(context.instance, f"{name} {build}"))
    except FlywheelError as error:
        return dg.SkipReason(f"Nothing can be told: {error}")
    day = pipeline.flywheel.clock().date().isoformat()
    requests = [
        dg.RunRequest(
            run_key=f"rebuild {name} {build} {day}",
            run_config=dg.RunConfig(ops={"rebuild_from_source": Asked(output=name, build=str(build))}),
            tags={REBUILDS_TAG: f"{name} {build}"},
        )
        for name, build in wanted
        if not _is_under_way(context.instance, f"{name} {build}")  # still of those that a day may have
    ]
    return requests or dg.SkipReason("Nothing lacks a second opinion that could be given here.")


def _is_left(instance: dg.DagsterInstance, subject: str) -> bool:
    earlier = _earlier(instance, subject)
    return len(earlier) >= ATTEMPTS and all(run.is_finished for run in earlier)


def _is_under_way(instance: dg.DagsterInstance, subject: str) -> bool:
    return any(not run.is_finished for run in _earlier(instance, subject))


def _earlier(instance: dg.DagsterInstance, subject: str) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(filters=dg.RunsFilter(tags={REBUILDS_TAG: subject}), limit=ATTEMPTS)


def _told(found: Opinion) -> str:
    if found.agrees:
        return f"It came out the same, as {found.build}: that is a second opinion."
    known = [c.differences.told(len(c.differences.first)) if c.differences else c.problem for c in found.comparisons]
    return f"It came out otherwise, as {found.build}: {'; '.join(known)}"
