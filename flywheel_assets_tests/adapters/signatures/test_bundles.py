"""Sigstore bundles: whom the catalogue names and the trust root vouches for has signed it, and nobody else has."""

import json
import socket
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UsageError
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.statements import MESSAGE_DIGEST, PAYLOAD_TYPE
from flywheel_assets.ports import Checked, Identity, Trusted
from flywheel_assets_tests.adapters.signatures.make_vectors import (
    MANIFEST,
    SCANNED,
    VECTORS,
    files,
    flipped,
    workflow_provenance,
)
from flywheel_assets_tests.adapters.signatures.miniature import (
    ISSUER,
    REPOSITORY,
    REVISION,
    SUBJECT,
    WHO,
    Person,
    a_signer,
    bundle,
    but,
    text,
    trusted_root,
)

TRUSTED: dict[str, Trusted] = {"workflow": WHO}
GOOD: dict[str, Any] = json.loads((VECTORS / "good.bundle.json").read_bytes())


@pytest.fixture(scope="module")
def verifier() -> SignatureVerifier:
    return SignatureVerifier((VECTORS / "trusted_root.json").read_text())


def vector(name: str) -> Attached:
    return Attached(data=(VECTORS / f"{name}.bundle.json").read_bytes(), form=Form.BUNDLE)


def test_the_vectors_are_what_the_script_makes() -> None:
    assert {path.name: path.read_text() for path in VECTORS.glob("*.json")} == files()


def test_a_keyless_bundle_is_signed_by_the_identity_that_the_catalogue_names(verifier: SignatureVerifier) -> None:
    found = verifier.check(vector("good").data, "scan", TRUSTED)
    assert found == Checked(SCANNED, PAYLOAD_TYPE, ("workflow",), (), (), origin=Origin(REPOSITORY, REVISION))
    assert verifier.check_attached(vector("good"), "scan", TRUSTED) == found


def test_every_name_of_one_identity_signed_it_and_keys_did_not(verifier: SignatureVerifier) -> None:
    offered: dict[str, Trusted] = {"a": WHO, "key": a_signer("builder").public_key, "b": WHO}
    assert verifier.check(vector("good").data, "scan", offered).keys == ("a", "b")


INVALID = {
    "flipped-payload": "DSSE: invalid signature",
    "flipped-signature": "DSSE: invalid signature",
    "flipped-certificate": "failed to build timestamp certificate chain: validation failed: candidates exhausted: "
    "signature does not match",
    "flipped-log-entry": "invalid log entry: inclusion proof contains invalid root hash",
    "flipped-inclusion-proof": "invalid log entry: inclusion proof contains invalid root hash",
    "flipped-log-promise": "invalid log entry: SET: invalid inclusion promise: keyring: invalid signature",
    "no-log-entry": "expected exactly one log entry in bundle",
    "no-log-promise": "bundle must contain an inclusion promise or signed timestamp(s)",
    "no-inclusion-proof": "failed to load bundle: 1 validation error for Bundle",
    "foreign-ca": "failed to build timestamp certificate chain: validation failed: candidates exhausted: "
    "signature does not match",
    "foreign-certificate-log": "failed to verify SCT on signing certificate: SCT verify failed: "
    "keyring: invalid signature",
    "certificate-expired-when-signed": "failed to build timestamp certificate chain: validation failed: "
    "cert is not valid at validation time (encountered processing <Certificate(subject=<Name()>, ...)>)",
    "certificate-not-valid-yet-when-signed": "failed to build timestamp certificate chain: validation failed: "
    "cert is not valid at validation time (encountered processing <Certificate(subject=<Name()>, ...)>)",
}


@pytest.mark.parametrize("name", INVALID)
def test_what_claims_an_identity_and_does_not_verify_says_why(name: str, verifier: SignatureVerifier) -> None:
    found = verifier.check(vector(name).data, "scan", TRUSTED)
    assert (found.keys, found.invalid, found.unknown, found.origin) == ((), ("workflow",), (), None)
    assert found.problems == (f"scan is not signed by workflow: {INVALID[name]}",)


@pytest.mark.parametrize(
    ("name", "stranger"),
    [
        ("other-issuer", f"{SUBJECT} (https://gitlab.example)"),
        ("other-identity", f"https://github.com/stranger/tools/.github/workflows/p.yml@main ({ISSUER})"),
    ],
)
def test_another_identity_and_the_same_one_by_another_issuer_are_strangers(
    name: str, stranger: str, verifier: SignatureVerifier
) -> None:
    found = verifier.check(vector(name).data, "scan", TRUSTED)
    assert (found.keys, found.invalid, found.unknown) == ((), (), (stranger,))


@pytest.mark.parametrize(
    "near", [SUBJECT[:-1], SUBJECT + "x", SUBJECT.upper(), f" {SUBJECT}", SUBJECT.replace("publish", ".*")]
)
def test_an_identity_is_compared_whole(near: str, verifier: SignatureVerifier) -> None:
    assert verifier.check(vector("good").data, "scan", {"near": Identity(ISSUER, near)}).keys == ()


