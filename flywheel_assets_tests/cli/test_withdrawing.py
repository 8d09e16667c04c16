"""`flywheel withdraw`, `quarantine` and `register` as people call them."""

import json
from pathlib import Path

import pytest

from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.cli.test_deciding import _pem, flywheel

BUILD = ("tide-clock", "14402201001.1.x86_64-linux")
WHY = ("--reason", "It sinks ships.", "--yes", "--key", "key:alva")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A published build of tide-clock, and alva, who may take it back."""
    alva = {
        "name": "Alva",
        "contact": "alva@example.org",
        "keys": [_pem(tmp_path / "alva")],
        "may": ["withdraw", "quarantine"],
    }
    (tmp_path / "inbox").mkdir()
    name = "14402201001-tide-clock.json"
    (tmp_path / "inbox" / name).write_bytes((SAMPLE / "inbox" / name).read_bytes())
    overlay = {"inbox": f"file:{tmp_path / 'inbox'}", "people": {"alva": alva}}
    (tmp_path / "overlay.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    code, _, said = flywheel(tmp_path, "run", "--no-ui")
    assert code == 0, said
    assert narinfos(tmp_path)
    return tmp_path


def narinfos(home: Path) -> list[Path]:
    return list((home / "home" / "surfaces" / "durable-nix").glob("*.narinfo"))


def registered(home: Path) -> dict[str, str]:
    _, printed, said = flywheel(home, "register", "--json")
    assert not said
    (entry,) = json.loads(printed)["published"]
    return dict(entry)


def test_a_build_is_withdrawn_for_ever_and_the_register_and_report_say_so(home: Path) -> None:
    assert registered(home)["state"] == "published"
    code, printed, said = flywheel(home, "withdraw", *BUILD, *WHY)
    assert code == 0, said
    assert "withdrawn, " in printed
    assert not narinfos(home)
    assert registered(home)["state"] == "withdrawn"
    code, _, said = flywheel(home, "promote", *BUILD)
    assert code == 1
    assert "It sinks ships" in said
    _, printed, _ = flywheel(home, "report", "--json")
    (row,) = json.loads(printed)["builds"]
    assert (row["state"], row["reason"], row["published_at"]) == ("rejected", "withdrawn", "")
    code, printed, _ = flywheel(home, "withdraw", "--pending")
    assert (code, "Nothing is public" in printed) == (0, True)


def test_a_withdrawal_that_is_only_written_down_takes_nothing_away(home: Path) -> None:
    code, _, said = flywheel(home, "withdraw", *BUILD, *WHY, "--write", str(home / "decision.json"))
    assert code == 0, said
    assert narinfos(home)
    (home / "inbox" / "decision.json").write_bytes((home / "decision.json").read_bytes())
    flywheel(home, "run", "--no-ui")
    assert narinfos(home), "and what came by the inbox is carried out by a person's command"
    assert registered(home)["state"] == "to be withdrawn"
    assert flywheel(home, "withdraw", "--pending")[0] == 0
    assert not narinfos(home)


def test_a_quarantine_lists_what_is_public_and_one_command_takes_all_of_it_back(home: Path) -> None:
    code, printed, said = flywheel(home, "quarantine", "--signer", "tinyland-nix", *WHY, "--json")
    assert code == 0, said
    (public,) = json.loads(printed)["public"]
    assert (public["output"], public["build"], public["reason"]) == (*BUILD, "quarantined")
    assert public["owner"]
    assert public["reference"]
    assert narinfos(home)
    assert "1 public artifacts" in flywheel(home, "quarantine", "--list")[1]
    code, _, said = flywheel(home, "withdraw", "--quarantined", *WHY)
    assert code == 0, said
    assert not narinfos(home)
    assert "0 public artifacts" in flywheel(home, "quarantine", "--list")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("withdraw", *WHY), "Say what is to be withdrawn"),
        (("withdraw", *BUILD, "--yes"), "Say why"),
        (("withdraw", "tide-clock", "1.1.x", *WHY), "1.1.x"),
        (("withdraw", "tide-clock", "77.1.x86_64-linux", *WHY), "No build 77.1.x86_64-linux"),
        (("quarantine", "--signer", "nobody", *WHY), "has no key 'nobody'"),
        (("quarantine", *WHY), "Say what is compromised"),
    ],
)
def test_what_would_change_nothing_is_refused_with_a_sentence(
    home: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, said = flywheel(home, *arguments)
    assert code == 2, said
    assert sentence in said
    assert narinfos(home)


def test_the_register_is_a_page_in_markdown_and_in_html(home: Path) -> None:
    assert flywheel(home, "register", "--markdown")[1].startswith("# Ownership register")
    assert flywheel(home, "register", "--html")[1].startswith("<!DOCTYPE html>")
