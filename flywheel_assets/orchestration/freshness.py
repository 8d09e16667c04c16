"""How far behind intake and judging are, in the UI: one asset with the lag as numbers, and a check that it is small."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from flywheel_assets.orchestration.bounds import INTAKE_SECONDS, after
from flywheel_assets.orchestration.builders import Events
from flywheel_assets.orchestration.keys import BUILDERS_GROUP, INTAKE
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.shown import newest_report
from flywheel_assets.orchestration.wanted import read_cursor
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.lag import LATE, Lag, lag_of
from flywheel_assets.promotion.runs import RunsTaken, take_in_runs

KEEPS_UP, FORGES_KEEP_UP = "keeps_up", "forges_keep_up"
FOLLOW_FORGES = "follow_forges"
_STEP = 600  # seconds of lag between two reports while nothing else changes


def intake_assets(contacts: list[str], *, with_forges: bool = False) -> list[dg.AssetSpec | dg.AssetChecksDefinition]:
    """The asset, owned by ``contacts``, and its checks."""
    spec = dg.AssetSpec(
        INTAKE,
        group_name=BUILDERS_GROUP,
        description="What builders delivered, and how far behind this pipeline is with it. "
        "What could not be read is listed by `flywheel intake list`.",
        owners=contacts,
    )
    return [spec, _check(), *([_forge_check()] if with_forges else [])]


def intake_events(flywheel: Flywheel, instance: dg.DagsterInstance) -> Events:
    """The lag, when the UI shows another."""
    lag = lag_of(flywheel)
    facts = _facts(lag, flywheel.clock(), instance)
    result = _result(lag, float(str(facts["lag_seconds"].value)))
    state = _state(lag, facts, result)
    shown = newest_report(instance, INTAKE)
    if shown is not None and "state" in shown.metadata and shown.metadata["state"].value == state:
        return []
    return [
        dg.AssetMaterialization(INTAKE, metadata={**facts, "state": state}),
        dg.AssetCheckEvaluation(
            asset_key=INTAKE,
            check_name=KEEPS_UP,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
        ),
    ]


def forge_events(found: RunsTaken, now: datetime, instance: dg.DagsterInstance) -> Events:
    """What a visit came to, when the UI shows another, or what it shows is getting old."""
    event, shown = forge_event(found, now), _shown_of_forges(instance)
    if shown is None or _told(event) != _told(shown) or now - _visited(shown) >= LATE / 2:
        return [event]
    return []


def place_in(cursor: str | None) -> str:
    """How far the sensor that follows forges has come, out of its cursor; empty for one that tells nothing."""
    return read_cursor(cursor).get("place", "")


def _cursor_of_sensor(instance: dg.DagsterInstance) -> str | None:
    for state in instance.all_instigator_state() if instance.schedule_storage else ():
        if state.instigator_name == FOLLOW_FORGES:
            cursor = getattr(state.instigator_data, "cursor", None)
            return str(cursor) if cursor else None
    return None


def missing_visits(flywheel: Flywheel, instance: dg.DagsterInstance) -> Events:
    """That nobody visited the forges for too long, once: what the last visit said of them is no news any more."""
    shown, now = _shown_of_forges(instance) if flywheel.catalogue.sources else None, flywheel.clock()
    if shown is None or not shown.passed or now - _visited(shown) <= LATE:
        return []
    says = f"The forges were not visited since {_visited(shown):%Y-%m-%d %H:%M}Z. See the ticks of follow_forges."
    return [_of_forges(passed=False, says=says, facts=shown.metadata)]


def _told(event: dg.AssetCheckEvaluation) -> tuple[bool, str, int]:
    return event.passed, event.description or "", int(float(str(event.metadata["lag_seconds"].value)) // _STEP)


def _visited(event: dg.AssetCheckEvaluation) -> datetime:
    return datetime.fromtimestamp(float(str(event.metadata["visited"].value)), UTC)


def _shown_of_forges(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation | None:
    """The newest evaluation by a visit, or of one that was missed."""
    key = dg.AssetCheckKey(INTAKE, FORGES_KEEP_UP)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    found = record.evaluation if record else None
    # While a run has yet to evaluate it, what is planned stands here, and nothing else is known.
    is_ours = isinstance(found, dg.AssetCheckEvaluation) and {"visited", "lag_seconds"} <= found.metadata.keys()
    return found if is_ours else None


def _of_forges(*, passed: bool, says: str, facts: Mapping[str, dg.MetadataValue]) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=INTAKE,
        check_name=FORGES_KEEP_UP,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=says,
        metadata=facts,
    )


def forge_event(found: RunsTaken, now: datetime) -> dg.AssetCheckEvaluation:
    """Whether forges are read, and how far: ``found`` is what the last visit came to.

    Before all were gone through once, nothing is known of what they hold, and so it does not pass.
    """
    behind = (now - found.unseen_since).total_seconds() if found.unseen_since else 0.0
    says = "Every finished run of the catalogued repositories is on record."
    if found.problems:
        says = " ".join(found.problems)
    elif found.unseen_since is None:
        says = "The catalogued repositories are gone through for the first time: what they hold is not known yet."
    elif behind > LATE.total_seconds():
        says = f"Runs since {found.unseen_since:%Y-%m-%d %H:%M}Z may be unseen. See the ticks of follow_forges."
    facts = {
        "lag_seconds": dg.MetadataValue.float(round(behind, 1)),
        "open_runs": dg.MetadataValue.int(found.open),
        "visited": dg.MetadataValue.timestamp(now),
    }
    is_known = found.unseen_since is not None and behind <= LATE.total_seconds()
    return _of_forges(passed=is_known and not found.problems, says=says, facts=facts)


def _check() -> dg.AssetChecksDefinition:
    spec = dg.AssetCheckSpec(KEEPS_UP, asset=INTAKE, description=f"Nothing that arrived has waited longer than {LATE}.")

    @dg.multi_asset_check(name="intake_keeps_up", specs=[spec])
    def intake_keeps_up(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        lag = lag_of(pipeline.flywheel)
        facts = _facts(lag, pipeline.flywheel.clock(), context.instance)
        yield _result(lag, float(str(facts["lag_seconds"].value)))

    return intake_keeps_up


def _forge_check() -> dg.AssetChecksDefinition:
    """By hand it goes on where the sensor's last tick ended, as far as one tick would."""
    says = f"Forges are read, and no run that they list has been unseen for longer than {LATE}."

    @dg.multi_asset_check(
        name="intake_forges_keep_up", specs=[dg.AssetCheckSpec(FORGES_KEEP_UP, asset=INTAKE, description=says)]
    )
    def intake_forges_keep_up(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        place = place_in(_cursor_of_sensor(context.instance))
        found = forge_event(take_in_runs(pipeline.flywheel, place, after(INTAKE_SECONDS)), pipeline.flywheel.clock())
        yield dg.AssetCheckResult(
            asset_key=INTAKE,
            check_name=FORGES_KEEP_UP,
            passed=found.passed,
            severity=found.severity,
            description=found.description,
            metadata=found.metadata,
        )

    return intake_forges_keep_up


def _facts(lag: Lag, now: datetime, instance: dg.DagsterInstance) -> dict[str, dg.MetadataValue]:
    facts: dict[str, dg.MetadataValue] = {}
    seconds = lag.seconds(now)
    if lag.undelivered:
        since = _undelivered_since(lag, now, instance)
        seconds = max(seconds, (now - since).total_seconds())
        facts["undelivered"] = dg.MetadataValue.text(lag.undelivered)
        facts["undelivered_since"] = dg.MetadataValue.timestamp(since)
    if lag.oldest:
        facts["oldest_build"] = dg.MetadataValue.text(lag.oldest)
    return {
        "lag_seconds": dg.MetadataValue.float(round(seconds, 1)),
        "builds_waiting": dg.MetadataValue.int(lag.waiting),
        "unreadable": dg.MetadataValue.int(lag.unreadable),
        "unknown_outputs": dg.MetadataValue.int(lag.unknown_outputs),
        **facts,
    }


def _undelivered_since(lag: Lag, now: datetime, instance: dg.DagsterInstance) -> datetime:
    """Since when the UI shows this very delivery as the first that was not taken in: inboxes do not tell the time."""
    shown = newest_report(instance, INTAKE)
    if shown is not None and "undelivered_since" in shown.metadata:
        since = shown.metadata["undelivered_since"].value
        if shown.metadata["undelivered"].value == lag.undelivered and isinstance(since, float):
            return datetime.fromtimestamp(since, UTC)
    return now


def _result(lag: Lag, seconds: float) -> dg.AssetCheckResult:
    if lag.damaged:
        return _judged(passed=False, says=f"What is in damaged evidence goes no further. {' '.join(lag.damaged)}")
    if lag.inbox:
        return _judged(passed=False, says=f"Nothing can be taken in. {lag.inbox}")
    waits = lag.oldest or f"the delivery {lag.undelivered}"
    if seconds > LATE.total_seconds():
        age = timedelta(seconds=int(seconds))
        return _judged(
            passed=False, says=f"{waits} has waited for {age}. See the ticks of pick_up_builds and its runs."
        )
    if lag.waiting or lag.undelivered:
        return _judged(passed=True, says=f"{lag.waiting} builds wait to be judged, {waits} the longest.")
    says = "Everything that arrived was taken in and judged."
    if letters := lag.unreadable + lag.unknown_outputs:
        counted = f"{letters} letter{'' if letters == 1 else 's'}: {lag.unreadable} unreadable, "
        counted += f"{lag.unknown_outputs} of outputs that the catalogue does not know"
        return _judged(passed=False, says=f"{says.removesuffix('.')}, but for {counted}. See `flywheel intake list`.")
    return _judged(passed=True, says=says)


def _judged(*, passed: bool, says: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=INTAKE, check_name=KEEPS_UP, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=says
    )


def _state(lag: Lag, facts: dict[str, dg.MetadataValue], result: dg.AssetCheckResult) -> str:
    """Changes when something else waits, or waits for much longer; not with every second and every build."""
    steps = int(float(str(facts["lag_seconds"].value)) // _STEP)
    waits = [bool(lag.waiting), lag.undelivered, lag.inbox, lag.damaged, lag.unreadable, lag.unknown_outputs]
    said = [result.passed, *waits, steps]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
