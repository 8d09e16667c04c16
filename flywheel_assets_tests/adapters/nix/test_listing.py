"""Listing a NAR while it streams: as Nix lists it, and safe against whatever is no NAR."""

import hashlib
import json
import os
import subprocess
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.adapters.nix.listing import NarLister
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.listings import Entry, FileKind, FileListing

NAMES = st.binary(min_size=1, max_size=9).filter(lambda n: n not in {b".", b".."} and not {0, 47} & set(n))
FILES = st.tuples(st.binary(max_size=40), st.booleans())
TARGETS = st.binary(min_size=1, max_size=20).filter(lambda t: 0 not in t)
Tree = tuple[bytes, bool] | bytes | dict[bytes, Any]
TREES: st.SearchStrategy[Tree] = st.recursive(
    FILES | TARGETS, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


def text(*words: bytes) -> bytes:
    return b"".join(len(word).to_bytes(8, "little") + word + bytes(-len(word) % 8) for word in words)


def node(tree: Tree) -> bytes:
    """What Nix writes of a tree: a file (content, executable), a link (its target) or a directory."""
    if isinstance(tree, tuple):
        flag = text(b"executable", b"") if tree[1] else b""
        return text(b"(", b"type", b"regular") + flag + text(b"contents", tree[0], b")")
    if isinstance(tree, bytes):
        return text(b"(", b"type", b"symlink", b"target", tree, b")")
    inner = b"".join(entry(name, tree[name]) for name in sorted(tree))
    return text(b"(", b"type", b"directory") + inner + text(b")")


def entry(name: bytes, tree: Tree) -> bytes:
    return text(b"entry", b"(", b"name", name, b"node") + node(tree) + text(b")")


def nar(tree: Tree) -> bytes:
    return text(b"nix-archive-1") + node(tree)


def directory(*entries: bytes) -> bytes:
    """A directory with these entries, be they in order or not."""
    return text(b"nix-archive-1", b"(", b"type", b"directory") + b"".join(entries) + text(b")")


def listed(data: bytes, step: int = 1 << 20, limits: Limits = DEFAULT_LIMITS) -> FileListing:
    lister = NarLister("the NAR", limits)
    for start in range(0, len(data), step):
        lister.feed(data[start : start + step])
    return lister.end()


def flat(tree: Tree, path: bytes = b"") -> dict[bytes, Entry]:
    if isinstance(tree, tuple):
        content, executable = tree
        digest = hashlib.sha256(content).hexdigest()
        return {path: Entry(FileKind.REGULAR, len(content), executable, digest=digest)}
    if isinstance(tree, bytes):
        return {path: Entry(FileKind.SYMLINK, target=tree)}
    found = {path: Entry(FileKind.DIRECTORY)}
    for name, inner in tree.items():
        found |= flat(inner, path + b"/" + name if path else name)
    return found


@given(TREES, st.integers(1, 50))
def test_a_tree_is_listed_however_its_bytes_are_cut(tree: Tree, step: int) -> None:
    assert listed(nar(tree), step) == flat(tree)


@given(TREES, st.data())
def test_a_nar_that_is_cut_anywhere_is_none(tree: Tree, data: st.DataObject) -> None:
    whole = nar(tree)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InvalidInputError, match="ends early"):
        listed(whole[:cut])


@given(TREES, st.data())
def test_bytes_that_are_changed_give_another_listing_or_none(tree: Tree, data: st.DataObject) -> None:
    whole = bytearray(nar(tree))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        found = listed(bytes(whole))
    except InvalidInputError:
        return
    assert found != flat(tree)


@given(st.binary(max_size=300))
def test_anything_else_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        listed(data)


FILE = (b"x", False)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (nar(FILE) + b"\0", "bytes after its end"),
        (nar(FILE) + nar(FILE), "bytes after its end"),
        (directory(entry(b"b", FILE), entry(b"a", FILE)), "b'a' comes after b'b'"),
        (directory(entry(b"a", FILE), entry(b"a", FILE)), "b'a' comes after b'a'"),
        (directory(entry(b"..", FILE)), "is no name"),
        (directory(entry(b".", FILE)), "is no name"),
        (directory(entry(b"", FILE)), "is no name"),
        (directory(entry(b"a/b", FILE)), "is no name"),
        (directory(entry(b"a\0b", FILE)), "is no name"),
        (directory(entry(b"n" * 256, FILE)), "at most 255"),
        (nar(b""), "leads to no path"),
        (nar(b"a\0b"), "leads to no path"),
        (nar(b"t" * 4096), "at most 4,095"),
        (text(b"nix-archive-2"), "stands where"),
        (text(b"nix-archive-1", b"(", b"type", b"socket"), "no type of node"),
        (text(b"nix-archive-1", b"(", b"type", b"regular", b")"), "stands where b'contents' must"),
        (text(b"nix-archive-1", b"(", b"type", b"regular", b"executable", b"yes"), "stands where"),
        (nar(FILE).replace(b"x\0", b"x\1"), "padding is not zero"),
        ((2**63).to_bytes(8, "little"), "at most 16"),
    ],
)
def test_what_the_format_does_not_allow_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        listed(data)


