"""toolchain_bootstrap_was_proven and builder_is_known."""

from datetime import datetime, timedelta

import pytest

from flywheel_assets.catalog.models import ArtifactType, Claim
from flywheel_assets.domain.builds import Bootstrap
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets_tests.gate.cases import (
    CANNOT,
    FINISHED,
    KINDS,
    PASSED,
    PERMANENTLY,
    STARTED,
    TEMPORARILY,
    artifact,
    changed,
    good,
)

BOOTSTRAP, KNOWN = "toolchain_bootstrap_was_proven", "builder_is_known"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [BOOTSTRAP, KNOWN])
def test_a_good_build_has_its_toolchain_and_its_builder(kind: str, rule: str) -> None:
    assert good(kind).says(rule) == (PASSED, "holds")


@pytest.mark.parametrize("rule", [BOOTSTRAP, KNOWN])
def test_an_unauthenticated_receipt_says_nothing_of_the_builder(rule: str) -> None:
    assert good().with_signatures(Signatures()).says(rule) == (CANNOT, "no-authentic-receipt")


def test_a_lane_that_must_prove_its_bootstrap_and_does_not_is_unproven() -> None:
    assert good().with_run(bootstrap=None).says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-unproven")


def test_a_lane_need_not_prove_a_toolchain_for_what_its_list_leaves_out() -> None:
    bench = good().with_run(bootstrap=None).with_builder(must_prove_bootstrap_for=(ArtifactType.OCI,))
    assert bench.says(BOOTSTRAP) == (PASSED, "holds")


def test_the_receipts_own_kind_decides_whether_a_bootstrap_must_be_proven() -> None:
    bench = good().with_run(bootstrap=None).with_receipt(artifact=artifact("oci"))
    assert bench.says(BOOTSTRAP) == (PASSED, "holds")


def test_a_lane_of_an_unknown_builder_must_prove_its_bootstrap_too() -> None:
    bench = good("oci").without_entry("builders", "docker")
    assert bench.says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-unproven")


def test_a_bootstrap_that_only_the_job_tells_of_is_not_trusted() -> None:
    bench = good().with_builder(trusted_claims=(Claim.SOURCE, Claim.TRIGGER, Claim.VALIDATION))
    assert bench.says(BOOTSTRAP) == (TEMPORARILY, "bootstrap-claim-untrusted")


def test_an_isolated_signature_proves_the_bootstrap_without_a_trusted_claim() -> None:
    bench = good().with_builder(trusted_claims=()).with_signatures(Signatures(keys=("platform",)))
    assert bench.says(BOOTSTRAP) == (PASSED, "holds")


@pytest.mark.parametrize("at", [STARTED - timedelta(seconds=1), FINISHED + timedelta(seconds=1)])
def test_a_bootstrap_before_or_after_the_run_is_none_of_its_own(at: object) -> None:
    proof = good().run.bootstrap
    assert isinstance(proof, Bootstrap)
    bench = good().with_run(bootstrap=changed(proof, {"finished_at": at}))
    assert bench.says(BOOTSTRAP) == (PERMANENTLY, "bootstrap-outside-run")


def test_a_label_that_is_not_catalogued_is_unknown() -> None:
    assert good().without_entry("builders", "nixer").says(KNOWN) == (TEMPORARILY, "builder-unknown")


def test_a_receipt_about_another_type_of_artifact_is_the_wrong_one() -> None:
    assert good().with_receipt(artifact=artifact("oci")).says(KNOWN) == (PERMANENTLY, "wrong-artifact-type")


def test_a_builder_of_another_type_does_not_make_this() -> None:
    bench = good().with_builder(makes=(ArtifactType.OCI,))
    assert bench.says(KNOWN) == (PERMANENTLY, "builder-does-not-make-this")


@pytest.mark.parametrize("at", [STARTED, FINISHED])
def test_a_bootstrap_at_the_very_start_or_end_of_the_run_is_its_own(at: datetime) -> None:
    proof = good().run.bootstrap
    assert proof is not None
    assert good().with_run(bootstrap=changed(proof, {"finished_at": at})).says(BOOTSTRAP) == (PASSED, "holds")
