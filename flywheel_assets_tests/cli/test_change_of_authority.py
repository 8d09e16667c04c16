"""The page on a change of release authority does what it says: refused until every gate is met, and then let out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flywheel_assets.wiring import PACKAGE, SAMPLE, SAMPLE_CATALOGUE, Settings, read_catalogue
from flywheel_assets_tests.promotion.installation import published

PAGE = PACKAGE.parent / "docs" / "decisions.md"
SECTION = PAGE.read_text(encoding="utf-8").partition("\n## A change of release authority\n")[2].partition("\n## ")[0]
MARK = "-- ended with"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """Each command of the section, how it ended, and what it printed: run in their order in one shell."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / PACKAGE.name).symlink_to(PACKAGE)
    published().copy(folder / ".flywheel")
    commands = re.findall(r"^    \$ (.*)$", SECTION, re.MULTILINE)
    script = "exec 2>&1\n" + "\n".join(f"{command} <<< y\ncode=$?; echo; echo {MARK} $code" for command in commands)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    known = {name: value for name, value in os.environ.items() if not name.startswith("FLYWHEEL_")}
    shell = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**known, "PATH": path, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    parts = re.split(rf"\n{MARK} (\d+)\n", shell.stdout)
    return [(command, int(parts[2 * n + 1]), parts[2 * n]) for n, command in enumerate(commands)]


def by_name(said: list[tuple[str, int, str]], name: str, settings: str = "") -> list[tuple[int, str]]:
    return [(code, printed) for command, code, printed in said if command.startswith(f"{settings}flywheel {name}")]


def test_it_is_refused_and_says_which_gates_are_missing_until_both_are_signed(said: list[tuple[str, int, str]]) -> None:
    ((_, why),) = by_name(said, "why-not")
    assert "2 of its 4 gates are not met" in why
    assert "flywheel meet runner-dashboard 'It is documented how the output is consumed.'" in why
    (refused, first), (published, last) = by_name(said, "promote")
    assert (refused, published) == (1, 0)
    assert "authority-gates-unmet" in first
    assert "Published" not in first
    assert [code for code, _ in by_name(said, "meet")] == [0, 0]
    ((_, undeclared),) = by_name(said, "why-not", "FLYWHEEL_CATALOGUE=$FLYWHEEL_CATALOGUE:none.yaml ")
    assert "canonical-undeclared" in undeclared
    assert re.match(r"Published file://\S+/surfaces/durable-nix#/nix/store/\S+-runner-dashboard-", last)


def test_what_if_names_what_stops_the_derivation_then_instead(said: list[tuple[str, int, str]]) -> None:
    ((code, printed),) = by_name(said, "what-if")
    assert code == 0
    assert re.search(r"runner-dashboard +14402201901\S+ .*not-the-authority.*authority-gates-unmet", printed)


def test_the_page_shows_the_commands_answers_as_they_are(said: list[tuple[str, int, str]]) -> None:
    printed = "\n".join(output for _, _, output in said)
    for line in re.findall(r"^    (?!\$ )(.*)$", SECTION.partition("```")[0], re.MULTILINE):
        if not line.startswith("Published"):  # it names a folder of its own
            assert line.removesuffix("…").strip() in printed


def test_the_catalogue_of_afterwards_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    (tmp_path / "after.yaml").write_text(shown, encoding="utf-8")
    files = (*SAMPLE_CATALOGUE, SAMPLE / "change-of-authority.yaml", tmp_path / "after.yaml")
    product = read_catalogue(Settings(tmp_path, files)).products["runner-dashboard"]
    assert (product.authority, product.canonical, product.change) == ("runner-dashboard", "runner-dashboard", None)
