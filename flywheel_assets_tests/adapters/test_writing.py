"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from flywheel_assets.adapters.writing import draft, publishing, write_atomically
from flywheel_assets.domain.errors import PublicationError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for data in (b"one", b"another"):
        assert write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert names(tmp_path) == ["file"]


def test_once_leaves_what_is_there(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / "file", b"one", once=True)
    assert not write_atomically(tmp_path / "file", b"another", once=True)
    assert (tmp_path / "file").read_bytes() == b"one"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("once", [False, True])
def test_the_mode_is_there_from_the_beginning(tmp_path: Path, *, once: bool) -> None:
    with draft(tmp_path / "draft", mode=0o600):
        assert (tmp_path / "draft").stat().st_mode & 0o777 == 0o600
    write_atomically(tmp_path / "key", b"secret", mode=0o600, once=once)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_temporary_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "temporary").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "file", b"data", temporary=tmp_path / "temporary")
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert names(tmp_path) == ["temporary", "victim"]


@pytest.mark.parametrize("once", [False, True])
def test_a_failure_leaves_what_was_there_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, once: bool
) -> None:
    write_atomically(tmp_path / "file", b"one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PublicationError, match="file cannot be written: No space left"), publishing(tmp_path / "file"):
        write_atomically(tmp_path / "file", b"another", once=once)
    assert (tmp_path / "file").read_bytes() == b"one"
    assert names(tmp_path) == ["file"]
