"""`flywheel withdraw`, `quarantine` and `register` as people call them."""

import json
from pathlib import Path

import pytest

from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.cli.test_deciding import _pem, flywheel

BUILD = ("tide-clock", "14402201001.1.x86_64-linux")
REPOSITORY = "https://github.com/tinyland-inc/harbor-tools"
WHY = ("--reason", "It sinks ships.", "--yes", "--key", "key:alva")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A published build of tide-clock, and alva, who may take it back."""
    alva = {
        "name": "Alva",
        "contact": "alva@example.org",
        "keys": [_pem(tmp_path / "alva")],
        "may": ["withdraw", "quarantine", "hold"],
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
    assert f"`flywheel withdraw {' '.join(BUILD)}` takes it away" in " ".join(
        flywheel(home, "hold", "tide-clock", *WHY)[1].split()
    )
    code, printed, said = flywheel(home, "withdraw", *BUILD, *WHY)
    assert code == 0, said
    assert "which cannot be taken back public at file:" in " ".join(said.split())
    assert ", and taken off durable-nix" in " ".join(said.split())
    assert "withdrawn, " in printed
    assert not narinfos(home)
    assert registered(home)["state"] == "withdrawn"
    code, _, said = flywheel(home, "promote", *BUILD)
    assert code == 1
    assert "It sinks ships" in said
    _, printed, _ = flywheel(home, "report", "--json")
    (row,) = json.loads(printed)["builds"]
    assert (row["state"], row["reason"], row["published_at"]) == ("withdrawn", "withdrawn", "")
    assert "withdrawn on " in row["message"]
    assert "It sinks ships" in row["message"]
    code, printed, _ = flywheel(home, "withdraw", "--pending")
    assert (code, "Nothing is public" in printed) == (0, True)
    code, printed, _ = flywheel(home, "withdraw", "--pending", "--json")
    assert (code, json.loads(printed)) == (0, {"schema": 1, "withdrawals": [], "failed": []})


def test_whoever_may_not_is_refused_before_anything_is_said_of_what_would_go(home: Path) -> None:
    _pem(home / "bo")
    code, printed, said = flywheel(home, "withdraw", *BUILD, *WHY[:-1], "key:bo")
    assert (code, printed) == (2, "")
    assert "Nobody in the catalogue" in said


def test_what_is_decided_and_taken_away_is_told_as_documents_for_those_who_script_it(home: Path) -> None:
    code, printed, said = flywheel(home, "hold", "tide-clock", *WHY, "--json")
    held = json.loads(printed)["decision"]
    assert (code, held["act"], held["counts"], held["who"]) == (0, "hold", True, ["alva"])
    assert "Held." in said
    printed = flywheel(home, "report")[1]
    assert "passed*" in printed, "it was judged before the hold"
    assert "the next run judges them again" in printed
    _, printed, _ = flywheel(home, "revoke", held["id"], *WHY, "--json", "--write", str(home / "revocation.json"))
    document = json.loads(printed)
    assert (set(document["decision"]), document["written"]) == ({"id"}, str(home / "revocation.json"))
    code, printed, _ = flywheel(home, "withdraw", *BUILD, *WHY, "--json")
    (done,) = json.loads(printed)["withdrawals"]
    assert (code, done["to_do"], done["yanked_by"]) == (0, "", "")
    assert all(name.startswith("/nix/store/") for name in done["unpublished"]["removed"])
    assert done["mark"].startswith("sha256:")


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


def test_a_withdrawal_is_signed_once_and_one_that_is_only_written_down_carries_nothing_out(home: Path) -> None:
    code, printed, said = flywheel(home, "withdraw", *BUILD, *WHY, "--write", str(home / "decision.json"))
    assert code == 0, said
    assert "Nothing is public" not in printed
    assert narinfos(home)
    assert flywheel(home, "withdraw", *BUILD, *WHY)[0] == 0
    code, _, said = flywheel(home, "withdraw", *BUILD, *WHY)
    assert code == 2
    assert "was withdrawn already, by alva on " in " ".join(said.split())
    assert len(json.loads(flywheel(home, "decisions", "--json")[1])["decisions"]) == 1


def test_a_withdrawal_that_cannot_be_carried_out_is_told_by_name_and_the_exit_says_so(home: Path) -> None:
    (home / "home" / "surfaces" / "durable-nix").rename(home / "elsewhere")
    (home / "home" / "surfaces" / "durable-nix").write_text("a file where a folder was")
    code, printed, _ = flywheel(home, "withdraw", *BUILD, *WHY)
    assert code == 1
    assert ": not withdrawn yet: " in " ".join(printed.split())
    assert registered(home)["state"] == "to be withdrawn"


def test_a_quarantine_lists_what_is_public_and_one_command_takes_all_of_it_back(home: Path) -> None:
    code, printed, said = flywheel(home, "quarantine", "--signer", "tinyland-nix", *WHY, "--json")
    assert code == 0, said
    (public,) = json.loads(printed)["public"]
    assert (public["output"], public["build"], public["reason"]) == (*BUILD, "quarantined")
    assert public["owner"]
    assert public["reference"]
    assert narinfos(home)
    assert "1 public artifacts" in flywheel(home, "quarantine", "--list")[1]
    code, printed, _ = flywheel(home, "register")
    assert (code, "came from the signer tinyland-nix" in " ".join(printed.split())) == (1, True)
    code, _, said = flywheel(home, "withdraw", "--quarantined", *WHY)
    assert code == 0, said
    assert not narinfos(home)
    assert "0 public artifacts" in flywheel(home, "quarantine", "--list")[1]


def test_a_run_of_which_nothing_came_is_not_signed_without_being_asked_about(home: Path) -> None:
    mistyped = ("quarantine", "--run", REPOSITORY, "14402201010", *WHY)
    code, printed, said = flywheel(home, *mistyped)
    assert code == 130, said
    assert f"No build in evidence came of {REPOSITORY} 14402201010." in said
    assert "public artifacts" not in printed, "that would read as an all-clear"
    assert "14402201010" not in flywheel(home, "decisions", "--json")[1]


def test_a_quarantine_says_how_many_builds_it_marks_and_is_signed_once(home: Path) -> None:
    run = ("quarantine", "--run", REPOSITORY, "14402201001", *WHY)
    code, printed, said = flywheel(home, *run)
    assert code == 0, said
    assert f"quarantine {REPOSITORY} 14402201001: 1 builds came of it" in said
    assert "1 public artifacts" in printed
    code, again, said = flywheel(home, *run, "--json")
    assert code == 0, said
    assert "by alva: nothing is signed again" in " ".join(said.split())
    assert len(json.loads(again)["public"]) == 1
    (decision,) = json.loads(flywheel(home, "decisions", "--json")[1])["decisions"]
    assert decision["scope"] == {"repository": REPOSITORY, "run": "14402201001"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("withdraw", *WHY), "Say what is to be withdrawn"),
        (("withdraw", *BUILD, "--yes"), "Say why"),
        (("withdraw", "tide-clock", "1.1.x", *WHY), "1.1.x"),
        (("withdraw", "tide-clock", "77.1.x86_64-linux", *WHY), "No build 77.1.x86_64-linux"),
        (("quarantine", "--signer", "nobody", *WHY), "has no key 'nobody'"),
        (("quarantine", *WHY), "Say what is compromised"),
        (("quarantine", "--run", f"{REPOSITORY}.git", "14402201001", *WHY), "knows no repository"),
        (("quarantine", "--run", f"{REPOSITORY}/", "14402201001", *WHY), "knows no repository"),
        (("quarantine", "--run", REPOSITORY, BUILD[1], *WHY), "is no run: name it as its receipts do"),
    ],
)
def test_what_would_change_nothing_is_refused_with_a_sentence(
    home: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, said = flywheel(home, *arguments)
    assert code == 2, said
    assert sentence in said
    assert narinfos(home)


def test_the_register_tells_of_each_artifact_why_it_is_clean_and_where_it_is(home: Path) -> None:
    code, printed, said = flywheel(home, "register")
    assert (code, said) == (0, "")
    assert "why clean: " in printed
    assert "durable-nix#/nix/store/" in "".join(printed.split())
    assert flywheel(home, "register", "--json", "--html")[0] == 2


def test_what_cannot_be_told_is_another_answer_than_no(home: Path) -> None:
    key, path = home / "home" / "keys" / "release.pub", "/nix/store/00000000000000000000000000000000-x"
    assert flywheel(home, "verify", f"http://127.0.0.1:9/#{path}", "--key", str(key))[0] == 3
    assert flywheel(home, "verify", f"{(home / 'inbox').as_uri()}#{path}", "--key", str(key))[0] == 1


def test_the_register_is_a_page_in_markdown_and_in_html(home: Path) -> None:
    assert flywheel(home, "register", "--markdown")[1].startswith("# Ownership register")
    assert flywheel(home, "register", "--html")[1].startswith("<!DOCTYPE html>")
