"""What every surface that a workflow publishes to holds to: FlakeHub by GitHub's workflows, and the fake."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import stamina

from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import FlakeVersion
from flywheel_assets.domain.errors import (
    AbsentError,
    AmbiguousError,
    NameTakenError,
    PublicationError,
    ReadError,
    UnreadableError,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets_tests.fakes import NOW, FakeWorkflow
from flywheel_assets_tests.flakes import (
    FLAKE,
    REPOSITORY,
    REQUEST,
    REVISION,
    SUMMARY,
    Hub,
    flake_release,
    hub,
    published,
    silent,
    to_its_end,
)

RELEASE, ROLLING = flake_release(), flake_release(None)
OTHER, STRANGE = "b" * 32, GitRevision("c" * 40)


class Bench(ABC):
    """A surface, and what a test does behind its back."""

    workflow: PublishingWorkflow
    now: datetime = NOW

    @abstractmethod
    def requests(self) -> list[str]:
        """The requests that were taken."""

    @abstractmethod
    def release_elsewhere(self) -> None:
        """Version 1.2.3 of another revision, by another way."""

    @abstractmethod
    def yank(self) -> None:
        """What is released of 1.2.3."""

    @abstractmethod
    def go_wrong(self, what: str) -> None:
        """What goes wrong from now on.

        ``lose`` the next answer, ``refuse`` requests, ``cancel`` the next run, release another ``revision`` or
        ``path``, be ``late`` with the release for two looks, release ``bare`` of output paths, be ``down``.
        """


FAULTS = {
    "lose": ("hang-up-after-dispatch", 1),
    "refuse": ("refuse-dispatch", None),
    "cancel": ("cancel", 1),
    "revision": ("wrong-revision", 1),
    "path": ("wrong-store-path", 1),
    "late": ("late-release", 4),  # a look is two requests: for the list, and for the version
    "bare": ("without-outputs", 1),
    "down": ("hub-down", None),
}


class OnStandIn(Bench):
    """The real adapter."""

    def __init__(self, found: Hub) -> None:
        self.workflow = found.workflow
        self._stand_in = found.stand_in

    def requests(self) -> list[str]:
        return [run["inputs"]["request"] for run in self._stand_in.runs()]

    def release_elsewhere(self) -> None:
        self._stand_in.release(FLAKE, "1.2.3", str(STRANGE))

    def yank(self) -> None:
        self._stand_in.yank(FLAKE, "1.2.3")

    def go_wrong(self, what: str) -> None:
        self._stand_in.fault(*FAULTS[what])


class OnFake(Bench):
    """The fake that all tests of promotion use."""

    def __init__(self) -> None:
        self.workflow = self._fake = FakeWorkflow()

    def requests(self) -> list[str]:
        return self._fake.asked

    def release_elsewhere(self) -> None:
        self._fake.releases["1.2.3"] = FlakeVersion(version="1.2.3", revision=STRANGE)

    def yank(self) -> None:
        self._fake.yank()

    def go_wrong(self, what: str) -> None:
        match what:
            case "lose":
                self._fake.loses = AmbiguousError("The answer was lost.")
            case "refuse":
                self._fake.refuses = PublicationError("Refused.")
            case "cancel":
                self._fake.ending, self._fake.conclusion = Ending.FAILED, "cancelled"
            case "revision":
                self._fake.revision = STRANGE
            case "path":
                self._fake.store_path = f"/nix/store/{'0' * 32}-app"
            case "bare":
                self._fake.bare = True
            case "late":
                self._fake.lag = 2
            case "down":
                self._fake.broken = UnreadableError("It is down.")


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture(params=["stand-in", "fake"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "fake":
        yield OnFake()
        return
    with hub(tmp_path) as found:
        yield OnStandIn(found)


def test_a_version_that_is_not_there_is_missing_and_then_present(bench: Bench) -> None:
    plan = bench.workflow.plan(RELEASE)
    assert (plan.missing, plan.present) == (("1.2.3",), ())
    published(bench.workflow, RELEASE)
    plan = bench.workflow.plan(RELEASE)
    assert (plan.missing, plan.present, plan.names) == ((), ("1.2.3",), ())
    assert plan.reference == f"flakehub:{FLAKE}/1.2.3#packages.x86_64-linux.default"


@pytest.mark.parametrize("is_yanked", [False, True])
def test_a_version_of_another_revision_is_taken_also_when_it_is_yanked(bench: Bench, is_yanked: bool) -> None:
    bench.release_elsewhere()
    if is_yanked:
        bench.yank()
    with pytest.raises(NameTakenError, match=str(STRANGE)):
        bench.workflow.plan(RELEASE)


def test_a_version_of_our_own_that_is_yanked_is_taken(bench: Bench) -> None:
    published(bench.workflow, RELEASE)
    bench.yank()
    with pytest.raises(NameTakenError, match="yanked"):
        bench.workflow.plan(RELEASE)


def test_a_request_is_taken_once_and_its_run_goes_on(bench: Bench) -> None:
    run = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.requests() == [REQUEST]
    assert (run.ending, run.conclusion) == (None, "")
    assert run.url.endswith(f"/{REPOSITORY}/actions/runs/{run.id}")
    assert bench.workflow.look(RELEASE, run.id).ending is None
    assert bench.workflow.released(RELEASE) is None


def test_a_request_whose_answer_was_lost_is_ambiguous_and_found_again(bench: Bench) -> None:
    bench.go_wrong("lose")
    with pytest.raises(AmbiguousError):
        bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.requests() == [REQUEST]
    found = bench.workflow.find(RELEASE, REQUEST, bench.now)
    assert found is not None
    assert to_its_end(bench.workflow, RELEASE, found).ending is Ending.PASSED


def test_a_refused_request_is_no_ambiguous_one(bench: Bench) -> None:
    bench.go_wrong("refuse")
    with pytest.raises(PublicationError):
        bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    assert bench.requests() == []
    assert bench.workflow.find(RELEASE, REQUEST, bench.now) is None


def test_a_run_is_found_by_its_own_request_alone(bench: Bench) -> None:
    first = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    second = bench.workflow.dispatch(RELEASE, OTHER, SUMMARY)
    assert bench.workflow.find(RELEASE, REQUEST, bench.now) == first
    assert bench.workflow.find(RELEASE, OTHER, bench.now) == second
    assert bench.workflow.find(RELEASE, "d" * 32, bench.now) is None


def test_a_run_that_was_cancelled_says_so_and_releases_nothing(bench: Bench) -> None:
    bench.go_wrong("cancel")
    ended = to_its_end(bench.workflow, RELEASE, bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY))
    assert (ended.ending, ended.conclusion) == (Ending.FAILED, "cancelled")
    assert bench.workflow.released(RELEASE) is None


def test_a_run_that_is_cancelled_ends_so_and_releases_nothing(bench: Bench) -> None:
    run = bench.workflow.dispatch(RELEASE, REQUEST, SUMMARY)
    bench.workflow.cancel(RELEASE, run.id)
    ended = bench.workflow.look(RELEASE, run.id)
    assert (ended.ending, ended.conclusion) == (Ending.FAILED, "cancelled")
    assert bench.workflow.released(RELEASE) is None


def test_a_run_that_is_not_there_is_absent(bench: Bench) -> None:
    with pytest.raises(AbsentError):
        bench.workflow.look(RELEASE, "77")


def test_a_release_that_does_not_show_yet_is_never_one_that_was_yanked(bench: Bench) -> None:
    bench.go_wrong("late")
    published(bench.workflow, RELEASE)
    assert [bench.workflow.released(RELEASE) for _ in range(2)] == [None, None]
    found = bench.workflow.released(RELEASE)
    assert found is not None
    assert (found.version, found.revision, found.yanked) == ("1.2.3", REVISION, False)


def test_what_is_released_reads_back_with_its_revision_and_store_path(bench: Bench) -> None:
    published(bench.workflow, RELEASE)
    readings = bench.workflow.read_back(RELEASE, silent)
    assert [(each.state, each.digest) for each in readings] == [
        (ReadState.READ, str(REVISION)),
        (ReadState.READ, RELEASE.artifact.name),
    ]
    assert all(each.digest == each.expected_digest for each in readings)


@pytest.mark.parametrize(("what", "place"), [("revision", 0), ("path", 1)])
def test_another_revision_or_store_path_does_not_read_back(bench: Bench, what: str, place: int) -> None:
    bench.go_wrong(what)
    published(bench.workflow, RELEASE)
    readings = bench.workflow.read_back(RELEASE, silent)
    assert [each.digest == each.expected_digest for each in readings] == [number != place for number in range(2)]


def test_a_release_without_output_paths_reads_back_by_its_revision_alone_and_says_so(bench: Bench) -> None:
    bench.go_wrong("bare")
    published(bench.workflow, RELEASE)
    (revision,) = bench.workflow.read_back(RELEASE, silent)
    assert (revision.state, revision.digest, revision.expected_digest) == (ReadState.READ, str(REVISION), str(REVISION))
    assert "store path" in revision.detail


def test_a_yanked_release_is_told_and_does_not_read_back(bench: Bench) -> None:
    published(bench.workflow, RELEASE)
    bench.yank()
    found = bench.workflow.released(RELEASE)
    assert found is not None
    assert (found.version, found.revision, found.yanked) == ("1.2.3", REVISION, True)
    (reading,) = bench.workflow.read_back(RELEASE, silent)
    assert (reading.state, reading.digest) == (ReadState.ABSENT, "")
    assert "yanked" in reading.detail


def test_what_was_never_released_reads_back_as_absent(bench: Bench) -> None:
    (reading,) = bench.workflow.read_back(RELEASE, silent)
    assert (reading.state, reading.digest, reading.expected_digest) == (ReadState.ABSENT, "", str(REVISION))


def test_a_rolling_release_is_found_by_its_revision(bench: Bench) -> None:
    assert bench.workflow.plan(ROLLING).missing
    published(bench.workflow, ROLLING)
    found = bench.workflow.released(ROLLING)
    assert found is not None
    assert found.version.endswith(f"+rev-{REVISION}")
    assert not bench.workflow.plan(ROLLING).missing
    assert all(each.digest == each.expected_digest for each in bench.workflow.read_back(ROLLING, silent))


def test_a_surface_that_fails_is_never_one_without_the_release(bench: Bench) -> None:
    published(bench.workflow, RELEASE)
    bench.go_wrong("down")
    for call in (
        lambda: bench.workflow.released(RELEASE),
        lambda: bench.workflow.plan(RELEASE),
        lambda: bench.workflow.read_back(RELEASE, silent),
    ):
        with pytest.raises(ReadError):
            call()
