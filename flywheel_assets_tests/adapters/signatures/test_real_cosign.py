"""Real verifiers agree: cosign accepts the good vectors against the same trust root, and refuses the tampered ones."""

import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flywheel_assets.adapters.signatures.annotations import CERTIFICATE, LOG_ENTRY
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets_tests.adapters.signatures.make_vectors import IMAGE, MANIFEST, SCAN, VECTORS
from flywheel_assets_tests.adapters.signatures.miniature import (
    CA,
    CT_LOG,
    ISSUER,
    REKOR,
    ROOT_CA,
    SUBJECT,
    text,
)
from flywheel_assets_tests.peers import PeerPath

WHO = ("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER)
REFUSED = sorted(
    path.name.removesuffix(".bundle.json") for path in VECTORS.glob("*.bundle.json") if not path.name.startswith("good")
)
REFUSED_IMAGES = sorted(
    path.name.removesuffix(".image.json")
    for path in VECTORS.glob("*.image.json")
    if not path.name.startswith(("good", "no-certificate"))
)


def accepted(program: Path, home: Path, *arguments: str | Path, **environment: str) -> bool:
    done = subprocess.run(
        [program, *arguments], env={"HOME": str(home), **environment}, check=False, capture_output=True, text=True
    )
    assert "unknown flag" not in done.stderr
    assert done.returncode == 0 or done.stderr.startswith(("Error", "WARNING")), done.stderr
    return done.returncode == 0


def cosign_takes_attestation(program: Path, home: Path, name: str) -> bool:
    root = VECTORS / "trusted_root.json"
    subject = ("--digest", IMAGE, "--digestAlg", "sha256", "--type", SCAN)
    bundle = VECTORS / f"{name}.bundle.json"
    arguments = ("verify-blob-attestation", "--bundle", bundle, "--trusted-root", root, *WHO, *subject)
    return accepted(program, home, *arguments)


@pytest.mark.peer("cosign")
def test_cosign_accepts_the_good_bundles(peer_path: PeerPath, tmp_path: Path) -> None:
    assert cosign_takes_attestation(peer_path("cosign"), tmp_path, "good")
    manifest = tmp_path / "manifest"
    manifest.write_bytes(MANIFEST)
    bundle, root = VECTORS / "good-message.bundle.json", VECTORS / "trusted_root.json"
    arguments = ("verify-blob", "--bundle", bundle, "--trusted-root", root, *WHO, manifest)
    assert accepted(peer_path("cosign"), tmp_path, *arguments)


@pytest.mark.peer("cosign")
@pytest.mark.parametrize("name", REFUSED)
def test_cosign_refuses_the_tampered_bundles_as_this_project_does(
    name: str, peer_path: PeerPath, tmp_path: Path
) -> None:
    assert not cosign_takes_attestation(peer_path("cosign"), tmp_path, name)


def cosign_takes_image_signature(program: Path, home: Path, name: str) -> bool:
    """As a blob: what is signed, and how, is the same for an image."""
    attached = json.loads((VECTORS / f"{name}.image.json").read_bytes())
    beside = attached["annotations"]
    payload, bundle = home / "payload", home / "bundle"
    payload.write_text(attached["data"])
    entry = json.loads(beside[LOG_ENTRY]) if LOG_ENTRY in beside else None
    kept = {
        "base64Signature": beside[COSIGN_SIGNATURE],
        "cert": text(beside[CERTIFICATE].encode()),
        "rekorBundle": entry,
    }
    bundle.write_text(json.dumps(kept))
    trust = {"SIGSTORE_ROOT_FILE": "ca.pem", "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": "ct.pub"}
    trust |= {"SIGSTORE_REKOR_PUBLIC_KEY": "rekor.pub"}
    (home / "ca.pem").write_bytes(b"".join(map(_pem, (CA, ROOT_CA))))
    for file, private in (("ct.pub", CT_LOG), ("rekor.pub", REKOR)):
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (home / file).write_bytes(public)
    environment = {variable: str(home / file) for variable, file in trust.items()}
    return accepted(program, home, "verify-blob", "--offline", "--bundle", bundle, *WHO, payload, **environment)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@pytest.mark.peer("cosign2")
def test_cosign_accepts_the_good_image_signature(peer_path: PeerPath, tmp_path: Path) -> None:
    assert cosign_takes_image_signature(peer_path("cosign2"), tmp_path, "good")


@pytest.mark.peer("cosign2")
@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_cosign_refuses_the_tampered_image_signatures_as_this_project_does(
    name: str, peer_path: PeerPath, tmp_path: Path
) -> None:
    assert not cosign_takes_image_signature(peer_path("cosign2"), tmp_path, name)
