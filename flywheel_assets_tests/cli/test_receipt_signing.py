"""The private key of a receipt, and where the receipt goes: neither is told nor lost by a slip."""

import json
import shutil

import pytest

from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets_tests.cli.machine import FLYWHEEL, NIX, STORE_PATH, Machine


def refused(machine: Machine, *options: str) -> str:
    done = machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.options(*options), code=2)
    return done.stdout + done.stderr


@pytest.mark.parametrize("spelled", ["{}", " {}", "{}\n\0", "x.y\n{}"])
def test_a_key_that_is_given_as_the_name_of_its_file_is_not_repeated(machine: Machine, spelled: str) -> None:
    pem = machine.key.read_text(encoding="utf-8")
    body = "".join(pem.splitlines()[1:-1])
    for text in (pem, body, pem.replace("\n", " ")):
        said = refused(machine, "--key", spelled.replace("\0", "").format(text), "--to", str(machine.inbox))
        assert "FLYWHEEL_SIGNING_KEY a key itself" in said
        assert not any(part in said for part in (body[:16], body[-16:]))


def test_a_key_that_the_shell_took_apart_is_not_repeated(machine: Machine) -> None:
    pem = machine.key.read_text(encoding="utf-8")
    said = refused(machine, "--to", str(machine.inbox), "--key", *pem.split())
    assert not any(line in said for line in pem.splitlines()[1:-1])


def test_an_absent_file_of_a_key_is_named(machine: Machine) -> None:
    assert "no-such-key.pem cannot be read" in refused(machine, "--key", "no-such-key.pem")


def test_neither_git_nor_nix_sees_the_key(machine: Machine) -> None:
    seen = machine.folder / "seen"
    for name, does in (("git", f'exec {shutil.which("git")} "$@"'), ("nix", NIX)):
        program = machine.folder / "bin" / name
        program.write_text(f"#!/bin/sh\necho {name} >>{seen}; env >>{seen}\n{does}", encoding="utf-8")
        program.chmod(0o755)
    key = {"FLYWHEEL_SIGNING_KEY": machine.key.read_text(encoding="utf-8")}
    machine.run(
        FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.options("--to", str(machine.inbox)), variables=key
    )  # fmt: skip
    assert machine.receipt().artifact.name == STORE_PATH
    told = seen.read_text(encoding="utf-8")
    assert {"git", "nix"} <= set(told.splitlines())
    assert "PRIVATE KEY" not in told


def test_an_inbox_that_is_not_there_is_refused_and_not_made_a_file(machine: Machine) -> None:
    inbox = machine.folder / "elsewhere"
    said = refused(machine, "--key", str(machine.key), "--to", str(inbox))
    assert f"{inbox} is no folder. Make it" in said
    assert not inbox.exists()


def test_a_file_is_written_where_its_name_says_that_it_is_one(machine: Machine) -> None:
    folder = machine.folder / "one"
    folder.mkdir()
    options = machine.options("--key", str(machine.key), "--to", str(folder / "receipt.json"))
    machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *options)
    assert [path.name for path in folder.iterdir()] == ["receipt.json"]
    assert machine.receipt(folder).output == "lamp"


def test_a_receipt_that_intake_would_not_read_is_refused_where_it_is_made(machine: Machine) -> None:
    digest = {"hash": "a" * 64, "sizeBytes": "3", "hashFunctionName": "SHA-256"}
    path = "bin/" + "a" * 900
    many = DEFAULT_LIMITS.receipt_bytes // len(path)
    outputs = [{"path": f"{path}{number}", "digest": digest} for number in range(many)]
    log = machine.folder / "log.json"
    log.write_text(json.dumps({"targetLabel": "//:a", "actualOutputs": outputs, "digest": digest}), encoding="utf-8")
    done = machine.run(FLYWHEEL, "receipt", "bazel", "//:a", "--log", log, *machine.signed(), code=2)
    assert "bytes" in done.stderr
    assert list(machine.inbox.iterdir()) == []
