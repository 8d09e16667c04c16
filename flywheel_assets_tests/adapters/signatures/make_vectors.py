"""Writes vectors/sigstore: bundles and image signatures as a Sigstore in miniature makes them, and tampered ones.

Run from the checkout: `.venv/bin/python -m flywheel_assets_tests.adapters.signatures.make_vectors`. Equal bytes come
out each time. What is good here is accepted by cosign too (test_real_cosign.py).
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.signatures.annotations import CERTIFICATE, LOG_ENTRY
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets_tests.adapters.signatures.miniature import (
    FOREIGN,
    REPOSITORY,
    REVISION,
    SIGNED_AT,
    Json,
    attestation_annotations,
    bundle,
    but,
    envelope_of,
    message_bundle,
    signature_annotations,
    simple_signing,
    text,
    trusted_root,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "sigstore"
IMAGE = "5f" * 32
SCAN = "https://cosign.sigstore.dev/attestation/vuln/v1"
LATER = SIGNED_AT + timedelta(hours=1)


def statement(predicate_type: str, predicate: Json, digest: str = IMAGE) -> bytes:
    subject = [{"name": "registry.example/example/dashboard", "digest": {"sha256": digest}}]
    said = {"_type": "https://in-toto.io/Statement/v1", "subject": subject}
    return json.dumps({**said, "predicateType": predicate_type, "predicate": predicate}).encode()


def workflow_provenance(digest: str = IMAGE) -> bytes:
    """Provenance as GitHub's own action attests it."""
    workflow = {"ref": "refs/heads/main", "repository": REPOSITORY, "path": ".github/workflows/publish.yml"}
    definition = {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {"workflow": workflow},
        "resolvedDependencies": [
            {"uri": f"git+{REPOSITORY}@refs/heads/main", "digest": {"gitCommit": REVISION}},
        ],
    }
    details = {"builder": {"id": f"{REPOSITORY}/.github/workflows/publish.yml@refs/heads/main"}}
    return statement("https://slsa.dev/provenance/v1", {"buildDefinition": definition, "runDetails": details}, digest)


MANIFEST = b"an image's manifest\n"
SCANNED = statement(SCAN, {"scanner": {"result": None}})
SIGNED = simple_signing(f"sha256:{IMAGE}")


def flipped(data: str, at: int = -6) -> str:
    """Base64 of the same bytes but for one bit."""
    raw = bytearray(b64decode(data))
    raw[at] ^= 1
    return text(bytes(raw))


def _flip(*path: str | int, at: int = -6) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = flipped(document[last], at)

    return change


def _drop(*path: str | int) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = path
        for step in way:
            document = document[step]
        del document[last]

    return change


ENTRY = ("verificationMaterial", "tlogEntries", 0)
TAMPERED: dict[str, Callable[[Json], None]] = {
    "flipped-payload": _flip("dsseEnvelope", "payload"),
    "flipped-signature": _flip("dsseEnvelope", "signatures", 0, "sig", at=-1),
    "flipped-certificate": _flip("verificationMaterial", "certificate", "rawBytes", at=-1),
    "flipped-log-entry": _flip(*ENTRY, "canonicalizedBody"),
    "flipped-inclusion-proof": _flip(*ENTRY, "inclusionProof", "hashes", 0),
    "flipped-log-promise": _flip(*ENTRY, "inclusionPromise", "signedEntryTimestamp", at=-1),
    "no-log-entry": _drop(*ENTRY),
    "no-log-promise": _drop(*ENTRY, "inclusionPromise"),
    "no-inclusion-proof": _drop(*ENTRY, "inclusionProof"),
}
BUNDLES: dict[str, Json] = {
    "good": bundle(SCANNED),
    "good-workflow-provenance": bundle(workflow_provenance()),
    "good-message": message_bundle(hashlib.sha256(MANIFEST).digest()),
    "other-issuer": bundle(SCANNED, but(issuer="https://gitlab.example")),
    "other-identity": bundle(SCANNED, but(subject="https://github.com/stranger/tools/.github/workflows/p.yml@main")),
    "foreign-ca": bundle(SCANNED, but(issued_by=FOREIGN)),
    "foreign-certificate-log": bundle(SCANNED, but(logged_by=FOREIGN)),
    "certificate-expired-when-signed": bundle(SCANNED, at=LATER),
    "certificate-not-valid-yet-when-signed": bundle(SCANNED, but(issued_at=LATER)),
}


def bundles() -> dict[str, Json]:
    """Every bundle by its file's name."""
    found = {name: json.loads(json.dumps(made)) for name, made in BUNDLES.items()}
    for name, tamper in TAMPERED.items():
        found[name] = json.loads(json.dumps(BUNDLES["good"]))
        tamper(found[name])
    return found


def image_signatures() -> dict[str, Json]:
    """Cosign's first formats by their files' names: data, form and annotations."""
    good, envelope = signature_annotations(SIGNED), envelope_of(SCANNED)
    entry = json.loads(good[LOG_ENTRY])
    promise = {**entry, "SignedEntryTimestamp": flipped(entry["SignedEntryTimestamp"], at=-1)}
    moved = {**entry, "Payload": {**entry["Payload"], "integratedTime": entry["Payload"]["integratedTime"] + 60}}
    annotations = {
        "good": good,
        "other-issuer": signature_annotations(SIGNED, but(issuer="https://gitlab.example")),
        "foreign-ca": signature_annotations(SIGNED, but(issued_by=FOREIGN)),
        "certificate-expired-when-signed": signature_annotations(SIGNED, at=LATER),
        "flipped-signature": {**good, COSIGN_SIGNATURE: flipped(good[COSIGN_SIGNATURE], at=-1)},
        "flipped-log-promise": {**good, LOG_ENTRY: json.dumps(promise)},
        "moved-in-time": {**good, LOG_ENTRY: json.dumps(moved)},
        "entry-of-another": {**good, LOG_ENTRY: signature_annotations(b"another")[LOG_ENTRY]},
        "no-log-entry": {name: value for name, value in good.items() if name != LOG_ENTRY},
        "no-certificate": {name: value for name, value in good.items() if name != CERTIFICATE},
    }
    made = {name: _attached(SIGNED.decode(), "simple-signing", beside) for name, beside in annotations.items()}
    made["flipped-payload"] = _attached(SIGNED.decode().replace("dashboard", "dashboarD"), "simple-signing", good)
    made["good-attestation"] = _attached(json.dumps(envelope), "dsse", attestation_annotations(envelope, SCANNED))
    return made


def _attached(data: str, form: str, annotations: dict[str, str]) -> Json:
    return {"data": data, "form": form, "annotations": annotations}


def files() -> dict[str, str]:
    """What lies in the folder."""
    found = {f"{name}.bundle.json": json.dumps(made, indent=1) + "\n" for name, made in bundles().items()}
    found |= {f"{name}.image.json": json.dumps(made, indent=1) + "\n" for name, made in image_signatures().items()}
    return {**found, "trusted_root.json": trusted_root()}


if __name__ == "__main__":
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (VECTORS / name).write_text(content, "utf-8")
