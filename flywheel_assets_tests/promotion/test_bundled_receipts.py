"""Receipts in Sigstore bundles: kept as they came, and worth what the catalogue says of the identity or key."""

import json
from base64 import b64decode
from typing import Any

import pytest

from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.envelopes import BUNDLE_V03
from flywheel_assets.domain.publications import Form
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import UNROUTED, take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets_tests.adapters.signatures.make_vectors import BUNDLES, TAMPERED
from flywheel_assets_tests.adapters.signatures.miniature import (
    FOREIGN,
    ISSUER,
    REPOSITORY,
    SUBJECT,
    Person,
    bundle,
    but,
    trusted_root,
)
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    Memory,
    a_signer,
    in_memory,
    promote_at_once,
    sample_catalogue,
    trusting,
)

RECEIPT = "14402201001-tide-clock.json"
OTHER = {"repository": REPOSITORY, "revision": "f" * 40}
STRANGER = "https://github.com/stranger/x/.github/workflows/x.yml@refs/heads/main"


def keyless() -> Catalogue:
    """The sample's catalogue, in which the builder signs keyless."""
    catalogue = sample_catalogue()
    changed = {"public_key": None, "issuer": ISSUER, "identity": SUBJECT}
    keys = {**catalogue.keys, "tinyland-nix": catalogue.keys["tinyland-nix"].model_copy(update=changed)}
    return catalogue.model_copy(update={"keys": keys, "trust_root": trusted_root()})


def delivered(document: bytes, catalogue: Catalogue) -> tuple[Memory, Flywheel]:
    memory = in_memory(RECEIPT)
    memory.inbox.documents = {"receipt.sigstore.json": document}
    flywheel = memory.but(catalogue=catalogue, verifier=SignatureVerifier(catalogue.trust_root))
    take_in(flywheel)
    return memory, flywheel


def statement() -> bytes:
    """What the sample's builder signed."""
    return b64decode(json.loads(in_memory(RECEIPT).inbox.documents[RECEIPT])["payload"])


def wrapped(who: Person | None = None, **changes: Any) -> dict[str, Any]:
    return {**bundle(statement(), who or but(**source())), **changes}


def source() -> dict[str, str]:
    """What the receipt says that it was built from."""
    said = json.loads(statement())["predicate"]["buildDefinition"]
    (built,) = (each for each in said["resolvedDependencies"] if each["name"] == "source")
    return {"repository": said["externalParameters"]["repository"], "revision": built["digest"]["gitCommit"]}


def test_a_keyless_receipt_is_evidence_as_it_came_and_is_published_as_provenance() -> None:
    document = json.dumps(wrapped(), indent=3).encode()
    memory, flywheel = delivered(document, keyless())
    assert builds_of(flywheel, "tide-clock") == [CLOCK]
    (attested,) = assemble(flywheel, "tide-clock", CLOCK).receipts
    assert attested.signatures.keys == ("tinyland-nix",)
    assert memory.evidence.get(attested.evidence) == document
    done = promote_at_once(flywheel, "tide-clock", CLOCK)
    assert done.publication.proofs[0] == EvidenceDigest.of(document)
    (held,) = memory.surfaces["durable-nix"].attached.values()
    assert (held["provenance"].data, held["provenance"].form) == (document, Form.BUNDLE)
    assert take_in(flywheel).total == 0


def test_a_receipt_bundled_by_a_key_is_that_keys() -> None:
    signer = a_signer("tinyland-nix")
    envelope = json.loads(signer.sign(statement(), "application/vnd.in-toto+json"))
    made = {"mediaType": BUNDLE_V03, "verificationMaterial": {"publicKey": {"hint": ""}}, "dsseEnvelope": envelope}
    _, flywheel = delivered(json.dumps(made).encode(), trusting("tinyland-nix", signer))
    assert judge(flywheel, "tide-clock", CLOCK).verdict.publishable


@pytest.mark.parametrize(
    ("who", "reason", "said"),
    [
        (but(subject=STRANGER), "key-untrusted", f"does not hold: {STRANGER} ({ISSUER})"),
        (but(issuer="https://gitlab.example"), "key-untrusted", f"does not hold: {SUBJECT} (https://gitlab.example)"),
        (but(**OTHER), "origin-contradicts-receipt", f"for a run of {REPOSITORY} at {'f' * 40}, and"),
        (but(issued_by=FOREIGN), "signature-invalid", "the signature by tinyland-nix does not verify"),
    ],
    ids=["another identity", "another issuer", "another source", "a foreign CA"],
)
def test_a_receipt_by_somebody_else_is_nobodys_word(who: Person, reason: str, said: str) -> None:
    _, flywheel = delivered(json.dumps(wrapped(who)).encode(), keyless())
    worst = judge(flywheel, "tide-clock", CLOCK).verdict.worst
    assert worst.reason == reason
    assert said in worst.message


def test_a_receipt_that_its_certificate_contradicts_says_nothing_against_the_true_one_that_comes_later() -> None:
    memory, flywheel = delivered(json.dumps(wrapped(but(**OTHER))).encode(), keyless())
    refused = judge(flywheel, "tide-clock", CLOCK)
    assert refused.verdict.worst.reason == "origin-contradicts-receipt"
    assert refused.recorded.vsa is None, "nothing is signed against an artifact on a liar's word"
    memory.inbox.documents["later.sigstore.json"] = json.dumps(wrapped()).encode()
    take_in(flywheel)
    assert judge(flywheel, "tide-clock", CLOCK).verdict.publishable


@pytest.mark.parametrize("harm", ["flipped-signature", "no-log-entry", "flipped-log-promise"])
def test_a_tampered_bundle_is_an_invalid_signature(harm: str) -> None:
    made = wrapped()
    TAMPERED[harm](made)
    _, flywheel = delivered(json.dumps(made).encode(), keyless())
    assert judge(flywheel, "tide-clock", CLOCK).verdict.worst.reason == "signature-invalid"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (BUNDLES["good-message"], "messageSignature: holds a signature, and no statement. Sign the statement itself"),
        (
            BUNDLES["good-workflow-provenance"],
            "buildType: 'https://actions.github.io/buildtypes/workflow/v1' is not known",
        ),
        (BUNDLES["good"], "predicateType: 'https://cosign.sigstore.dev/attestation/vuln/v1' is neither SLSA"),
        (wrapped(mediaType="application/json"), "mediaType: is no version of a Sigstore bundle that is known"),
    ],
    ids=["a bare signature", "a workflow's provenance", "a scan", "another media type"],
)
def test_a_bundle_that_wraps_no_receipt_is_a_dead_letter(made: dict[str, Any], reason: str) -> None:
    memory, _ = delivered(json.dumps(made).encode(), keyless())
    (letter,) = memory.evidence.entries(UNROUTED)
    assert letter.subject.startswith("receipt.sigstore.json: ")
    assert reason in letter.subject
