"""A build that a workflow publishes, under Dagster: asked for by a run, followed by a sensor, recorded by a run."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.catalog.models import Output
from flywheel_assets.definitions import build_definitions
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.deadlines import left
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import AmbiguousError, RateLimitedError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.gate.case import person
from flywheel_assets.orchestration.bounds import FORBEARANCE, INTAKE_SECONDS
from flywheel_assets.orchestration.dispatched import dispatch_metadata
from flywheel_assets.orchestration.drain import drain
from flywheel_assets.orchestration.keys import PUBLISHES_TAG, asset_key
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.sensors import follow_publications
from flywheel_assets.promotion.dispatches import dispatches, last_dispatches, note
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.report import State
from flywheel_assets_tests.orchestration.bench import PUBLISHED, Bench, bench, key

OUTPUT, BUILD = "depth-charts", key(14402201401)


@pytest.fixture
def flake(tmp_path: Path) -> Iterator[Bench]:
    """The flake's build, judged, with nothing asked of its workflow yet."""
    with bench(tmp_path, "14402201401-depth-charts") as opened:
        while opened.instance.get_runs_count() == 0:
            opened.tick()
        yield opened


def requests(asked: dg.SensorResult) -> list[str]:
    return [request.tags[PUBLISHES_TAG] for request in asked.run_requests or [] if PUBLISHES_TAG in request.tags]


def shown(flake: Bench) -> list[str]:
    """The states that the page shows, the newest last."""
    seen = reversed(flake.observed(PUBLISHED, OUTPUT, BUILD))
    return [str(observation.metadata["state"].value) for observation in seen]


def test_a_run_asks_the_sensor_follows_and_a_run_puts_it_on_record_once(flake: Bench) -> None:
    (run,) = flake.tick()
    assert run.success, "a run that leaves a workflow to its work is no failure"
    assert flake.materialized(PUBLISHED, OUTPUT) == set()
    assert requests(flake.ask()) == [], "what a workflow is on with is not asked for again"
    flake.follow()
    assert requests(flake.ask()) == []
    flake.follow()
    assert flake.materialized(PUBLISHED, OUTPUT) == set()
    (run,) = flake.tick()
    assert run.success
    assert flake.events(PUBLISHED, OUTPUT) == [BUILD]
    assert flake.row(OUTPUT, BUILD).state is State.PUBLISHED
    assert flake.settle() == []
    assert flake.events(PUBLISHED, OUTPUT) == [BUILD]
    assert shown(flake) == ["dispatched", "running", "released", "released"]
    newest = flake.observed(PUBLISHED, OUTPUT, BUILD)[0].metadata
    assert str(newest["waits_for"].value).startswith("nothing: it was read back whole and is on record as flakehub:")
    assert not newest["to_change_it"].value
    assert len(flake.workflow.asked) == 1


def test_the_page_s_command_to_verify_a_flake_names_the_cache_that_carries_it_and_each_proof_once(flake: Bench) -> None:
    flake.settle()
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(PUBLISHED, OUTPUT))
    (record,) = flake.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization
    metadata = record.asset_materialization.metadata
    carrier = flake.settings.home / "surfaces" / "durable-nix"
    assert f" --cache file://{carrier}`" in str(metadata["verify"].value)
    proofs = metadata["proofs"].value
    assert isinstance(proofs, list)
    assert len(proofs) == len(set(map(str, proofs)))


def test_the_sensor_asks_for_no_build_while_another_is_on_its_way(flake: Bench) -> None:
    assert len(requests(flake.ask())) == 1
    flake.materialize(OUTPUT, BUILD, PUBLISHED)
    (mine,) = last_dispatches(flake.flywheel, OUTPUT).values()
    other = mine.model_copy(update={"build": BuildKey.parse(key(1))})
    with bench(flake.settings.home.parent / "other", "14402201401-depth-charts") as fresh:
        while fresh.instance.get_runs_count() == 0:
            fresh.tick()
        note(fresh.flywheel, other)
        assert requests(fresh.ask()) == []
        note(fresh.flywheel, other.model_copy(update={"state": DispatchState.FAILED}))
        assert requests(fresh.ask()) == [], "nor is the very same release asked for twice without a person"
        older = mine.flake.model_copy(update={"revision": GitRevision("e" * 40)})
        note(fresh.flywheel, other.model_copy(update={"state": DispatchState.FAILED, "flake": older}))
        assert len(requests(fresh.ask())) == 1


