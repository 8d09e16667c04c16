"""Nix's post-build-hook: which of the paths that were just built get a receipt, and with which options.

Source: the manual of Nix, "Using the post-build-hook". It is called after every build with OUT_PATHS (store paths, by
spaces) and DRV_PATH, and Nix stops when it fails. The configuration is TOML: keys are the long options of
`flywheel receipt nix`, on top for all outputs and in ``[outputs.NAME]`` for one. Nothing heavy is imported here, for
most builds call for no receipt.
"""

import json
import os
import stat
import time
import tomllib
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from flywheel_assets.domain.errors import UsageError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS

# Relative ones start at the configuration's folder: where Nix runs a hook is anybody's guess.
PATHS = ("source", "to", "key", "unsigned", "run-file")
# What `flywheel receipt run` writes, and all that its file may set: a job can edit that file, and may say no more.
RUN_NAMES = frozenset(
    (
        *("run", "attempt", "job", "runner", "invocation", "event", "actor", "from-fork"),
        *("repository", "ref", "revision", "committed", "clean", "dirty"),
    )
)
# A job lasts hours. What lies there longer was left by an earlier one.
STALE_SECONDS = 24 * 3600
_HASH_CHARS = 32


def wanted(config: Path, environment: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Each store path to describe, with its options for `flywheel receipt nix`. Raises UsageError, all before any.

    Empty when the configuration names none of what was built.
    """
    table = _table(config)
    outputs = table.pop("outputs", None)
    if not isinstance(outputs, dict) or not outputs:
        raise UsageError(f"{config}: outputs: is no table of tables. Name an output: [outputs.my-output].")
    shared = {**_run_file(config, table), **table}
    paths = _built(environment)
    found = []
    for output, own in outputs.items():
        if not isinstance(own, dict) or not isinstance(own.get("store-name"), str):
            raise UsageError(f'{config}: outputs.{output}.store-name: is missing. Write store-name = "name-1.*".')
        matching = [path for path in paths if fnmatchcase(_store_name(path), own["store-name"])]
        if len(matching) > 1:
            both = printable(" and ".join(matching), 900)
            raise UsageError(f"{config}: outputs.{output}.store-name: fits {both}. Let it fit one output of a build.")
        options = {**shared, **own, "output": output}
        del options["store-name"]
        if not {"to", "unsigned"} & set(options):
            raise UsageError(f'{config}: to: is missing. Name the inbox: to = "/path/to/inbox".')
        arguments = _arguments(config, options)
        found += [(path, arguments) for path in matching]
    return found


def _table(config: Path) -> dict[str, Any]:
    try:
        data = _bounded(config)
    except OSError as error:
        raise UsageError(f"{config} cannot be read: {error.strerror}. Name the hook's configuration.") from error
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise UsageError(f"{config} is no TOML: {printable(str(error), 300)}.") from error


def _bounded(path: Path, *, fresh: bool = False) -> bytes:
    """What a plain file holds, and nothing that never ends. Raises OSError and UsageError, also for a stale one."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is no plain file.")
        if fresh and time.time() - found.st_mtime > STALE_SECONDS:
            hours = STALE_SECONDS // 3600
            raise UsageError(
                f"{path} is older than {hours} hours, and so of an earlier job. "
                "Write it with `flywheel receipt run` in each job, and remove it at its end."
            )
        data = file.read(DEFAULT_LIMITS.catalogue_bytes + 1)
    if len(data) > DEFAULT_LIMITS.catalogue_bytes:
        raise UsageError(f"{path} has over {DEFAULT_LIMITS.catalogue_bytes:,} bytes. Make it smaller.")
    return data


def _run_file(config: Path, table: dict[str, Any]) -> dict[str, Any]:
    """What `flywheel receipt run` wrote down, where the table names its file.

    It must tell the revision: Git would be run on a job's files otherwise, by whoever runs the hook.
    """
    name = table.pop("run-file", None)
    if name is None:
        return {}
    path = config.absolute().parent / str(name)
    try:
        options = json.loads(_bounded(path, fresh=True))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise UsageError(f"{path} cannot be read: {reason}. Write it with `flywheel receipt run`.") from error
    if not isinstance(options, dict):
        raise UsageError(f"{path} is no JSON object. Write it with `flywheel receipt run`.")
    if strange := sorted(options.keys() - RUN_NAMES):
        raise UsageError(f"{path}: {printable(strange[0])}: is nothing that `flywheel receipt run` writes. Remove it.")
    if "revision" not in options or not options.keys() & {"clean", "dirty"}:
        raise UsageError(f"{path}: revision: is missing, or clean and dirty are. Write it with `flywheel receipt run`.")
    return options


def _built(environment: Mapping[str, str]) -> list[str]:
    """The store paths of the build."""
    paths, derivation = environment.get("OUT_PATHS", "").split(), environment.get("DRV_PATH", "")
    if not paths and not derivation:
        raise UsageError("Neither OUT_PATHS nor DRV_PATH is set: this is for Nix's post-build-hook to call.")
    if not paths:
        # Nix 2.8.0 leaves OUT_PATHS empty (NixOS/nix, issue 6446): its store knows them.
        from flywheel_assets.wiring.builders import nix_outputs

        paths = list(nix_outputs(derivation))
    return paths


def _store_name(path: str) -> str:
    """What follows the hash: ``lamp-1.0`` of ``/nix/store/<hash>-lamp-1.0``."""
    return path.rpartition("/")[2][_HASH_CHARS + 1 :]


def _arguments(config: Path, options: Mapping[str, Any]) -> list[str]:
    arguments = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                arguments.append(f"--{name}")
            elif isinstance(each, str | int | datetime) and each is not False:
                text = each.isoformat() if isinstance(each, datetime) else str(each)
                in_place = name in PATHS and text != "-"
                arguments.append(f"--{name}={config.absolute().parent / text if in_place else text}")
            elif each is not False:
                raise UsageError(f"{config}: {name}: is neither a text nor a list of texts.")
    return arguments
