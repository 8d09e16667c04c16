"""`flywheel why-not` and `flywheel page` as people and scripts call them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flywheel_assets.cli.excusing import _age
from flywheel_assets.cli.main import cli
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets_tests.promotion.installation import CLOCK, DIRTY, OLDER, published

ROW_FIELDS = {
    *(
        "output",
        "build",
        "state",
        "verdict",
        "reason",
        "message",
        "remedy",
        "actor",
        "published_at",
        "settled",
        "exception",
    ),
    *("findings", "says", "call", "blockers", "steps", "waits_for", "since", "passes_at", "passes_until"),
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    made = published()
    monkeypatch.setenv("FLYWHEEL_HOME", str(made.home))
    monkeypatch.delenv("FLYWHEEL_CATALOGUE", raising=False)
    return made.home


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.usefixtures("home")
def test_the_first_line_says_who_needs_to_do_what() -> None:
    first, *rest = call("why-not", "tide-clock", str(DIRTY)).output.splitlines()
    assert first.startswith(f"tide-clock {DIRTY}: ")
    assert "(team:tinyland-platform) need to build again from a clean checkout" in first
    assert "since 20" in rest[0]
    assert "source_can_be_reidentified (tree-dirty)  ends with another build" in rest[1]


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ({"seconds": 119}, "just now"),
        ({"minutes": 2}, "2 minutes"),
        ({"minutes": 119}, "119 minutes"),
        ({"hours": 2}, "2 hours"),
        ({"hours": 47}, "47 hours"),
        ({"hours": 48}, "2 days"),
    ],
)
def test_an_age_is_told_as_finely_as_it_matters(span: dict[str, int], told: str) -> None:
    assert _age(timedelta(**span)) == told


@pytest.mark.usefixtures("home")
def test_who_says_who_they_are_is_told_what_they_need_to_do() -> None:
    yours = call("why-not", "tide-clock", str(DIRTY), "--as", "platform").output.splitlines()[0]
    assert yours.startswith(f"tide-clock {DIRTY}: You need to build again")
    theirs = call("why-not", "tide-clock", str(DIRTY), "--as", "harbor").output.splitlines()[0]
    assert "You need" not in theirs
    assert isinstance(call("why-not", "tide-clock", "--as", "nobody").exception, UsageError)


@pytest.mark.usefixtures("home")
def test_what_needs_nobody_says_so_first() -> None:
    for build in (CLOCK, OLDER):
        assert call("why-not", "tide-clock", str(build)).output.startswith(f"tide-clock {build}: No action needed: ")


@pytest.mark.usefixtures("home")
def test_the_document_has_the_chain_beside_what_it_always_had() -> None:
    document = json.loads(call("why-not", "tide-clock", str(DIRTY), "--json").output)
    assert document["schema"] == 1
    (build,) = document["builds"]
    assert set(build) == ROW_FIELDS
    assert build["call"] == "somebody acts"
    (blocker,) = [each for each in build["blockers"] if each["reason"] == "tree-dirty"]
    assert blocker["ends"] == "with another build"
    assert blocker["verdict"] == VerdictClass.REJECTED_PERMANENTLY.value
    assert [set(each) for each in build["steps"]] == [{"who", "what", "needed"}]
    assert json.loads(call("why-not", "mystery-box", "--json").output)["builds"][0]["findings"] == []


@pytest.mark.usefixtures("home")
def test_the_pages_are_written_and_written_again_without_a_change(tmp_path: Path) -> None:
    done = call("page", tmp_path / "page")
    assert done.exception is None
    assert "index.html" in done.output
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "page").rglob("*.html")}
    assert len(before) > 20
    assert call("page", tmp_path / "page").exception is None
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "page").rglob("*.html")} == before


@pytest.mark.usefixtures("home")
def test_pages_are_not_written_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert isinstance(call("page", tmp_path).exception, UsageError)
    assert isinstance(call("page", tmp_path / "page", "--newest", "0").exception, UsageError)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
