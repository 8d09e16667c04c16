"""What ``flywheel receipt bazel`` reads: the outputs and the digest of one action, from Bazel's execution log.

Source: bazel, src/main/protobuf/spawn.proto (SpawnExec), as ``--execution_log_json_file`` writes it: JSON objects one
after another. Bazel 4.2 names neither the target nor the action's digest: the label is then taken from the progress
message ("Executing genrule //:a"), and the digest from the disk cache, as the action with exactly these outputs.
"""

import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.adapters.bazel.cache import matching_actions
from flywheel_assets.adapters.files import read_error
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UsageError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, MIB, Limits
from flywheel_assets.domain.statements import invalid

ENTRY_CHARS = 64 * MIB
"""One action of the log: it lists every input, so it is far larger than what becomes of it."""

_READ = 64 * 1024
_REMEDY = "Write the log again with --execution_log_json_file."


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Digest(_Wire):
    hash: str = ""
    size: Annotated[int, Field(ge=0, alias="sizeBytes")] = 0  # int64, which protojson writes as a string
    function: str = Field(alias="hashFunctionName", default="SHA-256")


class _Output(_Wire):
    path: str
    digest: _Digest | None = None


class Spawn(_Wire):
    """One action of the log, as far as it is used."""

    label: str = Field(alias="targetLabel", default="")
    mnemonic: str = ""
    message: str = Field(alias="progressMessage", default="")
    outputs: tuple[_Output, ...] = Field(alias="actualOutputs", default=())
    digest: _Digest | None = None
    exit_code: int = Field(alias="exitCode", default=0)

    def is_of(self, label: str, output: str | None) -> bool:
        """Whether the action belongs to the target, and makes ``output`` when that is given."""
        makes = output is None or output in {item.path for item in self.outputs}
        if self.label:
            return makes and _plain(self.label) == _plain(label)
        return makes and (output is not None or label in self.message.split())


def outputs_in_log(
    log: Path,
    label: str,
    *,
    mnemonic: str | None = None,
    output: str | None = None,
    disk_cache: Path | None = None,
    action: ActionDigest | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> BazelOutputs:
    """The outputs of the one action of ``label`` (and ``mnemonic``) that the log holds.

    ``output``, the path of one of its files, finds an action whose log entry does not name the label (before Bazel 7).
    ``disk_cache`` is asked for the action's digest when the log has none (before Bazel 7); ``action`` decides between
    several. Raises UsageError when not exactly one action fits, InvalidInputError for a malformed log, ReadError.
    """
    ended_well = (spawn for spawn in read_log(log) if spawn.exit_code == 0)
    fitting = (s for s in ended_well if s.is_of(label, output) and mnemonic in {None, s.mnemonic})
    found = list(dict.fromkeys(fitting))
    if not found:
        raise UsageError(
            f"{printable(str(log))} holds no action of {printable(label)}. Bazel logs only what it runs or fetches: "
            "write the log in a fresh output base, spell the label as Bazel does, or name an output's path."
        )
    if len(found) > 1:
        listed = "; ".join(f"{s.mnemonic} making {s.outputs[0].path if s.outputs else 'nothing'}" for s in found[:10])
        raise UsageError(
            f"{printable(label)} has {len(found)} actions: {printable(listed, 900)}. "
            "Name a mnemonic or an output's path."
        )
    files = _files(found[0], str(log))
    chosen = action or _logged_action(found[0], str(log)) or _cached_action(files, label, disk_cache, limits)
    try:
        return BazelOutputs(label=label, action=chosen, files=files)
    except ValidationError as error:
        raise invalid(error, str(log), "Choose an action with output files.") from error


def read_log(log: Path) -> Iterator[Spawn]:
    """The actions of an execution log, streamed; at most ENTRY_CHARS characters are held at once."""
    for entry in _objects(log):
        try:
            yield Spawn.model_validate(entry)
        except ValidationError as error:
            raise invalid(error, str(log), _REMEDY) from error


def _objects(log: Path) -> Iterator[Any]:
    name = printable(str(log))
    try:
        with log.open(encoding="utf-8") as file:
            yield from _decoded(file, name)
    except OSError as error:
        raise read_error(error, f"The execution log {name}", _REMEDY) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(name, "encoding", "is not UTF-8", _REMEDY) from error


def _decoded(file: TextIOWrapper, name: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    rest = ""
    while True:
        # The window doubles, so that an object of any size is tried only a few times.
        more = file.read(max(_READ, len(rest)))
        rest = (rest + more).lstrip()
        at_end = not more
        position = 0
        while position < len(rest):
            try:
                value, position = decoder.raw_decode(rest, position)
            except json.JSONDecodeError as error:
                if at_end:
                    raise InvalidInputError(name, "JSON", "ends within an action, or is no JSON", _REMEDY) from error
                break
            except (ValueError, RecursionError) as error:
                raise InvalidInputError(name, "JSON", "cannot be parsed", _REMEDY) from error
            yield value
            while position < len(rest) and rest[position].isspace():
                position += 1
        rest = rest[position:]
        if at_end:
            return
        if len(rest) > ENTRY_CHARS:
            raise LimitExceededError(name, "an action", f"is over {ENTRY_CHARS:,} characters", "Split the action.")


def _plain(label: str) -> str:
    """A label of the main repository without ``@`` or ``@@`` before it."""
    return "//" + label.split("//", 1)[1] if label.startswith(("@//", "@@//")) else label


def _files(spawn: Spawn, log: str) -> tuple[BazelFile, ...]:
    files = []
    for output in sorted(spawn.outputs, key=lambda item: item.path):
        if output.digest is None or output.digest.function != "SHA-256":
            problem = (
                "is a symbolic link or a folder" if output.digest is None else f"has a {output.digest.function} digest"
            )
            raise InvalidInputError(log, output.path, problem, "Make plain files, with --digest_function=sha256.")
        try:
            digest = CasDigest.from_hex(output.digest.hash)
            files.append(BazelFile(path=output.path, digest=digest, size=output.digest.size))
        except ValidationError as error:
            raise invalid(error, log, _REMEDY) from error
        except ValueError as error:
            raise InvalidInputError(log, output.path, "has no SHA-256 digest", _REMEDY) from error
    return tuple(files)


def _logged_action(spawn: Spawn, log: str) -> ActionDigest | None:
    if spawn.digest is None or not spawn.digest.hash:
        return None
    try:
        return ActionDigest.from_hex(spawn.digest.hash)
    except ValueError as error:
        raise InvalidInputError(log, "digest", "is no SHA-256", "Build with --digest_function=sha256.") from error


def _cached_action(files: tuple[BazelFile, ...], label: str, disk_cache: Path | None, limits: Limits) -> ActionDigest:
    if disk_cache is None:
        raise UsageError(
            f"The log does not hold the action digest of {printable(label)}. "
            "Give the --disk_cache folder too, or build with Bazel 7 or later and a cache."
        )
    found = matching_actions(disk_cache, files, limits)
    if len(found) != 1:
        listed = ", ".join(action.hex for action in found[:10]) or "none"
        raise UsageError(
            f"The disk cache has {len(found)} actions with exactly the outputs of {printable(label)}: {listed}. "
            "Name the action, or build into a fresh disk cache."
        )
    return found[0]
