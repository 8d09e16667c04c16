"""forge_vouches_for_the_run, and what the forge's steps prove to the other rules."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from flywheel_assets.catalog.models import ForgeSource, RunSteps, SourceKind
from flywheel_assets.domain.builds import Source, Trigger, TriggerEvent, Validation, ValidationResult
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.domain.platform_runs import (
    AbsentRun,
    Ending,
    PlatformRun,
    RecordedRun,
    RunJob,
    RunStep,
    WorkflowProvenance,
)
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets_tests.gate.cases import (
    FINISHED,
    KINDS,
    OTHER_KEY,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    STARTED,
    TEMPORARILY,
    WAITING,
    Bench,
    attested,
    changed,
    good,
    witness_of,
)

FORGE, BOOTSTRAP, GREEN = "forge_vouches_for_the_run", "toolchain_bootstrap_was_proven", "validation_is_green"
SOURCE, TRANSIENT, REBUILD = "source_can_be_reidentified", "output_is_not_transient", "rebuild_agrees"
AUTHENTIC = "receipt_is_authentic"
CONTRADICTS = (PERMANENTLY, "receipt-contradicts-platform")
WORKFLOW = ".github/workflows/build.yml"
STEPS = RunSteps(
    workflows=(WORKFLOW,),
    bootstrap=("Run */install-nix@*",),
    validations={"nix build": "Run nix build*", "smoke": "smoke"},
)
FORGE_SOURCE = ForgeSource(
    kind=SourceKind.GITHUB, url="https://api.github.example", repositories=(REPOSITORY,), steps=STEPS
)
INSTALLS = RunStep(number=1, name="Run vendor/install-nix@v3", ending=Ending.PASSED)
BUILDS = RunStep(number=2, name="Run nix build .#tool", ending=Ending.PASSED)
SMOKES = RunStep(number=3, name="smoke", ending=Ending.PASSED)


def job(*steps: RunStep, label: str = "nixer", ending: Ending = Ending.PASSED, **more: Any) -> RunJob:
    told = {"id": "7", "name": "build", "runner": "runner-1", **more}
    return RunJob(labels=("self-hosted", label), ending=ending, steps=steps, **told)


def record(**changes: Any) -> RecordedRun:
    """The forge's record of the good build's run."""
    fields: dict[str, Any] = {
        "repository": REPOSITORY,
        "run": "100",
        "attempt": 1,
        "revision": GitRevision("a" * 40),
        "workflow": WORKFLOW,
        "ref": "refs/heads/main",
        "event": TriggerEvent.PUSH,
        "actors": ("Someone",),
        "head_repository": REPOSITORY,
        "from_fork": False,
        "ending": Ending.PASSED,
        "started_at": STARTED,
        "finished_at": FINISHED,
        "jobs": (job(INSTALLS, BUILDS, SMOKES),),
    }
    made = PlatformRun(**(fields | changes))
    return RecordedRun(evidence=EvidenceDigest.of(made.model_dump_json().encode()), found=made)


def with_forge(bench: Bench, *records: RecordedRun) -> Bench:
    """The bench with a forge in its catalogue that said this."""
    catalogue = bench.catalogue.model_copy(update={"sources": {"forge": FORGE_SOURCE}})
    return replace(bench, catalogue=catalogue).with_bundle(platform_runs=records)


def untrusted(kind: str = "nix") -> Bench:
    """A good build whose builder is trusted with nothing that it says of itself."""
    return good(kind).with_builder(trusted_claims=())


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_forge_in_the_catalogue_receipts_alone_tell(kind: str) -> None:
    assert good(kind).says(FORGE) == (PASSED, "holds")
    assert good(kind).with_bundle(platform_runs=(record(revision=GitRevision("f" * 40)),)).passes


@pytest.mark.parametrize("kind", KINDS)
def test_a_forge_that_says_the_same_vouches_for_the_run(kind: str) -> None:
    bench = with_forge(good(kind), of(good(kind)), second())
    assert bench.says(FORGE) == (PASSED, "holds")
    assert bench.passes


def of(bench: Bench, **changes: Any) -> RecordedRun:
    """The forge's record of a good build, whose one job was on its own builder's lane."""
    return record(**({"jobs": (job(INSTALLS, BUILDS, SMOKES, label=bench.builder),)} | changes))


def second(**changes: Any) -> RecordedRun:
    """The same of its witness."""
    return record(run=OTHER_KEY.run, jobs=(job(label="nixer-two", runner="runner-2"),), **changes)


def test_a_run_that_the_forge_was_not_heard_about_waits() -> None:
    assert with_forge(good()).says(FORGE) == (WAITING, "platform-run-unseen")
    assert not with_forge(good()).passes


def test_another_attempt_or_run_or_repository_is_not_this_one() -> None:
    others = (record(attempt=2), record(run="101"), record(repository="https://github.com/example/elsewhere"))
    assert with_forge(good(), *others).says(FORGE) == (WAITING, "platform-run-unseen")


def test_a_run_that_the_forge_does_not_have_is_refused() -> None:
    absent = RecordedRun(evidence=EvidenceDigest.of(b"x"), found=AbsentRun(repository=REPOSITORY, run="100", attempt=1))
    assert with_forge(good(), absent).says(FORGE) == (PERMANENTLY, "platform-run-absent")
    assert with_forge(good(), absent, record()).says(FORGE) == (PASSED, "holds")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"revision": GitRevision("b" * 40)}, "built from"),
        ({"ref": "topic"}, "refs/heads/main"),
        ({"ref": "refs/tags/main"}, "refs/heads/main"),
        ({"event": TriggerEvent.SCHEDULE}, "started by push"),
        ({"event": TriggerEvent.PULL_REQUEST}, "by pull_request"),
        ({"from_fork": True, "head_repository": "https://github.com/stranger/tools"}, "fork"),
        ({"actors": ("someone-else",)}, "someone-else"),
        ({"jobs": (job(INSTALLS, label="docker"),)}, "nixer"),
        ({"jobs": (job(INSTALLS, ending=Ending.SKIPPED),)}, "nixer"),
    ],
    ids=["revision", "ref", "tag", "event", "pull-request", "fork", "actor", "label", "skipped-job"],
)
def test_a_receipt_that_contradicts_the_forge_is_refused_for_good(known: dict[str, Any], told: str) -> None:
    bench = with_forge(good(), record(**known), second())
    assert bench.says(FORGE) == CONTRADICTS
    assert told in bench.finding(FORGE).message
    assert bench.verdict().verdict is PERMANENTLY


SIGNER = {"issuer": "https://token.example", "identity": "https://github.com/example/tools/publish.yml@refs/heads/main"}


def said(bench: Bench, **changes: str) -> WorkflowProvenance:
    """The workflow's own provenance of the good artifact."""
    fields = {"digest": str(bench.receipt.artifact.digest), "revision": "a" * 40, "ref": "refs/heads/main", **SIGNER}
    return WorkflowProvenance.model_validate({"evidence": str(EvidenceDigest.of(b"bundle")), **fields, **changes})


