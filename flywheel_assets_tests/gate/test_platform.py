"""forge_vouches_for_the_run, and what the forge's steps prove to the other rules."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.catalog.models import ForgeSource, RunSteps, SourceKind
from flywheel_assets.domain.builds import Source, Trigger, TriggerEvent, Validation, ValidationResult
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.platform_runs import AbsentRun, Ending, PlatformRun, RecordedRun, RunJob, RunStep
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
STEPS = RunSteps(bootstrap=("Run */install-nix@*",), validations={"nix build": "Run nix build*", "smoke": "smoke"})
FORGE_SOURCE = ForgeSource(
    kind=SourceKind.GITHUB, url="https://api.github.example", repositories=(REPOSITORY,), steps=STEPS
)
INSTALLS = RunStep(number=1, name="Run vendor/install-nix@v3", ending=Ending.PASSED)
BUILDS = RunStep(number=2, name="Run nix build .#tool", ending=Ending.PASSED)
SMOKES = RunStep(number=3, name="smoke", ending=Ending.PASSED)


def job(*steps: RunStep, label: str = "nixer", ending: Ending = Ending.PASSED) -> RunJob:
    return RunJob(name="build", labels=("self-hosted", label), ending=ending, steps=steps)


def record(**changes: Any) -> RecordedRun:
    """The forge's record of the good build's run."""
    fields: dict[str, Any] = {
        "repository": REPOSITORY,
        "run": "100",
        "attempt": 1,
        "revision": GitRevision("a" * 40),
        "ref": "main",
        "event": TriggerEvent.PUSH,
        "actors": ("Someone",),
        "head_repository": REPOSITORY,
        "from_fork": False,
        "ending": Ending.PASSED,
        "started_at": STARTED,
        "finished_at": FINISHED,
        "jobs": (job(INSTALLS, BUILDS, SMOKES), job(label="docker")),
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
    bench = with_forge(good(kind), record(), _second())
    assert bench.says(FORGE) == (PASSED, "holds")
    assert bench.passes


def _second(**changes: Any) -> RecordedRun:
    return record(run=OTHER_KEY.run, jobs=(job(label="nixer-two"),), **changes)


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
    bench = with_forge(good(), record(**known), _second())
    assert bench.says(FORGE) == CONTRADICTS
    assert told in bench.finding(FORGE).message
    assert bench.verdict().verdict is PERMANENTLY


def test_a_pull_requests_revision_is_a_merge_that_no_branch_holds() -> None:
    proposal = Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")
    bench = with_forge(good().with_run(trigger=proposal), record(event=TriggerEvent.PULL_REQUEST, ref="topic"))
    assert bench.says(FORGE) == (PASSED, "holds")
    assert bench.says(TRANSIENT) == (PERMANENTLY, "pull-request")


def test_the_push_of_a_tag_is_a_push_to_a_forge_that_says_no_more() -> None:
    tag = Trigger(event=TriggerEvent.TAG, actor="someone")
    bench = good().with_run(trigger=tag).with_source(ref="refs/tags/v1")
    assert with_forge(bench, record(ref="v1")).says(FORGE) == (PASSED, "holds")
    assert with_forge(bench, record(ref="refs/heads/v1")).says(FORGE) == CONTRADICTS


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
    bench = with_forge(untrusted(), record(jobs=jobs))
    assert bench.says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-claim-untrusted")


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
    assert with_forge(good(), record(), _second()).says(REBUILD) == (PASSED, "holds")


def test_a_witness_that_contradicts_its_forge_cannot_disagree_with_a_build() -> None:
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other", builder="nixer-two"),))
    assert with_forge(bench, record()).says(REBUILD) == (PERMANENTLY, "builders-disagree")
    lying = _second(revision=GitRevision("b" * 40))
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
    bench = with_forge(good(), record(), _second())
    bench = replace(bench, catalogue=bench.catalogue.model_copy(update={"sources": {"forge": source}}))
    moved = bench.with_entry("keys", "nixer", repositories=(REPOSITORY, elsewhere)).with_source(repository=elsewhere)
    assert isinstance(moved.run.source, Source)
    assert moved.says(FORGE) == (WAITING, "platform-run-unseen")
    assert moved.says(SOURCE) == (PERMANENTLY, "other-repository")
