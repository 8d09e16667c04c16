"""Where a receipt's source comes from: Git, or what was said of it before."""

import json
from pathlib import Path

import pytest

from flywheel_assets_tests.cli.machine import FLYWHEEL, REPOSITORY, STORE_PATH, Machine

RUN = (
    *("--run", "7", "--event", "push", "--actor", "ada", "--repository", REPOSITORY, "--ref", "refs/heads/main"),
)  # fmt: skip


def told(machine: Machine, *more: str) -> dict[str, object]:
    options: dict[str, object] = json.loads(machine.run(FLYWHEEL, "receipt", "run", *RUN, *more).stdout)
    return options


def test_what_a_job_wrote_down_makes_the_same_receipt_as_its_checkout_does(machine: Machine) -> None:
    options = told(machine)
    assert {
        "run": "7",
        "attempt": 1,
        "actor": "ada",
        "ref": "refs/heads/main",
        "clean": True,
    }.items() <= options.items()
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    written = []
    for source in (RUN, [*arguments, "--source", str(machine.folder / "no-checkout")]):
        ends = ("--output", "lamp", "--builder", "example-nix", "--key", str(machine.key), "--to", str(machine.inbox))
        machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *source, *ends)
        written.append(machine.receipt().run.source)
    assert written[0] == written[1]


def test_a_dirty_checkout_is_written_down_as_dirty(machine: Machine) -> None:
    (machine.folder / "checkout" / "new").touch()
    options = told(machine)
    assert options["dirty"] is True
    assert "clean" not in options


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--revision", "0" * 40), "say --clean or --dirty"),
        (("--revision", "main", "--clean"), "takes a whole commit id"),
        (("--revision", "0" * 40, "--clean", "--committed", "yesterday"), "committed_at"),
    ],
)
def test_a_revision_that_is_said_by_halves_is_refused(machine: Machine, more: tuple[str, ...], sentence: str) -> None:
    assert sentence in machine.run(FLYWHEEL, "receipt", "run", *RUN, *more, code=2).stderr
    assert sentence in machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.signed(*more), code=2).stderr


def test_a_lock_file_is_looked_for_in_the_checkout(machine: Machine, tmp_path: Path) -> None:
    checkout = machine.folder / "checkout"
    (checkout / "flake.lock").write_text("{}", encoding="utf-8")
    elsewhere = machine.options("--source", str(checkout), "--lock", "flake.lock", "--unsigned", str(tmp_path / "out"))
    machine.run("sh", "-c", 'cd / && exec "$@"', "sh", FLYWHEEL, "receipt", "nix", STORE_PATH, *elsewhere)
    assert b'"lock:flake.lock"' in (tmp_path / "out" / "statement.json").read_bytes()
