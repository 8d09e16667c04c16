"""Every build of the recorded sample with its verdict, today and in ten years; and the report's documented form."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.report import as_json, report
from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.promotion.installation import (
    SAMPLE_ROWS,
    Installation,
    publish_all,
    published,
)

KEYS = {
    "output", "build", "state", "verdict", "reason", "message", "remedy", "actor", "published_at", "settled",
    "exception",
}  # fmt: skip
EXPLAINED = {"findings", "blockers", "call", "passes_at", "passes_until", "says", "since", "steps", "waits_for"}


def rows(flywheel: Flywheel) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {(r.output, r.build): (r.state.value, r.verdict, r.reason) for r in report(flywheel)}


EXPECTED = {(output, build): (state, verdict, reason) for output, build, state, verdict, reason in SAMPLE_ROWS}


@pytest.mark.parametrize(("output", "build"), EXPECTED, ids=lambda value: value.partition(".")[0])
def test_each_build_of_the_sample_has_its_verdict(output: str, build: str) -> None:
    assert rows(published().open())[output, build] == EXPECTED[output, build]


def test_no_build_is_left_out_and_none_is_added() -> None:
    found = report(published().open())
    assert len(found) == len(SAMPLE_ROWS) == 25
    assert {(row.output, row.build) for row in found} == EXPECTED.keys()
    documents = {path.name for path in (SAMPLE / "inbox").glob("*.json")} - {"14402201902-trivy-scan.json"}
    assert len(documents) == 25, "each receipt has its row"
    assert all(row.settled for row in found)


def test_what_does_not_pass_says_what_would_change_it_and_who_acts() -> None:
    for row in report(published().open()):
        done = row.verdict == "passed" and row.reason != "promotion-on-demand"
        assert row.message
        assert bool(row.remedy) is not done, row
        assert bool(row.actor) is not done, row
        assert bool(row.published_at) is (row.state.value == "published")


def test_the_verdicts_are_the_same_in_ten_years(tmp_path: Path) -> None:
    later = datetime(2036, 11, 23, 12, tzinfo=UTC)
    flywheel = replace(Installation(tmp_path / "home").open(), clock=lambda: later)
    take_in(flywheel)
    publish_all(flywheel)
    assert rows(flywheel) == EXPECTED
    kept = {row.build: row for row in report(published().open())}
    for row in report(flywheel):
        assert row.message == kept[row.build].message


def command(home: Path, *arguments: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "FLYWHEEL_CATALOGUE"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("flywheel")), *arguments],
        env={**environment, "FLYWHEEL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_the_json_report_has_exactly_the_documented_keys() -> None:
    document = command(published().home, "report", "--json")
    assert document.keys() == {"schema", "catalogue", "builds"}
    assert document["schema"] == 1
    assert document["catalogue"].keys() == {"name", "digest"}
    assert document["catalogue"]["name"] == "gloriousflywheel"
    assert document["catalogue"]["digest"].startswith("sha256:")
    for row in document["builds"]:
        assert row.keys() == KEYS
        assert isinstance(row["settled"], bool)
        assert all(isinstance(value, str) for name, value in row.items() if name != "settled")
    flywheel = published().open()
    assert document == json.loads(json.dumps(as_json(flywheel, report(flywheel))))


def test_the_json_explanation_adds_every_rules_finding() -> None:
    document = command(published().home, "why-not", "tide-clock", "14402201003.1.x86_64-linux", "--json")
    assert document.keys() == {"schema", "output", "builds"}
    (build,) = document["builds"]
    assert build.keys() == KEYS | EXPLAINED
    assert len(build["findings"]) == 18
    for finding in build["findings"]:
        said = {"rule", "phase", "verdict", "reason", "message", "remedy", "actor", "about", "exception"}
        assert finding.keys() == said
