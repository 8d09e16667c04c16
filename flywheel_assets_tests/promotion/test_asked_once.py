"""One release is asked for once: over several builds, late runs, answers that lie, and catalogues that change."""

from dataclasses import replace

import pytest

from flywheel_assets.catalog.models import Audience
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import AmbiguousError, PromotionRefusedError, PublicationError, UnreadableError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.promotion.dispatches import dispatches
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import plan_promotion, promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import report
from flywheel_assets.promotion.shown_releases import LOOKS
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, a_flake, with_target, with_twin
from flywheel_assets_tests.promotion.installation import CHARTS

AMBIGUOUS = AmbiguousError("The forge timed out.")


def promote_twin(flake: Flake, twin: BuildKey, *, anew: bool) -> Dispatch:
    done = promote(flake.flywheel, CHARTS_OUTPUT, twin, anew=anew)
    assert isinstance(done, Dispatch)
    return done


def undecided(flake: Flake) -> Flake:
    """The same with an output that nobody may see any more."""
    catalogue = flake.memory.flywheel.catalogue
    output = catalogue.outputs[CHARTS_OUTPUT].model_copy(update={"audience": Audience.UNDECIDED})
    changed = catalogue.model_copy(update={"outputs": {**catalogue.outputs, CHARTS_OUTPUT: output}})
    return replace(flake, memory=replace(flake.memory, flywheel=replace(flake.memory.flywheel, catalogue=changed)))


def test_another_run_of_the_same_source_does_not_ask_for_what_failed() -> None:
    flake, twin = with_twin(ending=Ending.FAILED, conclusion="failure")
    flake.promote(anew=False)
    flake.follow()
    assert flake.follow() is DispatchState.FAILED
    row = next(row for row in report(flake.flywheel) if row.build == str(twin))
    assert (row.reason, "failure" in row.message, str(CHARTS) in row.remedy) == ("workflow-failed", True, True)
    with pytest.raises(PublicationError, match="asked for already"):
        promote_twin(flake, twin, anew=False)
    assert len(flake.workflow.asked) == 1
    flake.workflow.ending = Ending.PASSED
    assert promote_twin(flake, twin, anew=True).state is DispatchState.DISPATCHED
    assert len(flake.workflow.asked) == 2, "a person may"


def test_another_run_of_the_same_source_is_no_way_round_a_request_that_shows_late() -> None:
    flake, twin = with_twin(loses=AMBIGUOUS, hides=True)
    flake.promote(anew=False)
    assert flake.an_hour_in_vain() is DispatchState.FAILED
    flake.workflow.hides = False
    with pytest.raises(PublicationError, match="is on its way"):
        promote_twin(flake, twin, anew=True)
    assert len(flake.workflow.asked) == 1
    assert flake.last().state is DispatchState.RUNNING
    flake.to_the_end()
    twins = promote(flake.flywheel, CHARTS_OUTPUT, twin, anew=False)
    assert isinstance(twins, Promoted), "what is there is put on record for it too"
    assert len(flake.workflow.asked) == 1


def test_a_run_that_shows_after_its_hour_is_gone_on_with_and_not_asked_for_again() -> None:
    flake = a_flake(loses=AMBIGUOUS, hides=True)
    flake.promote()
    assert flake.an_hour_in_vain() is DispatchState.FAILED
    flake.workflow.loses, flake.workflow.hides = None, False
    going = flake.promote(anew=True)
    assert isinstance(going, Dispatch)
    assert going.state is DispatchState.RUNNING
    flake.to_the_end()
    assert (len(flake.workflow.asked), flake.records()) == (1, 1)


def test_of_several_requests_each_is_looked_for_before_there_is_another() -> None:
    flake = a_flake(loses=AMBIGUOUS, hides=True)
    flake.promote()
    flake.an_hour_in_vain()
    first = dict(flake.workflow.runs)
    flake.workflow.runs.clear()
    flake.workflow.ending = Ending.FAILED
    flake.workflow.loses, flake.workflow.hides = None, False
    flake.promote(anew=True)
    flake.follow()
    assert flake.follow() is DispatchState.FAILED
    flake.workflow.runs.update(first)  # of the two, the one that nobody saw
    flake.workflow.ending = Ending.PASSED
    going = flake.promote(anew=True)
    assert isinstance(going, Dispatch)
    assert going.id in first
    assert len(flake.workflow.asked) == 2
    flake.to_the_end()


def test_a_forge_that_cannot_be_read_for_an_hour_has_not_said_that_there_is_no_run() -> None:
    flake = a_flake(loses=AMBIGUOUS)
    flake.promote()
    flake.workflow.broken = UnreadableError("Down.")
    for _ in range(70):
        flake.memory.clock.move(minutes=1)
        with pytest.raises(UnreadableError):
            flake.follow()
    flake.workflow.broken, flake.workflow.hides = None, True
    seen = []
    for _ in range(LOOKS):
        seen.append(flake.follow())
        flake.memory.clock.move(minutes=10)
    assert seen == [DispatchState.REQUESTED] * (LOOKS - 1) + [DispatchState.FAILED]


