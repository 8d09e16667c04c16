"""The adapter against GitHub's own OpenAPI description, which Prism holds every request to and answers from.

Both come by npm (``make peers``).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.adapters.forges.app import AppToken
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.dispatching import GithubWorkflows
from flywheel_assets.adapters.forges.github import HEADERS, GithubRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets_tests.adapters.forges.test_app import PEM
from flywheel_assets_tests.flakes import flake_release, hub, published
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server, running

pytestmark = pytest.mark.peer("prism")
RUNS = "/repos/{owner}/{repo}/actions/runs"
ATTEMPT = f"{RUNS}/{{run_id}}/attempts/{{attempt_number}}"
WORKFLOW = "/repos/{owner}/{repo}/actions/workflows/{workflow_id}"
USED = (
    "/repos/{owner}/{repo}",
    RUNS,
    ATTEMPT,
    f"{ATTEMPT}/jobs",
    f"{RUNS}/{{run_id}}/artifacts",
    "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}",
    "/repos/{owner}/{repo}/attestations/{subject_digest}",
    "/repos/{owner}/{repo}/git/tags/{tag_sha}",
    "/repos/{owner}/{repo}/git/commits/{commit_sha}",
    "/app/installations/{installation_id}/access_tokens",
    WORKFLOW,
    f"{WORKFLOW}/dispatches",
    f"{WORKFLOW}/runs",
    f"{RUNS}/{{run_id}}",
    f"{RUNS}/{{run_id}}/cancel",
)
REPOSITORY = "https://github.com/octo-org/octo-repo"
STOOD_IN = "/repos/octo-org/octo-repo/actions"


def _whole(prism: Path) -> dict[str, Any]:
    modules = next(parent for parent in prism.resolve().parents if parent.name == "node_modules")
    file = modules / "@octokit" / "openapi" / "generated" / "api.github.com.json"
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def _schemas(prism: Path) -> dict[str, Any]:
    found: dict[str, Any] = _whole(prism)["components"]["schemas"]
    return found


def _described(prism: Path) -> dict[str, object]:
    """The description of what is used; with the others, Prism takes half a minute to start."""
    found = _whole(prism)
    paths, components = found["paths"], found["components"]
    assert isinstance(paths, dict)
    assert isinstance(components, dict)
    found["paths"] = {path: paths[path] for path in USED}
    # It says that this is a time; its text says that it is a search for times, as GitHub takes it.
    assert components["parameters"]["created"]["schema"].pop("format") == "date-time"
    return found


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Iterator[Server]:
    folder, program = tmp_path_factory.mktemp("prism"), peer_path("prism")
    description = folder / "github.json"
    description.write_text(json.dumps(_described(program)))
    with running(
        folder, lambda port: [str(program), "mock", "-h", "127.0.0.1", "-p", str(port), str(description)]
    ) as it:
        yield it


@pytest.fixture
def source(prism: Server) -> GithubRuns:
    return GithubRuns(asking(prism), "*")


def asking(prism: Server) -> Asking:
    # The description knows no media type of GitHub's own, which its documentation asks for.
    return Asking(HttpClient(prism.url), {**HEADERS, "Accept": "application/json"})


@pytest.mark.parametrize("upper", [None, datetime(2026, 11, 2, tzinfo=UTC)])
def test_the_list_is_asked_for_and_read_as_described(source: GithubRuns, upper: datetime | None) -> None:
    found = source.listed(REPOSITORY, datetime(2026, 11, 1, tzinfo=UTC), upper, 1)
    assert len(found.sightings) >= 1
    assert all(sighting.run.isdecimal() for sighting in found.sightings)


def test_an_attempt_is_asked_for_and_read_as_described(source: GithubRuns) -> None:
    """The example in the description is a run that goes on, so its parts are read one by one below."""
    assert source.run(REPOSITORY, "30433642", 1) is None


@pytest.mark.parametrize("part", ["jobs", "artifacts"])
def test_what_belongs_to_a_run_is_asked_for_and_read_as_described(source: GithubRuns, part: str) -> None:
    if part == "jobs":
        jobs = source.jobs_of(REPOSITORY, "30433642", 1)
        assert {step.ending for job in jobs for step in job.steps} == {Ending.PASSED}
        assert all(job.labels for job in jobs)
    else:
        artifacts, _ = source.artifacts_of(REPOSITORY, "30433642")
        assert all(artifact.digest.startswith("sha256:") for artifact in artifacts)
        assert artifacts


def test_a_commit_is_asked_for_and_its_time_is_read_as_described(source: GithubRuns) -> None:
    assert source.commit_time(REPOSITORY, GitRevision("a" * 40)) == datetime(2014, 11, 7, 22, 1, 45, tzinfo=UTC)


def test_an_annotated_tag_is_asked_for_and_read_as_described(source: GithubRuns) -> None:
    assert source.tagged(REPOSITORY, "a" * 40) == "c3d0be41ecbe669545ee3e94d31ed9a4bc91ee3c"


def test_attestations_are_asked_for_and_their_list_is_read_as_described(source: GithubRuns) -> None:
    """The example holds two URLs of bundles, on a host that this source does not name."""
    with pytest.raises(UnreadableError, match=r"tmastaging\.blob\.core\.windows\.net"):
        list(source.attestations(REPOSITORY, Sha256.of(b"artifact")))


def test_a_token_of_an_app_is_asked_for_and_read_as_described(prism: Server) -> None:
    assert AppToken(HttpClient(prism.url), 1, 2, lambda: PEM)()


def test_a_workflow_is_started_as_described_and_names_its_run(prism: Server) -> None:
    inputs = {"request": "0123456789abcdef" * 2, "version": "1.2.3"}
    run = GithubWorkflows(asking(prism)).start(REPOSITORY, "build.yml", "main", inputs)
    assert (run.id, run.url, run.ending) == ("1", f"{REPOSITORY}/actions/runs/1", None)


def test_a_run_of_a_workflow_is_looked_for_and_looked_at_as_described(prism: Server) -> None:
    """The run in the description is one by a push: it is read, and is none that a request started."""
    workflows = GithubWorkflows(asking(prism))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    assert workflows.find(REPOSITORY, "build.yml", "Update README.md", since) is None
    run = workflows.look(REPOSITORY, "build.yml", "30433642")
    assert (run.url, run.ending) == (f"{REPOSITORY}/actions/runs/30433642", None)


def test_a_run_is_cancelled_as_described(prism: Server) -> None:
    GithubWorkflows(asking(prism)).cancel(REPOSITORY, "30433642")


def test_the_stand_in_answers_as_described(peer_path: PeerPath, tmp_path: Path) -> None:
    """It leaves out what nobody here reads; what it says is of the described name and type."""
    schemas = _schemas(peer_path("prism"))
    with hub(tmp_path) as found:
        published(found.workflow, flake_release())
        (run,) = found.stand_in.answer("GET", f"{STOOD_IN}/workflows/build.yml/runs", b"").document["workflow_runs"]
        ordered = b'{"ref": "main", "return_run_details": true}'
        started = found.stand_in.answer("POST", f"{STOOD_IN}/workflows/build.yml/dispatches", ordered).document
    assert set(started) == set(schemas["workflow-dispatch-response"]["required"])
    described = schemas["workflow-run"]["properties"]
    types = {"integer": int, "string": str}
    assert run.keys() <= described.keys()
    assert [key for key, value in run.items() if not isinstance(value, types[described[key]["type"]])] == []