REUSABLE = "https://github.com/example/shared/.github/workflows/publish.yml@refs/heads/main"


@pytest.mark.parametrize(
    ("repositories", "signed"),
    [((), False), ((REPOSITORY,), True), (("https://github.com/example/too",), False)],
    ids=["none", "the caller's", "another"],
)
def test_a_reusable_workflow_signs_only_for_the_repositories_that_it_may_speak_for(
    repositories: tuple[str, ...], signed: bool, verifier: SignatureVerifier
) -> None:
    """Whoever calls it gets the same identity: what it signs for a stranger must not pass for ours."""
    made = json.dumps(bundle(SCANNED, but(subject=REUSABLE))).encode()
    found = verifier.check(made, "scan", {"shared": Identity(ISSUER, REUSABLE, repositories)})
    assert (found.keys, found.invalid) == ((("shared",), ()) if signed else ((), ("shared",)))
    why = f"it was signed for the source repository {REPOSITORY}, which is not among its repositories"
    assert found.problems == (() if signed else (f"scan is not signed by shared: {why}",))


def test_a_bundle_that_the_vectors_did_not_cover_is_still_verified_by_the_trust_root_of_today() -> None:
    other = json.loads(trusted_root())
    other["tlogs"][0]["publicKey"]["rawBytes"] = other["ctlogs"][0]["publicKey"]["rawBytes"]
    found = SignatureVerifier(json.dumps(other)).check(vector("good").data, "scan", TRUSTED)
    assert found.invalid == ("workflow",)
    assert "checkpoint: invalid signature" in found.problems[0]


def test_without_a_trust_root_nothing_keyless_is_signed() -> None:
    found = SignatureVerifier().check(vector("good").data, "scan", TRUSTED)
    assert found.invalid == ("workflow",)
    assert found.problems == ("scan is not signed by workflow: no trust root is given to verify it against",)


@pytest.mark.parametrize(
    "root", ["", "{}", "[]", "nonsense", trusted_root().replace("0.1", "9"), trusted_root().replace("tlogs", "logs")]
)
def test_a_trust_root_that_is_none_is_a_usage_error(root: str) -> None:
    with pytest.raises(UsageError, match=r"^The trust root cannot be used, it is no Sigstore trusted root: ."):
        SignatureVerifier(root).check(vector("good").data, "scan", TRUSTED)


