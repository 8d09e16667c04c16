"""validation_is_green: who may say that a validation passed, and that no failure is lost."""

from dataclasses import replace

import pytest

from flywheel_assets.catalog.models import ArtifactType, Audience, Claim
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.builds import Validation, ValidationResult
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.evidence import Origin, Signatures
from flywheel_assets_tests.gate.cases import (
    CANNOT,
    KINDS,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    TEMPORARILY,
    WAITING,
    Bench,
    attested_test,
    good,
)
from flywheel_assets_tests.gate.decided import after, decided

RULE = "validation_is_green"
FAILED = (PERMANENTLY, "validation-failed")
OK, BAD, WARNED = ValidationResult.PASSED, ValidationResult.FAILED, ValidationResult.WARNED


def with_test(bench: Bench, name: str, result: ValidationResult, *keys: str, subject: Sha256 | None = None) -> Bench:
    """One more test result."""
    signed = Signatures(keys=keys)
    test = attested_test(subject or bench.receipt.artifact.digest, name, result, signed)
    return bench.with_bundle(tests=(*bench.bundle.tests, test))


@pytest.mark.parametrize("kind", KINDS)
def test_every_named_validation_passed(kind: str) -> None:
    assert good(kind).says(RULE) == (PASSED, "holds")


def test_an_output_without_validations_needs_none() -> None:
    assert good().with_output(validations=()).says(RULE) == (PASSED, "holds")


def test_a_candidate_must_pass_the_validations_of_its_type_too() -> None:
    bench = good()
    strict = bench.catalogue.model_copy(update={"validations": {ArtifactType.NIX: ("nix fmt", "smoke")}})
    output = strict.outputs[bench.output]
    assert strict.validations_of(output) == ("nix fmt", "smoke", "nix build")
    assert strict.validations_of(output.model_copy(update={"audience": Audience.ACCELERATION})) == output.validations
    assert replace(bench, catalogue=strict).says(RULE) == (WAITING, "validation-missing")


def test_an_unauthenticated_receipt_says_nothing_of_validations() -> None:
    assert good().with_signatures(Signatures()).says(RULE) == (CANNOT, "no-authentic-receipt")


def test_a_failure_that_the_receipt_tells_of_counts() -> None:
    assert good().with_run(validations=(Validation(name="nix build", result=BAD),)).says(RULE) == FAILED


def test_a_failure_that_the_receipt_tells_of_counts_though_it_also_says_passed() -> None:
    for order in ((OK, BAD), (BAD, OK)):
        results = tuple(Validation(name="nix build", result=result) for result in order)
        assert good().with_run(validations=results).says(RULE) == FAILED


def test_a_failure_of_a_validation_that_nobody_asked_for_counts() -> None:
    assert with_test(good(), "extra", BAD, "platform").says(RULE) == FAILED


def test_a_failure_beside_a_pass_of_the_same_validation_counts() -> None:
    assert with_test(good(), "smoke", BAD, "nixer").says(RULE) == FAILED


def test_a_failure_counts_from_a_signer_whose_passes_would_not() -> None:
    bench = good().with_builder(trusted_claims=(Claim.SOURCE, Claim.TRIGGER, Claim.BOOTSTRAP))
    assert with_test(bench, "smoke", BAD, "nixer").says(RULE) == FAILED


@pytest.mark.parametrize("keys", [(), ("stranger",), ("docker",)])
def test_a_failure_by_someone_who_may_not_speak_for_the_run_does_not_count(keys: tuple[str, ...]) -> None:
    assert with_test(good(), "smoke", BAD, *keys).says(RULE) == (PASSED, "holds")


def test_a_failure_is_heard_from_a_later_run_of_a_keyless_signer_and_a_pass_is_not() -> None:
    signed = Signatures(keys=("platform",), origin=Origin(REPOSITORY, "b" * 40))
    for result, expected in ((BAD, FAILED), (OK, (WAITING, "validation-missing"))):
        bench = good()
        test = attested_test(bench.receipt.artifact.digest, "smoke", result, signed)
        assert bench.with_bundle(tests=(test,)).says(RULE) == expected


def test_a_pass_by_a_keyless_signer_in_a_run_of_the_same_source_counts() -> None:
    bench = good()
    later = f"{REPOSITORY}/actions/runs/900/attempts/1"
    signed = Signatures(keys=("platform",), origin=Origin(REPOSITORY, "a" * 40, invocation=later))
    test = attested_test(bench.receipt.artifact.digest, "smoke", OK, signed)
    assert bench.with_bundle(tests=(test,)).says(RULE) == (PASSED, "holds")


def test_a_failure_of_another_artifact_does_not_count() -> None:
    assert with_test(good(), "smoke", BAD, "platform", subject=Sha256.of(b"x")).says(RULE) == (PASSED, "holds")


def test_a_warning_is_no_failure() -> None:
    bench = good().with_bundle(tests=())
    assert with_test(bench, "smoke", WARNED, "platform").says(RULE) == (PASSED, "holds")


def test_a_result_that_did_not_come_yet_is_missing() -> None:
    assert good().with_bundle(tests=()).says(RULE) == (WAITING, "validation-missing")


def test_a_pass_of_another_artifact_does_not_count() -> None:
    bench = good().with_bundle(tests=())
    found = with_test(bench, "smoke", OK, "platform", subject=Sha256.of(b"x"))
    assert found.says(RULE) == (WAITING, "validation-missing")


def test_a_pass_that_only_the_job_tells_of_is_not_trusted() -> None:
    bench = good().with_builder(trusted_claims=(Claim.SOURCE, Claim.TRIGGER, Claim.BOOTSTRAP))
    assert bench.says(RULE) == (TEMPORARILY, "validation-claim-untrusted")


def test_a_test_result_by_the_jobs_own_key_is_not_trusted_either() -> None:
    bench = good().with_builder(trusted_claims=()).with_bundle(tests=())
    bench = with_test(with_test(bench, "nix build", OK, "platform"), "smoke", OK, "nixer")
    assert bench.says(RULE) == (WAITING, "validation-missing")


def test_a_failure_of_one_platform_is_a_failure_of_the_image() -> None:
    bench = good("oci")
    image = bench.receipt.artifact
    assert isinstance(image, OciImage)
    platform = next(iter(image.platforms.values()))
    assert with_test(bench, "smoke test", BAD, "docker", subject=platform).says(RULE) == FAILED


def test_a_pass_of_one_platform_is_no_pass_of_the_image() -> None:
    bench = good("oci").with_bundle(tests=())
    made = bench.receipt.artifact
    assert isinstance(made, OciImage)
    platform = Sha256(str(next(iter(made.platforms.values()))))
    assert with_test(bench, "smoke", OK, "platform", subject=platform).says(RULE) == (WAITING, "validation-missing")
    assert with_test(bench, "smoke", OK, "platform").says(RULE) == (PASSED, "holds")


def test_a_test_result_by_the_jobs_own_key_counts_where_its_claim_is_trusted() -> None:
    bench = with_test(good("oci").with_bundle(tests=()), "smoke", OK, "docker")
    assert bench.says(RULE) == (PASSED, "holds")


def test_a_signer_in_quarantine_is_heard_of_failures_and_of_nothing_else() -> None:
    said = decided(Act.QUARANTINE, "alice", key="platform")
    assert after(with_test(good("oci"), "smoke", BAD, "platform"), said).says(RULE) == FAILED
    assert after(good("oci"), said).says(RULE) == (WAITING, "validation-missing")
