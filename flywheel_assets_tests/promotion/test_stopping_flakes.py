"""A release by a workflow is stopped by what people decide, on its way too; what is public all the same is told so."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import PromotionRefusedError, PublicationError, UnreadableError
from flywheel_assets.domain.publications import Release
from flywheel_assets.gate.case import person
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.report import Row, State, report
from flywheel_assets.promotion.rounds import follow_all
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake
from flywheel_assets_tests.promotion.installation import CHARTS
from flywheel_assets_tests.promotion.people import approve, decided, with_people

BEFORE_VISIBLE = ("claim", "plan", "copy", "slot", "attach")
BEFORE_ASKED = ("reveal", "read_back", "proofs")


def ready(**workflow: Any) -> Flake:
    """The sample's flake, which two people approved."""
    flake = a_flake(catalogue=with_people(CHARTS_OUTPUT), **workflow)
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


def asked_and_held(**workflow: Any) -> Flake:
    """Asked for, and held right after that."""
    flake = ready(**workflow)
    flake.promote()
    decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    return flake


@pytest.mark.parametrize("act", [Act.HOLD, Act.WITHDRAW, Act.QUARANTINE])
def test_the_very_run_of_what_is_held_withdrawn_or_quarantined_meanwhile_is_cancelled(act: Act) -> None:
    flake = ready(looks=99)
    flake.promote()
    assert flake.follow() is DispatchState.RUNNING
    scope: dict[Act, dict[str, Any]] = {
        Act.HOLD: {"output": CHARTS_OUTPUT},
        Act.WITHDRAW: {"output": CHARTS_OUTPUT, "digest": flake.last().artifact_digest},
        Act.QUARANTINE: {"key": "tinyland-nix"},
    }
    decided(flake.flywheel, "cleo", act, **scope[act])
    assert flake.follow() is DispatchState.STOPPING
    assert flake.follow() is DispatchState.FAILED
    assert flake.states() == ["requested", "dispatched", "running", "being cancelled", "failed"]
    assert "The run ended: cancelled. Its cancelling was asked for: " in flake.last().detail
    assert flake.workflow.releases == {}


def test_a_run_that_the_gate_lets_go_on_is_not_cancelled() -> None:
    flake, steps = ready(looks=99), list[str]()
    flake.promote()
    flake.workflow.before = steps.append
    assert flake.follow() is DispatchState.RUNNING
    assert "cancel" not in steps


def test_that_a_run_is_to_be_cancelled_is_on_record_before_the_forge_is_asked() -> None:
    flake, on_record = asked_and_held(looks=99), list[str]()
    flake.workflow.before = lambda step: on_record.append(flake.states()[-1]) if step == "cancel" else None
    flake.follow()
    assert on_record == ["being cancelled"]