def test_no_tick_and_no_run_waits_for_the_workflow(flake: Bench) -> None:
    flake.workflow.looks = 10_000
    flake.settle()
    assert flake.row(OUTPUT, BUILD).reason == "workflow-running"
    assert flake.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0
    assert shown(flake)[-1] == "running"
    assert flake.follow() == [], "a state is shown once"


def test_a_tick_gives_all_that_it_asks_no_more_time_than_it_has(flake: Bench) -> None:
    flake.workflow.looks = 10_000
    flake.settle()
    given: list[float] = []
    flake.workflow.before = lambda _step: given.append(left(10_000))
    flake.follow()
    assert given
    assert max(given) <= INTAKE_SECONDS + FORBEARANCE


def test_the_page_of_what_is_public_though_it_may_not_be_says_who_takes_it_back(flake: Bench) -> None:
    flake.workflow.looks = 1
    flake.tick()
    flake.follow()
    keys = {name: key for name, key in flake.flywheel.catalogue.keys.items() if name != "tinyland-nix"}
    untrusting = replace(flake.flywheel, catalogue=flake.flywheel.catalogue.model_copy(update={"keys": keys}))
    judge(untrusting, OUTPUT, BuildKey.parse(BUILD))
    told = dispatch_metadata(untrusting, dispatches(untrusting, OUTPUT, BuildKey.parse(BUILD)))
    assert "it is public all the same: its workflow has released it" in str(told["waits_for"].value)
    assert str(told["to_change_it"].value).startswith("Yank ")
    owner = untrusting.catalogue.surfaces["flakehub"].owner
    assert told["who_acts"].value == person(untrusting.catalogue, owner), "nobody else can yank there"


def test_the_page_shows_every_state_its_run_and_who_acts(flake: Bench) -> None:
    flake.workflow.ending, flake.workflow.conclusion = Ending.FAILED, "cancelled"
    flake.settle()
    newest = flake.observed(PUBLISHED, OUTPUT, BUILD)[0]
    assert newest.metadata["state"].value == "failed"
    assert str(newest.metadata["workflow_run"].value).endswith("/actions/runs/1")
    assert "cancelled" in str(newest.description)
    assert "cancelled" in str(newest.metadata["waits_for"].value)
    assert "flywheel promote" in str(newest.metadata["to_change_it"].value)
    assert "Harbor tools" in str(newest.metadata["who_acts"].value)
    table = newest.metadata["states"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["state"] for record in table.records] == ["requested", "dispatched", "running", "failed"]


def test_after_a_failure_only_a_person_asks_again(flake: Bench) -> None:
    flake.workflow.ending = Ending.FAILED
    flake.settle()
    flake.reconcile()
    flake.day = 1
    flake.reconcile()
    flake.settle()
    assert len(flake.workflow.asked) == 1, "neither sensor nor reconciliation asks twice"
    flake.workflow.ending = Ending.PASSED
    assert flake.materialize(OUTPUT, BUILD, PUBLISHED).success
    assert len(set(flake.workflow.asked)) == 2
    flake.settle()
    assert flake.materialized(PUBLISHED, OUTPUT) == {BUILD}


def test_a_run_of_the_sensor_that_comes_late_asks_for_nothing(flake: Bench) -> None:
    late = flake.ask()
    flake.workflow.ending = Ending.FAILED
    flake.materialize(OUTPUT, BUILD, PUBLISHED)
    flake.follow()
    flake.follow()
    (run,) = flake.run(late)
    assert not run.success
    assert len(flake.workflow.asked) == 1


