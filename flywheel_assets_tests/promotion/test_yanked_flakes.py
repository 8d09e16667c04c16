"""What was yanked stays so in every report, whoever asks for it again, and comes back only by being shown again."""

from datetime import date

import pytest

from flywheel_assets.domain.dispatches import DispatchState, FlakeVersion
from flywheel_assets.domain.errors import PublicationError
from flywheel_assets.domain.publications import Release
from flywheel_assets.promotion.dispatches import note
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.rounds import look_at_released
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake, with_twin
from flywheel_assets_tests.promotion.installation import CHARTS
from flywheel_assets_tests.promotion.test_withdrawing_flakes import a_released_flake, withdraw_flake


def yanked(flake: Flake) -> Flake:
    """On record, and yanked a day later."""
    flake.promote()
    flake.to_the_end()
    flake.workflow.yank()
    flake.memory.clock.move(days=1)
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.last().state is DispatchState.YANKED
    return flake


@pytest.mark.parametrize("anew", [True, False])
def test_what_was_yanked_is_asked_for_by_nobody_again_and_stays_yanked_in_the_report(*, anew: bool) -> None:
    flake = yanked(a_flake())
    for _ in range(3):
        with pytest.raises(PublicationError, match=r"yanked.* Release under another version"):
            flake.promote(anew=anew)
        flake.an_hour_in_vain()
        look_at_released(flake.flywheel, "", date(2030, 1, 1), lambda: False)
    assert (len(flake.workflow.asked), flake.states()[-1]) == (1, "yanked")
    row = flake.row()
    assert (row.state, row.reason) == (State.YANKED, "release-yanked")


def a_failed_request_behind(flake: Flake) -> Flake:
    """Another request of the same build came to nothing, after its release was on record."""
    last = flake.last()
    failed = {"id": f"{last.id[:-4]}0000", "state": DispatchState.FAILED, "release": None, "at": flake.memory.clock()}
    note(flake.flywheel, last.model_copy(update=failed))
    assert flake.last().state is DispatchState.FAILED
    return flake


def test_a_yank_is_seen_behind_a_later_request_that_failed() -> None:
    flake = a_flake()
    flake.to_the_end()
    a_failed_request_behind(flake)
    today = date(2030, 1, 1)
    assert look_at_released(flake.flywheel, "", today, lambda: False).changed == []
    flake.workflow.yank()
    (seen,) = look_at_released(flake.flywheel, "", today, lambda: False).changed
    assert (seen.state, flake.last().state) == (DispatchState.YANKED, DispatchState.YANKED)


def test_a_withdrawal_ends_with_the_yank_though_a_later_request_failed() -> None:
    flake = a_released_flake()
    a_failed_request_behind(flake)
    withdraw_flake(flake)
    (done,) = carry_out(flake.flywheel).done
    assert done.yanked_by
    flake.workflow.yank()
    (yanked_since,) = carry_out(flake.flywheel).done
    assert yanked_since.yanked_by == ""


def test_what_was_yanked_is_not_asked_for_on_behalf_of_another_build_either() -> None:
    flake, twin = with_twin()
    yanked(flake)
    with pytest.raises(PublicationError, match=f"was released for {CHARTS}, and taken back"):
        promote(flake.flywheel, CHARTS_OUTPUT, twin)
    assert len(flake.workflow.asked) == 1


def test_what_is_shown_again_is_put_on_record_when_it_is_promoted() -> None:
    flake = a_flake()
    flake.promote()
    flake.follow()
    flake.follow()
    flake.workflow.yank()
    with pytest.raises(PublicationError, match="yanked"):
        flake.promote()
    flake.workflow.releases = {v: r.model_copy(update={"yanked": False}) for v, r in flake.workflow.releases.items()}
    assert isinstance(flake.promote(), Promoted)
    assert len(flake.workflow.asked) == 1


def test_a_later_request_that_failed_hides_no_yank() -> None:
    flake = yanked(a_flake())
    later = flake.last().model_copy(update={"id": "f" * 32, "state": DispatchState.FAILED})
    note(flake.flywheel, later)
    assert flake.row().state is State.YANKED


def test_a_yank_is_on_record_where_the_revision_is_not_told_any_more() -> None:
    flake = yanked(a_flake())
    told = {v: r.model_copy(update={"revision": None, "yanked": True}) for v, r in flake.workflow.releases.items()}
    fresh = a_flake()
    fresh.promote()
    fresh.to_the_end()
    fresh.workflow.releases = told
    look_again(fresh.flywheel, CHARTS_OUTPUT, CHARTS)
    assert fresh.row().state is State.YANKED


def test_a_release_whose_revision_is_not_told_is_waited_for_and_is_not_one_of_another_revision() -> None:
    flake = a_flake(looks=1)
    flake.promote()

    def untold(release: Release) -> FlakeVersion:
        del release
        return FlakeVersion(version="0.1.1", revision=None, yanked=True)

    flake.workflow.released = untold  # type: ignore[method-assign]  # as one that is not listed yet
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    assert "does not list it yet" in flake.row().message
