"""Publishing by a workflow: asked for once whatever happens, followed to its end, and on record only when read back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import Dispatch, DispatchState, FlakeVersion
from flywheel_assets.domain.errors import (
    AmbiguousError,
    FlywheelError,
    InvalidInputError,
    NameTakenError,
    PublicationError,
    RateLimitedError,
    ReadBackError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.promotion.dispatches import last_dispatch, note
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import plan_promotion
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.shown_releases import LOOKS
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets_tests.fakes import nothing
from flywheel_assets_tests.promotion.dispatched import CHARTS_OUTPUT, Flake, NeverEndsError, a_flake, with_target
from flywheel_assets_tests.promotion.installation import CHARTS, a_signer

AMBIGUOUS = AmbiguousError("The forge timed out.")
WRONG = GitRevision("e" * 40)


@pytest.fixture
def flake() -> Flake:
    return a_flake()


def test_a_build_is_asked_for_followed_read_back_and_put_on_record(flake: Flake) -> None:
    asked = flake.promote()
    assert isinstance(asked, Dispatch)
    assert (asked.state, flake.records()) == (DispatchState.DISPATCHED, 0)
    assert flake.follow() is DispatchState.RUNNING
    assert flake.follow() is DispatchState.RELEASED
    assert flake.records() == 0, "a release that matches is not on record before the closure read back"
    done = flake.promote(anew=False)
    assert isinstance(done, Promoted)
    found = done.publication
    revision = asked.flake.revision
    assert found.reference == f"flakehub:{asked.flake.name}/0.1.1+rev-{revision}#{asked.flake.attribute}"
    assert (found.surface, found.way, found.revision) == ("flakehub", "triggers", revision)
    assert flake.states() == ["requested", "dispatched", "running", "released"]
    assert (len(flake.workflow.asked), flake.records()) == (1, 1)


def test_the_closure_and_its_proofs_are_in_the_cache_before_the_forge_is_asked(flake: Flake) -> None:
    seen: list[tuple[list[str], int]] = []

    def look(step: str) -> None:
        if step == "dispatch":
            seen.append((list(flake.carrier.steps), len(flake.carrier.attached)))

    flake.workflow.before = look
    flake.promote()
    ((steps, places),) = seen
    assert steps[:2] == ["plan", "copy"]
    assert "reveal" in steps[: steps.index("read_back")]
    assert places == 2, "beside the artifact, and beside this very release of it"


def test_the_workflow_is_given_a_summary_of_this_very_release(flake: Flake) -> None:
    asked = flake.promote()
    assert isinstance(asked, Dispatch)
    (proof,) = flake.workflow.summaries
    signers = {"release": a_signer("release").public_key}
    checked = flake.flywheel.verifier.check(proof.envelope, "summary", signers)
    assert checked.keys == ("release",)
    summary = ReadSummary(checked.payload, "summary")
    assert (summary.result, summary.resource) == ("PASSED", asked.flake.resource)
    assert str(asked.flake.revision) in summary.resource
    assert "FLYWHEEL_PROMOTED" in summary.levels
    done = flake.to_the_end()
    assert proof.digest.hex in {digest.hex for digest in done.publication.proofs}


def test_promoting_again_changes_nothing(flake: Flake) -> None:
    flake.promote()
    first = flake.to_the_end()
    chains = {log: list(chain) for log, chain in flake.memory.evidence.chains.items()}
    flake.memory.clock.move(days=3)
    for anew in (True, False):
        again = flake.promote(anew=anew)
        assert isinstance(again, Promoted)
        assert again.publication.model_dump_json() == first.publication.model_dump_json()
    assert flake.memory.evidence.chains == chains
    assert len(flake.workflow.asked) == 1


# Answers that say too little


@pytest.mark.parametrize("error", [AMBIGUOUS, InvalidInputError("answer", "id", "is none", "Ask again.")])
def test_after_an_answer_that_leaves_it_open_the_run_is_found_and_never_asked_for_again(error: FlywheelError) -> None:
    flake = a_flake(loses=error)
    asked = flake.promote()
    assert isinstance(asked, Dispatch)
    assert asked.state is DispatchState.REQUESTED
    assert "not known whether" in asked.detail
    for _ in range(3):
        flake.promote(anew=False)
    flake.to_the_end()
    assert flake.workflow.asked == [asked.id]
    assert flake.records() == 1


def test_a_request_that_leaves_no_trace_fails_after_an_hour_and_only_a_person_makes_another() -> None:
    flake = a_flake(loses=AMBIGUOUS, hides=True)
    flake.promote()
    for _ in range(59):
        flake.memory.clock.move(minutes=1)
        assert flake.follow() is DispatchState.REQUESTED
    flake.promote(anew=True)
    assert len(flake.workflow.asked) == 1, "not even by hand, while it may still run"
    flake.memory.clock.move(minutes=1)
    assert flake.follow() is DispatchState.FAILED
    assert flake.states() == ["requested"] * 7 + ["failed"], "few of its many looks are on record"
    flake.workflow.runs.clear()
    with pytest.raises(PublicationError, match=r"failed\. The forge shows no run for this request"):
        flake.promote(anew=False)
    assert len(flake.workflow.asked) == 1
    flake.workflow.loses, flake.workflow.hides = None, False
    flake.promote(anew=True)
    assert len(set(flake.workflow.asked)) == 2
    flake.to_the_end()
    assert flake.records() == 1


@pytest.mark.parametrize(
    "error", [UnauthorisedError("No."), RateLimitedError("Later.", 30), PublicationError("No such workflow.")]
)
def test_what_the_forge_did_not_take_is_asked_for_again_under_another_id(error: FlywheelError) -> None:
    flake = a_flake(refuses=error)
    with pytest.raises(type(error)):
        flake.promote(anew=False)
    assert flake.states() == ["requested", "refused"]
    refused = flake.last().id
    assert flake.row().reason == "publication-failed"
    assert str(error) in flake.row().message + "."
    flake.workflow.refuses = None
    flake.promote(anew=False)
    assert flake.last().id != refused
    flake.to_the_end()
    assert len(flake.workflow.asked) == 1


# Runs and releases that do not end well


@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out"])
def test_a_run_that_fails_is_told_with_its_conclusion_and_not_repeated(conclusion: str) -> None:
    flake = a_flake(ending=Ending.FAILED, conclusion=conclusion)
    flake.promote()
    assert [flake.follow(), flake.follow()] == [DispatchState.RUNNING, DispatchState.FAILED]
    row = flake.row()
    assert (row.state, row.reason) == (State.VALIDATED, "workflow-failed")
    assert conclusion in row.message
    assert "/actions/runs/1" in row.message
    assert row.actor == "Harbor tools maintainers (sample) (team:harbor-tools)"
    with pytest.raises(PublicationError, match=conclusion):
        flake.promote(anew=False)
    assert len(flake.workflow.asked) == 1
    flake.workflow.ending, flake.workflow.conclusion = Ending.PASSED, "success"
    flake.promote(anew=True)
    assert len(set(flake.workflow.asked)) == 2
    flake.to_the_end()
    assert flake.records() == 1


def test_a_run_that_is_gone_from_the_forge_is_a_failure(flake: Flake) -> None:
    flake.promote()
    flake.workflow.runs.clear()
    assert flake.follow() is DispatchState.FAILED


def test_a_release_that_is_missing_for_a_while_is_waited_for() -> None:
    flake = a_flake(lag=3)
    flake.promote()
    seen = []
    for _ in range(5):
        seen.append(flake.follow())
        flake.memory.clock.move(minutes=1)
    waits = DispatchState.AWAITS_RELEASE
    assert seen == [DispatchState.RUNNING, waits, waits, waits, DispatchState.RELEASED]
    assert flake.states().count("awaits release") == 1, "each state is on record once"
    flake.to_the_end()
    assert flake.records() == 1


def test_a_release_that_never_shows_fails_after_an_hour() -> None:
    flake = a_flake(lag=99)
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    assert flake.an_hour_in_vain() is DispatchState.FAILED
    assert flake.row().reason == "workflow-failed"


def test_a_release_without_output_paths_is_published_by_its_revision_once_they_were_looked_for_an_hour() -> None:
    flake = a_flake(bare=True)
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.AWAITS_RELEASE
    assert flake.last().detail.startswith("no store path is told.")
    for _ in range(LOOKS - 1):
        flake.memory.clock.move(minutes=10)
        state = flake.follow()
    assert (state, flake.records()) == (DispatchState.AWAITS_RELEASE, 0)
    flake.memory.clock.move(minutes=10)
    assert flake.follow() is DispatchState.RELEASED
    assert flake.last().detail == "no store path is told."
    assert isinstance(flake.promote(), Promoted)
    assert flake.last().detail == "no store path is told.", "it stays with the release"


def test_a_bare_release_of_another_revision_is_never_published() -> None:
    flake = a_flake(bare=True, revision=WRONG)
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.WRONG_RELEASE


@pytest.mark.parametrize("wrong", [{"revision": WRONG}, {"store_path": "/nix/store/" + "0" * 32 + "-other"}])
def test_a_release_of_anything_else_is_never_put_on_record(wrong: dict[str, Any]) -> None:
    flake = a_flake(**wrong)
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.WRONG_RELEASE
    for anew in (False, True, True):
        with pytest.raises(PublicationError):
            flake.promote(anew=anew)
    assert flake.records() == 0
    assert flake.row().state is State.VALIDATED
    assert len(flake.workflow.asked) == 1, "a version that is there is not asked for again"


def test_a_version_that_exists_with_another_revision_is_refused_before_anything_is_asked(flake: Flake) -> None:
    plan = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert plan.release.flake is not None
    version = f"0.1.1+rev-{plan.release.flake.revision}"
    flake.workflow.releases[version] = FlakeVersion(version=version, revision=WRONG)
    with pytest.raises(NameTakenError, match="was approved"):
        flake.promote()
    assert flake.workflow.asked == []
    assert (flake.carrier.steps, flake.carrier.attached) == (["plan"], {}), "nothing is signed and shown for it"
    assert flake.row().reason == "publication-failed"
    assert "NameTakenError" in flake.row().message


def test_a_release_that_is_there_already_is_read_back_and_not_asked_for(flake: Flake) -> None:
    release = plan_promotion(flake.flywheel, CHARTS_OUTPUT, CHARTS).release
    flake.workflow.release(release)
    done = flake.promote()
    assert isinstance(done, Promoted)
    assert flake.workflow.asked == []
    assert flake.records() == 1


def test_a_closure_that_does_not_read_back_keeps_it_off_the_record(flake: Flake) -> None:
    flake.promote()
    flake.follow()
    assert flake.follow() is DispatchState.RELEASED
    whole = dict(flake.carrier.bodies)
    flake.carrier.bodies[next(iter(whole))] = "sha256:" + "0" * 64
    with pytest.raises(ReadBackError):
        flake.promote(anew=False)
    assert (flake.records(), flake.row().reason) == (0, "publication-failed")
    flake.carrier.bodies.update(whole)
    assert isinstance(flake.promote(anew=False), Promoted)


def test_a_forge_that_cannot_be_read_changes_nothing_on_record(flake: Flake) -> None:
    flake.promote()
    entries = flake.entries()
    for error in (UnreadableError("Down."), RateLimitedError("Later.", 60), UnauthorisedError("No.")):
        flake.workflow.broken = error
        with pytest.raises(type(error)):
            flake.follow()
    flake.workflow.broken = None
    assert flake.entries() == entries
    flake.to_the_end()


# Yanked


def test_a_release_that_is_yanked_later_is_told_and_comes_back_when_it_does(flake: Flake) -> None:
    flake.promote()
    flake.to_the_end()
    flake.memory.clock.move(days=1)
    flake.workflow.yank()
    seen = look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert seen is not None
    assert seen.state is DispatchState.YANKED
    row = flake.row()
    assert (row.state, row.reason) == (State.YANKED, "release-yanked")
    assert row.published_at, "where it is kept: who locked it can still fetch it"
    assert row.actor.startswith("Harbor tools maintainers")
    with pytest.raises(PublicationError, match="yanked"):
        flake.promote(anew=False)
    flake.workflow.releases = {v: r.model_copy(update={"yanked": False}) for v, r in flake.workflow.releases.items()}
    flake.memory.clock.move(days=1)
    look_again(flake.flywheel, CHARTS_OUTPUT, CHARTS)
    assert flake.row().state is State.PUBLISHED
    assert flake.records() == 1


def test_a_release_that_is_yanked_before_it_is_on_record_never_gets_there(flake: Flake) -> None:
    flake.promote()
    flake.follow()
    flake.follow()
    flake.workflow.yank()
    with pytest.raises(PublicationError, match="yanked"):
        flake.promote(anew=False)
    assert (flake.records(), flake.row().state) == (0, State.VALIDATED)


# Two at once, and one after the other


def test_two_publishers_at_once_ask_once() -> None:
    flake = a_flake()
    start = threading.Barrier(4)

    def go(_: int) -> object:
        start.wait()
        return flake.promote()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(go, range(4)))
    assert len(flake.workflow.asked) == 1
    flake.to_the_end()
    assert flake.records() == 1


def test_another_build_of_the_output_waits_for_the_one_that_is_on_its_way(flake: Flake) -> None:
    flake.promote()
    other = flake.last().model_copy(update={"build": CHARTS.model_copy(update={"run": "1"})})
    fresh = a_flake()
    note(fresh.flywheel, other)
    judge(fresh.flywheel, CHARTS_OUTPUT, CHARTS)
    row = fresh.row()
    assert row.reason == "another-build-goes-first"
    assert f"{other.build} is on its way" in row.message
    with pytest.raises(PublicationError, match="one build at a time"):
        fresh.promote()
    assert fresh.workflow.asked == []
    fresh.memory.clock.move(minutes=1)
    of_another = other.flake.model_copy(update={"revision": WRONG})
    note(fresh.flywheel, other.model_copy(update={"state": DispatchState.FAILED, "flake": of_another}))
    fresh.promote(anew=False)
    assert len(fresh.workflow.asked) == 1, "what has failed holds up no other release"


def test_a_lost_claim_asks_for_nothing(flake: Flake) -> None:
    flake.memory.evidence.lost_claims.add(f"flakehub {CHARTS_OUTPUT}")
    with pytest.raises(FlywheelError, match="claim"):
        flake.promote()
    assert flake.workflow.asked == []


def test_a_build_of_a_tag_is_released_under_that_version() -> None:
    target = with_target().outputs[CHARTS_OUTPUT].publication
    assert target is not None
    assert target.flake is not None
    tagged = with_target(flake=target.flake.model_copy(update={"versions": "tag"}))
    flake = a_flake(catalogue=tagged)
    row_before = flake.row()
    assert row_before.reason == "not-judged-yet"
    with pytest.raises(FlywheelError, match="no-version-tag"):
        flake.promote()
    assert flake.workflow.asked == []


# Death at any point


class KilledError(BaseException):
    """The process dies here."""


def test_death_before_each_step_and_a_repetition_ask_once_and_record_once() -> None:
    deaths = 0
    while True:
        flake, calls = a_flake(), iter(range(deaths))

        def die(step: str, calls: object = calls) -> None:
            del step
            if next(calls, None) is None:  # type: ignore[call-overload]  # an iterator, as the default above
                raise KilledError

        hooked = (flake.memory.evidence, flake.carrier, flake.workflow)
        for each in hooked:
            each.before = die
        try:
            flake.promote()
            flake.to_the_end()
        except KilledError:
            deaths += 1
        else:
            break
        for each in hooked:
            each.before = nothing
        assert flake.records() == 0, "nothing is on record that was not read back"
        mend(flake)
        assert flake.records() == 1, deaths
        assert len(flake.workflow.asked) == 1, deaths
    assert deaths > 30


def mend(flake: Flake) -> None:
    """What happens to it after the process died: looks, and a person where an hour went by without a trace."""
    taken = len(flake.workflow.asked)
    flake.memory.clock.move(minutes=1)
    try:
        flake.to_the_end()
    except NeverEndsError:
        assert taken == 0, "only what the forge never took leaves no trace"
        assert flake.an_hour_in_vain() is DispatchState.FAILED
        flake.promote(anew=True)
        flake.to_the_end()


# What is said on the way


@pytest.mark.parametrize(
    ("make", "looks", "state"),
    [
        (lambda: a_flake(loses=AMBIGUOUS, hides=True), 1, "requested"),
        (a_flake, 0, "dispatched"),
        (a_flake, 1, "running"),
        (a_flake, 2, "released"),
        (lambda: a_flake(lag=9), 2, "awaits release"),
        (lambda: a_flake(ending=Ending.FAILED, conclusion="failure"), 2, "failed"),
        (lambda: a_flake(revision=WRONG), 2, "released with another revision or store path"),
    ],
)
def test_no_row_on_the_way_says_that_it_is_published(make: Callable[[], Flake], looks: int, state: str) -> None:
    flake = make()
    flake.promote()
    for _ in range(looks):
        flake.follow()
    assert flake.last().state.value == state
    row = flake.row()
    assert row.published_at == ""
    assert "published" not in f"{row.state.value} {row.reason} {row.message} {row.remedy} {row.actor}"
    assert row.remedy
    assert row.actor
    assert last_dispatch(flake.flywheel, CHARTS_OUTPUT, CHARTS) == flake.last()
    assert publications(flake.flywheel, CHARTS_OUTPUT) == []