def attesting(bench: Bench, *provenance: WorkflowProvenance) -> Bench:
    """With a keyless signer in the catalogue, who attested this in the run."""
    keyless = changed(bench.catalogue.keys[bench.builder], {"public_key": None, **SIGNER})
    bench = bench.with_part("keys", {**bench.catalogue.keys, "workflow": keyless})
    return with_forge(bench, of(bench, provenance=provenance), second())


@pytest.mark.parametrize("kind", KINDS)
def test_the_workflows_own_provenance_that_says_the_same_is_named_and_is_evidence(kind: str) -> None:
    bench = attesting(good(kind), said(good(kind)))
    assert bench.says(FORGE) == (PASSED, "holds")
    assert f"{SIGNER['identity']} attests its artifact" in bench.finding(FORGE).message
    assert EvidenceDigest.of(b"bundle") in bench.verdict().evidence


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({"revision": "b" * 40}, True),
        ({"ref": "refs/tags/main"}, True),
        ({"ref": "refs/tags/main", "digest": str(Sha256.of(b"other"))}, False),
        ({"ref": "refs/tags/main", "issuer": "https://other.example"}, False),
        ({"ref": "refs/tags/main", "identity": "https://github.com/stranger/x.yml@refs/heads/main"}, False),
        ({"ref": "", "revision": ""}, False),
    ],
    ids=["revision", "ref", "another artifact", "another issuer", "a stranger", "says nothing"],
)
def test_a_receipt_that_the_runs_own_provenance_contradicts_is_refused_for_good(
    changes: dict[str, str], is_refused: bool
) -> None:
    bench = attesting(good(), said(good()), said(good(), **changes))
    assert bench.says(FORGE) == ((PERMANENTLY, "provenance-contradicts-receipt") if is_refused else (PASSED, "holds"))
    untrusting = bench.with_builder(trusted_claims=())
    assert (untrusting.says(SOURCE)[0] is PASSED) is not is_refused


