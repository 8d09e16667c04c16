"""What GitHub's API is asked besides runs, jobs and artifacts: which names are tags, and when a commit was made."""

from datetime import UTC, datetime

import pytest

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets_tests.forge import REPOSITORY, ForgeRun, Github
from flywheel_assets_tests.scripted import Scripted

COMMITTED = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def source(server: Scripted) -> GithubRuns:
    return GithubRuns(Asking(HttpClient(server.url)))


def recorded(forge: Github, source: GithubRuns, run: ForgeRun) -> PlatformRun:
    forge.end(run)
    found = source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    return found


def test_a_record_holds_what_tells_the_run_and_its_jobs_apart(forge: Github, source: GithubRuns) -> None:
    run = forge.start(event="workflow_run", workflow=".github/workflows/a.yml@main", runner="lane-7")
    forge.committed[run.sha] = COMMITTED
    found = recorded(forge, source, run)
    assert (found.workflow, found.event_name, found.committed_at) == (
        ".github/workflows/a.yml",
        "workflow_run",
        COMMITTED,
    )
    assert (found.repository_id, found.repository_url) == ("7", REPOSITORY)
    (job,) = found.jobs
    assert (job.id, job.runner, job.ran) == (str(run.id * 100 + 1), "lane-7", True)


def test_a_name_is_a_tag_where_one_of_it_is_at_the_runs_revision(forge: Github, source: GithubRuns) -> None:
    forge.tags = {"v1": "a" * 40, "v2": "b" * 40, "v3": "c" * 40, "c" * 40: "a" * 40, "a/b#c": "a" * 40}
    names = ("v1", "v2", "v3", "v4", "a/b#c")
    found = [recorded(forge, source, forge.start(branch=name)).ref for name in names]
    assert found == [
        "refs/tags/v1",
        "refs/heads/v2",
        "refs/tags/v3",
        "refs/heads/v4",
        "refs/tags/a/b#c",
    ]


def test_a_commits_time_is_asked_once_and_one_that_is_gone_has_none(forge: Github, source: GithubRuns) -> None:
    forge.committed["a" * 40] = COMMITTED
    times = [recorded(forge, source, forge.start()).committed_at for _ in range(3)]
    assert times == [COMMITTED] * 3
    assert sum("/git/commits/" in path for path in forge.asked) == 1
    assert recorded(forge, source, forge.start(sha="b" * 40)).committed_at is None


def test_of_a_proposal_no_more_is_asked_than_that_it_is_one(forge: Github, source: GithubRuns) -> None:
    run = forge.start(fork="https://forge.example/eve/fork")
    forge.leave(run)
    found = recorded(forge, source, run)
    assert (found.is_proposal, found.artifacts) == (True, ())
    assert not any("/git/" in path or "artifacts" in path for path in forge.asked)
