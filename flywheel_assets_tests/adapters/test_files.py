"""Reading below a folder that others write to. What each adapter makes of it is tested with the adapter."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.adapters.files import CHUNK, Folder, read_error, state_of
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.inspections import ReadState


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/sub/file").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    return Folder(tmp_path / "folder", remedy="Mend it.", shrink="Shrink it.")


def test_a_file_is_read_up_to_its_limit(folder: Folder) -> None:
    assert folder.read("sub/file", 10) == b"0123456789"
    assert folder.size("sub/file") == 10
    with pytest.raises(LimitExceededError, match=r"has 10 bytes, and at most 9 are read\. Shrink it\."):
        folder.read("sub/file", 9)


def test_chunks_are_of_one_mebibyte_at_most(folder: Folder) -> None:
    (folder.path / "large").write_bytes(b"x" * (CHUNK + 1))
    assert [len(chunk) for chunk in folder.chunks("large")] == [CHUNK, 1]


@pytest.mark.parametrize(
    "name", ["", "/etc/hostname", "../secret", "sub/../../secret", "./sub/file", "sub//file", "a\0b"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: Folder, name: str) -> None:
    with pytest.raises(InvalidInputError, match="no name below its folder"):
        folder.open(name)


@pytest.mark.parametrize("step", ["sub", "sub/file"])
def test_a_link_is_not_followed_wherever_it_stands(folder: Folder, step: str) -> None:
    place = folder.path / step
    place.rename(folder.path / "moved")
    place.symlink_to(folder.path / "moved")
    with pytest.raises(InvalidInputError, match=r"symbolic link.*Mend it\."):
        folder.open("sub/file")


def test_a_linked_subfolder_is_not_listed(folder: Folder) -> None:
    assert (folder.names(), folder.names("sub")) == (["sub"], ["file"])
    (folder.path / "link").symlink_to(folder.path / "sub")
    with pytest.raises(InvalidInputError):
        folder.names("link")
    with pytest.raises(AbsentError):
        folder.names("nowhere")


def swap_for_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap_for_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("swap", [swap_for_a_fifo, swap_for_a_link])
def test_what_is_swapped_in_after_it_was_looked_at_does_no_harm(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None]
) -> None:
    really = os.stat

    def swapping(path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        found = really(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if path == "file" and stat.S_ISREG(found.st_mode):
            swap(folder.path / "sub/file")
        return found

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is counted
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", swapping)
        with pytest.raises(InvalidInputError):
            folder.open("sub/file")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("error", "kind", "state"),
    [
        (FileNotFoundError(2, "no"), AbsentError, ReadState.ABSENT),
        (PermissionError(13, "no"), UnauthorisedError, ReadState.UNAUTHORISED),
        (PermissionError(1, "no"), UnauthorisedError, ReadState.UNAUTHORISED),
        (OSError(40, "no"), InvalidInputError, ReadState.MALFORMED),
        (NotADirectoryError(20, "no"), InvalidInputError, ReadState.MALFORMED),
        (OSError(5, "no"), UnreadableError, ReadState.UNREADABLE),
        (OSError("no number"), UnreadableError, ReadState.UNREADABLE),
    ],
)
def test_each_failure_is_an_error_and_a_state_of_its_own(
    error: OSError, kind: type[FlywheelError], state: ReadState
) -> None:
    found = read_error(error, "a\x1b[31mname", "Mend it.")
    assert type(found) is kind
    assert state_of(found) is state
    assert str(found).startswith("a\\x1b[31mname")


def test_what_is_over_a_limit_is_too_large_and_not_malformed() -> None:
    assert state_of(LimitExceededError("a", "b", "c", "d")) is ReadState.TOO_LARGE