def test_a_thousand_levels_exhaust_no_stack_and_paths_are_bounded() -> None:
    deep: Tree = FILE
    for _ in range(1000):
        deep = {b"d": deep}
    assert len(listed(_nested(b"d", 1000))) == 1001
    with pytest.raises(LimitExceededError, match="paths over"):
        listed(_nested(b"d" * 200, 1000))


def _nested(name: bytes, levels: int) -> bytes:
    opened = text(b"(", b"type", b"directory", b"entry", b"(", b"name", name, b"node")
    return text(b"nix-archive-1") + opened * levels + node(FILE) + text(b")", b")") * levels


def test_more_entries_than_the_policy_allows_are_refused() -> None:
    tree = {str(number).encode(): FILE for number in range(10)}
    assert len(listed(nar(tree), limits=replace(DEFAULT_LIMITS, listing_entries=11))) == 11
    with pytest.raises(LimitExceededError, match="over 10 entries"):
        listed(nar(tree), limits=replace(DEFAULT_LIMITS, listing_entries=10))


def test_a_large_file_is_never_in_memory() -> None:
    size, lister = 64 * CHUNK, NarLister("the NAR")
    tracemalloc.start()
    lister.feed(text(b"nix-archive-1", b"(", b"type", b"regular", b"contents") + size.to_bytes(8, "little"))
    for _ in range(64):
        lister.feed(bytes(CHUNK))
    lister.feed(text(b")"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lister.end()[b""].size == size
    assert peak < 6 * CHUNK


def test_a_size_that_the_file_does_not_have_takes_no_memory() -> None:
    lister = NarLister("the NAR")
    lister.feed(text(b"nix-archive-1", b"(", b"type", b"regular", b"contents") + (2**63).to_bytes(8, "little"))
    with pytest.raises(InvalidInputError, match="ends early"):
        lister.end()


@pytest.mark.peer("nix", "nix-store")
def test_nix_lists_what_it_dumped_in_the_same_way(peer_path: Callable[[str], Path], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin" / "empty").mkdir(parents=True)
    (tree / "bin" / "app").write_bytes(b"#!/bin/sh\n")
    (tree / "bin" / "app").chmod(0o755)
    (tree / "große Datei").write_bytes(os.urandom(3 * CHUNK + 5))
    (tree / "link").symlink_to("bin/app")
    (tree / "none").write_bytes(b"")
    environment = {**os.environ, "HOME": str(tmp_path), "NIX_REMOTE": f"local?root={tmp_path / 'store'}"}
    dumped = subprocess.run(
        [peer_path("nix-store"), "--dump", tree], check=True, capture_output=True, timeout=60, env=environment
    ).stdout
    archive = tmp_path / "tree.nar"
    archive.write_bytes(dumped)
    told = subprocess.run(
        [peer_path("nix"), "--extra-experimental-features", "nix-command", "nar", "ls", "--json", "-R", archive, ""],
        check=True,
        capture_output=True,
        timeout=60,
        env=environment,
    ).stdout
    found = listed(dumped)
    without_digests = {path: replace(each, digest="") for path, each in found.items()}
    assert without_digests == _told(json.loads(told))
    large = hashlib.sha256((tree / "große Datei").read_bytes()).hexdigest()
    assert found["große Datei".encode()].digest == large


def _told(told: Mapping[str, Any], path: bytes = b"") -> dict[bytes, Entry]:
    """What `nix nar ls --json` tells of a tree; it hashes nothing."""
    kind = FileKind(told["type"])
    if kind is FileKind.DIRECTORY:
        found = {path: Entry(kind)}
        for name, inner in told["entries"].items():
            found |= _told(inner, path + b"/" + name.encode() if path else name.encode())
        return found
    if kind is FileKind.SYMLINK:
        return {path: Entry(kind, target=told["target"].encode())}
    return {path: Entry(kind, told["size"], told.get("executable", False))}
