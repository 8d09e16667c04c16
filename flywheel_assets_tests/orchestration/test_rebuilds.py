"""The daily request for second opinions, and the job that gives one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.definitions import build_definitions
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.orchestration.metadata import verdict_metadata
from flywheel_assets.orchestration.rebuilds import REBUILDS_TAG, ask_for_rebuilds
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.promotion.explaining import excuse_of
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets_tests.gate.cases import REPOSITORY
from flywheel_assets_tests.promotion.installation import Memory, in_memory
from flywheel_assets_tests.promotion.rebuilds import (
    FIRST,
    OUTPUT,
    FakeRebuilder,
    catalogue,
    deliver,
    rebuilding,
    receipt,
)

SUBJECT = f"{OUTPUT} {FIRST}"


@dataclass
class Daily:
    """A flywheel that lacks a second opinion, and an instance that ticks once a day."""

    memory: Memory
    rebuilder: FakeRebuilder
    instance: dg.DagsterInstance

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(flywheel=self.memory.flywheel)

    def ask(self) -> list[dg.RunRequest]:
        with dg.build_schedule_context(instance=self.instance, resources={"pipeline": self.pipeline}) as context:
            found = ask_for_rebuilds(context)
        return found if isinstance(found, list) else []

    def run(self, output: str = OUTPUT, build: str = str(FIRST), **tags: str) -> dg.ExecuteInProcessResult:
        job = build_definitions(self.pipeline).resolve_job_def("rebuild")
        config = {"ops": {"rebuild_from_source": {"config": {"output": output, "build": build}}}}
        return job.execute_in_process(
            run_config=config, instance=self.instance, tags={REBUILDS_TAG: SUBJECT, **tags}, raise_on_error=False
        )

    def tomorrow(self) -> None:
        self.memory.clock.now += timedelta(days=1)


@pytest.fixture
def daily(tmp_path: Path) -> Iterator[Daily]:
    rebuilder = FakeRebuilder()
    memory = rebuilding(receipt(), rebuilder=rebuilder)
    judge(memory.flywheel, OUTPUT, FIRST)
    # A schedule's context knows no ephemeral instance.
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Daily(memory, rebuilder, instance)


def test_a_build_is_asked_for_once_a_day_until_it_has_its_second_opinion(daily: Daily) -> None:
    (asked,) = daily.ask()
    (again,) = daily.ask()
    assert asked.run_key == again.run_key
    assert asked.tags[REBUILDS_TAG] == SUBJECT
    daily.tomorrow()
    (later,) = daily.ask()
    assert later.run_key != asked.run_key
    assert daily.run().success
    assert daily.ask() == []
    assert len(builds_of(daily.memory.flywheel, OUTPUT)) == 2


def test_the_request_runs_as_it_is(daily: Daily) -> None:
    (asked,) = daily.ask()
    job = build_definitions(daily.pipeline).resolve_job_def("rebuild")
    done = job.execute_in_process(run_config=asked.run_config, instance=daily.instance, tags=asked.tags)
    assert done.success
    assert daily.rebuilder.asked[0][0] == REPOSITORY


def test_what_fails_three_times_is_left_to_a_person(daily: Daily) -> None:
    daily.rebuilder.broken = UnreadableError("nix build ended with status 1.")
    for _ in range(3):
        assert len(daily.ask()) == 1
        done = daily.run()
        assert not done.success
        failure = done.failure_data_for_node("rebuild_from_source")
        assert failure
        assert "nix build ended with status 1" in str(failure)
        daily.tomorrow()
    assert daily.ask() == []


def test_what_is_left_to_a_person_takes_no_other_builds_turn(daily: Daily) -> None:
    known = daily.memory.flywheel.catalogue
    assert known.rebuilder
    one = known.model_copy(update={"rebuilder": known.rebuilder.model_copy(update={"a_day": 1})})
    daily.memory = replace(daily.memory, flywheel=replace(daily.memory.flywheel, catalogue=one))
    deliver(daily.memory, receipt(run="200", revision="b" * 40))
    newest = BuildKey(run="200", attempt=1, system="x86_64-linux")
    judge(daily.memory.flywheel, OUTPUT, newest)
    daily.rebuilder.broken = UnreadableError("nix build ended with status 1.")
    for build in [newest] * 3 + [FIRST] * 3:
        (asked,) = daily.ask()
        assert asked.tags[REBUILDS_TAG] == f"{OUTPUT} {build}"
        daily.run(build=str(build), **asked.tags)
        daily.tomorrow()
    assert daily.ask() == []


def test_what_is_being_built_is_not_asked_for(daily: Daily) -> None:
    daily.instance.create_run_for_job(
        build_definitions(daily.pipeline).resolve_job_def("rebuild"),
        run_config={"ops": {"rebuild_from_source": {"config": {"output": OUTPUT, "build": str(FIRST)}}}},
        tags={REBUILDS_TAG: SUBJECT},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert daily.ask() == []


@pytest.mark.parametrize(
    ("output", "build"),
    [("elsewhere", str(FIRST)), ("../../etc", str(FIRST)), (OUTPUT, "no build"), (OUTPUT, "999.1.x86_64-linux")],
)
def test_whoever_launches_it_by_hand_can_name_nothing_but_builds_in_evidence(
    daily: Daily, output: str, build: str
) -> None:
    assert not daily.run(output, build).success
    assert daily.rebuilder.asked == []


def test_a_catalogue_without_a_rebuilder_has_no_such_job() -> None:
    memory = replace(in_memory("nothing", catalogue=catalogue(rebuilds=False)))
    definitions = build_definitions(Pipeline(flywheel=memory.flywheel))
    repository = definitions.get_repository_def()
    assert not repository.has_job("rebuild")
    assert repository.schedule_defs == []


def test_the_page_of_a_build_shows_which_files_differ(daily: Daily) -> None:
    daily.rebuilder.content = b"otherwise"
    assert daily.run().success
    judgement = judge(daily.memory.flywheel, OUTPUT, FIRST)
    shown = verdict_metadata(judgement, excuse_of(daily.memory.flywheel, OUTPUT, FIRST, {}), REPOSITORY)
    table = shown["differing_files"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["file"] for record in table.records] == ["bin/a", "bin/b"]
    assert str(shown["differing_file_count"].value).startswith("2 in /nix/store/")


def test_the_page_of_a_build_says_which_body_could_not_be_read(daily: Daily) -> None:
    daily.rebuilder.content, daily.rebuilder.unreadable = b"otherwise", UnreadableError("The cache is down")
    assert daily.run().success
    flywheel = daily.memory.flywheel
    shown = verdict_metadata(judge(flywheel, OUTPUT, FIRST), excuse_of(flywheel, OUTPUT, FIRST, {}), REPOSITORY)
    assert shown["differing_files"].value == "not known: The cache is down"
