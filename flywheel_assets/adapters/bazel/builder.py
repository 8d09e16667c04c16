"""What ``flywheel receipt bazel`` reads: the outputs and the digest of one action, from Bazel's execution log.

Build events (``events``) tell which files are a target's; the digest of the action that makes them is in the log alone.

Source: bazel, src/main/protobuf/spawn.proto (SpawnExec), as ``--execution_log_json_file`` writes it: JSON objects one
after another. Bazel 4.2 names neither the target nor the action's digest: the label is then taken from the progress
message ("Executing genrule //:a"), and the digest from the disk cache, as the action with exactly these outputs.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.adapters.bazel.cache import matching_actions
from flywheel_assets.adapters.bazel.events import EventFile
from flywheel_assets.adapters.bazel.stream import objects
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import InvalidInputError, UsageError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import invalid

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

    def is_of(self, label: str, outputs: Collection[str] | None) -> bool:
        """Whether the action belongs to the target, and makes one of ``outputs`` when they are given."""
        makes = outputs is None or any(item.path in outputs for item in self.outputs)
        if self.label:
            return makes and _plain(self.label) == _plain(label)
        return makes and (outputs is not None or label in self.message.split())


def outputs_in_log(
    log: Path,
    label: str,
    *,
    made: Collection[EventFile] | None = None,
    mnemonic: str | None = None,
    output: str | None = None,
    disk_cache: Path | None = None,
    action: ActionDigest | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> BazelOutputs:
    """The outputs of the one action of ``label`` (and ``mnemonic``) that the log holds.

    ``output``, the path of one of its files, finds an action whose log entry does not name the label (before Bazel 7),
    and so do the files that build events say the target has ``made``; digests that they give must be the log's.
    ``disk_cache`` is asked for the action's digest when the log has none (before Bazel 7); ``action`` decides between
    several. Raises UsageError when not exactly one action fits, InvalidInputError for a malformed log, ReadError.
    """
    paths = {output} if output is not None else None if made is None else {file.path for file in made}
    ended_well = (spawn for spawn in read_log(log) if spawn.exit_code == 0)
    fitting = (s for s in ended_well if s.is_of(label, paths) and mnemonic in {None, s.mnemonic})
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
    _refuse_other_build(files, made or (), str(log))
    chosen = action or _logged_action(found[0], str(log)) or _cached_action(files, label, disk_cache, limits)
    return _outputs(label, chosen, files, str(log))


def outputs_in_events(
    made: Collection[EventFile], label: str, *, disk_cache: Path | None = None, limits: Limits = DEFAULT_LIMITS
) -> BazelOutputs:
    """The outputs that build events alone tell of, with the digest of the one action in ``disk_cache`` that made them.

    Raises UsageError when the events have no digests (before Bazel 5), or the disk cache not exactly one such action.
    """
    if not made or not all(file.digest for file in made):
        raise UsageError(f"The build events hold no digests of the files of {printable(label)}: give --log too.")
    if disk_cache is None:
        raise UsageError(
            "Build events never hold the digest of an action: give --log, or the --disk_cache folder that has it."
        )
    files = tuple(_file(file.path, file.digest, file.size or 0, "build events") for file in made)
    return _outputs(label, _cached_action(files, label, disk_cache, limits), files, "build events")


def _outputs(label: str, action: ActionDigest, files: tuple[BazelFile, ...], document: str) -> BazelOutputs:
    try:
        return BazelOutputs(label=label, action=action, files=files)
    except ValidationError as error:
        raise invalid(error, document, "Choose an action with output files.") from error


def _refuse_other_build(files: tuple[BazelFile, ...], made: Collection[EventFile], log: str) -> None:
    logged = {file.path: file.digest.hex for file in files}
    for file in made:
        if file.digest and logged.get(file.path, file.digest) != file.digest:
            raise InvalidInputError(
                log, printable(file.path), "has another digest in the build events", "Give both files of one build."
            )


def read_log(log: Path) -> Iterator[Spawn]:
    """The actions of an execution log, streamed."""
    for entry in objects(log, "The execution log", _REMEDY):
        try:
            yield Spawn.model_validate(entry)
        except ValidationError as error:
            raise invalid(error, str(log), _REMEDY) from error


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
        files.append(_file(output.path, output.digest.hash, output.digest.size, log))
    return tuple(files)


def _file(path: str, digest: str, size: int, document: str) -> BazelFile:
    try:
        return BazelFile(path=path, digest=CasDigest.from_hex(digest), size=size)
    except ValidationError as error:
        raise invalid(error, document, _REMEDY) from error
    except ValueError as error:
        raise InvalidInputError(document, path, "has no SHA-256 digest", _REMEDY) from error


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
