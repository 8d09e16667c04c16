"""Starting a workflow: what counts as taken, what as not, and what is not known; and answers that are tampered with."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.dispatching import GithubWorkflows
from flywheel_assets.adapters.forges.github import HEADERS
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.dispatches import WorkflowRun
from flywheel_assets.domain.errors import (
    AbsentError,
    AmbiguousError,
    FlywheelError,
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
)
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

REPOSITORY = "https://github.com/octo-org/octo-repo"
BASE = "/repos/octo-org/octo-repo"
WORKFLOW = f"{BASE}/actions/workflows/release.yml"
DISPATCH, RUNS, RUN = f"POST {WORKFLOW}/dispatches", f"GET {WORKFLOW}/runs", f"GET {BASE}/actions/runs/42"
TOKEN = "t0ken-that-may-start"
REQUEST = "0123456789abcdef" * 2
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE: dict[str, Any] = {
    "id": 42,
    "html_url": "https://github.com/octo-org/octo-repo/actions/runs/42",
    "path": ".github/workflows/release.yml@main",
    "event": "workflow_dispatch",
    "status": "completed",
    "conclusion": "success",
    "name": "Release",
    "display_title": f"Release 1.2.3 ({REQUEST})",
    "created_at": "2026-11-23T12:00:00Z",
}
STARTED = {"workflow_run_id": 42, "run_url": "https://api.github.com/x", "html_url": ONE["html_url"]}


@pytest.fixture
def workflows(scripted: Scripted) -> GithubWorkflows:
    scripted.answers[f"GET {WORKFLOW}"] = told({"state": "active"})
    scripted.answers[f"GET {BASE}"] = told({"id": 7})
    return on(scripted)


def on(server: Scripted) -> GithubWorkflows:
    return GithubWorkflows(Asking(HttpClient(server.url, Credentials(bearer=Secret(TOKEN))), HEADERS))


def told(document: object, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


def start(workflows: GithubWorkflows) -> WorkflowRun:
    return workflows.start(REPOSITORY, "release.yml", "main", {"request": REQUEST})


def posts(server: Scripted) -> list[Asked]:
    return [asked for asked in server.asked if asked.method == "POST"]


def test_a_start_is_sent_once_with_the_token_and_names_its_run(scripted: Scripted, workflows: GithubWorkflows) -> None:
    scripted.answers[DISPATCH] = told(STARTED)
    assert start(workflows) == WorkflowRun(id="42", url=ONE["html_url"])
    (post,) = posts(scripted)
    sent = {"ref": "main", "inputs": {"request": REQUEST}, "return_run_details": True}
    assert json.loads(post.body) == sent
    assert post.headers["Authorization"] == f"Bearer {TOKEN}"
    assert post.headers["X-GitHub-Api-Version"] == "2022-11-28"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(502),
        Answer(503, {"Retry-After": "30"}),
        Answer(408),
        Answer(200, {}, b"", length=40),
        Answer(200, {}, b"<html>"),
        told({"workflow_run_id": "x", "html_url": ONE["html_url"]}),
        told({**STARTED, "html_url": "javascript:alert(1)"}),
        told({**STARTED, "html_url": 'https://x.example/">'}),
        told({**STARTED, "workflow_run_id": -1}),
        Answer(202),
        Answer(204),
        Answer(206),
        Answer(301, {"Location": "http://elsewhere.example/"}),
        Answer(307, {"Location": "http://elsewhere.example/"}),
        Answer(409),
        Answer(418),
    ],
    ids=[
        *("500", "502", "503", "408", "cut", "html", "no id", "script", "quotes", "negative"),
        *("202", "204", "206", "301", "307", "409", "418"),
    ],
)
def test_what_leaves_it_open_whether_a_run_was_made_is_ambiguous_and_not_asked_again(
    scripted: Scripted, workflows: GithubWorkflows, answer: Answer
) -> None:
    scripted.answers[DISPATCH] = answer
    with pytest.raises(AmbiguousError) as ambiguous:
        start(workflows)
    assert len(posts(scripted)) == 1
    assert TOKEN not in str(ambiguous.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401), UnauthorisedError),
        (Answer(403), UnauthorisedError),
        (Answer(404), AbsentError),
        (Answer(429), RateLimitedError),
        (Answer(403, {}, b'{"message": "You have exceeded a secondary rate limit."}'), RateLimitedError),
        (Answer(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}), RateLimitedError),
        (Answer(400), PublicationError),
        (Answer(422), PublicationError),
    ],
    ids=["401", "403", "404", "429", "secondary", "primary", "400", "422"],
)
def test_a_refusal_has_surely_taken_nothing(
    scripted: Scripted, workflows: GithubWorkflows, answer: Answer, error: type[FlywheelError]
) -> None:
    scripted.answers[DISPATCH] = answer
    with pytest.raises(error) as refused:
        start(workflows)
    assert not isinstance(refused.value, AmbiguousError)
    statuses = {422: 2}  # without the key that an older forge does not know; nothing else is sent twice
    assert len(posts(scripted)) == statuses.get(answer.status, 1)
    assert TOKEN not in str(refused.value)


def test_a_forge_that_knows_no_run_details_is_asked_without_and_then_looked_at(
    scripted: Scripted, workflows: GithubWorkflows
) -> None:
    def old(asked: Asked) -> Answer:
        return Answer(422) if "return_run_details" in json.loads(asked.body) else Answer(204)

    scripted.answers[DISPATCH] = old
    with pytest.raises(AmbiguousError, match="names no run"):
        start(workflows)
    assert [("return_run_details" in json.loads(post.body)) for post in posts(scripted)] == [True, False]


@pytest.mark.parametrize(
    ("workflow", "repository", "error"),
    [
        (told({"state": "disabled_manually"}), told({"id": 7}), PublicationError),
        (Answer(404), told({"id": 7}), AbsentError),
        (Answer(404), Answer(404), UnauthorisedError),
        (Answer(401), told({"id": 7}), UnauthorisedError),
        (Answer(302, {"Location": "http://elsewhere.example/"}), told({"id": 7}), LedAstrayError),
        (told({"state": 7}), told({"id": 7}), InvalidInputError),
    ],
    ids=["disabled", "no such workflow", "no such repository", "401", "astray", "tampered"],
)
def test_a_workflow_that_cannot_be_started_is_told_before_anything_is_asked(
    scripted: Scripted, workflows: GithubWorkflows, workflow: Answer, repository: Answer, error: type[FlywheelError]
) -> None:
    scripted.answers[f"GET {WORKFLOW}"], scripted.answers[f"GET {BASE}"] = workflow, repository
    with pytest.raises(error):
        start(workflows)
    assert posts(scripted) == []


@pytest.mark.parametrize(
    ("changes", "ending", "conclusion"),
    [
        ({"status": "queued", "conclusion": None}, None, ""),
        ({"status": "waiting", "conclusion": None}, None, ""),
        ({"status": "something new", "conclusion": None}, None, ""),
        ({}, Ending.PASSED, "success"),
        ({"conclusion": "cancelled"}, Ending.FAILED, "cancelled"),
        ({"conclusion": "timed_out"}, Ending.FAILED, "timed_out"),
        ({"conclusion": "something new"}, Ending.FAILED, "something new"),
        ({"conclusion": None}, Ending.FAILED, ""),
        ({"conclusion": "\x1b[31mred"}, Ending.FAILED, "\\x1b[31mred"),
    ],
)
def test_only_success_is_success(
    scripted: Scripted, workflows: GithubWorkflows, changes: dict[str, Any], ending: Ending | None, conclusion: str
) -> None:
    scripted.answers[RUN] = told({**ONE, **changes})
    found = workflows.look(REPOSITORY, "release.yml", "42")
    assert (found.ending, found.conclusion) == (ending, conclusion)


def test_an_attempt_by_hand_of_the_same_run_is_another_than_the_one_before(
    scripted: Scripted, workflows: GithubWorkflows
) -> None:
    scripted.answers[RUN] = told({**ONE, "conclusion": "failure"})
    first = workflows.look(REPOSITORY, "release.yml", "42")
    scripted.answers[RUN] = told({**ONE, "conclusion": "failure", "run_attempt": 2})
    assert workflows.look(REPOSITORY, "release.yml", "42") != first


@pytest.mark.parametrize(
    "changes",
    [{"path": ".github/workflows/other.yml"}, {"id": 43}, {"html_url": "file:///etc/passwd"}, {"status": None}],
    ids=["another workflow", "another run", "no URL", "no status"],
)
def test_a_run_that_is_not_the_one_asked_for_is_invalid(
    scripted: Scripted, workflows: GithubWorkflows, changes: dict[str, Any]
) -> None:
    scripted.answers[RUN] = told({**ONE, **changes})
    with pytest.raises(InvalidInputError):
        workflows.look(REPOSITORY, "release.yml", "42")


@pytest.mark.parametrize(
    ("repository", "error"), [(told({"id": 7}), AbsentError), (Answer(404), UnauthorisedError)], ids=["gone", "hidden"]
)
def test_a_run_that_is_gone_is_told_from_a_repository_that_is_not_shown(
    scripted: Scripted, workflows: GithubWorkflows, repository: Answer, error: type[FlywheelError]
) -> None:
    scripted.answers[f"GET {BASE}"] = repository
    with pytest.raises(error):
        workflows.look(REPOSITORY, "release.yml", "42")


def test_a_run_by_another_event_with_the_request_in_its_title_is_none(
    scripted: Scripted, workflows: GithubWorkflows
) -> None:
    """A commit's title is anybody's: whoever read a request's id could make a run by a push that looks like it."""
    scripted.answers[RUNS] = told({"workflow_runs": [{**ONE, "event": "push"}]})
    assert workflows.find(REPOSITORY, "release.yml", REQUEST, NOW) is None
    scripted.answers[RUNS] = told({"workflow_runs": [ONE]})
    assert workflows.find(REPOSITORY, "release.yml", REQUEST, NOW) is not None


