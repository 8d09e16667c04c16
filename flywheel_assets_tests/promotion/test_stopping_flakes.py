"""A release by a workflow is stopped by what people decide: before its closure is visible, and before it is asked."""

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake
from flywheel_assets_tests.promotion.installation import CHARTS
from flywheel_assets_tests.promotion.people import approve, decided, with_people

BEFORE_VISIBLE = ("claim", "plan", "copy", "slot", "attach")
BEFORE_ASKED = ("reveal", "read_back", "proofs")


def ready() -> Flake:
    """The sample's flake, which two people approved."""
    flake = a_flake(catalogue=with_people(CHARTS_OUTPUT))
    for name in ("alva", "bo"):
        approve(flake.flywheel, name, CHARTS_OUTPUT, CHARTS)
    return flake


def held_before(flake: Flake, step: str) -> None:
    """Hold it once, right before a step."""
    done: list[str] = []

    def hook(name: str) -> None:
        if name == step and not done:
            done.append(name)
            decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)

    flake.memory.evidence.before = hook
    flake.carrier.before = hook


def test_what_is_approved_is_asked_for() -> None:
    flake = ready()
    assert isinstance(flake.promote(), Dispatch)
    assert len(flake.workflow.asked) == 1


@pytest.mark.parametrize("step", BEFORE_VISIBLE)
def test_no_closure_becomes_visible_once_the_release_is_held(step: str) -> None:
    flake = ready()
    held_before(flake, step)
    with pytest.raises(PromotionRefusedError, match="held"):
        flake.promote()
    assert "reveal" not in flake.carrier.steps
    assert flake.carrier.names == {}
    assert flake.workflow.asked == []
    assert flake.states() == []
    if step in {"claim", "plan", "copy"}:
        assert flake.memory.evidence.slots == {}, "nothing is signed for it either"


@pytest.mark.parametrize("step", BEFORE_ASKED)
def test_no_workflow_is_asked_once_the_release_is_held(step: str) -> None:
    flake = ready()
    held_before(flake, step)
    with pytest.raises(PromotionRefusedError, match="held"):
        flake.promote()
    assert flake.workflow.asked == []
    assert flake.states() == [], "nothing on record says that it was asked for"


@pytest.mark.parametrize("step", ["copy", "read_back"])
def test_a_hold_is_no_failure_of_the_promotion(step: str) -> None:
    flake = ready()
    held_before(flake, step)
    with pytest.raises(PromotionRefusedError):
        flake.promote()
    assert last_failure(flake.flywheel, CHARTS_OUTPUT, CHARTS) is None, "the verdict says it"


def test_it_goes_on_to_its_end_once_the_hold_is_revoked() -> None:
    flake = ready()
    hold = decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    with pytest.raises(PromotionRefusedError):
        flake.promote()
    flake.memory.clock.move(seconds=1)
    decided(flake.flywheel, "alva", Act.REVOKE, decision=hold.id)
    assert flake.to_the_end().publication.build == CHARTS
