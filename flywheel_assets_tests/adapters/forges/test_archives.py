"""Receipts in zip archives: bounds that the archive cannot talk its way out of."""

import struct
import tracemalloc
from dataclasses import replace
from io import BytesIO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest

from flywheel_assets.adapters.forges.archives import receipts_in
from flywheel_assets.domain.limits import KIB, MIB, Limits
from flywheel_assets_tests.forge import archive

SMALL = Limits(receipt_bytes=1000, signature_material_bytes=0, archive_files=3, archive_unpacked_bytes=2500)


def problem(data: bytes, limits: Limits = SMALL) -> str:
    """The problem of the only delivery."""
    (delivery,) = receipts_in(data, "run 1", limits)
    assert delivery.data is None
    assert delivery.problem.startswith("run 1")
    return delivery.problem


def zipped(name: str, data: bytes, method: int = ZIP_DEFLATED) -> bytes:
    target = BytesIO()
    with ZipFile(target, "w", method) as made:
        made.writestr(name, data)
    return target.getvalue()


def test_every_document_is_delivered_under_its_name() -> None:
    found = list(receipts_in(archive(one=b"1", two=b"2"), "run 1", SMALL))
    assert [(each.name, each.data) for each in found] == [("run 1: one.json", b"1"), ("run 1: two.json", b"2")]


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.json", "folder/.json", "folder.json/"])
def test_other_files_are_not_looked_at(name: str) -> None:
    assert list(receipts_in(zipped(name, b"x"), "run 1", SMALL)) == []


def test_names_are_no_paths() -> None:
    (found,) = receipts_in(zipped("../../etc/x\x1b.json", b"{}"), "run 1", SMALL)
    assert found.data == b"{}"
    assert "\x1b" not in found.name


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"<html>", archive(one=b"1" * 900)[:-30]], ids=["empty", "begun", "a-page", "cut-off"]
)
def test_what_is_no_whole_archive_is_one_problem(data: bytes) -> None:
    assert "no whole zip archive" in problem(data)


def test_a_bomb_is_not_unpacked_beyond_the_limit_of_a_receipt() -> None:
    bomb = zipped("bomb.json", bytes(64 * MIB))
    assert len(bomb) < 100 * KIB
    tracemalloc.start()
    assert "more than 1,500 bytes" in problem(bomb)
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    tracemalloc.stop()


def test_a_size_that_the_archive_lies_about_is_not_believed() -> None:
    data = zipped("bomb.json", bytes(MIB))
    honest = struct.pack("<I", MIB)
    assert data.count(honest) == 2
    assert "bomb.json" in problem(data.replace(honest, struct.pack("<I", 10)))


def test_a_directory_of_any_length_is_counted_before_it_is_parsed() -> None:
    target = BytesIO()
    with ZipFile(target, "w") as made:
        for number in range(20_000):
            made.writestr(str(number), b"")
    small = replace(SMALL, archive_entries=2_000)
    data = target.getvalue()
    tracemalloc.start()
    assert "over 2,000 files" in problem(data, small)
    assert tracemalloc.get_traced_memory()[1] < 100 * KIB
    tracemalloc.stop()


def test_what_is_over_a_limit_ends_its_archive_with_one_problem() -> None:
    found = list(receipts_in(archive(a=b"1", b=b"2" * 2000, c=b"3" * 2000), "run 1", SMALL))
    assert [each.data for each in found] == [b"1", None]
    assert "what follows in its archive" in found[1].problem


def test_many_documents_together_are_bounded_too() -> None:
    found = list(receipts_in(archive(a=b"1" * 1000, b=b"2" * 1000, c=b"3" * 1000), "run 1", SMALL))
    assert [each.data is None for each in found] == [False, False, True]
    assert "holds 4 documents" in problem(archive(a=b"", b=b"", c=b"", d=b""))


def test_a_document_that_was_altered_is_a_problem_and_its_neighbours_are_read() -> None:
    data = archive(one=b"1" * 500, two=b"2" * 500)
    start = data.index(b"one.json") + len(b"one.json")
    spoilt = data[:start] + bytes([data[start] ^ 0xFF]) + data[start + 1 :]
    found = list(receipts_in(spoilt, "run 1", SMALL))
    assert [each.data is None for each in found] == [True, False]


def test_packing_that_is_not_common_is_refused() -> None:
    assert "uncommon" in problem(zipped("one.json", b"{}", ZIP_BZIP2))
    data = bytearray(zipped("one.json", b"{}"))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in problem(bytes(data))
