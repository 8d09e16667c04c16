"""What others' documents say of an image: exactly this digest, or nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.image_signatures import (
    COSIGN_SIGN_V1,
    WORKFLOW_BUILD,
    is_signature_of,
    read_attestation,
)
from flywheel_assets.domain.statements import (
    MESSAGE_DIGEST,
    PAYLOAD_TYPE,
    PROVENANCE_V1,
    SIMPLE_SIGNING,
    TEST_RESULT_V01,
)

IMAGE = Sha256.from_hex("5f" * 32)
V01, V1 = "https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"


def statement(predicate_type: str = COSIGN_SIGN_V1, **changes: Any) -> bytes:
    said = {"_type": V1, "subject": [{"digest": {"sha256": IMAGE.hex}}], "predicateType": predicate_type}
    return json.dumps({**said, "predicate": {}, **changes}).encode()


def simple(digest: str = f"sha256:{IMAGE.hex}", kind: str = "cosign container image signature") -> bytes:
    critical = {"type": kind, "image": {"docker-manifest-digest": digest}, "identity": {"docker-reference": "x"}}
    return json.dumps({"critical": critical, "optional": {"creator": "x"}}).encode()


@pytest.mark.parametrize(
    ("payload", "payload_type"),
    [
        (simple(), SIMPLE_SIGNING),
        (statement(), PAYLOAD_TYPE),
        (statement(subject=[{"digest": {"sha256": "0" * 64}}, {"digest": {"sha256": IMAGE.hex}}]), PAYLOAD_TYPE),
        (bytes.fromhex(IMAGE.hex), MESSAGE_DIGEST),
    ],
)
def test_a_signature_over_this_digest_is_one_in_each_form(payload: bytes, payload_type: str) -> None:
    assert is_signature_of(payload, payload_type, IMAGE, "x")
    assert not is_signature_of(payload, payload_type, Sha256.from_hex("6f" * 32), "x")
    others = {SIMPLE_SIGNING, PAYLOAD_TYPE, MESSAGE_DIGEST, "text/plain"} - {payload_type}
    assert not any(is_signature_of(payload, other, IMAGE, "x") for other in others)


@pytest.mark.parametrize(
    ("payload", "payload_type"),
    [
        (simple(IMAGE.hex), SIMPLE_SIGNING),
        (simple(kind="atomic container signature"), SIMPLE_SIGNING),
        (b"{}", SIMPLE_SIGNING),
        (statement("https://cosign.sigstore.dev/attestation/vuln/v1"), PAYLOAD_TYPE),
        (statement(subject=[{"digest": {"sha512": IMAGE.hex}}]), PAYLOAD_TYPE),
        (statement(subject=[]), PAYLOAD_TYPE),
        (statement(_type="https://example.org"), PAYLOAD_TYPE),
        (b"", MESSAGE_DIGEST),
    ],
)
def test_what_is_no_signature_over_the_digest_is_none(payload: bytes, payload_type: str) -> None:
    assert not is_signature_of(payload, payload_type, IMAGE, "x")


@given(payload=st.binary(max_size=200), payload_type=st.sampled_from([SIMPLE_SIGNING, PAYLOAD_TYPE, MESSAGE_DIGEST]))
def test_no_random_bytes_are_a_signature_nor_break_anything(payload: bytes, payload_type: str) -> None:
    assert not is_signature_of(payload, payload_type, IMAGE, "x")


@pytest.mark.parametrize("version", [V01, V1])
def test_attestations_of_both_versions_are_read_whatever_else_they_say(version: str) -> None:
    found = read_attestation(statement("https://x.example/scan", _type=version, more={"a": 1}), "scan")
    assert found.predicate_type == "https://x.example/scan"
    assert found.is_about(IMAGE)


def test_what_is_no_attestation_is_named_by_document_and_field() -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_attestation(statement(subject=[{"digest": "x"}]), "scan")
    assert (refused.value.document, refused.value.field) == ("scan", "subject.0.digest")


@pytest.mark.parametrize(
    ("predicate_type", "predicate", "expected"),
    [
        (PROVENANCE_V1, {"buildDefinition": {"buildType": WORKFLOW_BUILD}}, True),
        (PROVENANCE_V1, {"buildDefinition": {"buildType": "https://x.example"}}, False),
        (PROVENANCE_V1, {"buildDefinition": []}, False),
        (PROVENANCE_V1, None, False),
        ("https://slsa.dev/provenance/v0.2", {"buildDefinition": {"buildType": WORKFLOW_BUILD}}, False),
    ],
)
def test_a_workflows_provenance_is_told_by_predicate_and_build_type(
    predicate_type: str, predicate: Any, *, expected: bool
) -> None:
    assert read_attestation(statement(predicate_type, predicate=predicate), "x").is_workflow_provenance is expected


@pytest.mark.parametrize(
    ("predicate", "failed"),
    [
        ({"result": "PASSED"}, False),
        ({"result": "WARNED", "failedTests": []}, False),
        ({"result": "FAILED"}, True),
        ({"result": "PASSED", "failedTests": ["CVE-1"]}, True),
        ({"result": "passed"}, True),
        ({"result": ["PASSED"]}, True),
        ({}, True),
        (None, True),
    ],
)
def test_a_test_result_has_failed_unless_it_says_that_it_passed(predicate: object, failed: bool) -> None:
    assert read_attestation(statement(TEST_RESULT_V01, predicate=predicate), "x").has_failed is failed
    assert not read_attestation(statement(predicate=predicate), "x").has_failed