def test_a_pull_requests_revision_is_a_merge_that_no_branch_holds() -> None:
    proposal = Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")
    bench = with_forge(good().with_run(trigger=proposal), record(event=TriggerEvent.PULL_REQUEST, ref="topic"))
    assert bench.says(FORGE) == (PASSED, "holds")
    assert bench.says(TRANSIENT) == (PERMANENTLY, "pull-request")


def test_a_tag_is_one_only_where_the_forge_says_so() -> None:
    tag = Trigger(event=TriggerEvent.TAG, actor="someone")
    bench = good().with_run(trigger=tag).with_source(ref="refs/tags/v1")
    assert with_forge(bench, record(ref="refs/tags/v1")).says(FORGE) == (PASSED, "holds")
    for ref in ("v1", "refs/heads/v1", "refs/heads/refs/tags/v1"):
        assert with_forge(bench, record(ref=ref)).says(FORGE) == CONTRADICTS


@pytest.mark.parametrize(
    ("event", "named", "says"),
    [
        ("workflow_run", (), (TEMPORARILY, "event-not-catalogued")),
        ("issue_comment", ("workflow_run",), (TEMPORARILY, "event-not-catalogued")),
        ("", (), (TEMPORARILY, "event-not-catalogued")),
        ("workflow_run", ("workflow_run",), (PASSED, "holds")),
        ("workflow_dispatch", (), (PASSED, "holds")),
    ],
)
def test_a_run_by_an_event_that_is_no_usual_one_counts_where_the_catalogue_names_it(
    event: str, named: tuple[str, ...], says: tuple[VerdictClass, str]
) -> None:
    by_hand = good().with_run(trigger=Trigger(event=TriggerEvent.MANUAL, actor="someone"))
    bench = with_forge(by_hand, record(event=TriggerEvent.MANUAL, event_name=event), second())
    sources = {"forge": FORGE_SOURCE.model_copy(update={"events": named})}
    bench = replace(bench, catalogue=bench.catalogue.model_copy(update={"sources": sources}))
    assert bench.says(FORGE) == says


ELSEWHERE: dict[str, Any] = {"label": "docker", "id": "8", "runner": "runner-2"}


def test_a_job_on_the_lane_does_not_speak_for_one_elsewhere_that_may_have_built() -> None:
    """A decoy with well-named steps on the lane, and the build on another machine."""
    decoy, built = job(INSTALLS, BUILDS, SMOKES), job(**ELSEWHERE)
    unnamed = with_forge(good(), record(jobs=(decoy, built)), second())
    assert unnamed.says(FORGE) == (TEMPORARILY, "job-unnamed")
    assert with_forge(unnamed.with_run(job="7"), record(jobs=(decoy, built))).says(FORGE) == (PASSED, "holds")
    assert with_forge(unnamed.with_run(job="8"), record(jobs=(decoy, built))).says(FORGE) == CONTRADICTS


