"""`flywheel intake` as people and scripts call it."""

import json
from pathlib import Path

import pytest

from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE
from flywheel_assets_tests.cli.test_commands import call

GOOD = "14402201001-tide-clock.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working folder that has taken in a cut receipt, one that is too large, and one of an unknown output."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "cut.json").write_bytes((SAMPLE / "inbox" / GOOD).read_bytes()[:100])
    (inbox / "large.json").write_bytes(b" " * 9 * 1024 * 1024)
    (inbox / "unknown.json").write_bytes((SAMPLE / "inbox" / "14402202001-mystery-box.json").read_bytes())
    (tmp_path / "overlay.yaml").write_text(f"inbox: file:{inbox}\n", encoding="utf-8")
    assert intake(tmp_path, "run", "--no-ui")[0] == 0
    return tmp_path


def intake(home: Path, *arguments: str) -> tuple[int, str, str]:
    catalogue = ":".join(map(str, (*SAMPLE_CATALOGUE, home / "overlay.yaml")))
    return call(home / "home", *arguments, FLYWHEEL_CATALOGUE=catalogue)


def test_letters_are_listed_explained_retried_and_dismissed(home: Path) -> None:
    code, printed, _ = intake(home, "intake", "list", "--json")
    letters = {letter["name"]: letter for letter in json.loads(printed)["letters"]}
    assert code == 0
    assert {name.partition(" ")[0] for name in letters} == {"cut.json", "large.json", "mystery-box"}
    assert all(letter["since"].endswith("+00:00") for letter in letters.values())
    cut, large = (str(letters[name]["number"]) for name in ("cut.json", "large.json"))

    code, printed, _ = intake(home, "intake", "list")
    assert "3 letters, 1 waiting for the catalogue." in printed
    code, printed, _ = intake(home, "intake", "explain", large)
    assert code == 0
    assert "only that it came" in printed
    assert f"at most {DEFAULT_LIMITS.signed_bytes:,} are read" in printed

    code, printed, _ = intake(home, "intake", "retry", cut, large)
    assert code == 1
    assert "cut.json: it still cannot be read: JSON" in printed
    (home / "inbox" / "large.json").write_bytes((SAMPLE / "inbox" / GOOD).read_bytes())
    code, printed, _ = intake(home, "intake", "retry", large)
    assert (code, "is judged next unless it is already: tide-clock 14402201001.1.x86_64-linux" in printed) == (0, True)

    code, printed, _ = intake(home, "intake", "dismiss", cut, "--reason", "A test.", "--by", "ines")
    assert code == 0
    code, _, said = intake(home, "intake", "dismiss", cut, "--reason", "A test.")
    assert (code, "dismissed already" in said) == (2, True)
    code, printed, _ = intake(home, "report", "--json")
    rows = {row["build"]: row["reason"] for row in json.loads(printed)["builds"]}
    assert rows == {
        "14402201001.1.x86_64-linux": "not-judged-yet",
        "14402202001.1.x86_64-linux": "unknown-output",
    }
    code, printed, _ = intake(home, "intake", "list", "--all", "--json")
    closed = {letter["number"]: letter for letter in json.loads(printed)["letters"]}
    assert closed[int(cut)]["closed_because"] == "A test. (ines)"
    assert closed[int(large)]["state"] == "settled"


def test_wrong_use_is_a_sentence(home: Path) -> None:
    for arguments in (("retry",), ("explain", "99"), ("retry", "99"), ("dismiss", "1")):
        code, _, said = intake(home, "intake", *arguments)
        assert code == 2, arguments
        assert said
