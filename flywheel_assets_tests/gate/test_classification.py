"""source_can_be_reidentified, use_is_intended and output_is_not_transient."""

from datetime import timedelta

import pytest

from flywheel_assets.catalog.models import Audience, Claim, Role
from flywheel_assets.domain.builds import Trigger, TriggerEvent
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets_tests.gate.cases import (
    APPROVAL,
    CANNOT,
    KINDS,
    PASSED,
    PERMANENTLY,
    TEMPORARILY,
    WAITING,
    attested,
    changed,
    good,
)

SOURCE, REBUILD = "source_can_be_reidentified", "rebuild_agrees"
USE, TRANSIENT = "use_is_intended", "output_is_not_transient"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [SOURCE, REBUILD, USE, TRANSIENT])
def test_a_good_build_is_classified_as_promotable(kind: str, rule: str) -> None:
    assert good(kind).says(rule) == (PASSED, "holds")


@pytest.mark.parametrize("rule", [SOURCE, REBUILD, TRANSIENT])
def test_an_unauthenticated_receipt_says_nothing_of_its_source_or_trigger(rule: str) -> None:
    assert good().with_signatures(Signatures()).says(rule) == (CANNOT, "no-authentic-receipt")


def test_a_build_of_another_repository_is_not_this_output() -> None:
    elsewhere = "https://github.com/example/other"
    bench = good().with_entry("keys", "nixer", repositories=(elsewhere,)).with_source(repository=elsewhere)
    assert bench.says(SOURCE) == (PERMANENTLY, "other-repository")


def test_a_dirty_tree_is_in_no_revision() -> None:
    assert good().with_source(dirty=True).says(SOURCE) == (PERMANENTLY, "tree-dirty")


def test_a_derivation_without_locked_inputs_cannot_be_built_again() -> None:
    assert good().with_run(locked_inputs=()).says(SOURCE) == (PERMANENTLY, "inputs-not-locked")


@pytest.mark.parametrize("kind", ["oci", "bazel"])
def test_other_builds_may_have_no_lock_file(kind: str) -> None:
    assert good(kind).with_run(locked_inputs=()).says(SOURCE) == (PASSED, "holds")


@pytest.mark.parametrize("definition", [None, "", "packages.x86_64-linux.something-else"])
def test_a_build_of_another_definition_is_not_this_output(definition: str | None) -> None:
    assert good().with_run(definition=definition).says(SOURCE) == (PERMANENTLY, "other-definition")


def test_a_commit_that_is_younger_than_its_build_is_refused() -> None:
    bench = good()
    late = bench.run.finished_at + timedelta(seconds=1)
    assert bench.with_source(committed_at=late).says(SOURCE) == (PERMANENTLY, "commit-after-build")
    assert bench.with_source(committed_at=bench.run.finished_at).says(SOURCE) == (PASSED, "holds")


def test_a_source_that_only_the_job_tells_of_is_not_trusted() -> None:
    bench = good().with_builder(trusted_claims=(Claim.TRIGGER, Claim.BOOTSTRAP, Claim.VALIDATION))
    assert bench.says(SOURCE) == (TEMPORARILY, "source-claim-untrusted")


def test_a_dependency_that_the_receipt_does_not_name_can_never_be_resolved() -> None:
    assert good().with_run(dependencies=()).says(SOURCE) == (PERMANENTLY, "dependency-unnamed")


def test_a_dependency_without_an_authentic_receipt_is_unresolved() -> None:
    bench = good()
    assert bench.with_bundle(dependencies=()).says(SOURCE) == (WAITING, "dependency-unresolved")
    unsigned = attested(bench.bundle.dependencies[0].receipt)
    assert bench.with_bundle(dependencies=(unsigned,)).says(SOURCE) == (WAITING, "dependency-unresolved")


def test_a_dependency_by_another_digest_is_unresolved() -> None:
    named = changed(good().run.dependencies[0], {"digest": Sha256.of(b"other")})
    assert good().with_run(dependencies=(named,)).says(SOURCE) == (WAITING, "dependency-unresolved")


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (Audience.ACCELERATION, (PERMANENTLY, "acceleration-only")),
        (Audience.INTERNAL, (PERMANENTLY, "internal-use")),
        (Audience.UNDECIDED, (APPROVAL, "use-undecided")),
        (Audience.CROSS_ORG, (PASSED, "holds")),
    ],
)
def test_only_an_output_for_users_or_other_teams_is_meant_for_use(
    audience: Audience, expected: tuple[object, str]
) -> None:
    assert good().with_output(audience=audience).says(USE) == expected


def test_an_output_that_does_not_say_how_it_is_consumed_is_undocumented() -> None:
    assert good().with_output(consumption=None).says(USE) == (TEMPORARILY, "consumption-undocumented")


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (Role.ALIAS, "alias"),
        (Role.CHECK, "check"),
        (Role.SHELL, "shell"),
        (Role.EXPORT, "export"),
        (Role.DEBUG, "debug"),
        (Role.INSTALLATION_LOCAL, "installation-local"),
    ],
)
def test_whatever_is_no_package_is_transient(role: Role, reason: str) -> None:
    assert good().with_output(role=role).says(TRANSIENT) == (PERMANENTLY, reason)


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("refs/heads/main", (PASSED, "holds")),
        ("refs/tags/v1.2.3", (PASSED, "holds")),
        ("refs/heads/feature", (PERMANENTLY, "other-ref")),
        ("refs/heads/main-2", (PERMANENTLY, "other-ref")),
        ("", (PERMANENTLY, "other-ref")),
    ],
)
def test_only_builds_of_the_catalogued_refs_go_on(ref: str, expected: tuple[VerdictClass, str]) -> None:
    assert good().with_source(ref=ref).says(TRANSIENT) == expected


def test_a_pull_request_shows_a_proposal() -> None:
    trigger = Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")
    assert good().with_run(trigger=trigger).says(TRANSIENT) == (PERMANENTLY, "pull-request")


@pytest.mark.parametrize("event", [TriggerEvent.PUSH, TriggerEvent.PULL_REQUEST])
def test_a_fork_shows_a_proposal(event: TriggerEvent) -> None:
    trigger = Trigger(event=event, actor="someone", from_fork=True)
    assert good().with_run(trigger=trigger).says(TRANSIENT) == (PERMANENTLY, "fork")


def test_a_trigger_that_only_the_job_tells_of_is_not_trusted() -> None:
    bench = good().with_builder(trusted_claims=(Claim.SOURCE, Claim.BOOTSTRAP, Claim.VALIDATION))
    assert bench.says(TRANSIENT) == (TEMPORARILY, "trigger-claim-untrusted")
