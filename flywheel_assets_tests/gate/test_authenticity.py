"""receipt_is_authentic: whose word a receipt is."""

from datetime import timedelta

import pytest

from flywheel_assets.catalog.models import Purpose
from flywheel_assets.domain.builds import Trigger, TriggerEvent
from flywheel_assets.domain.evidence import Origin, Signatures
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets_tests.gate.cases import (
    CANNOT,
    FINISHED,
    KINDS,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    TEMPORARILY,
    Bench,
    artifact,
    attested,
    changed,
    good,
)

RULE = "receipt_is_authentic"


@pytest.mark.parametrize("kind", KINDS)
def test_a_receipt_by_a_key_for_its_builder_and_source_is_authentic(kind: str) -> None:
    assert good(kind).says(RULE) == (PASSED, "holds")


def test_no_receipt_at_all_is_missing() -> None:
    assert good().with_bundle(receipts=()).says(RULE) == (CANNOT, "receipt-missing")


@pytest.mark.parametrize(
    ("minutes", "expected"), [(9, (PASSED, "holds")), (11, (TEMPORARILY, "receipt-from-the-future"))]
)
def test_a_run_that_ends_later_than_now_waits_for_its_time_but_for_a_little_skew(
    minutes: int, expected: tuple[VerdictClass, str]
) -> None:
    bench = good()
    verdict = evaluate(bench.bundle, bench.catalogue, FINISHED - timedelta(minutes=minutes))
    found = next(finding for finding in verdict.findings if finding.rule == RULE)
    assert (found.verdict, found.reason) == expected


def test_a_receipt_without_signature_is_unsigned() -> None:
    assert good().with_signatures(Signatures()).says(RULE) == (TEMPORARILY, "receipt-unsigned")


def test_a_signature_that_does_not_verify_is_invalid() -> None:
    assert good().with_signatures(Signatures(invalid=("nixer",))).says(RULE) == (TEMPORARILY, "signature-invalid")


def test_a_strangers_signature_is_not_trusted() -> None:
    assert good().with_signatures(Signatures(unknown=("f" * 64,))).says(RULE) == (TEMPORARILY, "key-untrusted")


def test_a_key_that_left_the_catalogue_is_not_trusted() -> None:
    assert good().without_entry("keys", "nixer").says(RULE) == (TEMPORARILY, "key-untrusted")


def test_a_key_of_another_builder_may_not_speak_for_this_one() -> None:
    assert good().with_signatures(Signatures(keys=("docker",))).says(RULE) == (TEMPORARILY, "key-not-for-builder")


def test_a_key_of_another_repository_may_not_speak_for_this_one() -> None:
    bench = good().with_entry("keys", "nixer", repositories=("https://github.com/example/other",))
    assert bench.says(RULE) == (TEMPORARILY, "key-not-for-repository")


def test_a_key_for_images_may_not_speak_for_a_receipt() -> None:
    assert good().with_entry("keys", "nixer", for_=(Purpose.IMAGES,)).says(RULE) == (
        TEMPORARILY,
        "key-not-for-receipts",
    )
    assert good().with_entry("keys", "nixer", for_=tuple(Purpose)).says(RULE) == (PASSED, "holds")


OTHER = "https://github.com/example/other"
CONTRADICTION = (TEMPORARILY, "origin-contradicts-receipt")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin(REPOSITORY, "a" * 40), (PASSED, "holds")),
        (Origin(REPOSITORY, ""), (PASSED, "holds")),
        (Origin(REPOSITORY, "b" * 40), CONTRADICTION),
        (Origin(OTHER, "a" * 40), CONTRADICTION),
        (Origin(OTHER, ""), CONTRADICTION),
        (Origin(REPOSITORY, "a" * 12), CONTRADICTION),
    ],
    ids=["its source", "no revision", "another revision", "another repository", "both", "part of a revision"],
)
def test_a_certificate_from_another_source_than_the_receipts_speaks_against_it(
    origin: Origin, expected: tuple[VerdictClass, str]
) -> None:
    bench = good().with_entry("keys", "nixer", repositories=(REPOSITORY, OTHER))
    assert bench.with_signatures(Signatures(keys=("nixer",), origin=origin)).says(RULE) == expected


RUN = f"{REPOSITORY}/actions/runs/100/attempts/1"
ANOTHER_RUN = (TEMPORARILY, "certificate-of-another-run")


@pytest.mark.parametrize(
    ("invocation", "expected"),
    [
        (RUN, (PASSED, "holds")),
        ("", (PASSED, "holds")),
        ("https://gitlab.example/example/tools/-/jobs/100", (PASSED, "holds")),
        (f"{REPOSITORY}/actions/runs/200/attempts/1", ANOTHER_RUN),
        (f"{REPOSITORY}/actions/runs/100/attempts/2", ANOTHER_RUN),
        (f"{OTHER}/actions/runs/100/attempts/1", ANOTHER_RUN),
    ],
    ids=["its run", "no run", "a job, of which receipts say nothing", "another", "another attempt", "another's run"],
)
def test_a_certificate_that_was_issued_to_another_run_speaks_against_its_receipt(
    invocation: str, expected: tuple[VerdictClass, str]
) -> None:
    origin = Origin(REPOSITORY, "a" * 40, invocation=invocation)
    assert good().with_signatures(Signatures(keys=("nixer",), origin=origin)).says(RULE) == expected


