"""The sensor that follows forges: runs and receipts become evidence, and their lag is a check."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration.freshness import FORGES_KEEP_UP, forge_event
from flywheel_assets.orchestration.keys import INTAKE
from flywheel_assets.orchestration.sensors import follow_forges
from flywheel_assets.promotion.runs import RunsTaken
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings
from flywheel_assets_tests.orchestration.bench import Bench
from flywheel_assets_tests.orchestration.test_lineage import definitions
from flywheel_assets_tests.promotion.forged import ForgedRuns, forged


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


def test_without_a_forge_in_the_catalogue_there_is_no_sensor_and_no_check() -> None:
    assert "follow_forges" not in {sensor.name for sensor in definitions().sensors or []}
    checks = definitions().resolve_asset_graph().asset_check_keys
    assert dg.AssetCheckKey(INTAKE, FORGES_KEEP_UP) not in checks
