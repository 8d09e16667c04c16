"""The command line on the recorded sample: what it prints, what it exits with, and that nobody sees a traceback."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from flywheel_assets.cli.run import noticed_interrupts
from flywheel_assets.wiring import SAMPLE_CATALOGUE

FLYWHEEL = Path(sys.executable).parent / "flywheel"
GOOD, REJECTED = "14402201001.1.x86_64-linux", "14402201003.1.x86_64-linux"
ON_DEMAND = "14402201301.1.x86_64-linux"


def call(home: Path, *arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [FLYWHEEL, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "FLYWHEEL_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the sample has run once."""
    folder = tmp_path_factory.mktemp("home")
    code, _, said = call(folder, "run", "--no-ui")
    assert code == 0, said
    return folder


def rows(home: Path) -> list[dict[str, str]]:
    code, printed, _ = call(home, "report", "--json")
    assert code == 0
    document = json.loads(printed)
    assert document["schema"] == 1
    builds: list[dict[str, str]] = document["builds"]
    return builds


def test_the_second_run_finds_nothing_to_do_and_says_so(home: Path) -> None:
    before = rows(home)
    code, printed, _ = call(home, "run", "--no-ui")
    assert code == 0
    assert "Nothing to do" in printed
    assert rows(home) == before


def test_the_run_says_which_catalogue_files_somebody_named(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("inbox: file:empty\n", encoding="utf-8")
    (tmp_path / "home" / "empty").mkdir(parents=True)
    base, sample = SAMPLE_CATALOGUE
    code, printed, said = call(tmp_path / "home", "run", "--no-ui", FLYWHEEL_CATALOGUE=f"{base}:{sample}:{overlay}")
    assert code == 0, said
    first = printed.splitlines()[0]
    assert first == f"Running on {base}, {sample}, {overlay} (FLYWHEEL_CATALOGUE), with the recorded sample flywheel."
    code, printed, said = call(tmp_path / "home", "run", "--no-ui")
    assert printed.startswith("Running on the recorded sample flywheel; FLYWHEEL_CATALOGUE names your own."), said


def test_a_publication_that_fails_is_one_line_and_why_not_tells_it(tmp_path: Path) -> None:
    (tmp_path / "surfaces").mkdir()
    (tmp_path / "surfaces" / "durable-nix").write_text("a file where a folder must be", encoding="utf-8")
    code, printed, said = call(tmp_path, "run", "--no-ui")
    assert (code, said) == (0, ""), "a failure is told once, in a sentence"
    failed = [line for line in printed.splitlines() if line.startswith("Failed: ")]
    assert [line.split()[1] for line in failed] == ["tide-clock", "depth-charts"], "each whose bytes go there"
    assert failed[0].startswith(f"Failed: tide-clock {GOOD} is not published: ")
    unsettled = [line for line in printed.splitlines() if line.startswith("Not settled: ")]
    assert len(unsettled) == 2
    assert f"`flywheel why-not tide-clock {GOOD}` says why" in unsettled[0]
    code, printed, _ = call(tmp_path, "why-not", "tide-clock", GOOD)
    assert "publication-failed: every rule holds; since 20" in printed
    assert "to change it: Mend what is said: `flywheel promote" in printed
    (row,) = [row for row in rows(tmp_path) if row["build"] == GOOD]
    assert (row["state"], row["verdict"], row["reason"]) == ("validated", "passed", "publication-failed")


def test_the_report_lists_each_build_with_verdict_reason_and_place(home: Path) -> None:
    code, printed, _ = call(home, "report")
    assert code == 0
    line = next(line for line in printed.splitlines() if REJECTED in line)
    assert line.split()[0] == "tide-clock"
    assert "rejected permanently" in line
    assert "tree-dirty" in line
    published = next(line for line in printed.splitlines() if GOOD in line)
    assert "file://…/surfaces/durable-nix#/nix/store/" in published
    assert f"{len(rows(home))} builds:" in printed


def test_why_not_names_rule_reason_remedy_and_actor(home: Path) -> None:
    code, printed, _ = call(home, "why-not", "tide-clock", REJECTED)
    assert code == 0
    for text in ("source_can_be_reidentified (tree-dirty)", "to change it: Build again from a clean", "who acts: "):
        assert text in printed


def test_why_not_without_a_build_explains_all_builds_of_the_output(home: Path) -> None:
    code, printed, _ = call(home, "why-not", "tide-clock", "--json")
    assert code == 0
    document = json.loads(printed)
    assert [build["build"] for build in document["builds"]] == [
        row["build"] for row in rows(home) if row["output"] == "tide-clock"
    ]
    assert all(len(build["findings"]) == 18 for build in document["builds"])


def test_promoting_a_rejected_build_exits_1_with_the_reason(home: Path) -> None:
    code, printed, said = call(home, "promote", "tide-clock", REJECTED)
    assert code == 1
    assert "tree-dirty" in said
    assert "To change it:" in printed


def test_a_dry_run_names_what_would_be_copied_and_publishes_nothing(home: Path) -> None:
    code, printed, _ = call(home, "promote", "sounding-line", ON_DEMAND, "--dry-run", "--json")
    assert code == 0
    plan = json.loads(printed)["plan"]
    assert len(plan["missing"]) == 2
    printed = call(home, "promote", "sounding-line", ON_DEMAND, "--dry-run")[1]
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("  + ")] == [
        "copy",
        "copy",
        "name",
        "name",
    ]
    state = next(row["state"] for row in rows(home) if row["build"] == ON_DEMAND)
    assert state == "validated"