@pytest.mark.parametrize("named", [{"runner": "runner-2"}, {"runner": "runner-9"}, {"job": "8"}, {"job": "9"}])
def test_a_receipt_that_names_a_job_which_was_not_on_its_lane_contradicts_the_forge(named: dict[str, str]) -> None:
    bench = with_forge(good().with_run(**named), record(jobs=(job(INSTALLS, BUILDS, SMOKES), job(**ELSEWHERE))))
    assert bench.says(FORGE) == CONTRADICTS


def test_of_jobs_that_one_runner_took_one_by_one_the_receipts_time_tells_which() -> None:
    half = STARTED + (FINISHED - STARTED) / 2
    early = job(BUILDS, started_at=STARTED, finished_at=half, ending=Ending.FAILED)
    late = job(INSTALLS, BUILDS, SMOKES, id="9", started_at=half, finished_at=FINISHED)
    bench = with_forge(good().with_run(runner="runner-1"), record(ending=Ending.FAILED, jobs=(early, late)), second())
    assert bench.says(FORGE) == (PASSED, "holds")
    assert bench.says(BOOTSTRAP) == (PASSED, "holds")
    during = bench.with_run(runner="runner-1", finished_at=STARTED + (half - STARTED) / 2)
    assert during.says(FORGE) == (TEMPORARILY, "platform-run-failed")


def test_a_job_that_no_runner_took_was_on_no_lane() -> None:
    waited = job(INSTALLS, BUILDS, runner="", ending=Ending.FAILED)
    assert with_forge(good(), record(jobs=(waited, job(**ELSEWHERE)))).says(FORGE) == CONTRADICTS
    assert with_forge(good(), record(jobs=(waited, job(INSTALLS)))).says(FORGE) == (PASSED, "holds")


@pytest.mark.parametrize(
    ("named", "run", "own", "is_refused"),
    [
        ({}, Ending.PASSED, Ending.PASSED, False),
        ({}, Ending.PASSED, Ending.FAILED, False),
        ({}, Ending.FAILED, Ending.PASSED, True),
        ({}, Ending.SKIPPED, Ending.PASSED, False),
        ({}, Ending.SKIPPED, Ending.FAILED, True),
        ({"job": "7"}, Ending.FAILED, Ending.PASSED, False),
        ({"job": "7"}, Ending.PASSED, Ending.FAILED, True),
    ],
    ids=[
        "all well",
        "allowed to fail",
        "failed",
        "waits for a click",
        "waits, failed",
        "another job failed",
        "own job",
    ],
)
def test_a_run_that_failed_or_was_cancelled_proves_no_build(
    named: dict[str, str], run: Ending, own: Ending, *, is_refused: bool
) -> None:
    bench = with_forge(good().with_run(**named), record(ending=run, jobs=(job(INSTALLS, BUILDS, SMOKES, ending=own),)))
    assert bench.says(FORGE) == ((TEMPORARILY, "platform-run-failed") if is_refused else (PASSED, "holds"))


@pytest.mark.parametrize(
    "claims",
    [
        {"started_at": STARTED - timedelta(minutes=6)},
        {"finished_at": FINISHED + timedelta(minutes=6)},
        {"started_at": STARTED - timedelta(days=200)},
    ],
)
def test_the_times_of_a_receipt_lie_within_those_of_its_run(claims: dict[str, datetime]) -> None:
    assert with_forge(good().with_run(**claims), record()).says(FORGE) == CONTRADICTS
    close = {name: time.replace(minute=59, hour=time.hour - 1) for name, time in {"started_at": STARTED}.items()}
    assert with_forge(good().with_run(**close), record()).says(FORGE) == (PASSED, "holds")


def test_the_commits_time_is_the_forges() -> None:
    told = good().run.source.committed_at
    assert told is not None
    assert with_forge(good(), record(committed_at=told)).says(FORGE) == (PASSED, "holds")
    later = with_forge(good(), record(committed_at=told - timedelta(days=100)))
    assert later.says(FORGE) == CONTRADICTS
    assert "committed" in later.finding(FORGE).message


