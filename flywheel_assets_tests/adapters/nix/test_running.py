"""Running a command: bounded in time, told from its failure, and gone with all that it started."""

import os
import time
from pathlib import Path

import pytest

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.adapters.nix.running import printed
from flywheel_assets.domain.errors import UnreadableError


def said(script: str, folder: Path, seconds: float = 60, **environment: str) -> bytes:
    return b"".join(printed(("/bin/sh", "-c", script), {"PATH": os.environ["PATH"], **environment}, folder, seconds))


def test_what_it_prints_comes_in_pieces_and_in_full(tmp_path: Path) -> None:
    pieces = list(printed(("/bin/sh", "-c", "head -c 3000000 /dev/zero"), dict(os.environ), tmp_path, 60))
    assert b"".join(pieces) == bytes(3_000_000)
    assert max(map(len, pieces)) <= CHUNK


def test_it_sees_the_environment_that_it_is_given_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_SECRET", "a secret")
    assert b"secret" not in said("env", tmp_path, GIVEN="yes")
    assert b"GIVEN=yes" in said("env; pwd", tmp_path, GIVEN="yes")
    assert str(tmp_path).encode() in said("pwd", tmp_path)


def test_a_failure_after_the_last_piece_is_one(tmp_path: Path) -> None:
    script = "echo half; echo 'warning: no' >&2; echo 'error: it broke' >&2; echo ' > log \033[31m' >&2; exit 3"
    with pytest.raises(UnreadableError, match=r"status 3: error: it broke > log \\x1b\[31m$"):
        said(script, tmp_path)


def test_a_failure_without_a_word_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"status 1: .it said nothing"):
        said("exit 1", tmp_path)


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableError, match=r"took over 0.5 s, and was ended"):
        said("sleep 30 & echo $! > child; wait", tmp_path, seconds=0.5)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text("ascii"))
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_whoever_stops_listening_leaves_nothing_running(tmp_path: Path) -> None:
    pieces = printed(("/bin/sh", "-c", "echo $$ > child; yes"), dict(os.environ), tmp_path, 60)
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    stat = Path(f"/proc/{(tmp_path / 'child').read_text('ascii').strip()}/stat")
    assert not stat.exists()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="/nowhere/nix cannot be started"):
        list(printed(("/nowhere/nix",), {}, tmp_path, 60))
