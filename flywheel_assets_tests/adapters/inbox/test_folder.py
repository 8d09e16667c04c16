"""An inbox folder that anyone may write to: receipts are delivered, everything else is told or left alone."""

import os
import time
from pathlib import Path

import pytest

from flywheel_assets.adapters.inbox.folder import FolderInbox
from flywheel_assets.domain.errors import AbsentError, UnauthorisedError, UnreadableError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Delivery

SMALL = Limits(receipt_bytes=0, signature_material_bytes=10)


def deliveries(folder: Path, limits: Limits = SMALL) -> list[Delivery]:
    return list(FolderInbox(folder, limits).deliveries())


def test_receipts_are_delivered_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.json"):
        (tmp_path / name).write_text(name)
    assert [(each.name, each.data, each.problem) for each in deliveries(tmp_path)] == [
        ("a.json", b"a.json", ""),
        ("b.json", b"b.json", ""),
        ("c.json", b"c.json", ""),
    ]


def test_what_is_being_written_and_what_is_no_receipt_is_left_alone(tmp_path: Path) -> None:
    for name in (".a.json", ".json", "a.json.tmp", "a.tmp", "a.txt", "a.json~"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inner.json").write_text("x")
    assert deliveries(tmp_path) == []


def test_what_is_no_receipt_after_an_hour_is_told_unread_and_once(tmp_path: Path) -> None:
    for name in (".a.json", "a.json.tmp", "b.txt", "good.json"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "good.json")
    now = time.time()
    assert [each.name for each in FolderInbox(tmp_path, SMALL, lambda: now + 3500).deliveries()] == ["good.json"]
    inbox = FolderInbox(tmp_path, SMALL, lambda: now + 3700)
    found = {each.name: each for each in inbox.deliveries()}
    assert {name: each.data for name, each in found.items()} == {
        **dict.fromkeys(("a.json.tmp", "b.txt", "folder", "link")),
        "good.json": b"x",
    }
    assert found["b.txt"].problem.startswith("b.txt is not called *.json, so it was not read. Give it that ending")
    assert not found["b.txt"].passing
    assert inbox.delivery("b.txt") == found["b.txt"]
    assert list(inbox.deliveries({each.version for each in found.values()})) == []


def test_a_receipt_of_the_largest_size_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "fits.json").write_bytes(b"x" * 10)
    (tmp_path / "large.json").write_bytes(b"x" * 11)
    with (tmp_path / "vast.json").open("wb") as file:
        file.truncate(2**40)
    fits, large, vast = deliveries(tmp_path)
    assert fits.data == b"x" * 10
    assert (large.data, vast.data) == (None, None)
    assert large.problem == "large.json has 11 bytes, and at most 10 are read. Make the receipt smaller."
    assert "1,099,511,627,776 bytes" in vast.problem


def test_an_empty_file_is_delivered_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    assert deliveries(tmp_path) == [Delivery("empty.json", b"")]


def test_links_fifos_and_folders_are_told_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "a.json").symlink_to(tmp_path / "secret")
    (tmp_path / "b.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "c.json")
    (tmp_path / "d.json").mkdir()
    found = deliveries(tmp_path)
    assert [each.data for each in found] == [None] * 4
    assert ["symbolic link" in each.problem for each in found] == [True, True, False, False]
    assert ["not a regular file" in each.problem for each in found] == [False, False, True, True]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"bell\x07\x1b[31m.json", "bell\\x07\\x1b[31m.json"),
        (b"not-utf8-\xff\xfe.json", "not-utf8-\\xff\\xfe.json"),
        ("line\u2028\u202e.json".encode(), "line\\x2028\\x202e.json"),
        ("größe.json".encode(), "größe.json"),
    ],
)
def test_names_are_made_readable(tmp_path: Path, name: bytes, shown: str) -> None:
    (tmp_path / os.fsdecode(name)).write_text("x")
    [found] = deliveries(tmp_path)
    assert (found.name, found.data) == (shown, b"x")


def test_a_file_that_fails_is_told_and_the_others_are_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests run as root, who may read everything: the refusal is made here."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("x")
    whole = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "a.json":
            raise PermissionError(13, "Permission denied")
        return whole(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    first, second = deliveries(tmp_path)
    assert first.data is None
    assert first.problem == "a.json cannot be read: Permission denied. Check its permissions."
    assert second.data == b"x"


def test_a_file_that_is_taken_away_meanwhile_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("x")
    listed = FolderInbox(tmp_path).deliveries()
    (tmp_path / "a.json").unlink()
    assert [each.name for each in listed] == ["b.json"]


def test_a_missing_folder_is_absent_before_anything_is_asked_of_it(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="is not there"):
        FolderInbox(tmp_path / "nowhere").deliveries()


def test_a_file_in_place_of_the_folder_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnreadableError):
        FolderInbox(tmp_path / "file").deliveries()


def test_a_folder_that_may_not_be_listed_is_unauthorised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refusing)
    with pytest.raises(UnauthorisedError):
        FolderInbox(tmp_path).deliveries()
