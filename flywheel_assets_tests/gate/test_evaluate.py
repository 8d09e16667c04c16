"""The gate as a whole: eighteen rules, one verdict, and the value that alone lets an artifact out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flywheel_assets.catalog.models import Role
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.verdicts import Phase
from flywheel_assets.gate.evaluate import RULES, Approved, approve, evaluate, slsa_level
from flywheel_assets_tests.gate.cases import CANNOT, FINISHED, KINDS, NOW, PASSED, PERMANENTLY, attested, good


def test_eighteen_rules_stand_in_the_gate_and_each_answers_once_under_its_own_name() -> None:
    names = [rule.__name__ for rule in RULES]
    assert len(set(names)) == len(names) == 18
    assert [finding.rule for finding in good().verdict().findings] == names


@pytest.mark.parametrize("kind", ["nix", "oci"])
def test_a_good_build_is_approved_as_what_its_receipt_says(kind: str) -> None:
    bench = good(kind)
    approved = approve(bench.bundle, bench.catalogue, NOW)
    assert approved.artifact == bench.receipt.artifact
    assert approved.build == bench.bundle.build
    assert approved.verdict == bench.verdict()
    assert approved.slsa_build_level == 1


def test_a_good_bazel_build_is_validated_and_not_publishable() -> None:
    verdict = good("bazel").verdict()
    assert verdict.validated
    assert not verdict.publishable
    assert (verdict.verdict, verdict.worst.reason) == (PERMANENTLY, "no-durable-surface")


def test_the_level_comes_from_the_best_trusted_signer() -> None:
    bench = good()
    assert slsa_level(bench.catalogue, attested(bench.receipt, "nixer", "platform")) == 2
    assert slsa_level(bench.catalogue, attested(bench.receipt, "docker")) == 0


def test_a_refusal_carries_the_verdict_and_says_why() -> None:
    bench = good().with_source(dirty=True)
    with pytest.raises(PromotionRefusedError, match="rejected permanently, tree-dirty: the tree was dirty") as refused:
        approve(bench.bundle, bench.catalogue, NOW)
    assert refused.value.verdict == bench.verdict()


@pytest.mark.parametrize("token", [None, object(), True, "approve"])
def test_nobody_but_approve_makes_an_approval(token: object) -> None:
    bench = good()
    with pytest.raises(TypeError, match=r"^only gate\.evaluate\.approve makes an Approved$"):
        Approved(bench.bundle.receipts[0], bench.verdict(), 3, token)


def test_no_rules_are_no_approval() -> None:
    bench = good()
    verdict = evaluate(bench.bundle, bench.catalogue, NOW, rules=())
    assert not verdict.publishable
    assert not verdict.validated
    assert (verdict.verdict, verdict.worst.reason) == (CANNOT, "no-rules")
    assert verdict.worst.message == "the gate has no rules, and no rules is no approval"


def test_an_output_that_the_catalogue_does_not_know_is_not_judged() -> None:
    bench = good().with_bundle(output="unheard-of")
    with pytest.raises(KeyError, match="unheard-of"):
        bench.verdict()


def test_evidence_that_cannot_be_read_is_damaged_and_undoes_a_pass() -> None:
    verdict = good().with_bundle(damaged=("Evidence sha256:… is gone.",)).verdict()
    assert not verdict.publishable
    assert not verdict.validated
    assert not verdict.body_is_whole
    assert (verdict.verdict, verdict.worst.reason) == (CANNOT, "evidence-damaged")
    assert verdict.worst.message == "Evidence sha256:… is gone"


def test_a_verdict_names_its_basis() -> None:
    bench = good()
    verdict = bench.verdict()
    assert verdict.catalogue == bench.catalogue.digest
    assert verdict.evidence == bench.bundle.digests
    assert len(verdict.evidence) == 5
    assert verdict.now == NOW
    assert verdict.subject is not None
    assert str(verdict.subject) == str(bench.receipt.artifact.digest)


def test_a_verdict_has_no_subject_where_nobody_may_speak_for_one() -> None:
    assert good().with_signatures(Signatures()).verdict().subject is None


def test_the_verdict_is_named_after_the_worst_finding() -> None:
    bench = good().with_bundle(witnesses=()).with_output(consumption=None).with_source(dirty=True)
    assert bench.verdict().worst.reason == "tree-dirty"


def test_of_equally_bad_findings_the_catalogues_own_decision_comes_first() -> None:
    bench = good().with_output(role=Role.CHECK, publication=None).with_source(dirty=True)
    assert bench.verdict().worst.reason == "check"


def test_a_body_is_whole_only_when_it_was_read_for_an_authentic_receipt() -> None:
    assert all(good(kind).verdict().body_is_whole for kind in KINDS)
    assert not good().with_signatures(Signatures()).verdict().body_is_whole
    assert not good().with_reading(0, state=ReadState.EMPTY).verdict().body_is_whole
    assert not good().with_reading(0, digest=str(Sha256.of(b"x"))).verdict().body_is_whole


def test_an_empty_body_behind_a_valid_index_never_passes() -> None:
    for number in range(3):
        bench = good().with_reading(number, state=ReadState.EMPTY, digest="", size=0)
        assert not bench.passes


@pytest.mark.parametrize("now", [FINISHED, datetime(2999, 1, 1, tzinfo=UTC)])
def test_the_time_of_judging_alone_changes_no_finding_once_the_run_has_ended(now: datetime) -> None:
    bench = good()
    assert evaluate(bench.bundle, bench.catalogue, now).findings == bench.verdict().findings


def test_the_findings_of_a_phase_stand_with_the_worst_first() -> None:
    found = good().with_bundle(witnesses=()).verdict().of_phase(Phase.CLASSIFICATION)
    assert [finding.verdict is PASSED for finding in found] == [False, True, True, True, True]


def test_an_approval_cannot_be_changed_into_another() -> None:
    bench = good()
    approved = approve(bench.bundle, bench.catalogue, NOW)
    change: Callable[..., Approved] = replace
    with pytest.raises((TypeError, ValueError)):
        change(approved, attested=bench.bundle.witnesses[0])
