"""Intake of runs: each finished attempt is recorded once, its receipts arrive, and nothing is lost on the way."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import stamina
from stamina import instrumentation

from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.promotion.intake import dead_letters, take_in
from flywheel_assets.promotion.judging import Judgement, judge
from flywheel_assets.promotion.walking import OVERLAP, SWEEP_EVERY, WAIT_FOR_OPEN
from flywheel_assets_tests.forge import ForgeRun
from flywheel_assets_tests.promotion.forged import KEY, OUTPUT, ForgedRuns, forged, receipt_of
from flywheel_assets_tests.scripted import Answer

SYSTEM = "x86_64-linux"
FORGE = "forge_vouches_for_the_run"


class KilledError(BaseException):
    """The process dies here."""


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        instrumentation.set_on_retry_hooks([])  # thousands of lines
        yield
        instrumentation.set_on_retry_hooks(None)


@pytest.fixture(params=SourceKind)
def flow(request: pytest.FixtureRequest) -> Iterator[ForgedRuns]:
    with forged(request.param) as found:
        yield found


@pytest.fixture
def github() -> Iterator[ForgedRuns]:
    with forged() as found:
        yield found


@pytest.fixture
def gitlab() -> Iterator[ForgedRuns]:
    with forged(SourceKind.GITLAB) as found:
        yield found


def key(run: ForgeRun, attempt: int = 1) -> BuildKey:
    return BuildKey(run=str(run.id), attempt=attempt, system=SYSTEM)


def judged(flow: ForgedRuns, run: ForgeRun, attempt: int = 1) -> Judgement:
    return judge(flow.flywheel, OUTPUT, key(run, attempt))


def of_the_forge(flow: ForgedRuns, run: ForgeRun) -> tuple[VerdictClass, str]:
    """What the rule about the forge says of the run's build."""
    (found,) = [f for f in judged(flow, run).verdict.findings if f.rule == FORGE]
    return found.verdict, found.reason


