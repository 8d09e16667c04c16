"""The sensor that picks up builds and the reconciliation: at least once, never twice, nothing lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration import wanted as wants
from flywheel_assets.orchestration.keys import REREAD_TAG, Stage
from flywheel_assets.orchestration.requests import ATTEMPTS, SINGLE_RUNS
from flywheel_assets.orchestration.sensors import pick_up_builds, reconcile_daily
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.orchestration.bench import PUBLISHED, VALIDATED, Bench, bench, deliver, key
from flywheel_assets_tests.orchestration.conftest import TIDE_CLOCKS

GOOD, UNPROVEN, OLDER = key(14402201001), key(14402201004), key(14402201006)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    """One good build in the inbox, and nothing done yet."""
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        yield opened


def run_keys(result: dg.SensorResult) -> list[str | None]:
    return [request.run_key for request in result.run_requests or []]


def test_the_first_tick_reports_builds_adds_their_partitions_and_asks_for_their_runs(one: Bench) -> None:
    result = one.ask()
    assert [(event.asset_key.path, event.partition) for event in result.asset_events] == [
        (["builder_run", "tide-clock"], GOOD)
    ]
    assert [list(request.partition_keys) for request in result.dynamic_partitions_requests or []] == [[GOOD]]
    (request,) = result.run_requests or []
    assert request.partition_key == GOOD
    assert [asset.path[0] for asset in request.asset_selection or []] == ["cache_entry", "validated_artifact"]


def test_a_good_build_is_published_with_no_hand_on_it_and_then_there_is_nothing_to_do(one: Bench) -> None:
    assert all(run.success for run in one.settle())
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}
    assert one.row("tide-clock", GOOD).state.value == "published"
    idle = one.ask()
    assert not idle.run_requests
    assert not idle.asset_events
    assert idle.skip_reason


def test_a_tick_repeated_before_its_runs_started_asks_for_the_same_runs(one: Bench) -> None:
    first = one.ask()
    one.report_events(first)
    one.add_partitions(first)
    again = one.ask()
    assert run_keys(again) == run_keys(first) != []
    assert not again.asset_events
    assert not again.dynamic_partitions_requests


def test_a_tick_while_its_run_is_under_way_asks_for_nothing(one: Bench) -> None:
    first = one.ask()
    one.report_events(first)
    one.add_partitions(first)
    (request,) = first.run_requests or []
    one.instance.create_run_for_job(one.job, tags=request.tags, status=dg.DagsterRunStatus.STARTED)
    waiting = one.ask()
    assert not waiting.run_requests
    assert "tide-clock" not in json.loads(waiting.cursor or ""), "what is under way is not settled"


def test_a_crash_between_events_and_partitions_doubles_no_event(one: Bench) -> None:
    one.report_events(one.ask())
    one.settle()
    assert one.events(Stage.BUILDER_RUN, "tide-clock") == [GOOD]
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}


def test_a_cursor_that_is_not_ours_is_a_fresh_start(one: Bench) -> None:
    for cursor in ("", "[]", "not json", '{"tide-clock": 3}'):
        one.cursors[pick_up_builds.name] = cursor
        assert len(one.ask().run_requests or []) == 1


def test_a_settled_output_is_passed_over_until_something_arrives(one: Bench) -> None:
    one.settle()
    settled = one.cursors[pick_up_builds.name]
    one.tick()
    assert one.cursors[pick_up_builds.name] == settled
    deliver(one.settings.home, "14402201003-tide-clock")
    assert [run.success for run in one.tick()] == [True]


def test_a_build_that_was_promoted_from_the_command_line_is_shown_after_the_next_ticks(tmp_path: Path) -> None:
    build = key(14402201301)
    with bench(tmp_path, "14402201301-sounding-line") as opened:
        opened.settle()
        assert opened.materialized(PUBLISHED, "sounding-line") == set()
        promote(opened.flywheel, "sounding-line", BuildKey.parse(build))
        before = opened.surfaces()
        assert all(run.success for run in opened.settle())
        assert opened.materialized(PUBLISHED, "sounding-line") == {build}
        assert opened.surfaces() == before


def test_what_is_on_demand_waits_for_a_person(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201301-sounding-line") as opened:
        opened.settle()
        assert opened.materialized(VALIDATED, "sounding-line") == {key(14402201301)}
        assert opened.row("sounding-line", key(14402201301)).state.value == "validated"


def test_the_first_tick_of_the_reconciliation_only_starts_the_count(one: Bench) -> None:
    result = one.ask(reconcile_daily)
    assert not result.run_requests
    assert result.skip_reason
    assert result.cursor


def test_the_reconciliation_finds_a_build_that_the_sensor_missed(one: Bench) -> None:
    one.settle()
    one.reconcile()
    deliver(one.settings.home, "14402201003-tide-clock")
    assert one.reconcile() == [], "the day has not changed"
    one.day = 1
    assert [run.success for run in one.reconcile()] == [True]
    assert one.events(Stage.BUILDER_RUN, "tide-clock") == [GOOD, key(14402201003)]
    assert one.reconcile() == [], "once a day"


def test_the_reconciliation_believes_no_cursor(one: Bench) -> None:
    one.reconcile()
    one.tick()
    one.cursors[pick_up_builds.name] = one.ask().cursor
    one.instance.wipe_assets([dg.AssetKey(["validated_artifact", "tide-clock"])])
    one.day = 1
    assert len(one.reconcile()) == 1


def test_a_body_that_was_missing_is_read_again_on_the_next_day_and_only_then_and_goes_out(one: Bench) -> None:
    one.ask()
    nar = one.nar_of("tide-clock", GOOD)
    body = nar.read_bytes()
    nar.write_bytes(b"")
    one.settle()
    one.reconcile()
    assert one.row("tide-clock", GOOD).reason == "body-empty"
    nar.write_bytes(body)
    assert one.settle() == []
    assert one.reconcile() == []
    one.day = 1
    (again,) = one.reconcile()
    assert again.success
    assert one.row("tide-clock", GOOD).reason == "every-rule-holds"
    assert all(run.success for run in one.settle())
    assert one.row("tide-clock", GOOD).state.value == "published"


def test_what_a_cache_could_not_serve_is_read_again_and_no_other_rejection(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS) as opened:
        opened.ask()
        nar = opened.nar_of("tide-clock", GOOD)
        body = nar.read_bytes()
        nar.write_bytes(b"")
        opened.settle()
        opened.reconcile()
        nar.write_bytes(body)
        opened.day = 1
        (again,) = opened.reconcile()
        assert again.success
        assert again.dagster_run.tags[REREAD_TAG] == "true"
        assert again.dagster_run.tags["dagster/partition"] == GOOD
        assert len(opened.observed(VALIDATED, "tide-clock", UNPROVEN)) == 1, "its body was read whole"
        assert len(opened.observed(VALIDATED, "tide-clock", key(14402201002))) == 1, "a permanent rejection stands"
        opened.settle()
        assert opened.row("tide-clock", GOOD).state.value == "published"


def test_a_run_that_fails_is_asked_for_a_few_times_and_then_on_the_next_day(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.reconcile()

    def fail(*_: object, **__: object) -> None:
        raise FlywheelError("The cache is on fire.")

    monkeypatch.setattr("flywheel_assets.orchestration.assets.judge", fail)
    runs = one.settle()
    assert [run.success for run in runs] == [False] * ATTEMPTS
    assert len({run.dagster_run.tags["dagster/run_key"] for run in runs}) == ATTEMPTS
    assert one.settle() == []
    monkeypatch.undo()
    one.day = 1
    assert [run.success for run in one.reconcile()] == [True]


def test_a_promotion_that_fails_again_and_again_does_not_hold_up_a_build_of_newer_source(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201006-tide-clock") as opened:
        opened.ask()
        opened.take_name("tide-clock", OLDER)
        runs = opened.settle()
        assert [run.success for run in runs].count(False) == ATTEMPTS
        deliver(tmp_path, "14402201001-tide-clock")
        opened.settle()
        assert opened.materialized(PUBLISHED, "tide-clock") == {GOOD}


def test_a_build_of_older_source_does_not_go_out_while_the_newest_one_failed_to(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201006-tide-clock") as opened:
        opened.ask()
        name = opened.take_name("tide-clock", GOOD)
        opened.reconcile()
        opened.settle()
        assert opened.materialized(PUBLISHED, "tide-clock") == set()
        assert opened.row("tide-clock", OLDER).reason == "newer-build-goes-first"
        name.unlink()
        opened.day = 1
        opened.reconcile()
        opened.settle()
        assert opened.materialized(PUBLISHED, "tide-clock") == {GOOD}
        assert opened.row("tide-clock", OLDER).reason == "older-than-channel"


def test_a_burst_of_builds_of_one_output_is_one_run_over_a_range(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS) as opened:
        (request,) = opened.ask().run_requests or []
        assert request.partition_key is None
        assert request.tags["dagster/asset_partition_range_start"] == GOOD
        assert request.tags["dagster/asset_partition_range_end"] == key(14402201008)
        runs = opened.settle()
        assert all(run.success for run in runs)
        assert opened.row("tide-clock", GOOD).state.value == "published"
        assert opened.row("tide-clock", key(14402201006)).reason == "older-than-channel"


def test_a_few_builds_are_judged_one_a_run_so_that_the_latest_state_is_the_latest_builds(tmp_path: Path) -> None:
    with bench(tmp_path, *TIDE_CLOCKS[:SINGLE_RUNS]) as opened:
        asked = [request.partition_key for request in opened.ask().run_requests or []]
        assert asked == [key(14402201000 + number) for number in range(1, SINGLE_RUNS + 1)]


def test_what_one_tick_cannot_take_is_taken_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wants, "NEW_BUILDS_A_TICK", 1)
    with bench(tmp_path, "14402201001-tide-clock", "14402201301-sounding-line", "14402201501-ci-toolchain") as opened:
        opened.settle()
        for output, run in (("tide-clock", 14402201001), ("sounding-line", 14402201301), ("ci-toolchain", 14402201501)):
            assert opened.events(Stage.BUILDER_RUN, output) == [key(run)]
            assert opened.row(output, key(run)).settled


def test_damage_to_one_outputs_evidence_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201501-ci-toolchain") as opened:
        opened.ask()
        (entry, *_) = (opened.settings.home / "evidence" / "logs" / "output-ci-toolchain").iterdir()
        entry.write_bytes(b"{}")
        deliver(opened.settings.home, "14402201301-sounding-line")
        assert all(run.success for run in opened.settle())
        assert opened.materialized(PUBLISHED, "tide-clock") == {GOOD}
        assert len(opened.materialized(VALIDATED, "sounding-line")) == 1, "what arrives later is taken in, too"


def test_an_inbox_that_is_gone_does_not_stop_what_is_in_evidence_already(one: Bench) -> None:
    one.ask()
    inbox = one.settings.home / "sample" / "inbox"
    inbox.rename(inbox.with_name("elsewhere"))
    assert all(run.success for run in one.settle())
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}
