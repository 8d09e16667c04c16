"""Caches for tests, filled by hand: one action with three outputs, in each place that a cache can be.

``Remote`` stands in for bazel-remote, which cannot be built from every module proxy. It keeps to the wire facts:
entries below an instance name, digests checked when the CAS is written, an action result that is not found as soon as
a blob that it names is gone, another form of the result for ``Accept: application/json``, results rewritten on PUT.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.bazel.entries import Entries
from flywheel_assets.adapters.bazel.messages import message_class, parse_action_result, parse_tree
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets_tests.scripted import Answer, Asked, Scripted
from flywheel_assets_tests.token_issuer import PASSWORD, USER

ACTION = ActionDigest.of(b"an action")
BODIES = {"bin/app": b"machine code" * 100, "bin/empty": b"", "bin/sub/notes.txt": b"notes"}
INSTANCE = "an-instance/of-it"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
# ExecutedActionMetadata (field 9), as a cache adds it when it takes a result: worker "w".
REWRITTEN = b"\x4a\x03\x0a\x01w"


@dataclass(frozen=True)
class Cache:
    """A cache: where its entries lie as files, and how they are read."""

    path: Callable[[str, str], Path]
    entries: Callable[[Limits], Entries]
    hides_results: bool = False

    def entry(self, store: str, digest: ActionDigest | CasDigest) -> Path:
        """The file of an entry."""
        return self.path(store, digest.hex)

    def put(self, store: str, digest: ActionDigest | CasDigest, data: bytes) -> None:
        path = self.entry(store, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def put_result(self, **more: Any) -> None:
        fields = {"output_files": [{"path": path, "digest": described(data)} for path, data in BODIES.items()], **more}
        self.put("ac", ACTION, message_class("ActionResult")(**fields).SerializeToString())

    def fill(self) -> "Cache":
        self.put_result()
        for data in BODIES.values():
            if data:  # Bazel stores no empty blob
                self.put("cas", CasDigest.of(data), data)
        return self


def in_subfolders(folder: Path) -> Callable[[str, str], Path]:
    """Entries as a disk cache has them."""
    return lambda store, name: folder / store / name[:2] / name


def flat(folder: Path) -> Callable[[str, str], Path]:
    """Entries as HTTP clients name them."""
    return lambda store, name: folder / store / name


def described(data: bytes) -> dict[str, Any]:
    return {"hash": CasDigest.of(data).hex, "size_bytes": len(data)}


def outputs(bodies: dict[str, bytes]) -> BazelOutputs:
    files = [BazelFile(path=path, digest=CasDigest.of(data), size=len(data)) for path, data in bodies.items()]
    return BazelOutputs(label="//:app", action=ACTION, files=tuple(files))


class Remote:
    """The stand-in, for USER with PASSWORD, at INSTANCE; its entries are files in ``folder``."""

    def __init__(self, folder: Path, scripted: Scripted) -> None:
        self._file = flat(folder)
        scripted.otherwise = self._answer
        self.url = f"{scripted.url}/{INSTANCE}"

    def _answer(self, asked: Asked) -> Answer:
        instance, _, name = asked.path.rpartition("/")
        instance, _, store = instance.rpartition("/")
        if asked.headers.get("Authorization") != BASIC:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="a cache"'})
        if instance != f"/{INSTANCE}" or store not in {"ac", "cas"}:
            return Answer(404)
        path = self._file(store, name)
        if asked.method == "PUT":
            return self._take(path, asked.body)
        if not path.exists() or (store == "ac" and not self._is_whole(path.read_bytes())):
            return Answer(404)
        if store == "ac" and asked.headers.get("Accept") == "application/json":
            return Answer(headers={"Content-Type": "application/json"}, body=b"{}")
        return Answer(body=path.read_bytes())

    def _take(self, path: Path, body: bytes) -> Answer:
        if path.parent.name == "cas" and CasDigest.of(body).hex != path.name:
            return Answer(400)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body + (REWRITTEN if path.parent.name == "ac" else b""))
        return Answer()

    def _is_whole(self, data: bytes) -> bool:
        """Whether every blob is there that the result names. What a test has harmed is served as it is."""
        try:
            result = parse_action_result(data, "a result", DEFAULT_LIMITS)
            trees = [self._file("cas", tree.hex) for tree in result.trees.values()]
            if not all(tree.exists() for tree in trees):
                return False
            inside = [parse_tree(tree.read_bytes(), "a tree", DEFAULT_LIMITS) for tree in trees]
        except InvalidInputError:
            return True
        named = [*result.files.values(), *(blob for files in inside for blob in files.values())]
        return all(blob.size == 0 or self._file("cas", blob.hex).exists() for blob in named)