def test_verifying_asks_nobody(verifier: SignatureVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    fresh = SignatureVerifier(trusted_root())
    assert fresh.check(vector("good").data, "scan", TRUSTED).keys == ("workflow",)


def test_the_library_is_imported_only_for_an_identity_that_is_trusted() -> None:
    """It costs most of a second, and strangers shall not cause it."""
    code = (
        "import sys; from pathlib import Path; from flywheel_assets.adapters.signatures.verifier import *\n"
        f"data = Path({str(VECTORS / 'good.bundle.json')!r}).read_bytes()\n"
        "print(SignatureVerifier('{}').check(data, 'x', {}).unknown != (), 'sigstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]


# By keys


def by_key(signer: DsseSigner, payload: bytes = SCANNED) -> dict[str, Any]:
    material = {"publicKey": {"hint": signer.keyid}}
    envelope = json.loads(signer.sign(payload, PAYLOAD_TYPE))
    return {"mediaType": GOOD["mediaType"], "verificationMaterial": material, "dsseEnvelope": envelope}


def attached(made: dict[str, Any]) -> Attached:
    return Attached(data=json.dumps(made).encode(), form=Form.BUNDLE)


def test_a_bundle_by_a_key_is_signed_by_that_key_alone(verifier: SignatureVerifier) -> None:
    signer, other = a_signer("release"), a_signer("stranger")
    data = attached(by_key(signer)).data
    assert verifier.check(data, "x", {"release": signer.public_key, "workflow": WHO}).keys == ("release",)
    assert verifier.check(data, "x", {"other": other.public_key}).unknown == (signer.keyid,)


def test_a_signature_without_its_message_is_verified_over_the_digest(verifier: SignatureVerifier) -> None:
    found = verifier.check_attached(vector("good-message"), "signature", TRUSTED)
    digest = sha256(MANIFEST).digest()
    assert (found.keys, found.payload, found.payload_type) == (("workflow",), digest, MESSAGE_DIGEST)
    signer = a_signer("release")
    made = json.loads(vector("good-message").data)
    made["verificationMaterial"] = {"publicKey": {"hint": ""}}
    made["messageSignature"]["signature"] = b64encode(signer.sign_bytes(MANIFEST)).decode()
    offered = {"release": signer.public_key, "other": a_signer("other").public_key}
    assert verifier.check_attached(attached(made), "signature", offered).keys == ("release",)
    made["messageSignature"]["messageDigest"]["digest"] = flipped(text(digest))
    assert verifier.check_attached(attached(made), "signature", offered).keys == ()


@pytest.mark.parametrize(
    "hidden",
    [{"verification_material", "dsse_envelope"}, {"verification_material"}, {"dsse_envelope"}],
    ids=lambda v: "-".join(sorted(v)),
)
def test_a_bundle_that_says_two_things_under_two_spellings_is_not_signed(
    hidden: set[str], verifier: SignatureVerifier
) -> None:
    """The library reads the models' own field names too: what it verifies must be what was read here."""
    other = bundle(b"forged", but(subject="https://github.com/stranger/x/.github/workflows/x.yml@main"))
    parts = {"verification_material": "verificationMaterial", "dsse_envelope": "dsseEnvelope"}
    for shown, concealed in ((GOOD, other), (other, GOOD)):
        smuggled = {name: concealed[parts[name]] for name in hidden}
        for made in ({**shown, **smuggled}, {**smuggled, **shown}):
            assert verifier.check(json.dumps(made).encode(), "x", TRUSTED).keys == ()


def test_where_a_statement_is_wanted_a_bare_signature_is_none(verifier: SignatureVerifier) -> None:
    with pytest.raises(InvalidInputError, match=r"^x: messageSignature: holds a signature, and no statement\."):
        verifier.check(vector("good-message").data, "x", TRUSTED)


# What is no bundle


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mediaType": "application/vnd.dev.sigstore.bundle.v9+json"}, "mediaType"),
        ({"mediaType": 7}, "mediaType"),
        ({"verificationMaterial": None}, "verificationMaterial"),
        ({"verificationMaterial": {}}, "verificationMaterial"),
        (
            {"verificationMaterial": {**GOOD["verificationMaterial"], "publicKey": {"hint": "x"}}},
            "verificationMaterial",
        ),
        ({"verificationMaterial": {"certificate": {"rawBytes": "%"}}}, "certificate.rawBytes"),
        ({"verificationMaterial": {"certificate": {"rawBytes": "AAAA"}}}, "certificate"),
        ({"verificationMaterial": {"x509CertificateChain": {"certificates": []}}}, "x509CertificateChain"),
        ({"dsseEnvelope": None}, "$"),
        ({"messageSignature": {}}, "$"),
        ({"dsseEnvelope": []}, "dsseEnvelope"),
        ({"dsseEnvelope": {**GOOD["dsseEnvelope"], "payload": "%"}}, "payload"),
        ({"dsseEnvelope": {**GOOD["dsseEnvelope"], "payloadType": "\ud800"}}, "payloadType"),
        (
            {"dsseEnvelope": None, "messageSignature": {"messageDigest": {"algorithm": "MD5"}}},
            "messageDigest.algorithm",
        ),
        (
            {"dsseEnvelope": None, "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}}},
            "messageDigest.digest",
        ),
    ],
)
def test_what_is_no_bundle_is_named_by_document_and_field(
    change: dict[str, Any], field: str, verifier: SignatureVerifier
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        verifier.check_attached(attached({**GOOD, **change}), "proof 3", TRUSTED)
    assert (refused.value.document, refused.value.field) == ("proof 3", field)


@pytest.mark.parametrize("who", [but(subject="\x00"), but(issuer=""), but(issuer="https://\x1b[31m")])
def test_a_stranger_whatever_the_name_is_printable(who: Person, verifier: SignatureVerifier) -> None:
    found = verifier.check(json.dumps(bundle(SCANNED, who)).encode(), "x", TRUSTED)
    assert (found.keys, found.invalid) == ((), ())
    assert found.unknown[0].isprintable()


@pytest.mark.parametrize(
    "who",
    [but(issuer_v2="https://other.example"), but(more_subjects=("https://other.example",))],
    ids=["two issuers", "two subjects"],
)
def test_a_certificate_that_names_two_signers_speaks_for_nobody(who: Person, verifier: SignatureVerifier) -> None:
    with pytest.raises(InvalidInputError, match=r"^x: certificate: does not name one issuer and one identity\."):
        verifier.check(json.dumps(bundle(SCANNED, who)).encode(), "x", TRUSTED)


def test_a_bundle_over_the_limits_is_refused() -> None:
    small = Limits(receipt_bytes=100, signature_material_bytes=100)
    with pytest.raises(LimitExceededError):
        SignatureVerifier(limits=small).check(vector("good").data, "x", {})


def test_a_workflows_own_provenance_opens_with_the_source_that_its_certificate_names(
    verifier: SignatureVerifier,
) -> None:
    found = verifier.check(vector("good-workflow-provenance").data, "x", TRUSTED)
    assert (found.payload, found.origin) == (workflow_provenance(), Origin(REPOSITORY, REVISION))


def test_the_ref_and_the_run_that_a_certificate_names_are_read_where_it_names_them(verifier: SignatureVerifier) -> None:
    named = {"ref": "refs/heads/main", "invocation": f"{REPOSITORY}/actions/runs/7/attempts/2"}
    found = verifier.check(json.dumps(bundle(SCANNED, but(**named))).encode(), "x", TRUSTED)
    assert found.origin == Origin(REPOSITORY, REVISION, **named)
