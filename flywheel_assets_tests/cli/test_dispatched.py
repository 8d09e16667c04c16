"""What the command line says of a build that a workflow publishes, from the first request to the record."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets.wiring import SAMPLE_CATALOGUE
from flywheel_assets.wiring.installation import stand_in_url
from flywheel_assets_tests.cli.test_commands import call
from flywheel_assets_tests.cli.test_deciding import _pem
from flywheel_assets_tests.promotion.installation import judged

OWNERSHIP = Path(__file__).parents[2] / "docs" / "ownership.md"
BUILD = ("depth-charts", "14402201401.1.x86_64-linux")


@dataclass
class Flake:
    """A judged sample, and the stand-in that it publishes to."""

    home: Path
    stand_in: StandIn

    def says(self, *command: str) -> str:
        """What a command that ends well prints."""
        code, printed, said = call(self.home, *command)
        assert (code, said) == (0, "")
        return printed

    def row(self) -> dict[str, str]:
        builds: list[dict[str, str]] = json.loads(self.says("report", "--json"))["builds"]
        return next(row for row in builds if (row["output"], row["build"]) == BUILD)


YANK = re.search(r"^    \.venv/bin/python (-m .*) 0\.1\.1\+rev-…$", OWNERSHIP.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def flake(tmp_path: Path) -> Iterator[Flake]:
    home = judged(tmp_path / "home").home
    stand_in = StandIn(stand_in_url(home).parent)
    stand_in_url(home).write_text(stand_in.start())
    yield Flake(home, stand_in)
    stand_in.stop()


def lines_of(printed: str) -> str:
    """Of the report, the line of the build."""
    return "\n".join(line for line in printed.splitlines() if line.startswith("depth-charts"))


def test_each_step_says_what_is_waited_for_and_nothing_of_publication(flake: Flake) -> None:
    for reason in ("workflow-dispatched", "workflow-running"):
        promoted = flake.says("promote", *BUILD)
        assert promoted.startswith("Under way: every rule holds; since ")
        assert "who acts:     the publishing workflow" in promoted
        row = flake.row()
        assert (row["state"], row["verdict"], row["reason"]) == ("validated", "passed", reason)
        assert "/actions/runs/" in row["message"]
        assert row["published_at"] == ""
        why = flake.says("why-not", *BUILD)
        assert f"{reason}: every rule holds; since " in why
        report = lines_of(flake.says("report"))
        told = [*map(str, row.values()), promoted, why, report]
        assert [text for text in told if "published" in text.lower()] == []
    done = flake.says("promote", *BUILD)
    assert done.startswith("Published flakehub:stand-in.invalid/harbor-tools/0.1.1+rev-")
    assert flake.row()["state"] == "published"
    assert len(flake.stand_in.runs()) == 1


def test_the_json_of_one_on_its_way_is_a_dispatch_and_of_one_that_is_done_a_publication(flake: Flake) -> None:
    found = []
    for _ in range(3):
        document = json.loads(flake.says("promote", *BUILD, "--json"))
        found.append(sorted(document))
    assert found == [["dispatch", "schema"], ["dispatch", "schema"], ["publication", "schema"]]


def test_a_run_that_was_cancelled_is_told_and_the_next_promotion_asks_for_another(flake: Flake) -> None:
    flake.stand_in.fault("cancel", 1)
    flake.says("promote", *BUILD)
    flake.says("promote", *BUILD)
    code, printed, said = call(flake.home, "run", "--no-ui")  # its own stand-in, on the same folder, sees the end
    assert code == 0, said
    row = flake.row()
    assert (row["state"], row["reason"]) == ("validated", "workflow-failed")
    assert "cancelled" in row["message"]
    assert "Harbor tools" in row["actor"]
    assert "flywheel promote depth-charts" in row["remedy"]
    assert lines_of(printed).split()[4] == "workflow-failed"
    assert len(flake.stand_in.runs()) == 1, "a run of `flywheel run` is no person's hand"
    stand_in_url(flake.home).write_text(flake.stand_in.start())
    assert "workflow-dispatched" not in flake.says("promote", *BUILD)
    assert flake.row()["reason"] == "workflow-dispatched"
    assert len(flake.stand_in.runs()) == 2


def test_without_a_stand_in_that_runs_each_command_starts_its_own(flake: Flake) -> None:
    stand_in_url(flake.home).write_text("http://127.0.0.1:1")  # as a killed `flywheel run` leaves it
    planned = flake.says("promote", *BUILD, "--dry-run")
    assert "flakehub:stand-in.invalid/harbor-tools/" in planned
    for _ in range(2):
        assert flake.says("promote", *BUILD).startswith("Under way")
    reference = flake.says("promote", *BUILD).split()[1]
    assert reference.startswith("flakehub:stand-in.invalid/harbor-tools/0.1.1+rev-")
    assert stand_in_url(flake.home).read_text() == "http://127.0.0.1:1"
    cache = f"file://{flake.home / 'surfaces/durable-nix'}"
    key = str(flake.home / "keys/release.pub")
    assert flake.says("verify", reference, "--cache", cache, "--key", key).startswith(f"Verified {reference}")
    assert flake.says("promote", *BUILD).startswith(f"Published {reference}")
    again = flake.says("promote", *BUILD, "--dry-run")
    assert re.fullmatch(
        rf"Already published at {re.escape(reference)}, since 2\d{{3}}-\d\d-\d\d \d\d:\d\d UTC\.\s*", again
    )
    assert len(flake.stand_in.runs()) == 1


def test_a_release_of_the_sample_is_not_looked_for_on_flakehub_itself(flake: Flake, tmp_path: Path) -> None:
    reference = f"flakehub:stand-in.invalid/harbor-tools/0.1.1+rev-{'a' * 40}#packages.x86_64-linux.depth-charts"
    options = ("--cache", "file:///nowhere", "--key", str(flake.home / "keys/release.pub"))
    code, _, said = call(tmp_path / "elsewhere", "verify", reference, *options)
    assert code == 2
    assert "the sample's stand-in for FlakeHub, which has released nothing in" in said
    assert "Run `flywheel run` on the sample first" in said


def test_a_withdrawn_flake_stays_distrusted_until_it_is_yanked_by_the_documented_command(flake: Flake) -> None:
    for _ in range(3):
        flake.says("promote", *BUILD)
    reference = flake.row()["published_at"]
    alva = {"name": "Alva", "contact": "alva@example.org", "keys": [_pem(flake.home / "alva")], "may": ["withdraw"]}
    overlay = flake.home / "overlay.yaml"
    overlay.write_text(json.dumps({"people": {"alva": alva}}), encoding="utf-8")
    known = ":".join(map(str, (*SAMPLE_CATALOGUE, overlay)))

    def ends(code: int, *command: str) -> str:
        done, printed, said = call(flake.home, *command, FLYWHEEL_CATALOGUE=known)
        assert done == code, said
        return " ".join(printed.split())

    signed = ("--reason", "It sinks ships.", "--yes", "--key", str(flake.home / "alva"))
    assert f"{reference}: marked as withdrawn, and still there" in ends(1, "withdraw", *BUILD, *signed)
    assert "must yank 0.1.1+rev-" in ends(0, "quarantine", "--list")
    registered = json.loads(ends(1, "register", "--json"))["published"]
    (proofs,) = (each["proofs"] for each in registered if each["output"] == BUILD[0])
    assert len(proofs) == len(set(proofs))
    (listed,) = json.loads(ends(0, "quarantine", "--list", "--json"))["public"]
    assert (listed["output"], "must yank" in listed["to_do"]) == (BUILD[0], True)
    assert "must yank" in ends(1, "withdraw", "--pending")
    other = ends(0, "withdraw", "tide-clock", "14402201003.1.x86_64-linux", *signed)
    assert re.search("^tide-clock sha256:[0-9a-f]{64}: never published. Besides, of what was withdrawn before: ", other)
    assert YANK
    version = reference.rpartition("/")[2].partition("#")[0]
    yank = YANK[1].replace(".flywheel", str(flake.home)).split()
    subprocess.run([sys.executable, *yank, version], check=True, timeout=60)
    assert f"{reference}: gone, as was seen now, and marked." in ends(0, "withdraw", "--pending")
    assert ends(0, "quarantine", "--list").startswith("0 public artifacts")
