"""What the hook's configuration may say, and what it is refused for, before any receipt is written."""

import json
import os
from pathlib import Path

import pytest

from flywheel_assets.cli.hooks import STALE_SECONDS, wanted
from flywheel_assets.cli.receipts import receipt
from flywheel_assets.domain.errors import UsageError

HASH = "a" * 32
LAMP, LAMP_DEV, OTHER = f"/nix/store/{HASH}-lamp-1.0", f"/nix/store/{HASH}-lamp-1.0-dev", f"/nix/store/{HASH}-gcc"
BUILT = {"OUT_PATHS": f"{LAMP} {LAMP_DEV} {OTHER}", "DRV_PATH": f"{LAMP}.drv"}
LAMPS = '[outputs.lamp]\nstore-name = "lamp-*.0"\n'
RUN = {"run": "7", "actor": "eve", "revision": "0" * 40, "clean": True}
WITH_RUN = f'to = "inbox"\nrun-file = "run.json"\n{LAMPS}'


def asked(folder: Path, text: str, **environment: str) -> list[tuple[str, list[str]]]:
    config = folder / "receipts.toml"
    config.write_text(text, encoding="utf-8")
    return wanted(config, environment or BUILT)


def told(folder: Path, **more: str) -> Path:
    """The file that a job wrote of its run."""
    written = folder / "run.json"
    written.write_text(json.dumps({**RUN, **more}), encoding="utf-8")
    return written


def test_each_output_gets_the_options_on_top_and_its_own(tmp_path: Path) -> None:
    text = f"""
        to = "inbox"
        from-fork = true
        attempt = 3
        started = 2026-05-01T10:05:00Z
        lock = ["flake.lock", "Cargo.lock"]
        {LAMPS}definition = "lamp"
        [outputs.lamp-dev]
        store-name = "lamp-*-dev"
        to = "/elsewhere"
        from-fork = false
    """
    (lamp, own), (dev, theirs) = asked(tmp_path, text)
    assert (lamp, dev) == (LAMP, LAMP_DEV)
    assert own == [
        f"--to={tmp_path}/inbox", "--from-fork", "--attempt=3", "--started=2026-05-01T10:05:00+00:00",
        "--lock=flake.lock", "--lock=Cargo.lock", "--definition=lamp", "--output=lamp",
    ]  # fmt: skip
    assert "--to=/elsewhere" in theirs
    assert "--from-fork" not in theirs


def test_what_a_variable_holds_cannot_become_another_option(tmp_path: Path) -> None:
    told(tmp_path, ref="refs/heads/x --key=/etc/shadow", actor="-\n--to=x")
    ((_, arguments),) = asked(tmp_path, WITH_RUN)
    assert "--ref=refs/heads/x --key=/etc/shadow" in arguments
    assert "--actor=-\n--to=x" in arguments


def test_a_file_of_the_run_gives_way_to_the_configuration(tmp_path: Path) -> None:
    told(tmp_path)
    ((_, arguments),) = asked(tmp_path, f'to = "inbox"\nrun-file = "run.json"\nactor = "ada"\n{LAMPS}')
    assert {"--actor=ada", "--run=7"} <= set(arguments)
    assert "--actor=eve" not in arguments


@pytest.mark.parametrize("name", ["to", "key", "unsigned", "source", "output", "bootstrap", "validation", "builder"])
def test_a_file_of_the_run_sets_nothing_but_the_run(tmp_path: Path, name: str) -> None:
    told(tmp_path, **{name: "x"})
    with pytest.raises(UsageError, match=f"{name}: is nothing that"):
        asked(tmp_path, WITH_RUN)


def test_a_file_of_the_run_that_leaves_the_revision_to_git_is_refused(tmp_path: Path) -> None:
    for name in ("revision", "clean"):
        (tmp_path / "run.json").write_text(json.dumps({key: value for key, value in RUN.items() if key != name}))
        with pytest.raises(UsageError, match="revision: is missing"):
            asked(tmp_path, WITH_RUN)


def test_a_file_of_the_run_that_an_earlier_job_left_is_refused(tmp_path: Path) -> None:
    written = told(tmp_path)
    asked(tmp_path, WITH_RUN)
    then = written.stat().st_mtime - STALE_SECONDS
    os.utime(written, (then, then))
    with pytest.raises(UsageError, match="of an earlier job"):
        asked(tmp_path, WITH_RUN)


def test_a_file_of_the_run_that_never_ends_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(UsageError, match="no plain file"):
        asked(tmp_path, WITH_RUN)
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").write_bytes(b" " * 3_000_000)
    with pytest.raises(UsageError, match="Make it smaller"):
        asked(tmp_path, WITH_RUN)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Name an output"),
        ('to = "inbox"', "Name an output"),
        ('outputs = "lamp"', "Name an output"),
        ("to = ", "is no TOML"),
        ("\\xff", "is no TOML"),
        (f"{'[' * 50_000}", "is no TOML"),
        ('to = "inbox"\n[outputs.lamp]\ndefinition = "x"', "store-name: is missing"),
        ('to = "inbox"\n[outputs.lamp]\nstore-name = "lamp-*"', "Let it fit one output"),
        (LAMPS, "Name the inbox"),
        (f'to = "inbox"\nlock = {{a = 1}}\n{LAMPS}', "lock: is neither"),
        (f'to = "inbox"\nrun-file = "none.json"\n{LAMPS}', "flywheel receipt run"),
        (f'to = "inbox"\nrun-file = "receipts.toml"\n{LAMPS}', "it is no JSON"),
    ],
)
def test_a_wrong_configuration_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        asked(tmp_path, text)


def test_an_absent_configuration_and_a_call_by_anybody_but_nix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        wanted(tmp_path / "none.toml", BUILT)
    with pytest.raises(UsageError, match="for Nix's post-build-hook to call"):
        asked(tmp_path, f'to = "inbox"\n{LAMPS}', PATH="/bin")


def test_the_configuration_that_is_there_to_be_copied_gives_options_that_the_command_has(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "ci" / "nix" / "receipts.toml").read_text(encoding="utf-8")
    told(tmp_path)
    ((path, arguments),) = asked(tmp_path, text, OUT_PATHS=f"/nix/store/{HASH}-my-output-1.0 {LAMP}")
    assert path.endswith("-my-output-1.0")
    known = {option for parameter in receipt.commands["nix"].params for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments} <= known
