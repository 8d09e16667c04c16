"""`flywheel replay` and `flywheel what-if` as a person or a check of the catalogue calls them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flywheel_assets.cli.main import cli
from flywheel_assets.promotion.ledger import VERDICT
from flywheel_assets.wiring import SAMPLE_CATALOGUE
from flywheel_assets_tests.promotion.installation import CLOCK, published

STRICTER = "outputs:\n  sounding-line:\n    validations: [fuzzing]\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = published().copy(tmp_path / "home")
    monkeypatch.setenv("FLYWHEEL_HOME", str(made.home))
    monkeypatch.delenv("FLYWHEEL_CATALOGUE", raising=False)
    return made.home


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def with_overlay(folder: Path) -> list[str]:
    overlay = folder / "stricter.yaml"
    overlay.write_text(STRICTER, "utf-8")
    return [part for file in (*SAMPLE_CATALOGUE, overlay) for part in ("--catalog", str(file))]


def test_every_verdict_is_reproduced(home: Path) -> None:
    done = call("replay", "--everything")
    assert done.return_value == 0
    assert done.output.strip().endswith(" reproduced.")
    one: dict[str, Any] = json.loads(call("replay", "tide-clock", str(CLOCK), "--json").output)
    assert [each["outcome"] for each in one["verdicts"]] == ["reproduced"]
    assert one["verdicts"][0]["build"] == str(CLOCK)
    del home


def test_one_that_cannot_be_reproduced_is_an_exit_code_and_a_sentence(home: Path) -> None:
    (log,) = (home / "evidence" / "logs").glob("output-tide-clock")
    assert log.is_dir()
    entries = published().open().evidence.entries("output-tide-clock")
    digest = [e.evidence for e in entries if e.kind == VERDICT and e.subject == str(CLOCK)][-1].hex
    (home / "evidence" / "blobs" / "sha256" / digest[:2] / digest).unlink()
    done = call("replay", "tide-clock", str(CLOCK))
    assert done.return_value == 1
    assert f"evidence missing: The evidence sha256:{digest} is gone from the store." in done.output


def test_of_what_no_verdict_is_recorded_it_is_said_in_one_sentence(home: Path) -> None:
    assert "No verdict on nope is recorded." in str(call("replay", "nope").exception)
    del home


@pytest.mark.parametrize("arguments", [(), ("tide-clock", "--everything")])
def test_what_to_replay_must_be_said_once(home: Path, arguments: tuple[str, ...]) -> None:
    assert "Give an OUTPUT, or --everything." in str(call("replay", *arguments).exception)
    del home


def test_a_check_of_the_catalogue_fails_on_new_failures_and_says_whose_they_are(home: Path, tmp_path: Path) -> None:
    catalogues = with_overlay(tmp_path)
    told = call("what-if", *catalogues)
    assert told.return_value == 0
    assert "newly fails: 1" in told.output
    assert "passed (holds) → waiting (validation-missing)" in told.output
    assert "whose it is: Harbor tools maintainers (sample) (team:harbor-tools)" in told.output
    assert told.output.strip().endswith("23 builds, 1 newly fails.")
    assert call("what-if", *catalogues, "--fail-on", "new-failures").return_value == 1
    assert call("what-if", "--at", "2099-01-01T00:00Z", "--fail-on", "any-change").return_value == 0
    document: dict[str, Any] = json.loads(call("what-if", *catalogues, "--json").output)
    assert (document["builds"], document["counts"]["newly fails"]) == (23, 1)
    assert document["changes"][0]["output"] == "sounding-line"
    del home


@pytest.mark.parametrize(
    ("at", "says"),
    [("tomorrow", "is no time"), ("2099-01-01", "names no time zone"), ("2001-01-01T00:00Z", "is over")],
)
def test_a_time_that_is_none_or_over_is_refused(home: Path, at: str, says: str) -> None:
    assert says in str(call("what-if", "--at", at).exception)
    assert "Give a --catalog" in str(call("what-if").exception)
    del home