def test_a_receipt_that_its_own_certificate_contradicts_harms_no_authentic_one() -> None:
    """Whoever else may call a shared workflow could otherwise reject our builds for good."""
    bench = good()
    lie = changed(bench.receipt, {"artifact": artifact("nix", b"other")})
    signed = changed(attested(lie, "nixer"), {"signatures": Signatures(keys=("nixer",), origin=Origin(OTHER, ""))})
    found = bench.with_bundle(receipts=(signed, *bench.bundle.receipts), witnesses=(*bench.bundle.witnesses, signed))
    assert found.says(RULE) == (PASSED, "holds")
    assert found.says("rebuild_agrees") == (PASSED, "holds")
    assert found.verdict().subject == bench.verdict().subject


@pytest.mark.parametrize(
    ("validity", "expected"),
    [
        ({"valid_from": FINISHED + timedelta(seconds=1)}, (TEMPORARILY, "key-not-valid-then")),
        ({"valid_until": FINISHED - timedelta(seconds=1)}, (TEMPORARILY, "key-not-valid-then")),
        ({"valid_from": FINISHED, "valid_until": FINISHED}, (PASSED, "holds")),
    ],
)
def test_a_key_speaks_only_for_runs_that_finished_in_its_validity(
    validity: dict[str, object], expected: tuple[object, str]
) -> None:
    assert good().with_entry("keys", "nixer", **validity).says(RULE) == expected


def test_one_trusted_signature_among_others_is_enough() -> None:
    signatures = Signatures(keys=("docker", "nixer"), unknown=("f" * 64,), invalid=("platform",))
    assert good().with_signatures(signatures).says(RULE) == (PASSED, "holds")


def _second(bench: Bench, **run: object) -> Bench:
    other = attested(changed(bench.receipt, {"run": changed(bench.run, run)}), "platform")
    return bench.with_bundle(receipts=(*bench.bundle.receipts, other))


def test_two_authentic_receipts_with_other_content_conflict() -> None:
    bench = good()
    other = attested(changed(bench.receipt, {"artifact": artifact("nix", b"other")}), "nixer")
    assert bench.with_bundle(receipts=(*bench.bundle.receipts, other)).says(RULE) == (PERMANENTLY, "receipts-conflict")


def test_two_authentic_receipts_with_other_invocations_conflict() -> None:
    assert _second(good(), invocation="https://elsewhere.example/1").says(RULE) == (PERMANENTLY, "receipts-conflict")


def test_a_second_authentic_receipt_that_tells_of_a_fork_is_not_ignored() -> None:
    fork = Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True)
    assert _second(good(), trigger=fork).says(RULE) == (PERMANENTLY, "receipts-conflict")


def test_the_same_receipt_signed_again_by_another_trusted_key_is_no_conflict() -> None:
    assert _second(good()).says(RULE) == (PASSED, "holds")


def test_a_receipt_signed_again_in_isolation_makes_its_facts_count_whichever_came_first() -> None:
    bench = _second(good().with_builder(trusted_claims=()))
    assert good().with_builder(trusted_claims=()).says("source_can_be_reidentified")[0] is TEMPORARILY
    assert bench.says("source_can_be_reidentified") == (PASSED, "holds")
    turned = bench.with_bundle(receipts=bench.bundle.receipts[::-1])
    assert turned.says("source_can_be_reidentified") == (PASSED, "holds")


def test_of_several_receipts_that_nobody_vouches_for_the_last_is_explained() -> None:
    bench = good().with_signatures(Signatures())
    stranger = attested(bench.receipt, unknown=("f" * 64,))
    both = (*bench.bundle.receipts, stranger)
    assert bench.with_bundle(receipts=both).says(RULE) == (TEMPORARILY, "key-untrusted")
    assert bench.with_bundle(receipts=both[::-1]).says(RULE) == (TEMPORARILY, "receipt-unsigned")


def test_a_key_of_a_lane_that_cannot_make_this_has_no_say_in_a_run_of_another() -> None:
    """The docker lane's receipt under the Nix run's key, first and contradicting: it is passed over."""
    bench = good()
    other = changed(
        bench.receipt, {"run": changed(bench.run, {"builder": "docker"}), "artifact": artifact("nix", b"x")}
    )
    found = bench.with_bundle(receipts=(attested(other, "docker"), *bench.bundle.receipts))
    assert found.says(RULE) == (PASSED, "holds")
    assert found.verdict().subject == bench.verdict().subject