def test_a_run_that_ended_is_recorded_once_with_its_receipt(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.leave_receipt(run)
    assert flow.tick().recorded == 0
    flow.forge.end(run)
    assert [flow.tick().recorded for _ in range(3)] == [1, 0, 0]
    assert flow.recorded() == [f"{run.id}.1"]
    assert flow.builds() == [key(run)]
    assert flow.ticks[1].taken.builds == [(OUTPUT, key(run))]


def test_the_forges_word_makes_a_build_pass_whose_builder_is_trusted_with_nothing(github: ForgedRuns) -> None:
    run = github.build()
    github.leave_receipt(run)
    github.forge.end(run)
    github.tick()
    assert judged(github, run).verdict.validated
    assert of_the_forge(github, run) == (VerdictClass.PASSED, "holds")


def test_a_run_that_ends_after_newer_ones_is_not_lost(flow: ForgedRuns) -> None:
    slow = flow.build()
    for _ in range(30):
        flow.forge.end(flow.build())
        flow.tick(moved=600)
    flow.forge.end(slow)
    flow.tick()
    assert f"{slow.id}.1" in flow.recorded()
    assert len(flow.recorded()) == 31


def test_a_run_that_took_longer_than_a_day_is_found_by_a_sweep(github: ForgedRuns) -> None:
    slow = github.build()
    github.tick()
    github.tick(moved=(WAIT_FOR_OPEN + OVERLAP + timedelta(hours=2)).total_seconds())
    github.tick()
    github.forge.end(slow)
    github.tick()
    github.tick(moved=SWEEP_EVERY.total_seconds())
    assert github.recorded() == [f"{slow.id}.1"]


def test_each_attempt_of_a_re_run_is_a_run_of_its_own(github: ForgedRuns) -> None:
    run = github.build()
    github.leave_receipt(run)
    github.forge.end(run, "failure")
    github.tick()
    github.forge.run_again(run)
    github.leave_receipt(run, 2)
    github.tick(moved=SWEEP_EVERY.total_seconds())
    github.forge.end(run)
    github.tick(moved=SWEEP_EVERY.total_seconds())
    assert github.recorded() == [f"{run.id}.1", f"{run.id}.2"]
    assert github.builds() == [key(run), key(run, 2)]


def test_attempts_that_nobody_looked_at_in_time_are_recorded_too(github: ForgedRuns) -> None:
    run = github.build()
    for _ in range(2):
        github.forge.end(run, "failure")
        github.forge.run_again(run)
    github.tick()
    assert github.recorded() == [f"{run.id}.1", f"{run.id}.2"]


def test_a_pipeline_that_goes_on_after_its_end_is_recorded_again_and_the_last_record_counts(
    gitlab: ForgedRuns,
) -> None:
    run = gitlab.build(steps={"Run nix build": "failure"})
    gitlab.leave_receipt(run)
    gitlab.forge.end(run, "failure")
    gitlab.tick()
    assert judged(gitlab, run).verdict.worst.reason == "validation-failed"
    run.steps["Run nix build"] = "success"
    gitlab.forge.clock.move(minutes=5)
    gitlab.forge.end(run)
    gitlab.tick()
    assert gitlab.recorded() == [f"{run.id}.1"] * 2
    assert "validation-failed" not in {finding.reason for finding in judged(gitlab, run).verdict.findings}


def test_a_renamed_branch_changes_nothing_for_the_runs_before(github: ForgedRuns) -> None:
    run = github.build()
    github.leave_receipt(run)
    github.forge.end(run)
    github.tick()
    later = github.build(branch="trunk")
    github.leave_receipt(later)
    github.forge.end(later)
    github.tick()
    assert of_the_forge(github, run) == (VerdictClass.PASSED, "holds")
    assert of_the_forge(github, later) == (VerdictClass.REJECTED_PERMANENTLY, "receipt-contradicts-platform")


@pytest.mark.parametrize(
    "known",
    [
        {"sha": "b" * 40},
        {"event": "schedule"},
        {"fork": "https://forge.example/x/y"},
        {"fork": "deleted"},
        {"label": "other"},
    ],
)
def test_a_receipt_that_contradicts_the_forge_is_refused(github: ForgedRuns, known: dict[str, Any]) -> None:
    run = github.build(**known)
    github.memory.inbox.documents["one.json"] = receipt_of(run)
    take_in(github.flywheel)
    github.forge.end(run)
    github.tick()
    assert of_the_forge(github, run) == (VerdictClass.REJECTED_PERMANENTLY, "receipt-contradicts-platform")


def test_a_leaked_key_that_has_expired_cannot_date_a_receipt_back(github: ForgedRuns) -> None:
    """The run is real and in the key's time; its receipt arrives when the key is no longer valid."""
    keys = dict(github.flywheel.catalogue.keys)
    expired = github.forge.clock() + timedelta(days=1)
    keys[KEY] = keys[KEY].model_copy(update={"valid_until": expired})
    run = github.build()
    github.leave_receipt(run)
    github.forge.end(run)
    github.tick(moved=timedelta(days=2).total_seconds())
    assert judged(github, run).verdict.validated
    github.flywheel = github.memory.but(
        runs=github.flywheel.runs, catalogue=github.flywheel.catalogue.model_copy(update={"keys": keys})
    )
    assert judged(github, run).verdict.worst.reason == "key-not-valid-then"
    assert judged(github, run).receipt.receipt.run.finished_at < expired
    without = github.flywheel.catalogue.model_copy(update={"sources": {}})
    github.flywheel = github.memory.but(catalogue=without)
    assert "key-not-valid-then" not in {finding.reason for finding in judged(github, run).verdict.findings}


def test_a_receipt_from_the_inbox_waits_for_the_forge_and_is_asked_for_by_name(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.memory.inbox.documents["one.json"] = receipt_of(run)
    take_in(flow.flywheel)
    assert of_the_forge(flow, run) == (VerdictClass.WAITING, "platform-run-unseen")
    assert flow.tick().recorded == 0
    flow.forge.end(run)
    flow.forge.clock.move(days=300)  # beyond any sweep
    flow.tick()
    assert of_the_forge(flow, run) == (VerdictClass.PASSED, "holds")


@pytest.mark.parametrize("name", ["77", "not-a-number", "9" * 40])
def test_a_receipt_of_a_run_that_the_forge_never_had_is_refused(github: ForgedRuns, name: str) -> None:
    run = github.build()
    github.memory.inbox.documents["one.json"] = receipt_of(run, change=partial(_renamed, name=name))
    take_in(github.flywheel)
    assert [github.tick().absent for _ in range(3)] == [1, 0, 0]
    waiting = judge(github.flywheel, OUTPUT, BuildKey(run=name, attempt=1, system=SYSTEM)).verdict
    assert "platform-run-unseen" in {finding.reason for finding in waiting.findings}
    assert [github.tick(moved=300).absent for _ in range(3)] == [1, 0, 0]
    found = judge(github.flywheel, OUTPUT, BuildKey(run=name, attempt=1, system=SYSTEM)).verdict
    assert "platform-run-absent" in {finding.reason for finding in found.findings}


def test_a_receipt_of_an_attempt_that_was_not_made_is_refused(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.end(run)
    flow.memory.inbox.documents["one.json"] = receipt_of(run, 2)
    take_in(flow.flywheel)
    flow.tick()
    flow.tick(moved=300)
    found = judged(flow, run, 2).verdict
    assert "platform-run-absent" in {finding.reason for finding in found.findings}


def _renamed(statement: dict[str, Any], name: str) -> None:
    statement["predicate"]["buildDefinition"]["internalParameters"]["run"]["id"] = name


def test_a_receipt_that_is_replayed_under_a_new_run_is_buried_with_its_reason(flow: ForgedRuns) -> None:
    first, second = flow.build(), flow.build()
    flow.forge.leave(second, "receipt", replayed=receipt_of(first))
    flow.forge.end(second)
    flow.tick()
    (letter,) = dead_letters(flow.flywheel)
    assert f"is a receipt of run {first.id}" in letter.subject
    assert f"lay in run {second.id}" in letter.subject
    assert flow.builds() == []
    assert f"{second.id}.1" in flow.recorded()


def test_a_receipt_that_names_another_repository_is_buried_with_its_reason(github: ForgedRuns) -> None:
    run = github.build()
    elsewhere = receipt_of(
        run,
        change=lambda s: s["predicate"]["buildDefinition"]["externalParameters"].update(
            repository="https://forge.example/else/where"
        ),
    )
    github.forge.leave(run, "receipt", moved=elsewhere)
    github.forge.end(run)
    github.tick()
    assert len(dead_letters(github.flywheel)) == 1
    assert github.builds() == []


def test_spoilt_expired_and_deleted_artifacts_are_buried_apart_and_the_run_is_recorded(flow: ForgedRuns) -> None:
    run = flow.build()
    expired, _, spoilt = (flow.forge.leave(run, f"receipt-{n}", one=b"{}") for n in range(3))
    expired.is_expired, spoilt.archive = True, b"<html>"
    flow.forge.end(run)
    taken = flow.tick()
    assert (taken.recorded, taken.taken.dead_letters) == (1, 3)
    told = " ".join(letter.subject for letter in dead_letters(flow.flywheel))
    assert "has expired" in told
    assert "no whole zip archive" in told
    assert flow.tick().taken.total == 0


def test_an_artifact_that_is_refused_keeps_only_its_own_run_waiting(flow: ForgedRuns) -> None:
    refused, other = flow.build(), flow.build()
    left = flow.forge.leave(refused, "receipt", tide=receipt_of(refused))
    left.is_refused = True
    flow.leave_receipt(other)
    for run in (refused, other):
        flow.forge.end(run)
    assert (flow.tick().recorded, flow.ticks[-1].open, len(flow.ticks[-1].problems)) == (1, 1, 1)
    assert flow.builds() == [key(other)]
    left.is_refused = False
    assert flow.tick().recorded == 0
    assert len(flow.ticks[-1].problems) == 1
    assert flow.tick(moved=60).recorded == 1
    assert flow.ticks[-1].problems == []
    assert flow.builds() == [key(other), key(refused)]


def test_a_limit_ends_the_tick_and_the_next_one_goes_on(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.leave_receipt(run)
    flow.forge.end(run)
    flow.forge.limit = Answer(429, {"Retry-After": "1"})
    taken = flow.tick()
    assert (taken.recorded, len(taken.problems)) == (0, 1)
    flow.forge.limit = None
    source = flow.flywheel.runs["forge"]
    source._asking._wait_until = 0.0  # type: ignore[attr-defined]  # the second has passed
    assert flow.tick().recorded == 1
    assert flow.builds() == [key(run)]


def test_a_forge_that_is_down_is_a_problem_and_no_error(flow: ForgedRuns) -> None:
    flow.forge.end(flow.build())
    flow.forge.fail_every = 1
    assert len(flow.tick().problems) == 1
    flow.forge.fail_every = 0
    assert flow.tick().recorded == 1


def test_without_its_cursor_the_intake_starts_over_and_doubles_nothing(flow: ForgedRuns) -> None:
    for _ in range(5):
        run = flow.build()
        flow.leave_receipt(run)
        flow.forge.end(run)
    flow.tick()
    for cursor in ("", "no cursor", json.dumps({"x": 1})):
        flow.cursor = cursor
        assert flow.tick().recorded == 0
    assert len(flow.recorded()) == len(flow.builds()) == 5


def test_the_lag_is_known_once_everything_was_gone_through(github: ForgedRuns) -> None:
    for _ in range(150):
        github.forge.end(github.build())
    first = github.tick()
    assert first.more
    assert first.unseen_since is None
    second = github.tick()
    assert not second.more
    assert second.unseen_since == github.forge.clock() - timedelta(seconds=30)


def test_a_tick_that_has_no_time_left_does_nothing_and_loses_nothing(github: ForgedRuns) -> None:
    for _ in range(20):
        github.forge.end(github.build())
    room = iter([False] * 6)
    assert github.tick(lambda: next(room, True)).recorded < 20
    assert github.ticks[-1].more
    github.tick()
    assert sorted(github.recorded()) == sorted(f"{run}.1" for run in github.forge.runs)


def test_a_crash_at_any_step_is_made_up_for_by_the_next_tick() -> None:
    for crash in range(100):
        with forged() as flow:
            for _ in range(2):
                run = flow.build()
                flow.leave_receipt(run)
                flow.forge.end(run)
            steps = iter(range(crash))

            def count(_step: str, steps: Iterator[int] = steps) -> None:
                if next(steps, None) is None:
                    raise KilledError

            flow.memory.evidence.before = count
            try:
                flow.tick()
            except KilledError:
                flow.memory.evidence.before = lambda _: None
                flow.restart()
                flow.tick()
            else:
                assert crash >= 8
                return
            assert sorted(flow.recorded()) == ["1001.1", "1003.1"]
            assert len(flow.builds()) == len(set(flow.builds())) == 2
    pytest.fail("it never came to an end")


def test_a_thousand_builds_that_end_in_any_order_appear_once_each(gitlab: ForgedRuns) -> None:
    """One call in ten fails, and ticks die at any step of the evidence store. GitHub: test_killed_ticks.py."""
    chance = random.Random(4)  # noqa: S311 - chance, and the same one every time
    going: list[ForgeRun] = []
    made: list[ForgeRun] = []
    gitlab.forge.fail_every = 10

    def maybe_die(_step: str) -> None:
        if chance.random() < 0.002:
            raise KilledError

    gitlab.memory.evidence.before = maybe_die
    deaths = 0
    for _ in range(400):
        for _ in range(chance.randrange(60) if len(made) < 1000 else 0):
            if len(made) < 1000:
                run = gitlab.build()
                gitlab.leave_receipt(run)
                made.append(run)
                going.append(run)
        chance.shuffle(going)
        for run in [going.pop() for _ in range(min(len(going), chance.randrange(50)))]:
            gitlab.forge.end(run)
        try:
            gitlab.tick(moved=120)
        except KilledError:
            deaths += 1
            gitlab.restart()
        if len(made) == 1000 and not going and len(gitlab.recorded()) >= 1000:
            break
    assert deaths > 3
    assert sorted(gitlab.recorded()) == sorted(f"{run.id}.1" for run in made)
    assert sorted(map(str, gitlab.builds())) == sorted(str(key(run)) for run in made)


def test_a_stranger_may_flood_with_receipts_of_invented_runs_and_the_walk_goes_on(github: ForgedRuns) -> None:
    run = github.build()
    for number in range(200):
        change = partial(_renamed, name=str(number + 1))
        github.memory.inbox.documents[f"{number}.json"] = receipt_of(run, change=change)
    take_in(github.flywheel)
    github.forge.end(run)
    taken = github.tick()
    assert taken.absent <= github.flywheel.limits.forge_runs // 4
    assert f"{run.id}.1" in github.recorded()
