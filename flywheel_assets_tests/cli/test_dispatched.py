"""What the command line says of a build that a workflow publishes, from the first request to the record."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets.wiring.installation import stand_in_url
from flywheel_assets_tests.cli.test_commands import call
from flywheel_assets_tests.promotion.installation import judged

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
    assert done.startswith("Published flakehub:tinyland-inc/harbor-tools/0.1.1+rev-")
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


def test_without_a_stand_in_a_promotion_ends_in_one_sentence(flake: Flake) -> None:
    stand_in_url(flake.home).unlink()
    code, _, said = call(flake.home, "promote", *BUILD)
    assert code == 1
    assert said.startswith("flywheel: ")
    assert len(said.splitlines()) == 1
    assert flake.row()["reason"] == "publication-failed"
