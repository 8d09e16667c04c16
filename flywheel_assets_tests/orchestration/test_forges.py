"""The sensor that follows forges: runs and receipts become evidence, and their lag is a check."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.orchestration.freshness import FORGES_KEEP_UP, forge_event
from flywheel_assets.orchestration.keys import INTAKE
from flywheel_assets.orchestration.sensors import follow_forges, watch_builders
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.lag import LATE
from flywheel_assets.promotion.platform_log import platform_log
from flywheel_assets.promotion.runs import RunsTaken
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings
from flywheel_assets_tests.orchestration.bench import Bench
from flywheel_assets_tests.orchestration.test_lineage import definitions
from flywheel_assets_tests.promotion.forged import REPOSITORY, ForgedRuns, forged


@pytest.fixture
def world() -> Iterator[ForgedRuns]:
    with forged() as made:
        yield made


@pytest.fixture
def opened(world: ForgedRuns, tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(Settings(tmp_path, SAMPLE_CATALOGUE), world.flywheel, instance)


def visit(opened: Bench, world: ForgedRuns) -> dg.SensorResult:
    """One whole tick."""
    world.forge.clock.move(seconds=30)
    result = opened.ask(follow_forges)
    opened.report_events(result)
    opened.cursors[follow_forges.name] = result.cursor
    return result


def check(result: dg.SensorResult) -> tuple[bool, str]:
    (event,) = result.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.asset_key, event.check_name) == (INTAKE, FORGES_KEEP_UP)
    return event.passed, event.description or ""


def test_a_run_with_its_receipt_is_a_build_that_the_next_tick_asks_for(opened: Bench, world: ForgedRuns) -> None:
    run = world.build()
    world.leave_receipt(run)
    world.forge.end(run)
    for _ in range(3):
        visit(opened, world)
    assert world.recorded() == [f"{run.id}.1"]
    assert [event.partition for event in opened.ask().asset_events] == [f"{run.id}.1.x86_64-linux"]


def test_the_check_passes_while_forges_are_read_and_is_reported_only_when_it_changes(
    opened: Bench, world: ForgedRuns
) -> None:
    said = [check(result) for result in (visit(opened, world) for _ in range(4)) if result.asset_events]
    assert said[-1] == (True, "Every finished run of the catalogued repositories is on record.")
    assert not visit(opened, world).asset_events


def test_a_tick_that_is_repeated_after_a_crash_changes_nothing(opened: Bench, world: ForgedRuns) -> None:
    run = world.build()
    world.leave_receipt(run)
    world.forge.end(run)
    for _ in range(3):
        opened.ask(follow_forges)
    assert world.recorded() == [f"{run.id}.1"]
    assert len(world.builds()) == 1


def test_a_forge_that_is_behind_for_too_long_or_fails_fails_the_check(opened: Bench, world: ForgedRuns) -> None:
    visit(opened, world)
    now = world.forge.clock()
    assert forge_event(RunsTaken(unseen_since=now), now).passed
    world.forge.clock.move(hours=2)
    late = forge_event(RunsTaken(unseen_since=now), world.forge.clock())
    assert not late.passed
    assert "may be unseen" in (late.description or "")
    assert not forge_event(RunsTaken(problems=["The forge is down."]), now).passed


def on_the_page(opened: Bench) -> tuple[str, str, float]:
    """What the instance says of the check, as the UI asks it, and the lag that it shows."""
    name = dg.AssetCheckKey(INTAKE, FORGES_KEEP_UP)
    record = opened.instance.event_log_storage.get_latest_asset_check_execution_by_key([name])[name]
    assert record.evaluation
    lag = float(str(record.evaluation.metadata["lag_seconds"].value))
    return record.status.value, record.evaluation.description or "", lag


def test_in_the_instance_a_forge_that_fails_for_an_hour_is_red_with_its_lag_and_green_when_it_is_back(
    opened: Bench, world: ForgedRuns
) -> None:
    for _ in range(3):
        visit(opened, world)
    assert on_the_page(opened)[0] == "SUCCEEDED"
    world.forge.fail_every = 1
    lags = []
    for _ in range(5):
        world.forge.clock.move(minutes=15)
        visit(opened, world)
        status, says, lag = on_the_page(opened)
        assert status == "FAILED"
        assert says
        lags.append(lag)
    assert lags == sorted(lags)
    assert lags[-1] > LATE.total_seconds()
    world.forge.fail_every = 0
    for _ in range(3):
        visit(opened, world)
    status, says, lag = on_the_page(opened)
    assert (status, says) == ("SUCCEEDED", "Every finished run of the catalogued repositories is on record.")
    assert lag < LATE.total_seconds()


def test_when_nobody_visits_the_forges_the_watch_says_so_once_and_the_next_visit_takes_it_back(
    opened: Bench, world: ForgedRuns
) -> None:
    for _ in range(3):
        visit(opened, world)
    watch = opened.ask(watch_builders)
    opened.report_events(watch)
    world.forge.clock.move(minutes=61)
    red = opened.ask(watch_builders)
    opened.report_events(red)
    status, says, _ = on_the_page(opened)
    assert status == "FAILED"
    assert says.startswith("The forges were not visited since ")
    again = [event for event in opened.ask(watch_builders).asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert FORGES_KEEP_UP not in {event.check_name for event in again}
    for _ in range(2):
        visit(opened, world)
    assert on_the_page(opened)[0] == "SUCCEEDED"


def test_evidence_that_cannot_be_read_fails_the_check(
    opened: Bench, world: ForgedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(opened, world)

    def damaged(log: str) -> None:
        raise EvidenceCorruptError(f"The evidence log {log} is damaged.")

    monkeypatch.setattr(world.memory.evidence, "entries", damaged)
    assert check(visit(opened, world))[0] is False


def test_one_damaged_log_of_runs_fails_the_check_by_its_name_and_holds_up_no_other_run(
    opened: Bench, world: ForgedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [world.build() for _ in range(8)]
    for run in runs:
        world.leave_receipt(run)
        world.forge.end(run)
    damaged, entries = platform_log(REPOSITORY, str(runs[-1].id)), world.memory.evidence.entries

    def damaged_for_one(log: str) -> tuple[LogEntry, ...]:
        if log == damaged:
            raise EvidenceCorruptError(f"The evidence log {log} is damaged.")
        return entries(log)

    monkeypatch.setattr(world.memory.evidence, "entries", damaged_for_one)
    for _ in range(3):
        visit(opened, world)
    monkeypatch.undo()
    others = {f"{run.id}.1" for run in runs if platform_log(REPOSITORY, str(run.id)) != damaged}
    assert set(world.recorded()) == others
    assert len(others) >= 6
    status, says, _ = on_the_page(opened)
    assert (status, f"evidence log {damaged} is damaged" in says) == ("FAILED", True)


def test_the_check_does_not_pass_before_the_forges_were_gone_through_once(opened: Bench, world: ForgedRuns) -> None:
    event = forge_event(RunsTaken(unseen_since=None), world.forge.clock())
    assert not event.passed
    assert "is not known yet" in (event.description or "")


def test_a_check_by_hand_that_was_begun_and_never_ended_does_not_stop_the_sensor(
    opened: Bench, world: ForgedRuns
) -> None:
    opened.instance.create_run_for_job(opened.job)
    visit(opened, world)
    assert on_the_page(opened)[0] == "SUCCEEDED"


def test_by_hand_the_check_goes_on_from_where_the_sensor_is(
    opened: Bench, world: ForgedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        result = visit(opened, world)
    state = SimpleNamespace(instigator_name=follow_forges.name, instigator_data=SimpleNamespace(cursor=result.cursor))
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(INTAKE, FORGES_KEEP_UP))
    by_hand = dg.Definitions(jobs=[dg.define_asset_job("by_hand", selection)])
    job = dg.Definitions.merge(opened.definitions, by_hand).resolve_job_def("by_hand")
    world.forge.fail_every = 1
    world.forge.clock.move(hours=2)
    lags = []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for states in ([], [state]):
            monkeypatch.setattr(instance, "all_instigator_state", lambda known=states: known)
            (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
            lags.append(float(str(evaluation.metadata["lag_seconds"].value)))
    assert lags == [0, pytest.approx(7200, abs=100)]


def test_without_a_forge_in_the_catalogue_there_is_no_sensor_and_no_check() -> None:
    assert "follow_forges" not in {sensor.name for sensor in definitions().sensors or []}
    checks = definitions().resolve_asset_graph().asset_check_keys
    assert dg.AssetCheckKey(INTAKE, FORGES_KEEP_UP) not in checks