def test_pages_are_read_to_their_bound_and_a_list_that_goes_on_has_not_said_that_there_is_no_run(
    scripted: Scripted, workflows: GithubWorkflows
) -> None:
    others = [{**ONE, "display_title": "another"}] * 99
    scripted.answers[RUNS] = told({"workflow_runs": [*others, ONE]})
    assert workflows.find(REPOSITORY, "release.yml", REQUEST, NOW) is not None
    scripted.asked.clear()
    scripted.answers[RUNS] = told({"workflow_runs": [*others, others[0]]})
    with pytest.raises(LimitExceededError, match="more than 1,000 runs of three days"):
        workflows.find(REPOSITORY, "release.yml", REQUEST, NOW)
    assert len([asked for asked in scripted.asked if asked.path.endswith("/runs")]) == 10


def test_a_run_is_looked_for_around_when_it_was_asked_for_alone(scripted: Scripted, workflows: GithubWorkflows) -> None:
    """Or a request of long ago could never be looked for again where a thousand others came after it."""
    scripted.answers[RUNS] = told({"workflow_runs": []})
    workflows.find(REPOSITORY, "release.yml", REQUEST, NOW)
    assert "created=2026-11-23T12:00:00Z..2026-11-26T12:00:00Z" in unquote(scripted.asked[-1].target)


@pytest.fixture(scope="module")
def shared() -> Iterator[Scripted]:
    with serving(Scripted()) as server:
        yield server


run_fields = st.dictionaries(
    st.sampled_from([*ONE]), st.none() | st.integers() | st.text(max_size=30) | st.booleans(), max_size=4
)


@given(changes=run_fields)
def test_a_run_that_is_read_is_one_that_was_asked_for_or_an_error_of_ours(
    shared: Scripted, changes: dict[str, Any]
) -> None:
    shared.otherwise = told({**ONE, **changes})
    calls: tuple[Callable[[], WorkflowRun], ...] = (
        lambda: on(shared).look(REPOSITORY, "release.yml", "42"),
        lambda: start(on(shared)),
    )
    for call in calls:
        try:
            found = call()
        except FlywheelError:
            continue
        assert found.id == "42"
        assert found.url.startswith(("https://", "http://"))
        assert found.ending is not Ending.PASSED or {**ONE, **changes}["conclusion"] == "success"
