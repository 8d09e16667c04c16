"""Several requests for one build, and clocks that were wrong: none of their runs is forgotten, and none is hidden."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.dispatches import DispatchState, WorkflowRun
from flywheel_assets.domain.errors import AmbiguousError, PublicationError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.promotion.dispatches import last_dispatches
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.rounds import follow_all
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake
from flywheel_assets_tests.promotion.installation import CHARTS
from flywheel_assets_tests.promotion.people import decided
from flywheel_assets_tests.promotion.test_stopping_flakes import ready

AMBIGUOUS = AmbiguousError("The forge timed out.")


def of_two(**workflow: Any) -> Flake:
    """Asked for, lost for an hour, asked for by a person once more; then both of the runs show, and go on."""
    flake = ready(loses=AMBIGUOUS, hides=True, looks=99, **workflow)
    flake.promote()
    flake.an_hour_in_vain()
    flake.workflow.loses = None
    flake.promote(anew=True)
    flake.workflow.hides = False
    assert len(flake.workflow.asked) == 2
    return flake


def visit(flake: Flake) -> list[str]:
    """One of the sensor; what it could not do."""
    flake.memory.clock.move(minutes=1)
    return follow_all(flake.flywheel).problems


def test_a_hold_cancels_the_runs_of_all_requests_also_of_those_that_had_failed() -> None:
    flake = of_two()
    decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    for _ in range(3):
        visit(flake)
    assert {run.conclusion for run in flake.workflow.runs.values()} == {"cancelled"}
    assert flake.workflow.releases == {}


def test_what_is_wrong_with_one_request_holds_up_no_other_and_is_told() -> None:
    flake = of_two()
    decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    cancels, (first, second) = flake.workflow.cancel, flake.workflow.asked

    def refuses_the_first(release: Any, run: str) -> None:
        if run == "1":
            raise PublicationError("The forge takes no orders.")
        cancels(release, run)

    flake.workflow.cancel = refuses_the_first  # type: ignore[method-assign]  # for one of them
    assert [visit(flake) for _ in range(2)] == [[f"{CHARTS_OUTPUT} {CHARTS}: The forge takes no orders."]] * 2
    assert (flake.workflow.runs[first].ending, flake.workflow.runs[second].conclusion) == (None, "cancelled")


def test_a_request_that_goes_on_is_not_hidden_by_one_that_failed_after_it() -> None:
    flake = of_two()
    visit(flake)
    second = flake.workflow.asked[1]
    ended: dict[str, Any] = {"ending": Ending.FAILED, "conclusion": "failure"}
    flake.workflow.runs[second] = flake.workflow.runs[second].model_copy(update=ended)
    visit(flake)
    (last,) = last_dispatches(flake.flywheel, CHARTS_OUTPUT).values()
    assert (last.id, last.state) == (flake.workflow.asked[0], DispatchState.RUNNING)
    assert flake.row().reason == "workflow-running"


def test_two_requests_that_go_on_write_nothing_while_nothing_is_new() -> None:
    flake = of_two()
    visit(flake)
    entries = flake.entries()
    for _ in range(5):
        visit(flake)
    assert flake.entries() == entries


def test_what_was_asked_for_by_a_clock_that_was_ahead_is_found_and_counted_by_the_right_one() -> None:
    flake = a_flake(loses=AMBIGUOUS, hides=True, looks=99)
    flake.memory.clock.move(days=3)
    flake.promote()
    flake.memory.clock.move(days=-3)
    asked: list[timedelta] = []

    def find(release: Release, request: str, since: datetime) -> WorkflowRun | None:
        del release, request
        asked.append(since - flake.memory.clock())
        return None

    flake.workflow.find = find  # type: ignore[method-assign]  # watched
    assert flake.an_hour_in_vain() is DispatchState.FAILED
    assert max(asked) <= timedelta(0), "no forge has runs of the future"
    assert min(asked) >= -timedelta(hours=1)


@pytest.mark.parametrize("act", [Act.HOLD, None])
def test_what_failed_days_ago_and_is_held_is_still_looked_at_by_every_visit(act: Act | None) -> None:
    """Somebody may have the run of what people stopped run again; GitHub lets them for a month."""
    flake = ready(ending=Ending.FAILED, conclusion="failure", looks=1)
    flake.promote()
    flake.follow()
    if act:
        decided(flake.flywheel, "cleo", act, output=CHARTS_OUTPUT)
        judge(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    flake.memory.clock.move(days=20)
    flake.workflow.looks = 99
    flake.workflow.run_again()
    visit(flake)
    visit(flake)
    assert flake.states()[-1] == "failed"
    assert [run.conclusion for run in flake.workflow.runs.values()] == (["cancelled"] if act else [""])