def test_a_branch_or_workflow_that_changes_in_the_catalogue_is_no_person() -> None:
    flake = a_flake(ending=Ending.FAILED, conclusion="cancelled")
    flake.promote(anew=False)
    flake.follow()
    flake.follow()
    target = with_target().outputs[CHARTS_OUTPUT].publication
    assert target is not None
    assert target.flake is not None
    moved = target.flake.model_copy(update={"ref": "stable", "workflow": "other.yml"})
    changed = replace(flake.flywheel, catalogue=with_target(flake=moved))
    with pytest.raises(PublicationError, match="cancelled"):
        promote(changed, CHARTS_OUTPUT, CHARTS, anew=False)
    assert len(flake.workflow.asked) == 1
    flake.workflow.ending = Ending.PASSED
    promote(changed, CHARTS_OUTPUT, CHARTS, anew=True)
    assert len(flake.workflow.asked) == 2


def test_a_run_that_fails_where_our_very_revision_was_released_meanwhile_is_a_release() -> None:
    flake = a_flake(ending=Ending.FAILED, conclusion="failure")
    release = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS).release
    flake.promote()
    flake.workflow.release(release)
    flake.follow()
    assert flake.follow() is DispatchState.RELEASED
    flake.to_the_end()
    assert (len(flake.workflow.asked), flake.records()) == (1, 1)


def test_a_failed_run_that_a_person_has_run_again_is_followed_to_its_end() -> None:
    flake = a_flake(ending=Ending.FAILED, conclusion="failure")
    flake.promote()
    flake.follow()
    assert [flake.follow(), flake.follow()] == [DispatchState.FAILED] * 2
    assert flake.states().count("failed") == 1
    flake.workflow.run_again()
    assert flake.follow() is DispatchState.RUNNING
    flake.to_the_end()
    assert (len(flake.workflow.asked), flake.records()) == (1, 1)


@pytest.mark.parametrize(
    ("during", "revealed", "attached"), [("copy", False, False), ("attach", False, True), ("reveal", True, True)]
)
def test_what_is_withdrawn_on_the_way_goes_no_further_and_is_never_asked_for(
    during: str, *, revealed: bool, attached: bool
) -> None:
    flake = a_flake()
    flywheel, withdrawn = flake.flywheel, undecided(flake).flywheel.catalogue

    def withdraw(step: str) -> None:
        if step == during:
            object.__setattr__(flywheel, "catalogue", withdrawn)  # frozen; what is withdrawn in evidence comes as late

    flake.carrier.before = withdraw
    with pytest.raises(PromotionRefusedError):
        promote(flywheel, CHARTS_OUTPUT, CHARTS)
    assert ("reveal" in flake.carrier.steps, bool(flake.carrier.attached)) == (revealed, attached)
    assert (flake.workflow.asked, dispatches(flake.flywheel, CHARTS_OUTPUT, CHARTS)) == ([], [])
    assert last_failure(flake.flywheel, CHARTS_OUTPUT, CHARTS) is None, "the verdict says why"


@pytest.mark.parametrize(
    ("looks", "says", "stop"),
    [(1, "may release it all the same", "Cancel the run"), (2, "has released it", "Yank ")],
)
def test_a_row_that_is_let_out_no_more_tells_of_the_workflow_that_is_on_it(looks: int, says: str, stop: str) -> None:
    flake = a_flake()
    flake.promote()
    for _ in range(looks):
        flake.follow()
    stopped = undecided(flake)
    judge(stopped.flywheel, CHARTS_OUTPUT, CHARTS)
    row = stopped.row()
    assert row.verdict != "passed"
    assert says in row.message
    assert stop in row.remedy


def test_a_release_that_nobody_asked_for_is_not_said_to_come_of_a_run() -> None:
    flake = a_flake()
    flake.workflow.release(plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS).release)
    plans: list[str] = []

    def hide(step: str) -> None:
        plans.append(step)
        if plans.count("plan") == 2 and step == "released":
            flake.workflow.lag = 1

    flake.workflow.before = hide
    waiting = flake.promote()
    assert isinstance(waiting, Dispatch)
    assert waiting.state is DispatchState.AWAITS_RELEASE
    assert "was there before its workflow was asked for" in flake.row().message
    assert "succeeded" not in flake.row().message


def test_a_plan_tells_what_is_copied_and_what_is_asked_of_whom() -> None:
    flake = a_flake()
    plan = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert plan.missing, "the members of the closure, into the cache"
    assert [name for name in plan.names if "released by a run of" in name] != []
    assert not set(plan.missing) & set(plan.names)
    flake.promote()
    flake.to_the_end()
    done = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert (done.missing, done.names) == ((), ())
