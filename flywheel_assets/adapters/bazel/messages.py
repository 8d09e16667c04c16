"""The few messages of the Remote Execution API that are read here, described in code. Pure.

Source: bazelbuild/remote-apis, build/bazel/remote/execution/v2/remote_execution.proto. Only fields that are used are
described; the rest are unknown fields to the parser, and kept.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits

_PACKAGE = "flywheel.reapi"
_Field = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    # name: (number, field, type); "*" marks a repeated field, a capital letter a message.
    "Digest": ((1, "hash", "string"), (2, "size_bytes", "int64")),
    "OutputFile": ((1, "path", "string"), (2, "digest", "Digest"), (4, "is_executable", "bool")),
    "OutputDirectory": ((1, "path", "string"), (3, "tree_digest", "Digest")),
    "OutputSymlink": ((1, "path", "string"), (2, "target", "string")),
    "ActionResult": (
        (2, "output_files", "OutputFile*"),
        (3, "output_directories", "OutputDirectory*"),
        (4, "exit_code", "int32"),
        (10, "output_file_symlinks", "OutputSymlink*"),
        (11, "output_directory_symlinks", "OutputSymlink*"),
        (12, "output_symlinks", "OutputSymlink*"),
    ),
    "FileNode": ((1, "name", "string"), (2, "digest", "Digest"), (4, "is_executable", "bool")),
    "DirectoryNode": ((1, "name", "string"), (2, "digest", "Digest")),
    "Directory": ((1, "files", "FileNode*"), (2, "directories", "DirectoryNode*"), (3, "symlinks", "OutputSymlink*")),
    "Tree": ((1, "root", "Directory"), (2, "children", "Directory*")),
}
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "int64": _Field.TYPE_INT64,
    "int32": _Field.TYPE_INT32,
    "bool": _Field.TYPE_BOOL,
}
_REMEDY = "Build again with a Bazel that writes the Remote Execution API v2."


@dataclass(frozen=True, slots=True)
class Blob:
    """A reference into the content-addressed store: 64 hex digits as claimed (not validated), size in bytes."""

    hex: str
    size: int


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action made. ``files`` and ``trees`` (output directories) by path, ``links`` the symlinks' paths."""

    files: Mapping[str, Blob]
    trees: Mapping[str, Blob]
    links: tuple[str, ...]
    exit_code: int


def parse_action_result(data: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> ActionResult:
    """The ActionResult in ``data``; LimitExceededError before parsing, InvalidInputError for what is none."""
    found = _parse("ActionResult", data, document, limits)
    links = [*found.output_file_symlinks, *found.output_directory_symlinks, *found.output_symlinks]
    return ActionResult(
        files=_by_path([(item.path, item.digest) for item in found.output_files], document),
        trees=_by_path([(item.path, item.tree_digest) for item in found.output_directories], document),
        links=tuple(sorted({str(link.path) for link in links})),
        exit_code=int(found.exit_code),
    )


def parse_tree(data: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> Mapping[str, Blob]:
    """The files in a Tree message by their path below the tree's own; symlinks are refused."""
    tree = _parse("Tree", data, document, limits)
    children = {hashlib.sha256(child.SerializeToString()).hexdigest(): child for child in tree.children}
    found: list[tuple[str, Any]] = []
    visited = itertools.count(1)

    def visit(directory: Any, prefix: str, depth: int) -> None:
        # Shared subtrees can make a small message stand for millions of folders.
        if depth > limits.json_depth or next(visited) + len(found) > limits.closure_members:
            raise LimitExceededError(document, prefix or "root", "holds too many files or levels", "Split the output.")
        if directory.symlinks:
            raise InvalidInputError(document, prefix or "root", "holds a symbolic link", "Make it a plain file.")
        found.extend((prefix + file.name, file.digest) for file in directory.files)
        for node in directory.directories:
            if node.digest.hash not in children:
                raise InvalidInputError(document, prefix + node.name, "is not described in the tree", _REMEDY)
            visit(children[node.digest.hash], f"{prefix}{node.name}/", depth + 1)

    visit(tree.root, "", 1)
    return _by_path(found, document)


def _by_path(items: Sequence[tuple[str, Any]], document: str) -> Mapping[str, Blob]:
    blobs = {path: Blob(str(digest.hash), int(digest.size_bytes)) for path, digest in items}
    if len(blobs) != len(items):
        raise InvalidInputError(document, "path", "is named twice", _REMEDY)
    return blobs


def _parse(name: str, data: bytes, document: str, limits: Limits) -> Any:
    if len(data) > limits.action_result_bytes:
        raise LimitExceededError(
            document, "size", f"is over {limits.action_result_bytes:,} bytes", "Make the action's outputs fewer."
        )
    try:
        return message_class(name).FromString(data)
    except (message.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInputError(document, name, "cannot be decoded as protobuf", _REMEDY) from error


def message_class(name: str) -> type[Any]:
    """The class of one of the messages above; its fields are known at run time only."""
    return cast("type[Any]", message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    """A pool of our own: the default one refuses a second description by another library."""
    file = descriptor_pb2.FileDescriptorProto(name="flywheel/reapi.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for number, field, kind in fields:
            plain = kind.removesuffix("*")
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            added = described.field.add(name=field, number=number, label=label)
            if plain in _SCALARS:
                added.type = _SCALARS[plain]
            else:
                added.type = _Field.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
