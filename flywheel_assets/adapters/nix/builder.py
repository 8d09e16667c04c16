"""What a builder knows of its own build: the closure as its Nix store has it. Runs ``nix path-info``.

The JSON of path-info: a list up to Nix 2.18, an object by path from 2.19 on, and an object with ``info`` by base
name with hashes as objects in format 2 (Nix 2.33 on; manual, "Store object info").
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flywheel_assets.adapters.nix.narinfo import STORE_PREFIX
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.errors import InvalidInputError, UnreadableError, UsageError, printable
from flywheel_assets.domain.statements import invalid

_DOCUMENT = "nix path-info --json"
_REMEDY = "Report the version of Nix and its output."
_NO_DERIVER = ("", "unknown-deriver")


def closure_of(
    store_path_or_link: str,
    nix_command: Sequence[str] = ("nix",),
    extra_options: Sequence[str] = (),
    timeout_seconds: float = 600,
) -> NixClosure:
    """The closure of a valid store path, or of what a link such as ``./result`` leads to.

    ``nix_command`` is Nix and what always goes with it, ``extra_options`` goes before the path. Nix gets this
    process's environment. Raises UsageError for what cannot be a path, UnreadableError with Nix's last words
    when it fails, InvalidInputError when its answer is none of the known shapes.
    """
    answer = _path_info(_installable(store_path_or_link), (*nix_command,), (*extra_options,), timeout_seconds)
    return read_path_info(answer)


def read_path_info(answer: bytes) -> NixClosure:
    """The closure in what ``nix path-info --json --recursive`` of one path wrote; InvalidInputError otherwise."""
    try:
        infos = _by_path(json.loads(answer))
        members = tuple(_member(path, infos[path]) for path in sorted(infos))
        root = _root(members)
        return NixClosure(root=root, deriver=_deriver(infos[root]), members=members)
    except ValidationError as error:
        raise invalid(error, _DOCUMENT, _REMEDY) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"is in no shape that is known here: {type(error).__name__}: {error}"
        raise InvalidInputError(_DOCUMENT, "JSON", problem, _REMEDY) from error


def built_here(answer: bytes) -> frozenset[str]:
    """Of the paths in such an answer those that the store built itself; InvalidInputError as ``read_path_info``."""
    try:
        return frozenset(path for path, info in _by_path(json.loads(answer)).items() if info.get("ultimate") is True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"is in no shape that is known here: {type(error).__name__}: {error}"
        raise InvalidInputError(_DOCUMENT, "JSON", problem, _REMEDY) from error


def _installable(text: str) -> str:
    if not text or text.startswith("-") or not text.isprintable():
        raise UsageError(f"{printable(text)!r} is neither a store path nor a link to one.")
    # A bare name would be a flake to Nix.
    return text if text.startswith(STORE_PREFIX) else str(Path(text).absolute())


def derivation_outputs(
    derivation: str, nix_store_command: Sequence[str] = ("nix-store",), timeout_seconds: float = 600
) -> tuple[str, ...]:
    """The store paths of a derivation's outputs. Raises as ``closure_of``."""
    command = [*nix_store_command, "--query", "--outputs", _installable(derivation)]
    answer = _answer(command, f"nix-store --query --outputs {derivation}", timeout_seconds)
    return tuple(answer.decode("utf-8", "replace").split())


def _path_info(path: str, nix: tuple[str, ...], options: tuple[str, ...], timeout_seconds: float) -> bytes:
    features = ("--extra-experimental-features", "nix-command")
    command = [*nix, *features, "path-info", "--json", "--recursive", *options, path]
    return _answer(command, f"nix path-info {path}", timeout_seconds)


def _answer(command: Sequence[str], called: str, timeout_seconds: float) -> bytes:
    """What Nix prints; ``called`` is what errors call the command."""
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell, and the path cannot be an option
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_seconds
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableError(f"{called} took over {timeout_seconds:g} s: is its store busy?") from error
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{command[0]} cannot be started: {error}. Put Nix on PATH.") from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["(it said nothing)"]
        raise UnreadableError(f"{called} ended with status {done.returncode}: {printable(lines[-1], 400)}")
    return done.stdout


def _by_path(value: Any) -> dict[str, dict[str, Any]]:
    """Store path -> its object, out of any of the three shapes."""
    if isinstance(value, list):
        return {item["path"]: item for item in value}
    if isinstance(value.get("info"), dict):
        value = value["info"]
    return {_full(path): item for path, item in value.items()}


def _member(path: str, info: Mapping[str, Any]) -> ClosureMember:
    if info.get("valid") is False:
        raise ValueError(f"{path} is not valid in this store")
    return ClosureMember(
        path=path,
        nar_hash=_nar_hash(info["narHash"]),
        nar_size=info["narSize"],
        references=tuple(map(_full, info["references"])),
    )


def _nar_hash(value: Any) -> NarHash:
    """From SRI or ``sha256:…``, or the object with algorithm, format and hash."""
    if isinstance(value, dict):
        separator = "-" if value["format"] == "base64" else ":"
        value = f"{value['algorithm']}{separator}{value['hash']}"
    return NarHash.parse(value)


def _root(members: Sequence[ClosureMember]) -> str:
    """The one path that no other refers to: references have no circles, and all of it was asked for by the root."""
    referred = {name for member in members for name in member.references if name != member.path}
    roots = [member.path for member in members if member.path not in referred]
    if len(roots) != 1:
        raise ValueError(f"{len(roots)} paths that nothing refers to, and the closure of one path has one")
    return roots[0]


def _deriver(info: Mapping[str, Any]) -> str | None:
    deriver = info.get("deriver")
    return None if deriver is None or deriver in _NO_DERIVER else _full(deriver)


def _full(path: str) -> str:
    return path if path.startswith("/") else STORE_PREFIX + path
