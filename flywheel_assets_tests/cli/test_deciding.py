"""`flywheel approve`, `hold`, `revoke` and `decisions` as people call them, with keys as people keep them."""

import json
import os
import pty
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE
from flywheel_assets_tests.cli.test_commands import FLYWHEEL, GOOD, call

WHY = ("--reason", "Read and tried.", "--yes")


@pytest.fixture
def home(judged: Path, tmp_path: Path) -> Path:
    """A folder of its own for each test."""
    shutil.copytree(judged, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build of tide-clock, which two of three people must approve; alva's key is OpenSSH's."""
    tmp_path, people = tmp_path_factory.mktemp("people"), {}
    for name in ("alva", "bo", "starter", "stranger"):
        people[name] = _openssh(tmp_path / name) if name == "alva" else _pem(tmp_path / name)
    people.pop("stranger")
    overlay = {
        "inbox": "file:../inbox",
        "people": {
            name: {
                "name": name.title(),
                "contact": f"{name}@example.org",
                "keys": [public],
                "forge_names": ["ines-arvidsson" if name == "starter" else f"{name}-forge"],
                "may": ["approve", "hold"] if name != "bo" else ["approve"],
            }
            for name, public in people.items()
        },
        "outputs": {"tide-clock": {"publication": {"approvals": {"needed": 2, "by": [*people], "last_days": 5}}}},
    }
    (tmp_path / "inbox").mkdir()
    receipt = (SAMPLE / "inbox" / "14402201001-tide-clock.json").read_bytes()
    (tmp_path / "inbox" / "14402201001-tide-clock.json").write_bytes(receipt)
    (tmp_path / "overlay.yaml").write_text(json.dumps(overlay), encoding="utf-8")  # YAML 1.2 holds all of JSON
    code, _, said = flywheel(tmp_path, "run", "--no-ui")
    assert code == 0, said
    return tmp_path


def _openssh(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, capture_output=True)
    return path.with_suffix(".pub").read_text("utf-8").strip()


def _pem(path: Path) -> str:
    private = Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def flywheel(home: Path, *arguments: str) -> tuple[int, str, str]:
    catalogue = ":".join(map(str, (*SAMPLE_CATALOGUE, home / "overlay.yaml")))
    keys = [str(home / each[4:]) if each.startswith("key:") else each for each in arguments]
    return call(home / "home", *keys, FLYWHEEL_CATALOGUE=catalogue)


def listed(home: Path, *arguments: str) -> list[dict[str, object]]:
    code, printed, said = flywheel(home, "decisions", *arguments, "--json")
    assert code == 0, said
    found: list[dict[str, object]] = json.loads(printed)["decisions"]
    return found


def state(home: Path) -> tuple[str, str]:
    (row,) = json.loads(flywheel(home, "report", "--json")[1])["builds"]
    return row["state"], row["reason"]


def test_the_last_approval_lets_it_out_by_itself_and_each_says_what_was_signed(home: Path) -> None:
    assert state(home) == ("validated", "approval-missing")
    assert f"flywheel approve tide-clock {GOOD}" in flywheel(home, "why-not", "tide-clock", GOOD)[1]
    code, printed, said = flywheel(home, "approve", "tide-clock", GOOD, "--key", "key:alva", "--for", "2d", *WHY)
    assert code == 0, said
    for shown in ("sha256:", "durable-nix as nix:durable-nix/nix/store/", "harbor-tools at ", "started by:", "until:"):
        assert shown in printed
    assert "1 of 2 approvals are given, by alva" in printed
    assert f"needs to run `flywheel approve tide-clock {GOOD}`" in " ".join(printed.split())
    before = listed(home)
    code, _, said = flywheel(home, "approve", "tide-clock", GOOD, "--key", "key:alva", *WHY[:-1])
    assert code != 0, "nobody said yes"
    assert f"the same stands already by alva, as {str(before[0]['id'])[7:19]}, until " in " ".join(said.split())
    assert listed(home) == before
    flywheel(home, "run", "--no-ui")
    assert state(home) == ("validated", "approval-missing")
    code, printed, said = flywheel(home, "approve", "tide-clock", GOOD, "--key", "key:bo", *WHY)
    assert code == 0, said
    assert "2 of 2 approvals are given, by alva, bo" in printed
    assert "No action needed: every rule holds" in " ".join(printed.split())
    code, printed, _ = flywheel(home, "run", "--no-ui")
    assert state(home) == ("published", "every-rule-holds")
    rows = listed(home, "tide-clock")
    assert [(row["who"], row["act"], row["counts"], row["build"]) for row in rows] == [
        (["alva"], "approve", True, GOOD),
        (["bo"], "approve", True, GOOD),
    ]
    assert "2 decisions, 2 of which count." in flywheel(home, "decisions")[1]


def test_what_would_not_count_is_refused_before_it_is_signed(home: Path) -> None:
    approve = ("approve", "tide-clock", GOOD, *WHY)
    refusals = {
        (*approve, "--key", "key:stranger"): "Nobody in the catalogue's `people` has this key",
        (*approve, "--key", "key:starter"): "starter started a run of it",
        (*approve, "--key", "key:alva", "--for", "6d"): "last 5 days at most",
        (*approve, "--key", "key:alva", "--for", "soon"): "is no time span",
        (*approve, "--key", "key:alva.pub"): "no private key",
        (*approve, "--key", "key:nothing"): "nothing",
        ("approve", "tide-clock", "7.1.x86_64-linux", *WHY, "--key", "key:alva"): "is in evidence",
        ("approve", "nothing", GOOD, *WHY, "--key", "key:alva"): "knows no output",
        ("hold", "tide-clock", *WHY, "--key", "key:bo"): "bo may not hold",
        ("hold", "nothing", *WHY, "--key", "key:alva"): "does not know 'nothing'",
        ("hold", *WHY, "--key", "key:alva"): "Say what is to be held",
        ("hold", "--everything", "--until", "2020-01-01", *WHY, "--key", "key:alva"): "is over already",
        ("revoke", "abc", *WHY, "--key", "key:alva"): "too short",
        ("revoke", "0123456789", *WHY, "--key", "key:alva"): "is none",
        ("meet", "tide-clock", "1", *WHY, "--key", "key:alva"): "declares no change",
    }
    (home / "alva.pub").chmod(0o600)
    for arguments, says in refusals.items():
        code, _, said = flywheel(home, *arguments)
        assert (code, says in said) == (2, True), (arguments, said)
    assert listed(home) == []


def test_nothing_is_signed_by_whoever_does_not_agree(home: Path) -> None:
    code, printed, _ = flywheel(home, "approve", "tide-clock", GOOD, "--key", "key:alva", "--reason", "Read.")
    assert code != 0
    assert "sha256:" in printed
    assert listed(home) == []


def test_a_hold_acts_at_once_and_is_taken_back_by_its_id(home: Path) -> None:
    code, printed, said = flywheel(home, "hold", "--everything", "--until", "36h", "--key", "key:alva", *WHY)
    assert code == 0, said
    assert "hold everything, until" in printed
    assert "public" not in printed, "nothing is"
    code, why, _ = flywheel(home, "why-not", "tide-clock", GOOD)
    assert "everything is held by alva until" in why
    (row,) = listed(home)
    short = str(row["id"])[7:19]
    assert all(f"flywheel revoke {short}`" in shown for shown in (printed, why))
    assert short in flywheel(home, "decisions")[1]
    assert (row["act"], row["counts"], row["scope"]) == ("hold", True, {})
    code, printed, said = flywheel(home, "revoke", short, "--key", "key:alva", *WHY)
    assert code == 0, said
    assert "Revoked." in printed
    assert [(row["act"], row["counts"]) for row in listed(home)] == [("hold", False), ("revoke", True)]
    assert "revoked it: Read and tried." in flywheel(home, "decisions")[1]
    assert "everything is held" not in flywheel(home, "why-not", "tide-clock", GOOD)[1]


def test_a_passphrase_is_asked_for_on_the_terminal_and_what_is_signed_is_agreed_to_there(home: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "correct horse", "-f", str(home / "alva")],
        check=True,
        capture_output=True,
    )
    catalogue = ":".join(map(str, (*SAMPLE_CATALOGUE, home / "overlay.yaml")))
    environment = {"PATH": os.environ["PATH"], "FLYWHEEL_HOME": str(home / "home"), "FLYWHEEL_CATALOGUE": catalogue}
    arguments = ["hold", "tide-clock", "--reason", "Wait.", "--key", str(home / "alva")]
    answers = [(b"Passphrase", b"correct horse\n"), (b"Sign this as alva?", b"y\n")]
    process, terminal = pty.fork()
    if process == 0:
        os.execve(FLYWHEEL, ["flywheel", *arguments], environment)  # noqa: S606 - our own program
    said = b""
    with suppress(OSError):  # how a terminal says that the other side is gone
        while part := os.read(terminal, 4096):
            said += part
            if answers and answers[0][0] in said:
                os.write(terminal, answers.pop(0)[1])
    assert os.waitpid(process, 0)[1] == 0, said
    assert b"correct horse" not in said
    assert [row["who"] for row in listed(home)] == [["alva"]]


def test_what_is_written_to_a_file_counts_once_it_is_in_the_inbox(home: Path) -> None:
    file = home / "hold.json"
    code, _, said = flywheel(home, "hold", "tide-clock", "--key", "key:alva", "--write", str(file), *WHY)
    assert code == 0, said
    assert listed(home) == []
    file.rename(home / "inbox" / "hold.json")
    flywheel(home, "run", "--no-ui")
    assert [row["act"] for row in listed(home, "tide-clock")] == ["hold"]
    assert state(home)[1] in {"held", "approval-missing"}


def test_what_is_signed_elsewhere_is_shown_there_and_counts_once_it_is_in_the_inbox(home: Path) -> None:
    statement, signed = home / "for-bo.json", home / "inbox" / "approve-bo.json"
    code, _, said = flywheel(home, "approve", "tide-clock", GOOD, "--unsigned", str(statement), *WHY)
    assert code == 0, said
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    sign = ("sign", statement, "--key", home / "bo", "--write", signed)
    code, printed, _ = call(elsewhere, *sign)
    assert code != 0
    assert "digest:      sha256:" in printed
    assert not signed.exists()
    code, _, said = call(elsewhere, *sign, "--yes")
    assert code == 0, said
    flywheel(home, "run", "--no-ui")
    assert [(row["who"], row["counts"]) for row in listed(home)] == [(["bo"], True)]
    statement.write_text(statement.read_text("utf-8").replace("Read and tried.", "Other."), encoding="utf-8")
    assert call(elsewhere, *sign, "--yes")[0] == 0, "another reason is another decision"
    statement.write_text(statement.read_text("utf-8").replace("approve", "apbrove"), encoding="utf-8")
    code, _, said = call(elsewhere, *sign, "--yes")
    assert (code, "act" in said) == (1, True)
    for arguments in (("--key", "key:alva"), ("--write", "x")):
        refused = flywheel(home, "hold", "tide-clock", "--unsigned", str(statement), *WHY, *arguments)
        assert (refused[0], "neither --key nor --write" in refused[2]) == (2, True)
    assert flywheel(home, "hold", "tide-clock", *WHY)[0] == 2, "a decision must be signed"