def test_verify_proves_a_published_artifact_and_exits_1_with_another_key(home: Path) -> None:
    reference = next(row["published_at"] for row in rows(home) if row["build"] == GOOD)
    code, printed, _ = call(home, "verify", reference, "--key", home / "keys" / "release.pub", "--json")
    assert code == 0
    assert "FLYWHEEL_PROMOTED" in json.loads(printed)["levels"]
    code, _, said = call(home, "verify", reference, "--key", home / "keys" / "verifier.pub")
    assert code == 1
    assert "no verification summary that this key signed" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["why-not", "no-such-output"], "no-such-output"),
        (["why-not", "tide-clock", "not a build"], "<run>.<attempt>.<system>"),
        (["why-not", "tide-clock", "1.1.x86_64-linux"], "Known: "),
        (["promote", "no-such-output", GOOD], "knows no output"),
        (["promote", "tide-clock", "1.1.x86_64-linux"], "The newest are"),
        (["verify", "https://example.org/x", "--key", "/dev/null"], "no reference that can be verified"),
        (["verify", "oci:/nowhere:tag", "--key", "/dev/null"], "is not a public key"),
        (["verify", "oci:/nowhere:tag", "--key", "/no/such/key"], "/no/such/key"),
        (["verify", "oci:/nowhere:tag"], "--key"),
        (["catalog", "check", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (["no-such-command"], "No such command"),
    ],
)
def test_wrong_use_exits_2_with_a_sentence(home: Path, arguments: Sequence[str], sentence: str) -> None:
    code, _, said = call(home, *arguments)
    assert code == 2, said
    assert sentence in said


