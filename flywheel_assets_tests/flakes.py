"""A flake's release to ask for, and FlakeHub's stand-in with the real adapter on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flywheel_assets.adapters.flakehub.workflow import FlakehubWorkflow
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.dispatching import GithubWorkflows
from flywheel_assets.adapters.forges.github import HEADERS
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import WorkflowRun
from flywheel_assets.domain.publications import FlakeRelease, Proof, Release
from flywheel_assets.domain.statements import VSA_V1
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets_tests.adapters.nix.making import closure, made, release
from flywheel_assets_tests.fakes import FakeClock

REVISION = GitRevision("a" * 40)
REQUEST = "0123456789abcdef" * 2
SUMMARY = Proof(name="vsa", predicate_type=VSA_V1, envelope=b'{"payloadType": "x"}')
REPOSITORY, FLAKE = "octo-org/octo-repo", "stand-in.invalid/octo-repo"


def flake_release(version: str | None = "1.2.3", revision: GitRevision = REVISION) -> Release:
    """A closure that is to be released as a flake; rolling without a version."""
    flake = FlakeRelease(
        name=FLAKE,
        version=version,
        revision=revision,
        attribute="packages.x86_64-linux.default",
        repository=f"https://github.com/{REPOSITORY}",
        workflow="build.yml",
        ref="main",
    )
    return release(closure(made("app"))).model_copy(update={"flake": flake})


@dataclass
class Hub:
    """The stand-in, its clock and address, and the adapter on it."""

    stand_in: StandIn
    clock: FakeClock
    url: str
    workflow: FlakehubWorkflow


def adapter(url: str) -> FlakehubWorkflow:
    """The adapter as it is wired, on a stand-in at ``url``."""
    return FlakehubWorkflow(GithubWorkflows(Asking(HttpClient(url), HEADERS)), HttpClient(url))


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """A stand-in that serves."""
    clock = FakeClock()
    stand_in = StandIn(folder, clock)
    url = stand_in.start()
    try:
        yield Hub(stand_in, clock, url, adapter(url))
    finally:
        stand_in.stop()


def silent(_count: int) -> None:
    """A progress that nobody watches."""


def to_its_end(workflow: PublishingWorkflow, release: Release, run: WorkflowRun) -> WorkflowRun:
    """Look until it has ended."""
    for _ in range(2):
        run = workflow.look(release, run.id)
    assert run.ending is not None
    return run


def published(workflow: PublishingWorkflow, release: Release) -> None:
    """Ask for it, and look until the workflow has ended."""
    to_its_end(workflow, release, workflow.dispatch(release, REQUEST, SUMMARY))
