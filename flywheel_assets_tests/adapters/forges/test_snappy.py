"""Snappy blocks, as a reference implementation packs them, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.forges.snappy import unpacked
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets_tests.forge import packed

TEXT = b"an ape and an ape and an ape; and so on, and on, and an end"
BLOCK = bytes.fromhex("3b28616e2061706520616e6420420b00003b051714736f206f6e2c050b346f6e2c20616e6420616e20656e64")


def test_literals_and_copies_are_unpacked() -> None:
    assert unpacked(BLOCK, "x", 1000) == TEXT


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"\0", b""),
        (b"\x09\0a\x11\x01", b"a" * 9),
        (b"\x0a\x04ab\x1e\x02\0", b"ab" * 5),
        (b"\x0a\x04ab\x1f\x02\0\0\0", b"ab" * 5),
        (b"\x03\xf0\x02abc", b"abc"),
        (b"\x03\xfc\x02\0\0\0abc", b"abc"),
    ],
    ids=["nothing", "a copy into itself", "by two bytes", "by four bytes", "length by one byte", "length by four"],
)
def test_every_kind_of_element_is_known(block: bytes, data: bytes) -> None:
    assert unpacked(block, "x", 1000) == data


@given(st.binary(max_size=200_000))
def test_what_was_packed_comes_out(data: bytes) -> None:
    assert unpacked(packed(data), "x", 200_000) == data


@given(st.binary(max_size=300))
def test_nothing_else_comes_out_of_any_bytes_than_what_they_declare(block: bytes) -> None:
    try:
        data = unpacked(block, "x", 10_000)
    except InvalidInputError:
        return
    assert len(data) <= 10_000


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x80",
        b"\xff" * 6,
        b"\x01",
        b"\x01\x04a",
        b"\x01\0ab",
        b"\x01\0",
        b"\x05\0a\x01\x00",
        b"\x05\0a\x01\x02",
        b"\x05\0a\x0e\x01",
        b"\x03\xf4\x02",
        BLOCK[:-1],
        BLOCK + b"\0x",
    ],
)
def test_a_block_that_is_cut_or_reaches_out_of_itself_is_invalid(block: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no whole Snappy block"):
        unpacked(block, "x", 1000)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(LimitExceededError, match="unpacks to 4,294,967,295 bytes"):
        unpacked(b"\xff\xff\xff\xff\x0f" + b"\xfe\x01\0" * 100, "x", 1000)