def test_a_wrong_catalogue_exits_2_with_file_and_line(home: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nname: x\nname: y\n", encoding="utf-8")
    code, _, said = call(home, "report", FLYWHEEL_CATALOGUE=str(wrong))
    assert code == 2
    assert f"{wrong}:3:" in said


def test_the_catalogue_in_use_checks_and_its_schema_prints(home: Path) -> None:
    code, printed, _ = call(home, "catalog", "check")
    assert (code, printed.startswith("gloriousflywheel: ")) == (0, True)
    code, printed, _ = call(home, "catalog", "schema")
    assert code == 0
    assert json.loads(printed)["title"] == "flywheel_assets catalogue"


def test_hostile_deliveries_are_listed_with_file_and_field_and_the_rest_goes_on(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a-bomb.json").write_text("[" * 100_000, encoding="utf-8")
    (inbox / "b-latin.json").write_bytes(b'{"payload": "\xff"}')
    (inbox / "c-large.json").write_bytes(b" " * (9 * 1024 * 1024))
    (inbox / "d-empty.json").write_bytes(b"")
    (inbox / "e-link.json").symlink_to("/etc/passwd")
    (inbox / "f-string.json").write_text(json.dumps({"payload": 1, "x": "y" * 10_000_000}), encoding="utf-8")
    sample = Path(__file__).parents[2] / "flywheel_assets" / "sample"
    good = "14402201001-tide-clock.json"
    (inbox / good).write_bytes((sample / "inbox" / good).read_bytes())
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"inbox: file:{inbox}\n", encoding="utf-8")
    base = next((sample.parent / "catalog").glob("*.yaml"))
    catalogue = f"{base}:{sample / 'overlay.yaml'}:{overlay}"
    code, printed, said = call(tmp_path / "home", "run", "--no-ui", FLYWHEEL_CATALOGUE=catalogue)
    assert code == 0, said
    listed = {line.split()[1]: line for line in printed.splitlines() if line.startswith("?")}
    assert sorted(listed) == [
        "a-bomb.json", "b-latin.json", "c-large.json", "d-empty.json", "e-link.json", "f-string.json",
    ]  # fmt: skip
    assert all("unreadable-delivery" in line for line in listed.values())
    code, printed, _ = call(tmp_path / "home", "report", "--json", FLYWHEEL_CATALOGUE=catalogue)
    states = {row["build"]: (row["state"], row["message"]) for row in json.loads(printed)["builds"]}
    assert states[GOOD][0] == "published"
    assert "nesting" in states["a-bomb.json"][1]
    assert "byte 13" in states["b-latin.json"][1]
    assert "passwd" not in json.dumps(states["e-link.json"])


def test_help_imports_neither_dagster_nor_any_adapter() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from flywheel_assets.cli.main import cli; "
        "done = CliRunner().invoke(cli, ['--help']); "
        "heavy = [n for n in ('dagster', 'pydantic', 'flywheel_assets.wiring', 'cryptography') if n in sys.modules]; "
        "print(done.exit_code, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0 []"


def test_a_terminal_sees_progress_while_runs_go_on(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "FLYWHEEL_HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "120"}
    seen = b""
    with subprocess.Popen([FLYWHEEL, "run", "--no-ui"], stdout=slave, stderr=slave, env=environment) as running:
        os.close(slave)
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            seen += data
        assert running.wait(110) == 0
    os.close(master)
    assert b"starting Dagster" in seen
    assert b"judge tide-clock" in seen
    assert b"publish harbor-map-image" in seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_somebody_swallows_is_raised_at_every_question_after_it(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: None)
    try:
        with noticed_interrupts() as stop_if_interrupted:
            stop_if_interrupted()
            signal.raise_signal(number)
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    stop_if_interrupted()
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("at_start", [signal.SIG_DFL, signal.SIG_IGN], ids=["foreground", "background"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_builds_are_judged_ends_the_run_with_130(
    tmp_path: Path, number: signal.Signals, at_start: signal.Handlers
) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "FLYWHEEL_HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "120"}
    seen = b""
    before = signal.signal(signal.SIGINT, at_start)  # what is started inherits it
    try:
        started = subprocess.Popen([FLYWHEEL, "run"], stdout=slave, stderr=slave, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    with started as running:
        try:
            os.close(slave)
            while b"judge tide-clock" not in seen:
                seen += os.read(master, 4096)
            running.send_signal(number)
            with suppress(OSError):  # the other end is closed
                while data := os.read(master, 4096):
                    seen += data
            assert running.wait(30) == 130
        finally:
            running.kill()  # one that goes on would be waited for without end
    os.close(master)
    assert b"interrupted. Run it again" in seen
    assert b"The UI is at" not in seen
