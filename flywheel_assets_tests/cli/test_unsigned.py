"""A receipt that the forge signs: what `--unsigned` writes, put together and signed as those do who take it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets.domain.statements import PROVENANCE_V1, STATEMENT_TYPE
from flywheel_assets_tests.cli.machine import FLYWHEEL, STORE_PATH, Machine


@pytest.fixture
def unsigned(machine: Machine) -> Path:
    """The folder of a Bazel target's receipt, which has several subjects."""
    digest = {"hash": "a" * 64, "sizeBytes": "3", "hashFunctionName": "SHA-256"}
    outputs = [{"path": f"bin/{name}", "digest": {**digest, "hash": name * 64}} for name in "bac"]
    log = machine.folder / "log.json"
    log.write_text(json.dumps({"targetLabel": "//:a", "actualOutputs": outputs, "digest": digest}), encoding="utf-8")
    folder = machine.folder / "made" / "unsigned"
    arguments = ("receipt", "bazel", "//:a", "--log", str(log), *machine.options("--unsigned", str(folder)))
    # A key in the environment stays unused: nobody asked for it.
    assert machine.run(FLYWHEEL, *arguments, variables={"FLYWHEEL_SIGNING_KEY": "no key"}).stdout == ""
    return folder


def test_predicate_and_subjects_put_together_are_the_statement(unsigned: Path) -> None:
    lines = (unsigned / "subjects.sha256").read_text(encoding="utf-8").splitlines()
    together = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": line[66:], "digest": {"sha256": line[:64]}} for line in lines],
        "predicateType": PROVENANCE_V1,
        "predicate": json.loads((unsigned / "predicate.json").read_bytes()),
    }
    assert len(lines) == 3
    assert {line[64:66] for line in lines} == {"  "}
    assert together == json.loads((unsigned / "statement.json").read_bytes())
    # However it is spelled: the receipt is in it.
    found = read_statement(json.dumps(together, indent=4).encode(), "statement.json")
    assert isinstance(found, Receipt)
    assert found.output == "lamp"


@pytest.mark.parametrize("name", ["cosign", "cosign2"])
@pytest.mark.peer("cosign", "cosign2")
def test_cosign_makes_a_bundle_of_the_statement_that_the_inbox_takes(
    name: str, unsigned: Path, machine: Machine, peer_path: Callable[[str], Path]
) -> None:
    cosign, bundle = peer_path(name), machine.folder / "bundle.json"
    said = {"COSIGN_PASSWORD": ""}
    imported = ("import-key-pair", "--key", machine.key, "--output-key-prefix", machine.folder / "cosign")
    machine.run(cosign, *imported, variables=said)
    # By a key and without a log, for neither Fulcio nor Rekor can be had here; the statement is given as in the docs.
    offline = ("--key", machine.folder / "cosign.key", "--use-signing-config=false", "--tlog-upload=false")
    statement = ("--new-bundle-format", "--statement", unsigned / "statement.json")
    machine.run(cosign, "attest-blob", "--yes", *offline, *statement, "--bundle", bundle, variables=said)
    trusted = {"builder": key_file(machine.key).public_key}
    checked = SignatureVerifier().check(bundle.read_bytes(), "bundle.json", trusted)
    assert checked.keys == ("builder",)
    found = read_statement(checked.payload, "bundle.json")
    assert isinstance(found, Receipt)
    assert found.output == "lamp"


@pytest.mark.parametrize("more", [("--key", "builder.pem"), ("--to", "inbox")])
def test_unsigned_goes_with_neither_a_key_nor_an_inbox(machine: Machine, more: tuple[str, str]) -> None:
    arguments = ("receipt", "nix", STORE_PATH, *machine.options("--unsigned", "folder", *more))
    assert "neither --key nor --to" in machine.run(FLYWHEEL, *arguments, code=2).stderr
    assert not (machine.folder / "checkout" / "folder").exists()
