"""What every forge as a source of facts about runs holds to: GitHub's face and GitLab's, over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import stamina

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.forges.gitlab import GitlabRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.ports import Listing, RunSource
from flywheel_assets_tests.forge import REPOSITORY, Forge, Github, Gitlab, served
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

TOKEN = "t0ken-of-the-source"
SMALL = Limits(
    receipt_bytes=1000,
    signature_material_bytes=0,
    receipt_artifacts=3,
    archive_files=3,
    archive_unpacked_bytes=2500,
    archive_bytes=5000,
)


@dataclass
class Bench:
    """A forge, its server, and the adapter on it."""

    forge: Forge
    server: Scripted
    source: RunSource

    def listed(self, days: float = 1) -> Listing:
        return self.source.listed(REPOSITORY, self.forge.clock() - timedelta(days=days), None, 1)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture(params=["github", "gitlab"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    forge = Github(token=TOKEN) if request.param == "github" else Gitlab(token=TOKEN)
    make: Callable[[Asking, str], RunSource] = GithubRuns if request.param == "github" else GitlabRuns
    with served(forge) as server:
        client = HttpClient(server.url, Credentials(bearer=Secret(TOKEN)))
        yield Bench(forge, server, make(Asking(client, {}, SMALL), "receipt*"))


def test_a_run_is_listed_with_its_state(bench: Bench) -> None:
    going, done = bench.forge.start(), bench.forge.start()
    bench.forge.end(done)
    found = {each.run: each for each in bench.listed().sightings}
    assert not found[str(going.id)].is_finished
    assert found[str(done.id)].is_finished
    assert not bench.listed().is_full


def test_the_list_ends_at_its_floor_and_begins_at_its_upper_time_both_included(bench: Bench) -> None:
    made = []
    for _ in range(4):
        made.append(bench.forge.start())
        bench.forge.end(made[-1])
        bench.forge.clock.move(hours=1)
    found = bench.source.listed(REPOSITORY, made[1].created, made[2].created, 1)
    assert [each.run for each in found.sightings] == [str(made[2].id), str(made[1].id)]


def test_a_full_page_says_that_there_may_be_more(bench: Bench) -> None:
    for _ in range(101):
        bench.forge.start()
    now = bench.forge.clock()
    first, second = (bench.source.listed(REPOSITORY, now, now, page) for page in (1, 2))
    assert (len(first.sightings), first.is_full) == (100, True)
    assert (len(second.sightings), second.is_full) == (1, False)


def test_a_run_is_what_the_forge_knows_of_it(bench: Bench) -> None:
    steps = {"smoke": "success", "scan": "failure", "deploy": "skipped"}
    run = bench.forge.start(event="schedule", actor="ines", steps=steps, label="nix-lane", runner="machine-12")
    bench.forge.leave(run, "receipt-1", one=b"{}")
    bench.forge.clock.move(hours=1)
    bench.forge.end(run, "failure")
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    assert (found.repository, found.run, found.attempt) == (REPOSITORY, str(run.id), 1)
    assert (str(found.revision), found.event, found.actors) == ("a" * 40, TriggerEvent.SCHEDULE, ("ines",))
    assert found.ref in {"main", "refs/heads/main"}
    assert (found.ending, found.started_at, found.finished_at) == (Ending.FAILED, run.created, run.updated)
    assert all("nix-lane" in job.labels for job in found.jobs)
    assert {job.runner for job in found.jobs} == {"machine-12"}
    seen = {step.name: step.ending for job in found.jobs for step in job.steps}
    assert seen.items() >= {("smoke", Ending.PASSED), ("scan", Ending.FAILED), ("deploy", Ending.SKIPPED)}
    assert [artifact.name for artifact in found.artifacts] == ["receipt-1"]


def test_a_run_that_goes_on_is_none_yet(bench: Bench) -> None:
    assert bench.source.run(REPOSITORY, str(bench.forge.start().id), 1) is None


def test_a_run_that_is_not_there_is_absent(bench: Bench) -> None:
    bench.forge.end(bench.forge.start())
    with pytest.raises(AbsentError):
        bench.source.run(REPOSITORY, "77", 1)
    with pytest.raises(AbsentError):
        bench.source.run(REPOSITORY, "1001", 2)


def test_a_repository_that_the_token_is_not_shown_says_nothing_of_its_runs(bench: Bench) -> None:
    bench.forge.is_hidden = True
    with pytest.raises(UnauthorisedError, match="token"):
        bench.source.run(REPOSITORY, "77", 1)


def test_a_refused_token_is_unauthorised_and_shown_to_nobody(bench: Bench) -> None:
    bench.forge.token = "another"
    with pytest.raises(UnauthorisedError) as refused:
        bench.listed()
    assert TOKEN not in str(refused.value)
    assert TOKEN not in repr(bench.source)


def test_what_did_not_change_is_not_sent_again(bench: Bench) -> None:
    bench.forge.end(bench.forge.start())
    first = bench.listed()
    assert bench.listed() == first
    assert bench.forge.unchanged == 1
    bench.forge.clock.move(seconds=1)
    bench.forge.start()
    assert len(bench.source.listed(REPOSITORY, bench.forge.clock() - timedelta(days=1), None, 1).sightings) == 2


def test_a_call_that_fails_is_tried_again(bench: Bench) -> None:
    bench.forge.end(bench.forge.start())
    bench.forge.fail_every = 2
    for _ in range(4):
        assert len(bench.listed().sightings) == 1
    bench.forge.fail_every = 1
    with pytest.raises(UnreadableError):
        bench.listed()


@pytest.mark.parametrize(
    "limit",
    [
        Answer(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}),
        Answer(429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "9999999999"}),
        Answer(429, {"Retry-After": "30"}),
        Answer(403, {"Retry-After": "30"}),
        Answer(429),
        Answer(403, body=b'{"message": "You have exceeded a secondary rate limit."}'),
    ],
    ids=["primary", "primary of GitLab", "429 with a wait", "secondary with a wait", "429 alone", "secondary alone"],
)
def test_while_a_limit_is_on_nothing_is_asked(bench: Bench, limit: Answer) -> None:
    bench.forge.limit = limit
    with pytest.raises(RateLimitedError) as limited:
        bench.listed()
    assert limited.value.retry_after is not None
    assert 0 < limited.value.retry_after <= 3600
    asked = bench.forge.calls
    with pytest.raises(RateLimitedError):
        bench.listed()
    assert bench.forge.calls == asked == 1


def test_the_last_call_that_a_limit_leaves_is_used(bench: Bench) -> None:
    body = b'{"workflow_runs": []}' if isinstance(bench.forge, Github) else b"[]"
    bench.forge.limit = Answer(200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}, body)
    assert bench.listed().sightings == ()
    with pytest.raises(RateLimitedError):
        bench.listed()


def test_receipts_are_the_documents_in_the_artifacts_that_are_named_so(bench: Bench) -> None:
    run = bench.forge.start()
    bench.forge.leave(run, "receipt-1", one=b"1", two=b"2")
    bench.forge.leave(run, "logs", three=b"3")
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    deliveries = list(bench.source.receipts(found))
    assert [delivery.data for delivery in deliveries] == [b"1", b"2"]
    assert all(str(run.id) in delivery.name for delivery in deliveries)


def test_a_run_cannot_make_its_reader_fetch_without_end(bench: Bench) -> None:
    run = bench.forge.start()
    for number in range(5):
        bench.forge.leave(run, f"receipt-{number}", one=b"{}")
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    deliveries = list(bench.source.receipts(found))
    assert [delivery.data for delivery in deliveries] == [b"{}", b"{}", b"{}", None]
    assert "has 5 artifacts for receipts, and 3 were read" in deliveries[-1].problem
    large = found.model_copy(update={"artifacts": tuple(a.model_copy(update={"size": 2000}) for a in found.artifacts)})
    assert [delivery.data for delivery in bench.source.receipts(large)] == [b"{}", None]
    many = found.model_copy(update={"unlisted": 7})
    assert "has 12 artifacts, and 5 were looked at" in next(iter(bench.source.receipts(many))).problem


def spoilt(bench: Bench, **fields: object) -> str:
    """The problem of the one delivery of an artifact that was changed after its run was read."""
    run = bench.forge.start()
    left = bench.forge.leave(run, "receipt", one=b"{}")
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    for name, value in fields.items():
        setattr(left, name, value)
    (delivery,) = bench.source.receipts(found)
    assert delivery.data is None
    return delivery.problem


def test_an_artifact_that_expired_and_one_that_was_deleted_are_told_apart(bench: Bench) -> None:
    assert "has expired" in spoilt(bench, is_expired=True)
    assert "was deleted" in spoilt(bench, is_gone=True)


def test_an_artifact_that_had_expired_before_is_told_without_asking(bench: Bench) -> None:
    run = bench.forge.start()
    bench.forge.leave(run).is_expired = True
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    calls = bench.forge.calls
    assert [delivery.problem.partition(") ")[2][:11] for delivery in bench.source.receipts(found)] == ["has expired"]
    assert bench.forge.calls == calls


def test_an_answer_that_is_no_json_of_the_api_is_invalid(bench: Bench) -> None:
    for body in (b"<html>", b'{"workflow_runs": [{"id": "x"}]}', b'[{"id": 1}]', b"[" * 100):
        bench.forge.limit = Answer(200, body=body)
        with pytest.raises(InvalidInputError):
            bench.listed()


def test_a_text_of_any_length_by_anybody_does_not_stop_the_list(bench: Bench) -> None:
    bench.forge.end(bench.forge.start())
    scripted = bench.server.otherwise
    assert callable(scripted)

    def with_a_long_message(asked: Asked) -> Answer:
        answer = scripted(asked)
        assert isinstance(answer.body, bytes)
        body = answer.body.replace(b'"id": ', b'"message": "' + b"m" * 100_000 + b'", "id": ', 1)
        return Answer(answer.status, answer.headers, body)

    bench.server.otherwise = with_a_long_message
    assert len(bench.listed().sightings) == 1


def test_an_answer_that_leads_to_a_strange_host_is_not_followed(bench: Bench) -> None:
    run = bench.forge.start()
    left = bench.forge.leave(run, "receipt", one=b"{}")
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    bench.forge.limit = Answer(302, {"Location": f"http://localhost:1/blobs/{left.id}"})
    with pytest.raises(UnreadableError, match=r"localhost:1.*`hosts`"):  # named there, another try reads it
        list(bench.source.receipts(found))


def test_names_by_anybody_cannot_stop_or_paint(bench: Bench) -> None:
    run = bench.forge.start(steps={"\x1b[2J" + "x" * 2000: "success"}, branch="a\u202eb")
    bench.forge.end(run)
    found = bench.source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    assert "\x1b" not in found.model_dump_json()
    assert "\\x1b" in found.jobs[0].steps[0].name
