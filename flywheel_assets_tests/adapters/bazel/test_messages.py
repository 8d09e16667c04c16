"""Decoding of the few remote-execution messages, against bytes that Bazel 4.2.3 wrote."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.bazel.messages import message_class, parse_action_result, parse_tree
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import Limits

VECTORS = Path(__file__).parents[2] / "vectors" / "bazel"
RESULT = (VECTORS / "action-result-4.2.3.bin").read_bytes()


def test_bazel_s_own_action_result_is_decoded() -> None:
    found = parse_action_result(RESULT, "ac")
    assert {path: (blob.hex[:8], blob.size) for path, blob in found.files.items()} == {
        "bazel-out/k8-fastbuild/bin/a.txt": ("98ea6e4f", 3),
        "bazel-out/k8-fastbuild/bin/sub/b.txt": ("a81c31ac", 3),
    }
    assert (found.trees, found.links, found.exit_code) == ({}, (), 0)


def test_bazel_s_own_tree_is_decoded() -> None:
    result = parse_action_result((VECTORS / "action-result-tree-4.2.3.bin").read_bytes(), "ac")
    assert [blob.size for blob in result.trees.values()] == [len((VECTORS / "tree-4.2.3.bin").read_bytes())]
    found = parse_tree((VECTORS / "tree-4.2.3.bin").read_bytes(), "tree")
    assert {path: blob.size for path, blob in found.items()} == {"empty": 0, "s/x": 2, "s/t/y": 2}


def test_a_large_message_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(LimitExceededError):
        parse_action_result(b"\xff" * 100, "ac", Limits(action_result_bytes=99))


@pytest.mark.parametrize("name", ["bad-cut-action-result.bin", "bad-path-is-not-utf8.bin", "bad-path-twice.bin"])
def test_a_tampered_action_result_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_action_result((VECTORS / name).read_bytes(), name)


def child(**fields: Any) -> Any:
    return message_class("Directory")(**fields)


def node(name: str, directory: Any) -> dict[str, Any]:
    import hashlib

    return {"name": name, "digest": {"hash": hashlib.sha256(directory.SerializeToString()).hexdigest()}}


def test_a_tree_with_a_link_is_refused() -> None:
    tree = message_class("Tree")(root=child(symlinks=[{"path": "a", "target": "/etc/passwd"}]))
    with pytest.raises(InvalidInputError, match="symbolic link"):
        parse_tree(tree.SerializeToString(), "tree")


def test_a_tree_without_one_of_its_folders_is_refused() -> None:
    tree = message_class("Tree")(root=child(directories=[node("a", child())]))
    with pytest.raises(InvalidInputError, match="not described"):
        parse_tree(tree.SerializeToString(), "tree")


def test_a_small_tree_that_stands_for_millions_of_files_is_refused() -> None:
    level = child(files=[{"name": "f"}])
    children = [level]
    for _ in range(24):
        level = child(directories=[node("a", level), node("b", level)])
        children.append(level)
    tree = message_class("Tree")(root=level, children=children)
    with pytest.raises(LimitExceededError):
        parse_tree(tree.SerializeToString(), "tree")


def test_a_tree_of_empty_folders_that_doubles_at_each_level_is_refused() -> None:
    level = child()
    children = [level]
    for _ in range(28):
        level = child(directories=[node("a", level), node("b", level)])
        children.append(level)
    tree = message_class("Tree")(root=level, children=children)
    with pytest.raises(LimitExceededError):
        parse_tree(tree.SerializeToString(), "tree")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_decoded_or_refused(data: bytes) -> None:
    for parse in (parse_action_result, parse_tree):
        try:
            parse(data, "x")
        except InvalidInputError:
            continue


@given(st.integers(0, len(RESULT) - 1), st.integers(0, 255))
def test_a_changed_byte_is_decoded_or_refused(place: int, value: int) -> None:
    try:
        parse_action_result(RESULT[:place] + bytes([value]) + RESULT[place + 1 :], "x")
    except InvalidInputError:
        return
