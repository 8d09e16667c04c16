"""Runs that somebody made to hold up, to mislead or to outlast the intake: each costs its own receipts, and no more."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import stamina
from stamina import instrumentation

from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.intake import dead_letters, take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.letters import LetterState, letters, retry
from flywheel_assets.promotion.walking import FIRST_PAUSE, LONGEST_PAUSE, Place
from flywheel_assets_tests.forge import ForgeRun, Left, archive
from flywheel_assets_tests.promotion.forged import KEY, OUTPUT, REPOSITORY, ForgedRuns, forged, receipt_of
from flywheel_assets_tests.scripted import Answer

FORGE = "forge_vouches_for_the_run"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        instrumentation.set_on_retry_hooks([])
        yield
        instrumentation.set_on_retry_hooks(None)


@pytest.fixture
def flow() -> Iterator[ForgedRuns]:
    with forged() as found:
        yield found


@pytest.fixture
def gitlab() -> Iterator[ForgedRuns]:
    with forged(SourceKind.GITLAB) as found:
        yield found


def key(run: ForgeRun, attempt: int = 1) -> BuildKey:
    return BuildKey(run=str(run.id), attempt=attempt, system="x86_64-linux")


def says(flow: ForgedRuns, run: ForgeRun, attempt: int = 1) -> str:
    """The reason that the rule about the forge gives."""
    findings = judge(flow.flywheel, OUTPUT, key(run, attempt)).verdict.findings
    (found,) = [finding for finding in findings if finding.rule == FORGE]
    return found.reason


def told(flow: ForgedRuns) -> list[str]:
    return [letter.subject for letter in dead_letters(flow.flywheel)]


def many(count: int, start: int = 0) -> bytes:
    return archive(**{f"d{n}": b'{"n":%d}' % n for n in range(start, start + count)})


@pytest.mark.parametrize("known", [{"fork": "https://forge.example/eve/fork"}, {"event": "pull_request"}])
def test_nothing_is_read_of_what_a_proposal_left(flow: ForgedRuns, known: dict[str, str]) -> None:
    run = flow.build(**known)
    flow.leave_receipt(run)
    flow.forge.end(run)
    taken = flow.tick()
    assert (taken.recorded, taken.taken.total) == (1, 0)
    assert not any(path.startswith("/blobs/") or path.endswith("/artifacts") for path in flow.forge.asked)


def test_a_run_with_documents_without_end_costs_the_documents_of_one_run(flow: ForgedRuns) -> None:
    limits = flow.flywheel.limits
    run = flow.build()
    for number in range(50):
        flow.forge.leave(run, f"receipt-{number}").archive = many(limits.archive_files, number * 1000)
    flow.forge.end(run)
    taken = flow.tick()
    assert taken.recorded == 1
    assert taken.taken.dead_letters == limits.archive_files + 1
    assert "there is a limit" in told(flow)[-1]


def test_what_is_unpacked_and_thrown_away_counts_and_an_archive_over_a_limit_is_one_letter(flow: ForgedRuns) -> None:
    run = flow.build()
    size = flow.flywheel.limits.signed_bytes + 1
    for number in range(50):
        flow.forge.leave(run, f"receipt-{number}", **{f"d{n}": bytes(size) for n in range(3)})
    flow.forge.end(run)
    assert flow.tick().recorded == 1
    most = flow.flywheel.limits.archive_unpacked_bytes // size + 2
    assert 2 <= len(told(flow)) <= most


def test_time_is_looked_at_between_documents_and_a_run_is_gone_on_with_when_it_is_first(flow: ForgedRuns) -> None:
    good, run = flow.build(), flow.build()
    flow.leave_receipt(good)
    for each in (run, good):
        flow.forge.end(each)
    flow.forge.leave(run, "receipt-0").archive = many(100)

    def after(deliveries: int) -> bool:
        return len(told(flow)) >= deliveries

    assert flow.tick(lambda: after(3)).recorded == 1  # it had this tick to itself
    assert len(told(flow)) == 4
    assert "more than there is time for" in told(flow)[-1]
    assert flow.tick().recorded == 1
    assert flow.builds() == [key(good)]


def test_a_run_that_time_cuts_off_after_others_is_read_whole_by_the_next_tick(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.leave(run, "receipt-0").archive = many(20)
    newer = flow.build()
    for each in (run, newer):
        flow.forge.end(each)
    taken = flow.tick(lambda: len(told(flow)) >= 3)
    assert (taken.recorded, taken.more, len(told(flow))) == (1, True, 3)
    assert flow.tick().recorded == 1
    assert len(told(flow)) == 20


def test_runs_that_cannot_be_read_do_not_keep_older_ones_from_being_recorded(flow: ForgedRuns) -> None:
    good = flow.build()
    flow.leave_receipt(good)
    flow.forge.end(good)
    bad = []
    for _ in range(110):
        flow.forge.clock.move(seconds=2)
        bad.append(flow.build())
        flow.forge.leave(bad[-1], "receipt", a=b"{}").is_refused = True
        flow.forge.end(bad[-1])
    for _ in range(3):
        flow.tick()
    assert flow.recorded() == [f"{good.id}.1"]
    assert "110 attempts of runs" in flow.ticks[-1].problems[0]
    for run in bad:
        run.artifacts[0].is_refused = False
    for _ in range(5):
        flow.tick(moved=LONGEST_PAUSE.total_seconds())
    assert len(flow.recorded()) == 111
    assert flow.ticks[-1].problems == []


def test_pauses_grow_to_an_hour_and_of_too_many_troubles_the_oldest_is_forgotten(flow: ForgedRuns) -> None:
    place, now = Place(), flow.forge.clock()
    pauses = []
    for _ in range(12):
        place = place.troubled("1.1", now, "No.", 2)
        pauses.append(place.troubles["1.1"].until - now)
    assert pauses[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert pauses[-1] == LONGEST_PAUSE
    for name in ("2.1", "3.1"):
        place = place.troubled(name, now, "No.", 2)
    assert list(place.troubles) == ["2.1", "3.1"]
    assert place.eased(now, "2.1").troubles.keys() == {"3.1"}
    assert place.eased(now + timedelta(days=2)).troubles == {}


def test_a_run_with_over_a_thousand_artifacts_is_recorded_with_a_letter(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.leave_receipt(run)
    logs = archive(x=b"{}")
    run.artifacts += [Left(900_000 + number, f"log-{number}", logs) for number in range(1001)]
    flow.forge.end(run)
    assert flow.tick().recorded == 1
    assert flow.builds() == [key(run)]
    assert "has 1,002 artifacts, and 1,000 were looked at" in told(flow)[0]


def test_a_host_that_is_not_named_leaves_the_run_open_and_says_what_to_add(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.leave_receipt(run)
    flow.forge.end(run)
    known = flow.forge._left
    astray = Answer(302, {"Location": "https://results7.blob.example/x?sig=SECRET"})
    flow.forge._left = lambda number: astray  # type: ignore[method-assign]
    assert flow.tick().recorded == 0
    problem = flow.ticks[-1].problems[0]
    assert "results7.blob.example" in problem
    assert "`hosts`" in problem
    assert "SECRET" not in problem
    assert told(flow) == []
    flow.forge._left = known  # type: ignore[method-assign]
    assert flow.tick(moved=60).recorded == 1
    assert flow.builds() == [key(run)]


def test_a_letter_of_a_run_is_read_again_at_its_forge(flow: ForgedRuns) -> None:
    run = flow.build()
    left = flow.forge.leave(run, "receipt", tide=receipt_of(run))
    whole, left.media_type = left.media_type, "text/html"
    flow.forge.end(run)
    flow.tick()
    (letter,) = letters(flow.flywheel)
    assert letter.name.startswith(f"{REPOSITORY} run {run.id}.1, artifact receipt")
    again = retry(flow.flywheel, letter.number)
    assert (again.read, "media type" in again.says or "text/html" in again.says) == (False, True)
    left.media_type = whole
    again = retry(flow.flywheel, letter.number)
    assert again.read
    assert f"{OUTPUT} {key(run)}" in again.says
    assert flow.builds() == [key(run)]
    assert [each.state for each in letters(flow.flywheel)] == [LetterState.SETTLED]
    assert flow.recorded() == [f"{run.id}.1"]


def test_a_letter_of_a_run_whose_forge_is_not_catalogued_any_more_says_so(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.leave(run, "receipt").is_expired = True
    flow.forge.end(run)
    flow.tick()
    without = replace(flow.flywheel, runs={})
    with pytest.raises(UsageError, match="sources"):
        retry(without, letters(without)[0].number)


def test_an_attempt_cannot_speak_for_the_one_after_it(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.leave(run, "receipt-1", tide=receipt_of(run, 2))
    flow.forge.end(run, "failure")
    flow.tick()
    assert "is a receipt of attempt 2, and the run had 1" in told(flow)[0]
    flow.forge.clock.move(minutes=1)
    flow.forge.run_again(run)
    flow.forge.end(run)
    flow.tick()
    assert flow.recorded() == [f"{run.id}.1", f"{run.id}.2"]
    assert flow.builds() == []
    assert "lay in an artifact that another attempt made" in told(flow)[1]


def test_each_attempts_receipt_is_read_with_it_though_both_lie_there(flow: ForgedRuns) -> None:
    run = flow.build()
    for attempt in (1, 2):
        flow.leave_receipt(run, attempt)
        flow.forge.end(run)
        if attempt == 1:
            flow.forge.clock.move(minutes=1)
            flow.forge.run_again(run)
    flow.tick()
    assert flow.builds() == [key(run), key(run, 2)]
    assert told(flow) == []


def test_attempts_without_end_are_bounded_and_time_is_looked_at_between_them(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.end(run)
    run.attempts, run.times = run.attempts * 3000, run.times * 3000
    before = flow.forge.calls
    flow.tick()
    assert len(flow.recorded()) == flow.flywheel.limits.forge_attempts
    assert flow.forge.calls - before < 1 + 6 * flow.flywheel.limits.forge_attempts
    later = flow.build()
    flow.forge.end(later)
    later.attempts, later.times = later.attempts * 40, later.times * 40
    room = iter([False] * 12)
    assert flow.tick(lambda: next(room, True)).recorded < 12
    while flow.tick().more:
        pass
    assert f"{later.id}.40" in flow.recorded()


def test_a_branch_is_no_tag_whatever_its_receipt_says(flow: ForgedRuns) -> None:
    run = flow.build(branch="evil-feature")
    flow.forge.leave(run, "receipt", tide=receipt_of(run, 1, as_ref("refs/tags/evil-feature")))
    flow.forge.end(run)
    flow.tick()
    assert says(flow, run) == "receipt-contradicts-platform"


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_is_one_when_the_forge_has_it_at_the_runs_revision(flow: ForgedRuns, *, annotated: bool) -> None:
    run, moved = flow.build(branch="v1"), flow.build(branch="v2")
    flow.forge.tags = {"v1": "e" * 40, "e" * 40: run.sha, "v2": "b" * 40} if annotated else {"v1": run.sha}
    for each in (run, moved):
        ref = f"refs/tags/{each.branch}"
        flow.forge.leave(each, "receipt", tide=receipt_of(each, 1, as_ref(ref)))
        flow.forge.end(each)
    flow.tick()
    assert says(flow, run) == "holds"
    assert says(flow, moved) == "receipt-contradicts-platform"


@pytest.mark.parametrize("kind", SourceKind)
def test_a_branch_with_a_name_like_a_full_ref_is_not_that_ref(kind: SourceKind) -> None:
    with forged(kind) as flow:
        run = flow.build(branch="refs/heads/main")
        flow.leave_receipt(run)
        flow.forge.end(run)
        flow.tick()
        assert says(flow, run) == "receipt-contradicts-platform"


def test_a_tag_that_is_called_like_a_branch_is_no_branch(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.tags = {"main": run.sha}
    flow.leave_receipt(run)
    flow.forge.end(run)
    flow.tick()
    assert says(flow, run) == "receipt-contradicts-platform"


def as_ref(ref: str) -> Callable[[dict[str, Any]], None]:
    """The change that makes a receipt say that it was built from this ref."""

    def change(statement: dict[str, Any]) -> None:
        definition = statement["predicate"]["buildDefinition"]
        definition["externalParameters"].update(ref=ref)
        source = definition["resolvedDependencies"][0]
        source["uri"] = f"{source['uri'].rpartition('@')[0]}@{ref}"

    return change


def test_the_commits_time_is_asked_of_the_forge(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.committed = {run.sha: flow.forge.clock() - timedelta(days=3)}
    flow.leave_receipt(run)
    flow.forge.end(run)
    flow.tick()
    assert says(flow, run) == "receipt-contradicts-platform"


def test_a_pipeline_that_waits_for_a_click_is_recorded_and_again_when_it_went_on(gitlab: ForgedRuns) -> None:
    run = gitlab.build()
    gitlab.leave_receipt(run)
    gitlab.forge.end(run, "manual")
    gitlab.tick()
    assert gitlab.recorded() == [f"{run.id}.1"]
    assert says(gitlab, run) == "holds"
    gitlab.forge.clock.move(minutes=5)
    gitlab.forge.end(run)
    gitlab.tick()
    assert gitlab.recorded() == [f"{run.id}.1"] * 2


def test_a_page_that_is_short_is_not_the_last(flow: ForgedRuns) -> None:
    flow.forge.hidden_on_pages = 1
    for _ in range(150):
        flow.forge.clock.move(seconds=1)
        flow.forge.end(flow.build())
    for _ in range(6):
        flow.tick()
    assert len(flow.recorded()) == 150


def test_another_repository_under_the_name_is_not_believed_until_the_catalogue_says_so(flow: ForgedRuns) -> None:
    first = flow.build()
    flow.forge.end(first)
    flow.tick()
    flow.forge.number = 99
    run = flow.build()
    flow.leave_receipt(run)
    flow.forge.end(run)
    flow.restart()
    flow.cursor = ""
    assert flow.tick().recorded == 0
    assert "another repository has taken the name" in flow.ticks[-1].problems[0]
    source = flow.flywheel.catalogue.sources["forge"].model_copy(update={"repository_ids": {REPOSITORY: "99"}})
    flow.flywheel = replace(
        flow.flywheel, catalogue=flow.flywheel.catalogue.model_copy(update={"sources": {"forge": source}})
    )
    assert flow.tick().recorded == 1


@pytest.mark.parametrize("kind", SourceKind)
def test_a_repository_that_was_renamed_is_told(kind: SourceKind) -> None:
    with forged(kind) as flow:
        flow.forge.called = "https://forge.example/harbour/new-name"
        flow.forge.end(flow.build())
        assert flow.tick().recorded == 1
        assert flow.ticks[-1].problems == [
            f"{REPOSITORY} is called https://forge.example/harbour/new-name now. Correct the catalogue."
        ]


def test_other_artifacts_for_receipts_are_read_of_runs_that_are_recorded_already(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.forge.leave(run, "flywheel-receipts", tide=receipt_of(run))
    flow.forge.end(run)
    flow.tick()
    assert (flow.recorded(), flow.builds()) == ([f"{run.id}.1"], [])
    source = flow.flywheel.catalogue.sources["forge"].model_copy(update={"receipt_artifacts": "flywheel-*"})
    catalogue = flow.flywheel.catalogue.model_copy(update={"sources": {"forge": source}})
    flow.flywheel = replace(flow.flywheel, catalogue=catalogue)
    flow.flywheel.runs["forge"]._pattern = "flywheel-*"  # type: ignore[attr-defined]
    flow.tick()
    assert flow.builds() == [key(run)]
    assert flow.recorded() == [f"{run.id}.1"]
    calls = flow.forge.calls
    flow.tick()
    assert flow.forge.calls - calls == 1  # the list alone


def test_jobs_on_other_machines_need_a_receipt_that_names_its_own(flow: ForgedRuns) -> None:
    """A matrix over two lanes: each receipt names the runner that its job was on."""
    run, unnamed, other = flow.build(), flow.build(), flow.build()
    for each, named in ((run, "runner-1"), (unnamed, ""), (other, "runner-2")):
        each.elsewhere = [("docker-lane", "runner-2", "success"), (KEY, "", "cancelled")]

        flow.forge.leave(each, "receipt", tide=receipt_of(each, 1, partial(_naming, runner=named)))
        flow.forge.end(each)
    flow.tick()
    assert [says(flow, each) for each in (run, unnamed, other)] == [
        "holds",
        "job-unnamed",
        "receipt-contradicts-platform",
    ]


def _naming(statement: dict[str, Any], runner: str) -> None:
    if runner:
        statement["predicate"]["buildDefinition"]["internalParameters"]["run"]["runner"] = runner


def test_a_job_that_no_runner_took_does_not_put_a_run_on_its_lane(flow: ForgedRuns) -> None:
    run = flow.build(label="ubuntu-latest", elsewhere=[(KEY, "", "cancelled")])
    flow.leave_receipt(run)
    flow.forge.end(run)
    flow.tick()
    assert says(flow, run) == "receipt-contradicts-platform"


def test_a_forge_that_was_behind_by_seconds_costs_a_wait(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.memory.inbox.documents["one.json"] = receipt_of(run)
    hidden = flow.forge.runs.pop(run.id)
    take_in(flow.flywheel)
    assert flow.tick().absent == 1
    assert says(flow, run) == "platform-run-unseen"
    flow.forge.runs[run.id] = hidden
    flow.forge.end(hidden)
    flow.tick()
    assert says(flow, run) == "holds"
    assert json.loads(flow.cursor)