def test_a_cancelling_that_the_forge_does_not_take_is_told_and_asked_for_again() -> None:
    flake = asked_and_held(looks=99)
    asked: list[str] = []

    def fails(step: str) -> None:
        if step == "cancel":
            asked.append(step)
            raise PublicationError("The forge takes no orders.")

    flake.workflow.before = fails
    told = [follow_all(flake.flywheel).problems for _ in range(3)]
    assert told == [[f"{CHARTS_OUTPUT} {CHARTS}: The forge takes no orders."]] * 3
    assert len(asked) == 3
    assert flake.states()[2:] == ["being cancelled"] * 2, "it says so once, and once that the forge does not take it"
    row, owner = flake.row(), person(flake.flywheel.catalogue, flake.flywheel.output(CHARTS_OUTPUT).owner)
    assert "its workflow is running, and the forge is asked to cancel it: " in row.message
    assert row.message.endswith("; the forge does not take that: The forge takes no orders")
    assert row.remedy.startswith("Cancel the run by hand, https://")
    assert row.actor == owner
    judge(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    row = flake.row()
    assert "the forge does not take the order to cancel its workflow: The forge takes no orders; it may" in row.message
    assert row.remedy.startswith("Cancel the run by hand, https://")
    flake.workflow.before = asked.append
    flake.memory.clock.move(seconds=1)
    assert flake.follow() is DispatchState.STOPPING
    row = flake.row()
    assert "the forge is asked to cancel its workflow, which may release it all the same" in row.message
    assert row.remedy.startswith("See that the run ends, https://")
    assert flake.follow() is DispatchState.FAILED


def test_a_forge_that_cannot_be_asked_has_ended_nothing() -> None:
    flake = asked_and_held(looks=99)
    flake.follow()
    flake.workflow.broken = UnreadableError("It is down.")
    assert follow_all(flake.flywheel).open == 1
    assert flake.states()[-1] == "being cancelled"


def test_a_run_goes_on_when_its_hold_is_revoked_before_it_ends() -> None:
    flake = ready(looks=99)
    flake.promote()
    hold = decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    flake.workflow.before = but_for_cancelling
    with pytest.raises(PublicationError):
        flake.follow()
    flake.memory.clock.move(seconds=1)
    decided(flake.flywheel, "alva", Act.REVOKE, decision=hold.id)
    assert flake.follow() is DispatchState.RUNNING


def test_a_run_that_we_cancelled_says_so_at_its_end_also_where_the_hold_was_revoked_meanwhile() -> None:
    flake = ready(looks=99)
    flake.promote()
    hold = decided(flake.flywheel, "cleo", Act.HOLD, output=CHARTS_OUTPUT)
    cancels, taken = flake.workflow.cancel, list[Release]()
    flake.workflow.cancel = lambda release, run: taken.append(release)  # type: ignore[method-assign]  # takes a while
    assert flake.follow() is DispatchState.STOPPING
    flake.memory.clock.move(seconds=1)
    decided(flake.flywheel, "alva", Act.REVOKE, decision=hold.id)
    assert [flake.follow(), flake.follow()] == [DispatchState.RUNNING] * 2
    (run,) = flake.workflow.runs.values()
    cancels(taken[0], run.id)
    assert flake.follow() is DispatchState.FAILED
    assert "The run ended: cancelled. Its cancelling was asked for: " in flake.last().detail


def without(flake: Flake, *, output: bool) -> Flywheel:
    """The same with a catalogue that publishes it nowhere, or does not know it at all."""
    catalogue = flake.flywheel.catalogue
    changed = catalogue.outputs[CHARTS_OUTPUT].model_copy(update={"publication": None})
    rest = {name: each for name, each in catalogue.outputs.items() if name != CHARTS_OUTPUT}
    outputs = rest if output else {**rest, CHARTS_OUTPUT: changed}
    return replace(flake.flywheel, catalogue=catalogue.model_copy(update={"outputs": outputs}))


def row_of(flywheel: Flywheel) -> Row:
    (found,) = [row for row in report(flywheel) if row.output == CHARTS_OUTPUT]
    return found


def test_a_run_of_what_the_catalogue_publishes_there_no_more_is_cancelled_and_told() -> None:
    flake = a_flake(looks=99)
    flake.promote()
    flywheel = without(flake, output=False)
    follow_all(flywheel)
    assert flake.states()[-1] == "being cancelled"
    assert "the catalogue has no workflow publish it any more; the forge is asked" in row_of(flywheel).message
    follow_all(flywheel)
    assert [run.conclusion for run in flake.workflow.runs.values()] == ["cancelled"]


def test_what_was_released_though_the_catalogue_publishes_it_there_no_more_is_to_be_yanked() -> None:
    flake = a_flake(looks=1)
    flake.promote()
    flywheel = without(flake, output=False)
    follow_all(flywheel)
    assert row_of(flywheel).state is State.TO_YANK


def test_a_run_of_an_output_that_is_gone_from_the_catalogue_is_told_with_how_to_end_it() -> None:
    flake = a_flake(looks=99)
    flake.promote()
    (problem,) = follow_all(without(flake, output=True)).problems
    assert problem.startswith(f"{CHARTS_OUTPUT} {CHARTS}: the catalogue knows no such output any more. Cancel the run")


def but_for_cancelling(step: str) -> None:
    if step == "cancel":
        raise PublicationError("The run cannot be cancelled.")


def test_what_is_public_and_held_is_on_record_and_told_as_that() -> None:
    """The run was over before anybody looked: nothing was there to be cancelled."""
    flake = asked_and_held(looks=1)
    assert flake.follow() is DispatchState.RELEASED
    with pytest.raises(PromotionRefusedError):
        flake.promote()
    assert flake.records() == 0, "never as published by us"
    row = flake.row()
    assert (row.state, row.reason, row.published_at) == (State.TO_YANK, "held", "")
    assert "it is public all the same: its workflow has released it (" in row.message
    assert row.remedy.startswith("Yank ")
    catalogue = flake.flywheel.catalogue
    assert row.actor == person(catalogue, catalogue.surfaces["flakehub"].owner)


def test_of_a_run_that_has_ended_well_it_is_not_said_that_it_is_to_be_cancelled() -> None:
    flake = asked_and_held(looks=1, lag=99)
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    judge(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert "it may show as released all the same (" in flake.row().message
    assert flake.row().remedy.startswith("When it shows, yank ")


def test_what_a_run_released_right_before_it_was_cancelled_is_told_as_public() -> None:
    flake = asked_and_held(looks=99)
    assert flake.follow() is DispatchState.STOPPING
    (attested,) = assemble(flake.flywheel, CHARTS_OUTPUT, CHARTS).receipts
    artifact, asked = attested.receipt.artifact, flake.last().flake
    flake.workflow.release(Release(output=CHARTS_OUTPUT, build=CHARTS, artifact=artifact, flake=asked))
    assert flake.follow() is DispatchState.RELEASED
    judge(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert "it is public all the same" in flake.row().message