def test_what_the_forge_did_not_take_is_tried_a_few_times(flake: Bench) -> None:
    flake.workflow.refuses = RateLimitedError("The forge asks to wait.", 60)
    flake.settle()
    assert flake.row(OUTPUT, BUILD).reason == "publication-failed"
    assert flake.workflow.asked == []
    assert flake.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])) == 3
    flake.workflow.refuses = None
    flake.reconcile()
    flake.day = 1
    flake.reconcile()
    flake.settle()
    assert flake.materialized(PUBLISHED, OUTPUT) == {BUILD}


def test_a_tick_that_ends_before_it_tells_is_made_good_by_the_next(flake: Bench) -> None:
    flake.tick()
    flake.ask(follow_publications)  # its events and cursor are lost
    flake.follow()
    assert shown(flake) == ["dispatched", "released"], "the table of the newest has what was not shown"


def test_a_forge_that_cannot_be_asked_ends_no_tick(flake: Bench) -> None:
    flake.tick()
    flake.workflow.broken = RateLimitedError("Later.", 60)
    assert flake.follow() == []
    flake.workflow.broken = None
    flake.settle()
    assert flake.materialized(PUBLISHED, OUTPUT) == {BUILD}


def test_the_day_after_a_yanked_release_is_found_and_shown(flake: Bench) -> None:
    flake.settle()
    flake.workflow.yank()
    flake.day = 1
    assert [event.metadata["state"].value for event in flake.follow()] == ["yanked"]
    assert flake.row(OUTPUT, BUILD).state is State.YANKED
    assert flake.follow() == []
    assert flake.settle() == [], "nothing is done about it by itself"


def test_the_day_s_round_is_gone_through_once_a_day(flake: Bench) -> None:
    flake.settle()
    looked: list[str] = []
    flake.workflow.before = looked.append
    flake.follow()
    assert looked == []
    flake.day = 1
    flake.follow()
    flake.follow()
    assert looked == ["released", "read_back"]


def test_a_drain_goes_on_as_long_as_the_workflow_comes_further(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201401-depth-charts") as opened:
        drained = drain(opened.pipeline, opened.instance, lambda _text, _done, _total: None)
        assert drained.failures == []
        assert opened.materialized(PUBLISHED, OUTPUT) == {BUILD}
        assert drain(opened.pipeline, opened.instance, lambda _text, _done, _total: None).runs == 0


PLACES = re.compile(r"published_artifact|published_at|s4_published|publish_depth_charts|not published")


@pytest.mark.parametrize("ticks", range(4))
@pytest.mark.parametrize("how", ["ends well", "fails", "is ambiguous", "is late"])
def test_nothing_in_dagster_says_published_before_it_is(
    flake: Bench, how: str, ticks: int, capfd: pytest.CaptureFixture[str]
) -> None:
    if how == "fails":
        flake.workflow.ending = Ending.FAILED
    if how == "is ambiguous":
        flake.workflow.loses, flake.workflow.hides = AmbiguousError("It timed out."), True
    if how == "is late":
        flake.workflow.lag = 99
    flake.tick()
    for _ in range(ticks):
        flake.follow()
    assert flake.materialized(PUBLISHED, OUTPUT) == set()
    said = [capfd.readouterr().err]
    for observation in flake.observed(PUBLISHED, OUTPUT, BUILD):
        said += [str(observation.description), *(str(value) for value in observation.metadata.values())]
    for run in flake.instance.get_runs():
        said += [record.user_message for record in flake.instance.all_logs(run.run_id)]
    told = [line for text in said for line in text.splitlines() if "published" in PLACES.sub("", line).lower()]
    assert told == []


def test_the_sensor_is_there_only_where_a_workflow_publishes(flake: Bench) -> None:
    def sensors(opened: Bench, outputs: dict[str, Output]) -> set[str]:
        catalogue = opened.flywheel.catalogue.model_copy(update={"outputs": outputs})
        changed = replace(opened.flywheel, catalogue=catalogue)
        return {each.name for each in build_definitions(Pipeline(opened.settings, changed)).sensors or []}

    outputs = dict(flake.flywheel.catalogue.outputs)
    assert "follow_publications" in sensors(flake, outputs)
    del outputs[OUTPUT]
    assert "follow_publications" not in sensors(flake, outputs)