def test_a_certificate_for_a_job_of_gitlab_is_for_one_of_this_pipeline() -> None:
    bench = with_forge(good(), record(), second())
    for place, passes in ((REPOSITORY, True), ("https://gitlab.example/other/tools", False)):
        for number in ("7", "99"):
            origin = Origin(REPOSITORY, "a" * 40, invocation=f"{place}/-/jobs/{number}")
            signatures = changed(bench.bundle.receipts[0].signatures, {"origin": origin})
            signed = bench.with_bundle(receipts=(changed(bench.bundle.receipts[0], {"signatures": signatures}),))
            assert (signed.says(FORGE) == (PASSED, "holds")) is (passes and number == "7")


def test_a_forge_that_has_no_such_run_is_believed_when_it_says_so_again_some_minutes_later() -> None:
    def absent(minutes: int) -> RecordedRun:
        time = FINISHED + timedelta(minutes=minutes)
        found = AbsentRun(repository=REPOSITORY, run="100", attempt=1, asked_at=time)
        return RecordedRun(evidence=EvidenceDigest.of(str(minutes).encode()), found=found)

    assert with_forge(good(), absent(0)).says(FORGE) == (WAITING, "platform-run-unseen")
    assert with_forge(good(), absent(0), absent(4)).says(FORGE) == (WAITING, "platform-run-unseen")
    assert with_forge(good(), absent(0), absent(5)).says(FORGE) == (PERMANENTLY, "platform-run-absent")
    assert with_forge(good(), absent(0), absent(5), record()).says(FORGE) == (PASSED, "holds")


@pytest.mark.parametrize("rule", [SOURCE, TRANSIENT, BOOTSTRAP, GREEN])
def test_what_the_forge_says_counts_where_the_builder_is_not_trusted(rule: str) -> None:
    assert untrusted().says(rule)[0] is TEMPORARILY
    assert with_forge(untrusted(), record()).says(rule) == (PASSED, "holds")


@pytest.mark.parametrize("rule", [SOURCE, TRANSIENT, BOOTSTRAP])
def test_a_forge_that_contradicts_the_receipt_makes_nothing_in_it_believed(rule: str) -> None:
    assert with_forge(untrusted(), record(revision=GitRevision("b" * 40))).says(rule)[0] is TEMPORARILY


def test_a_bootstrap_that_the_forge_saw_needs_no_word_of_the_job() -> None:
    bench = with_forge(untrusted().with_run(bootstrap=None), record())
    assert bench.says(BOOTSTRAP) == (PASSED, "holds")
    assert INSTALLS.name in bench.finding(BOOTSTRAP).message


def test_a_bootstrap_that_failed_in_the_forges_eyes_is_unproven_whatever_the_job_says() -> None:
    failed = INSTALLS.model_copy(update={"ending": Ending.FAILED})
    assert with_forge(good(), record(jobs=(job(failed, BUILDS),))).says(BOOTSTRAP) == (
        TEMPORARILY,
        "bootstrap-unproven",
    )


@pytest.mark.parametrize(
    "jobs",
    [
        (job(BUILDS, SMOKES),),
        (job(INSTALLS, BUILDS), job(BUILDS)),
        (job(INSTALLS.model_copy(update={"number": 9}), BUILDS),),
        (job(INSTALLS.model_copy(update={"ending": Ending.SKIPPED}), BUILDS),),
        (job(BUILDS), job(INSTALLS, label="docker")),
        (job(INSTALLS.model_copy(update={"number": BUILDS.number}), BUILDS),),
    ],
    ids=["none", "not in every job of the lane", "after the build", "skipped", "on another lane", "at once"],
)
def test_a_bootstrap_must_end_well_before_the_build_in_every_job_of_the_lane(jobs: tuple[RunJob, ...]) -> None:
    assert with_forge(untrusted(), record(jobs=jobs)).says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-unproven")
    # What the forge shows is not made up for by a claim, trusted or not.
    assert with_forge(good(), record(jobs=jobs)).says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-unproven")


