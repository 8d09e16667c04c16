"""Where a receipt's source comes from: Git, or what was said of it before."""

import json
from pathlib import Path

import pytest

from flywheel_assets.cli.hooks import RUN_NAMES
from flywheel_assets.cli.receipts import receipt
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.platform_runs import EVENTS
from flywheel_assets.domain.triggers import OTHER, OTHERS, TRIGGERS
from flywheel_assets_tests.cli.machine import FLYWHEEL, REPOSITORY, STORE_PATH, Machine

RUN = (
    *("--run", "7", "--event", "push", "--actor", "ada", "--repository", REPOSITORY, "--ref", "refs/heads/main"),
)  # fmt: skip


def told(machine: Machine, *more: str) -> dict[str, object]:
    options: dict[str, object] = json.loads(machine.run(FLYWHEEL, "receipt", "run", *RUN, *more).stdout)
    return options


def test_what_a_job_wrote_down_makes_the_same_receipt_as_its_checkout_does(machine: Machine) -> None:
    options = told(machine, "--job", "9", "--runner", "shelf-3")
    assert options.keys() <= RUN_NAMES
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


def test_whoever_makes_a_receipt_of_a_dirty_checkout_is_told_at_once(machine: Machine) -> None:
    assert machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.signed()).stderr == ""
    (machine.folder / "checkout" / "result").touch()
    said = machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.signed()).stderr
    assert "the checkout is dirty" in said
    assert machine.receipt().run.source.dirty


@pytest.mark.parametrize("event", sorted({*TRIGGERS, *OTHERS}))
def test_an_event_is_the_same_to_the_command_and_to_what_reads_forges(event: str) -> None:
    (option,) = [each for each in receipt.commands["run"].params if each.name == "event"]
    assert option.type.convert(event, option, None) == event
    assert EVENTS.get(event, TriggerEvent.MANUAL) is TriggerEvent(TRIGGERS.get(event, OTHER))
    assert (event in EVENTS) is (event in TRIGGERS)


def test_a_word_that_no_forge_uses_is_no_event(machine: Machine) -> None:
    arguments = [text if text != "push" else "pullrequest" for text in machine.signed()]
    assert "pullrequest" in machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *arguments, code=2).stderr


def test_a_run_that_a_person_names_has_no_url_that_nobody_knows(machine: Machine) -> None:
    assert told(machine)["invocation"] == REPOSITORY
    variables = {"GITHUB_RUN_ID": "7", "RUNNER_NAME": "shelf"}
    told_by_job = machine.run(FLYWHEEL, "receipt", "run", *RUN, variables=variables)
    found = json.loads(told_by_job.stdout)
    assert (found["invocation"], found["runner"]) == (f"{REPOSITORY}/actions/runs/7", "shelf")


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


@pytest.mark.parametrize(("lock", "told"), [("flake.lock", "--lock flake.nix"), ("pnpm-lock.yaml", "relative to")])
def test_a_lock_file_that_is_not_there_is_told_with_what_to_give_instead(
    machine: Machine, lock: str, told: str
) -> None:
    said = machine.run(FLYWHEEL, "receipt", "nix", STORE_PATH, *machine.signed(), f"--lock={lock}", code=2).stderr
    assert said.startswith(f"flywheel: --lock {lock} is not there")
    assert told in said
