"""Listings of two bodies: what differs between them, told in few words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.listings import SHOWN_CHANGES, Entry, FileKind, FileListing, compare

DIRECTORY = Entry(FileKind.DIRECTORY)


def file(content: str, *, executable: bool = False) -> Entry:
    return Entry(FileKind.REGULAR, len(content), executable, digest=content)


def link(target: bytes) -> Entry:
    return Entry(FileKind.SYMLINK, target=target)


ENTRIES = st.sampled_from([DIRECTORY, file("a"), file("bb"), file("a", executable=True), link(b"a"), link(b"b")])
LISTINGS = st.dictionaries(st.sampled_from([b"", b"a", b"b", b"a/b", b"\xff"]), ENTRIES)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (None, file("ab"), "a (added, none → 2 bytes)"),
        (file("ab"), None, "a (removed, 2 → none bytes)"),
        (file("ab"), file("abc"), "a (content, 2 → 3 bytes)"),
        (file("ab"), file("ab", executable=True), "a (executable, 2 → 2 bytes)"),
        (file("ab", executable=True), file("ab"), "a (no longer executable, 2 → 2 bytes)"),
        (file("ab"), file("abc", executable=True), "a (content and executable, 2 → 3 bytes)"),
        (file("ab"), link(b"b"), "a (regular → symlink, 2 → none bytes)"),
        (link(b"b"), link(b"c\n"), "a (target b → c\\x0a)"),
        (DIRECTORY, file("ab"), "a (directory → regular, none → 2 bytes)"),
    ],
)
def test_each_kind_of_difference_is_told(mine: Entry | None, theirs: Entry | None, said: str) -> None:
    one: FileListing = {b"a": mine} if mine else {}
    other: FileListing = {b"a": theirs} if theirs else {}
    assert compare(one, other).told(1) == f"1 of 1 files differ: {said}"


def test_the_first_are_told_and_all_are_counted() -> None:
    one = {f"{number:03}".encode(): file("x") for number in range(200)}
    other = {name: file("y") for name in one}
    found = compare({**one, b"same": file("z")}, {**other, b"same": file("z")})
    assert (found.changed, found.same, len(found.first)) == (200, 1, SHOWN_CHANGES)
    assert (
        found.told(2) == "200 of 201 files differ: 000 (content, 1 → 1 bytes), 001 (content, 1 → 1 bytes) and 198 more"
    )


def test_a_hostile_name_paints_no_terminal_and_is_bounded() -> None:
    found = compare({b"\x1b[31m\xff" + b"a" * 4000: file("x"), b"": link(b"")}, {})
    assert found.first[0].path == "(the root)"
    assert found.first[1].path.startswith("\\x1b[31m\\xff")
    assert len(found.first[1].path) <= 200


@given(LISTINGS, LISTINGS)
def test_to_compare_the_other_way_round_turns_additions_into_removals(one: FileListing, other: FileListing) -> None:
    there, back = compare(one, other), compare(other, one)
    assert (there.added, there.removed, there.changed, there.same) == (
        back.removed,
        back.added,
        back.changed,
        back.same,
    )
    assert there.count == sum(one.get(path) != other.get(path) for path in one.keys() | other.keys())
    assert compare(one, one).count == 0