def test_only_what_the_catalogue_lets_run_before_it_runs_before_the_bootstrap() -> None:
    def after(name: str) -> tuple[VerdictClass, str]:
        first = RunStep(number=1, name=name, ending=Ending.PASSED)
        steps = (first, *(step.model_copy(update={"number": step.number + 1}) for step in (INSTALLS, BUILDS, SMOKES)))
        return with_forge(untrusted(), record(jobs=(job(*steps),))).says(BOOTSTRAP)

    assert after("Set up job") == after("Run actions/checkout@v4") == (PASSED, "holds")
    assert after("Run ./build-it-all.sh") == (TEMPORARILY, "bootstrap-unproven")


@pytest.mark.parametrize(
    ("sources", "bootstrap", "validation"),
    [
        ({}, [], []),
        ({"forge": SourceKind.GITHUB}, ["bootstrap", "workflows"], ["validations", "workflows"]),
        ({"forge": SourceKind.GITLAB}, [], ["validations"]),
    ],
)
def test_a_claim_that_is_not_trusted_names_the_lines_of_the_catalogue_by_which_it_would_be(
    sources: dict[str, SourceKind], bootstrap: list[str], validation: list[str]
) -> None:
    bench = with_forge(untrusted(), record(jobs=(job(),), workflow=".github/workflows/other.yml"))
    named = {name: FORGE_SOURCE.model_copy(update={"kind": kind}) for name, kind in sources.items()}
    bench = replace(bench, catalogue=bench.catalogue.model_copy(update={"sources": named}))
    for rule, steps in ((BOOTSTRAP, bootstrap), (GREEN, validation)):
        found = bench.finding(rule)
        assert found.reason.endswith("-claim-untrusted")
        assert f"`builders.{bench.builder}.trusted_claims`" in found.remedy
        assert re.findall(r"`sources\.forge\.steps\.([a-z]+)`", found.remedy) == steps


def test_steps_prove_something_in_the_workflows_that_the_catalogue_names_alone() -> None:
    other = record(workflow=".github/workflows/evil.yml")
    silent = untrusted().with_run(validations=()).with_bundle(tests=())
    assert with_forge(untrusted(), other).says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-claim-untrusted")
    assert "sources.forge.steps.workflows" in with_forge(untrusted(), other).finding(BOOTSTRAP).remedy
    assert with_forge(silent, other).says(GREEN) == (WAITING, "validation-missing")
    # There they count no more, and no less, than what the job says of itself.
    trusting = good().with_run(validations=(), bootstrap=None).with_bundle(tests=())
    assert with_forge(trusting, other).says(GREEN) == with_forge(trusting, other).says(BOOTSTRAP) == (PASSED, "holds")
    failed = record(workflow="x.yml", jobs=(job(INSTALLS, SMOKES.model_copy(update={"ending": Ending.FAILED})),))
    assert with_forge(good(), failed).says(GREEN) == (PERMANENTLY, "validation-failed")


def test_gitlab_shows_no_steps_so_its_jobs_prove_validations_and_no_bootstrap() -> None:
    bench = with_forge(untrusted(), record(workflow=""))
    gitlab = FORGE_SOURCE.model_copy(update={"kind": SourceKind.GITLAB})
    bench = replace(bench, catalogue=bench.catalogue.model_copy(update={"sources": {"forge": gitlab}}))
    assert bench.says(GREEN) == (PASSED, "holds")
    assert bench.says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-claim-untrusted")
    trusting = replace(bench, catalogue=with_forge(good()).catalogue.model_copy(update={"sources": {"forge": gitlab}}))
    assert trusting.says(BOOTSTRAP) == (PASSED, "holds")


def test_a_validation_is_what_the_step_that_the_catalogue_names_ended_as() -> None:
    silent = untrusted().with_run(validations=()).with_bundle(tests=())
    assert with_forge(silent, record()).says(GREEN) == (PASSED, "holds")
    skipped = SMOKES.model_copy(update={"ending": Ending.SKIPPED})
    assert with_forge(silent, record(jobs=(job(INSTALLS, BUILDS, skipped),))).says(GREEN) == (
        WAITING,
        "validation-missing",
    )


