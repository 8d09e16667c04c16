"""Image signatures and attestations of cosign's first format: what is verified lies in annotations."""

import json
from base64 import b64encode

import pytest

from flywheel_assets.adapters.signatures.annotations import CERTIFICATE, LOG_ENTRY
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.domain.image_signatures import is_signature_of, read_attestation
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.statements import PAYLOAD_TYPE, SIMPLE_SIGNING
from flywheel_assets.ports import Checked, Trusted
from flywheel_assets_tests.adapters.signatures.make_vectors import IMAGE, SCAN, SCANNED, SIGNED, VECTORS
from flywheel_assets_tests.adapters.signatures.miniature import (
    REPOSITORY,
    REVISION,
    SUBJECT,
    WHO,
    a_signer,
    trusted_root,
)

TRUSTED: dict[str, Trusted] = {"workflow": WHO}
VERIFIER = SignatureVerifier(trusted_root())
COSIGN = VECTORS / "cosign"
# The image that real cosign signed for these tests, with the key in cosign.pub.
SIGNED_BY_COSIGN = Sha256.from_hex("93f9f66a573d8b6e1ca40ac92330344ef49a66eb9bc266f305e5b0f570a64163")


def vector(name: str) -> Attached:
    return Attached.model_validate_json((VECTORS / f"{name}.image.json").read_bytes())


def test_a_keyless_image_signature_is_by_the_identity_that_the_catalogue_names() -> None:
    found = VERIFIER.check_attached(vector("good"), "signature", TRUSTED)
    assert found == Checked(SIGNED, SIMPLE_SIGNING, ("workflow",), (), (), origin=Origin(REPOSITORY, REVISION))
    assert is_signature_of(found.payload, found.payload_type, Sha256.from_hex(IMAGE), "x")


def test_a_keyless_attestation_of_the_first_format_is_by_that_identity_too() -> None:
    found = VERIFIER.check_attached(vector("good-attestation"), "attestation", TRUSTED)
    assert (found.keys, found.payload) == (("workflow",), SCANNED)
    assert VERIFIER.check(vector("good-attestation").data, "x", TRUSTED).keys == (), "its envelope alone is by nobody"


INVALID = {
    "foreign-ca": "failed to build timestamp certificate chain: validation failed: candidates exhausted: "
    "signature does not match",
    "certificate-expired-when-signed": "failed to build timestamp certificate chain: validation failed: "
    "cert is not valid at validation time (encountered processing <Certificate(subject=<Name()>, ...)>)",
    "flipped-payload": "Signature is invalid for input",
    "flipped-signature": "Signature is invalid for input",
    "flipped-log-promise": "invalid log entry: SET: invalid inclusion promise: keyring: invalid signature",
    "moved-in-time": "invalid log entry: SET: invalid inclusion promise: keyring: invalid signature",
    "entry-of-another": "transparency log entry is inconsistent with other materials",
    "no-log-entry": "expected exactly one log entry beside the signature",
}


@pytest.mark.parametrize("name", INVALID)
def test_what_claims_an_identity_and_does_not_verify_says_why(name: str) -> None:
    found = VERIFIER.check_attached(vector(name), "signature", TRUSTED)
    assert (found.keys, found.invalid, found.unknown) == ((), ("workflow",), ())
    assert found.problems == (f"signature is not signed by workflow: {INVALID[name]}",)


def test_strangers_and_what_carries_no_certificate_are_unknown() -> None:
    found = VERIFIER.check_attached(vector("other-issuer"), "signature", TRUSTED)
    assert (found.keys, found.unknown) == ((), (f"{SUBJECT} (https://gitlab.example)",))
    assert VERIFIER.check_attached(vector("no-certificate"), "signature", TRUSTED).unknown == ("(no key id)",)


