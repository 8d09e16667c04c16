"""The adapter on the stand-in of both services: what only they can do to it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import stamina

from flywheel_assets.adapters.flakehub.workflow import ATTEMPTS, FlakehubWorkflow
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.dispatching import GithubWorkflows
from flywheel_assets.adapters.forges.github import HEADERS
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.errors import (
    AmbiguousError,
    NameTakenError,
    PublicationError,
    RateLimitedError,
    ReadError,
    UnreadableError,
)
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets_tests.fakes import NOW
from flywheel_assets_tests.flakes import (
    FLAKE,
    REPOSITORY,
    REQUEST,
    REVISION,
    SUMMARY,
    Hub,
    adapter,
    flake_release,
    hub,
    published,
    silent,
    to_its_end,
)
from flywheel_assets_tests.scripted import Answer, Scripted

RELEASE, ROLLING = flake_release(), flake_release(None)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Hub]:
    with hub(tmp_path) as found:
        yield found


def test_a_version_that_differs_in_build_metadata_alone_is_taken_too(bench: Hub) -> None:
    bench.stand_in.release(FLAKE, "1.2.3+rev-" + "c" * 40, "c" * 40)
    with pytest.raises(NameTakenError):
        bench.workflow.plan(RELEASE)


def test_a_run_is_started_once_with_what_the_workflow_needs(bench: Hub) -> None:
    run = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    (started,) = bench.stand_in.runs()
    assert (run.id, run.ending) == (str(started["id"]), None)
    assert run.url == f"https://stand-in.invalid/{REPOSITORY}/actions/runs/{run.id}"
    assert started["ref"] == "main"
    assert started["inputs"] == {
        "request": REQUEST,
        "revision": str(REVISION),
        "version": "1.2.3",
        "attribute": "packages.x86_64-linux.default",
        "store_path": RELEASE.artifact.name,
        "vsa": "eyJwYXlsb2FkVHlwZSI6ICJ4In0=",
    }


@pytest.mark.parametrize("fault", ["hang-up-after-dispatch", "error-after-dispatch", "no-run-details"])
def test_a_run_whose_start_was_not_confirmed_is_ambiguous_and_found_again(bench: Hub, fault: str) -> None:
    bench.stand_in.fault(fault, None if fault == "no-run-details" else 1)
    since = bench.clock()
    with pytest.raises(AmbiguousError, match=r"[Ll]ook"):
        bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert len(bench.stand_in.runs()) == 1
    found = bench.workflow.find(RELEASE, REQUEST, since)
    assert found is not None
    assert to_its_end(bench.workflow, RELEASE, found).ending is Ending.PASSED


def test_a_failure_of_the_server_is_ambiguous_also_where_nothing_was_taken(bench: Hub) -> None:
    bench.stand_in.fault("error-before-dispatch", 1)
    with pytest.raises(AmbiguousError):
        bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.workflow.find(RELEASE, REQUEST, bench.clock()) is None


def test_a_forge_that_cannot_be_reached_has_surely_taken_nothing(bench: Hub) -> None:
    bench.stand_in.stop()
    with pytest.raises(UnreadableError) as failed:
        adapter(bench.url).dispatch(RELEASE, REQUEST, SUMMARY)
    assert not isinstance(failed.value, AmbiguousError)
    assert bench.stand_in.runs() == []


def test_a_refused_start_is_no_ambiguous_one(bench: Hub) -> None:
    bench.stand_in.fault("refuse-dispatch")
    with pytest.raises(PublicationError, match="422"):
        bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.stand_in.runs() == []


def test_inputs_that_no_workflow_takes_are_told_before_it_is_asked(bench: Hub) -> None:
    large = SUMMARY.model_copy(update={"envelope": b"x" * 50_000})
    with pytest.raises(PublicationError, match="65,535"):
        bench.workflow.dispatch(RELEASE, REQUEST, large)
    assert bench.stand_in.runs() == []


def test_a_limit_of_the_forge_is_told_with_its_wait_and_nothing_more_is_asked(bench: Hub) -> None:
    bench.stand_in.fault("limit", 1)
    for _ in range(2):
        with pytest.raises(RateLimitedError) as limited:
            bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
        assert limited.value.retry_after is not None
    assert bench.stand_in.runs() == []


def test_the_first_of_two_runs_for_one_request_counts(bench: Hub) -> None:
    first = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.workflow.find(RELEASE, REQUEST, bench.clock()) == first


def test_a_run_is_found_behind_many_others_and_by_a_clock_that_is_ahead(bench: Hub) -> None:
    run = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    for number in range(101):
        bench.workflow.dispatch(RELEASE, f"{number:032x}", SUMMARY)
    assert bench.workflow.find(RELEASE, REQUEST, bench.clock() + timedelta(hours=23)) == run
    assert bench.workflow.find(RELEASE, REQUEST, bench.clock() + timedelta(hours=25)) is None


@pytest.mark.parametrize(("fault", "conclusion"), [("cancel", "cancelled"), ("fail", "failure")])
def test_a_run_that_ends_without_success_says_how(bench: Hub, fault: str, conclusion: str) -> None:
    bench.stand_in.fault(fault, 1)
    ended = to_its_end(bench.workflow, RELEASE, bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY))
    assert (ended.ending, ended.conclusion) == (Ending.FAILED, conclusion)
    assert bench.workflow.released(RELEASE) is None


@pytest.mark.parametrize("fault", ["wrong-revision", "conflict"])
def test_a_release_of_another_revision_does_not_read_back(bench: Hub, fault: str) -> None:
    bench.stand_in.fault(fault, 1)
    published(bench.workflow, RELEASE)
    found = bench.workflow.released(RELEASE)
    assert found is not None
    assert found.revision != REVISION
    revision = bench.workflow.read_back(RELEASE, silent)[0]
    assert (revision.expected_digest, revision.digest) == (str(REVISION), str(found.revision))


def test_a_version_that_is_there_already_ends_the_run_as_the_workflow_ends_it(bench: Hub) -> None:
    bench.stand_in.release(FLAKE, "1.2.3", str(REVISION))
    ended = to_its_end(bench.workflow, RELEASE, bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY))
    assert ended.ending is Ending.FAILED
    assert bench.workflow.plan(RELEASE).missing == ()


def test_a_version_that_differs_in_build_metadata_alone_is_taken(bench: Hub) -> None:
    bench.stand_in.release(FLAKE, "1.2.3+foo", str(REVISION))
    with pytest.raises(NameTakenError, match="to consumers it is the same"):
        bench.workflow.plan(RELEASE)


def test_each_question_is_asked_once_for_whoever_follows_asks_again(scripted: Scripted) -> None:
    scripted.otherwise = Answer(502)
    workflow = FlakehubWorkflow(
        GithubWorkflows(Asking(HttpClient(scripted.url), HEADERS, attempts=ATTEMPTS)), HttpClient(scripted.url)
    )
    for call in (
        lambda: workflow.look(RELEASE, "1"),
        lambda: workflow.find(RELEASE, REQUEST, NOW),
        lambda: workflow.released(RELEASE),
        lambda: workflow.released(ROLLING),
    ):
        scripted.asked.clear()
        with pytest.raises(UnreadableError):
            call()
        assert len(scripted.asked) == 1


@pytest.mark.parametrize("fault", ["hub-down", "hub-limit"])
def test_a_hub_that_fails_is_never_one_without_the_release(bench: Hub, fault: str) -> None:
    published(bench.workflow, RELEASE)
    bench.stand_in.fault(fault)
    for call in (
        lambda: bench.workflow.released(RELEASE),
        lambda: bench.workflow.plan(RELEASE),
        lambda: bench.workflow.read_back(RELEASE, silent),
    ):
        with pytest.raises(ReadError):
            call()


def test_all_that_happened_outlives_the_stand_in(bench: Hub, tmp_path: Path) -> None:
    run = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.workflow.look(RELEASE, run.id).ending is None
    bench.stand_in.stop()
    with hub(tmp_path) as again:
        found = again.workflow.find(RELEASE, REQUEST, again.clock())
        assert found == run
        assert again.workflow.look(RELEASE, run.id).ending is Ending.PASSED
        assert again.workflow.released(RELEASE) is not None