def test_a_step_that_failed_counts_though_the_job_says_that_it_passed() -> None:
    failed = SMOKES.model_copy(update={"ending": Ending.FAILED})
    elsewhere = job(failed, label="docker")
    claims = good().with_run(validations=(Validation(name="smoke", result=ValidationResult.PASSED),))
    assert with_forge(claims, record(jobs=(job(INSTALLS, BUILDS, SMOKES), elsewhere))).says(GREEN) == (
        PERMANENTLY,
        "validation-failed",
    )


def test_a_witness_that_its_forge_did_not_confirm_is_no_second_opinion() -> None:
    assert with_forge(good(), record()).says(REBUILD) == (WAITING, "second-builder-missing")
    assert with_forge(good(), record(), second()).says(REBUILD) == (PASSED, "holds")


def test_a_witness_that_contradicts_its_forge_cannot_disagree_with_a_build() -> None:
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other", builder="nixer-two"),))
    assert with_forge(bench, record()).says(REBUILD) == (PERMANENTLY, "builders-disagree")
    lying = second(revision=GitRevision("b" * 40))
    assert with_forge(bench, record(), lying).says(REBUILD) == (WAITING, "second-builder-missing")


@pytest.mark.parametrize(("days", "speaking"), [(-2, {"nixer"}), (0, {"nixer", "nixer-2027"}), (2, {"nixer-2027"})])
def test_keys_that_rotate_with_an_overlap_speak_one_after_the_other(days: int, speaking: set[str]) -> None:
    """The old key until a day after a run, the new one from a day before it."""
    day = timedelta(days=1)
    bench = good().with_entry("keys", "nixer", valid_until=FINISHED + day)
    new = changed(bench.catalogue.keys["nixer"], {"valid_from": FINISHED - day, "valid_until": None})
    bench = bench.with_part("keys", {**bench.catalogue.keys, "nixer-2027": new})
    bench = bench.with_run(started_at=STARTED + days * day, finished_at=FINISHED + days * day)
    said = {name: bench.with_bundle(receipts=(attested(bench.receipt, name),)) for name in ("nixer", "nixer-2027")}
    refused = {name for name, each in said.items() if each.says(AUTHENTIC)[1] == "key-not-valid-then"}
    assert {"nixer", "nixer-2027"} - refused == speaking


def test_what_arrives_after_a_keys_time_is_not_believed_whatever_time_it_gives_itself() -> None:
    bench = good().with_entry("keys", "nixer", valid_until=FINISHED + timedelta(hours=1))

    def arriving(hours: int) -> Bench:
        arrived = FINISHED + timedelta(hours=hours)
        return bench.with_bundle(receipts=(changed(bench.bundle.receipts[0], {"arrived_at": arrived}),))

    assert bench.says(AUTHENTIC) == (PASSED, "holds")
    assert arriving(0).says(AUTHENTIC) == (PASSED, "holds")
    assert arriving(2).says(AUTHENTIC) == (TEMPORARILY, "key-not-valid-then")
    assert "arrived" in arriving(2).finding(AUTHENTIC).message


def test_a_receipt_moved_to_another_repository_is_no_run_of_its_forge() -> None:
    """The same run number in another repository of the same forge: the forge was not heard about it there."""
    elsewhere = "https://github.com/example/elsewhere"
    source = FORGE_SOURCE.model_copy(update={"repositories": (REPOSITORY, elsewhere)})
    bench = with_forge(good(), record(), second())
    bench = replace(bench, catalogue=bench.catalogue.model_copy(update={"sources": {"forge": source}}))
    moved = bench.with_entry("keys", "nixer", repositories=(REPOSITORY, elsewhere)).with_source(repository=elsewhere)
    assert isinstance(moved.run.source, Source)
    assert moved.says(FORGE) == (WAITING, "platform-run-unseen")
    assert moved.says(SOURCE) == (PERMANENTLY, "other-repository")