def test_an_image_signature_by_a_key_is_by_that_key_alone() -> None:
    signature = b64encode(a_signer("release").sign_bytes(SIGNED)).decode()
    made = Attached(data=SIGNED, form=Form.SIMPLE_SIGNING, annotations={COSIGN_SIGNATURE: signature})
    offered = {"release": a_signer("release").public_key, "other": a_signer("other").public_key}
    assert VERIFIER.check_attached(made, "signature", offered).keys == ("release",)
    other = made.model_copy(update={"data": SIGNED.replace(b"5f5f", b"5f5e")})
    assert VERIFIER.check_attached(other, "signature", offered).keys == ()


@pytest.mark.parametrize(
    ("annotations", "field"),
    [
        ({}, COSIGN_SIGNATURE),
        ({COSIGN_SIGNATURE: "%"}, COSIGN_SIGNATURE),
        ({COSIGN_SIGNATURE: "AAAA", CERTIFICATE: "nonsense"}, CERTIFICATE),
        ({LOG_ENTRY: "nonsense"}, "JSON"),
        ({LOG_ENTRY: "{}"}, LOG_ENTRY),
        ({LOG_ENTRY: json.dumps({"Payload": {"body": "e30=", "logID": "zz"}})}, LOG_ENTRY),
        ({LOG_ENTRY: json.dumps({"Payload": {"body": "e30=", "logID": "00", "logIndex": "x"}})}, LOG_ENTRY),
        ({LOG_ENTRY: json.dumps({"Payload": {"body": "%"}})}, f"{LOG_ENTRY}.body"),
    ],
)
def test_annotations_that_are_none_are_named(annotations: dict[str, str], field: str) -> None:
    held = vector("good").annotations if LOG_ENTRY in annotations else {}
    made = Attached(data=SIGNED, form=Form.SIMPLE_SIGNING, annotations={**held, **annotations})
    with pytest.raises(InvalidInputError) as refused:
        VERIFIER.check_attached(made, "proof 3", TRUSTED)
    assert refused.value.document.startswith("proof 3")
    assert refused.value.field == field


def test_annotations_over_the_limits_are_refused() -> None:
    good = vector("good")
    made = good.model_copy(update={"annotations": {**good.annotations, "padding": "x" * 300_000}})
    with pytest.raises(LimitExceededError):
        VERIFIER.check_attached(made, "signature", TRUSTED)


# As real cosign wrote them, with a key


def recorded(name: str, form: Form) -> Attached:
    beside = {COSIGN_SIGNATURE: (COSIGN / "sign-2.6.5.signature").read_text()} if form is Form.SIMPLE_SIGNING else {}
    return Attached(data=(COSIGN / name).read_bytes(), form=form, annotations=beside)


@pytest.mark.parametrize(
    "found",
    [recorded("sign-2.6.5.payload.json", Form.SIMPLE_SIGNING), recorded("sign-3.1.3.bundle.json", Form.BUNDLE)],
    ids=["cosign 2", "cosign 3"],
)
def test_image_signatures_by_cosign_are_read(found: Attached) -> None:
    checked = VERIFIER.check_attached(found, "signature", {"release": (COSIGN / "cosign.pub").read_text()})
    assert checked.keys == ("release",)
    assert is_signature_of(checked.payload, checked.payload_type, SIGNED_BY_COSIGN, "x")
    assert not is_signature_of(checked.payload, checked.payload_type, Sha256.from_hex(IMAGE), "x")


@pytest.mark.parametrize(
    "found",
    [recorded("attest-2.6.5.dsse.json", Form.DSSE), recorded("attest-3.1.3.bundle.json", Form.BUNDLE)],
    ids=["cosign 2", "cosign 3"],
)
def test_attestations_by_cosign_are_read(found: Attached) -> None:
    checked = VERIFIER.check_attached(found, "scan", {"release": (COSIGN / "cosign.pub").read_text()})
    assert (checked.keys, checked.payload_type) == (("release",), PAYLOAD_TYPE)
    statement = read_attestation(checked.payload, "scan")
    assert statement.predicate_type == SCAN
    assert statement.is_about(SIGNED_BY_COSIGN)
    assert not statement.is_about(Sha256.from_hex(IMAGE))
    assert not is_signature_of(checked.payload, checked.payload_type, SIGNED_BY_COSIGN, "x")
