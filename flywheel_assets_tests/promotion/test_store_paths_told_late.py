"""A store path that is told late: it is looked for where the release shows, and compared whenever it is told."""

from datetime import date
from typing import Any

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.dispatches import DispatchState, FlakeVersion
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.publications import Release
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import plan_promotion
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.register import Standing, register
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.rounds import look_at_released
from flywheel_assets.promotion.shown_releases import LOOKS
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake
from flywheel_assets_tests.promotion.installation import CHARTS
from flywheel_assets_tests.promotion.people import decided
from flywheel_assets_tests.promotion.test_stopping_flakes import ready

WRONG_PATH = "/nix/store/" + "0" * 32 + "-other"


def shown_late(looks: int, **workflow: Any) -> Flake:
    """A release that shows, without its store path, after so many looks in vain, ten minutes apart."""
    flake = a_flake(looks=1, bare=True, **workflow)
    flake.promote()
    shows = flake.workflow.released

    def hides(release: Release) -> FlakeVersion | None:
        shows(release)
        return None

    flake.workflow.released = hides  # type: ignore[method-assign]  # for a while
    flake.follow()
    for _ in range(looks):
        flake.memory.clock.move(minutes=10)
        flake.follow()
    flake.workflow.released = shows  # type: ignore[method-assign]  # again
    return flake


def looks(flake: Flake) -> DispatchState:
    """The looks of an hour, a minute apart, but for the one that ends it."""
    for _ in range(60):
        state = flake.follow()
        flake.memory.clock.move(minutes=1)
    flake.memory.clock.move(seconds=-1)
    return state


@pytest.mark.parametrize("vain", [LOOKS - 1, LOOKS])
def test_looks_for_a_release_are_no_looks_for_its_store_path(vain: int) -> None:
    flake = shown_late(vain, store_path=WRONG_PATH)
    assert flake.last().state is (DispatchState.FAILED if vain == LOOKS else DispatchState.AWAITS_RELEASE)
    assert looks(flake) is DispatchState.AWAITS_RELEASE
    flake.promote(anew=False)
    flake.workflow.bare = False
    assert flake.follow() is DispatchState.WRONG_RELEASE
    assert flake.records() == 0


def test_a_release_that_shows_late_is_published_by_its_revision_once_its_path_was_looked_for_an_hour() -> None:
    flake = shown_late(LOOKS - 1)
    looks(flake)
    flake.memory.clock.move(seconds=1)
    assert flake.follow() is DispatchState.RELEASED
    assert flake.last().detail == "no store path is told."
    assert isinstance(flake.promote(anew=False), Promoted)


def test_a_store_path_that_is_told_after_the_release_is_on_record_is_compared_too() -> None:
    flake = shown_late(0, store_path=WRONG_PATH)
    looks(flake)
    flake.memory.clock.move(seconds=1)
    flake.follow()
    assert isinstance(flake.promote(anew=False), Promoted)
    flake.workflow.bare = False
    look_at_released(flake.flywheel, "", date(2030, 1, 1), lambda: False)
    row = flake.row()
    assert (row.state, row.reason) == (State.TO_YANK, "released-otherwise")
    assert WRONG_PATH in row.message
    assert [each.state for each in register(flake.flywheel)] == [Standing.MARKED]


def test_a_store_path_that_is_told_later_and_is_the_approved_one_is_said_no_more_to_be_untold() -> None:
    flake = shown_late(0)
    looks(flake)
    flake.memory.clock.move(seconds=1)
    flake.follow()
    flake.workflow.bare = False
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert (flake.last().state, flake.last().detail) == (DispatchState.RELEASED, "")


def test_what_was_released_otherwise_is_no_more_that_once_it_is_yanked_or_mended_and_never_by_telling_less() -> None:
    flake = a_flake(looks=1, store_path=WRONG_PATH)
    flake.promote()
    assert flake.follow() is DispatchState.WRONG_RELEASE
    flake.workflow.bare = True
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().state is DispatchState.WRONG_RELEASE
    held, flake.workflow.bare = flake.workflow.releases, False
    flake.workflow.yank()
    look_at_released(flake.flywheel, "", date(2030, 1, 1), lambda: False)
    assert flake.last().state is DispatchState.YANKED
    flake.workflow.releases = held
    flake.memory.clock.move(days=1)
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().state is DispatchState.WRONG_RELEASE


def test_a_failed_run_of_a_release_that_is_there_without_its_path_is_gone_on_with() -> None:
    flake = a_flake(looks=1, ending=Ending.FAILED, conclusion="failure", bare=True)
    release = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS).release
    flake.promote()
    flake.workflow.release(release)
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    assert "a release that no run of this request made is still to be read back" in flake.row().message
    looks(flake)
    flake.memory.clock.move(seconds=1)
    assert flake.follow() is DispatchState.RELEASED


def test_what_was_released_otherwise_is_told_under_a_hold_too() -> None:
    flake = ready(looks=1, store_path=WRONG_PATH)
    flake.promote()
    flake.follow()
    decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    judge(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    row = flake.row()
    assert (row.state, row.reason) == (State.TO_YANK, "held")
    assert "what is released under its name is not what was approved, and is public" in row.message
    assert row.remedy.startswith("Yank ")
