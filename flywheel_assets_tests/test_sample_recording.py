"""Holds the recorded sample to what the embedded run relies on, whoever recorded it, whenever."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

import flywheel_assets
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.receipts import Receipt, TestOutcome, read_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.domain.untrusted import parse_json

SAMPLE = Path(flywheel_assets.__file__).parent / "sample"
TRUNCATED = "truncated-receipt.json"
SCAN = "14402201902-trivy-scan.json"
UNSIGNED = "14402201007-tide-clock.json"
SIGNED_BY_A_STRANGER = "14402201008-tide-clock.json"
ENVELOPES = sorted(path.name for path in (SAMPLE / "inbox").glob("*.json") if path.name != TRUNCATED)
RECEIPTS = [name for name in ENVELOPES if name != SCAN]
SEED = 32
# A raw key or a pair of seed and public half, in base64 or hex.
KEY_LIKE = re.compile(rb"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==|[0-9a-f]{64})(?![A-Za-z0-9+/=])")


def envelope(name: str) -> Envelope:
    return Envelope.from_dict(json.loads((SAMPLE / "inbox" / name).read_bytes()))


def public_keys(sample: Path = SAMPLE) -> dict[str, SSlibKey]:
    found = (path for path in (sample / "keys").glob("*.pub") if not path.name.endswith(".nix.pub"))
    return {path.stem: SSlibKey.from_crypto(load_pem_public_key(path.read_bytes())) for path in found}


def files(sample: Path = SAMPLE) -> list[Path]:
    return [path for path in sample.rglob("*") if path.is_file()]


def seeds(body: bytes) -> Iterator[bytes]:
    for token in KEY_LIKE.findall(body):
        if re.fullmatch(rb"[0-9a-f]{64}", token):
            yield bytes.fromhex(token.decode())
        else:
            yield base64.b64decode(token)[:SEED]


def private_keys(sample: Path) -> set[str]:
    """Files with a private key in PEM, or with the seed of a key whose public half is in the sample."""
    known = {
        load_pem_public_key(path.read_bytes()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)[-SEED:]
        for path in (sample / "keys").glob("*.pub")
        if not path.name.endswith(".nix.pub")
    }
    cache_key = (sample / "keys" / "attic-main.nix.pub").read_text(encoding="utf-8").strip()
    known.add(base64.b64decode(cache_key.split(":", 1)[1]))
    found = set()
    for path in files(sample):
        body = path.read_bytes()
        publics = {
            Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            for seed in seeds(body)
        }
        if b"PRIVATE KEY" in body or publics & known:
            found.add(path.name)
    return found


def test_the_sample_is_small() -> None:
    assert 0 < sum(path.stat().st_size for path in files()) < 3_000_000


def test_the_sample_holds_plain_files_only() -> None:
    assert [path for path in SAMPLE.rglob("*") if path.is_symlink()] == []


def test_the_inbox_holds_every_case_once() -> None:
    runs = [name.split("-", 1)[0] for name in RECEIPTS]
    assert len(runs) == len(set(runs)) == 24


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_receipt_can_be_read_and_is_named_for_its_run_and_output(name: str) -> None:
    sealed = envelope(name)
    receipt = read_statement(sealed.payload, name)
    assert sealed.payload_type == PAYLOAD_TYPE
    assert isinstance(receipt, Receipt)
    assert name == f"{receipt.run.key.run}-{receipt.output}.json"


@pytest.mark.parametrize("name", RECEIPTS)
def test_what_a_receipt_tells_happened_in_order(name: str) -> None:
    receipt = read_statement(envelope(name).payload, name)
    assert isinstance(receipt, Receipt)
    run = receipt.run
    assert run.source.committed_at is not None
    assert run.source.committed_at < run.started_at < run.finished_at
    assert run.bootstrap is None or run.started_at < run.bootstrap.finished_at < run.finished_at


def test_the_scan_is_of_the_published_image() -> None:
    outcome = read_statement(envelope(SCAN).payload, SCAN)
    image = read_statement(envelope("14402201902-runner-dashboard-image.json").payload, "image")
    assert isinstance(outcome, TestOutcome)
    assert isinstance(image, Receipt)
    assert [str(subject) for subject in outcome.subjects] == [str(image.artifact.digest)]


@pytest.mark.parametrize("name", [name for name in ENVELOPES if name not in {UNSIGNED, SIGNED_BY_A_STRANGER}])
def test_an_envelope_is_signed_by_the_key_of_its_builder_or_workflow(name: str) -> None:
    read = read_statement(envelope(name).payload, name)
    builder = read.run.builder if isinstance(read, Receipt) else ""
    signer = "image-workflow" if name.startswith("14402201902-") else builder
    keys = public_keys()
    assert set(envelope(name).verify([keys[signer]], 1)) == {keys[signer].keyid}


@pytest.mark.parametrize(("name", "signatures"), [(UNSIGNED, 0), (SIGNED_BY_A_STRANGER, 1)])
def test_no_key_of_the_sample_signed_these(name: str, signatures: int) -> None:
    sealed = envelope(name)
    assert len(sealed.signatures) == signatures
    with pytest.raises(VerificationError):
        sealed.verify(list(public_keys().values()), 1)


def test_a_receipt_that_was_cut_cannot_be_read() -> None:
    with pytest.raises(InvalidInputError):
        parse_json((SAMPLE / "inbox" / TRUNCATED).read_bytes(), TRUNCATED)


def test_no_private_key_lies_in_the_sample() -> None:
    assert private_keys(SAMPLE) == set()


@pytest.mark.parametrize("spelling", ["PEM", "hex", "base64", "a Nix secret key"])
def test_a_private_key_that_was_left_behind_is_found(tmp_path: Path, spelling: str) -> None:
    sample = tmp_path / "sample"
    shutil.copytree(SAMPLE / "keys", sample / "keys")
    key = Ed25519PrivateKey.generate()
    seed, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (sample / "keys" / "tinyland-nix.pub").write_bytes(pem)
    spelled = {
        "PEM": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "hex": seed.hex().encode(),
        "base64": b"key: " + base64.b64encode(seed),
        "a Nix secret key": b"attic-main:" + base64.b64encode(seed + public),
    }
    (sample / "left-behind").write_bytes(spelled[spelling])
    assert private_keys(sample) == {"left-behind"}
