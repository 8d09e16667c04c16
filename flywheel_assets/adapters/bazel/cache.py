"""A Bazel cache as a mutable source: the action result is an index, the CAS holds the bodies.

Bytes of the action cache are never hashed: Bazel and caches may rewrite them, and the key is another message's digest.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flywheel_assets.adapters.bazel.entries import DiskEntries, Entries
from flywheel_assets.adapters.bazel.messages import ActionResult, Blob, parse_action_result, parse_tree
from flywheel_assets.adapters.files import one_at_a_time, state_of
from flywheel_assets.domain.artifacts import Artifact, BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, UsageError, printable
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress

_EMPTY = CasDigest.of(b"")
_DETAIL_CHARS = 600
_OUTLIVED = "A result outlives the blobs that it names: build again without taking this action from the cache."


class BazelCache:
    """ports.SourceCache over a ``--disk_cache`` folder or an HTTP cache."""

    def __init__(self, entries: Entries, limits: Limits = DEFAULT_LIMITS) -> None:
        self._entries = entries
        self._limits = limits

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """A reading ``action <hex>``, then ``cas <path>`` for each output file, in the receipt's order.

        Raises UsageError for what is no Bazel output; what the cache holds is said in readings.
        """
        if not isinstance(artifact, BazelOutputs):
            raise UsageError(f"{artifact.name} is no Bazel output, and a Bazel cache holds nothing else.")
        progress = one_at_a_time(progress)
        action, named = self._action(artifact)
        with ThreadPoolExecutor(self._entries.readers) as pool:
            futures = [pool.submit(self._file, file, named, progress) for file in artifact.files]
            try:
                files = [future.result() for future in futures]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return (_with_reason(action, files), *files)

    def _action(self, artifact: BazelOutputs) -> tuple[Reading, Mapping[str, Blob] | None]:
        """The reading of the action result, and the files it names; None when that cannot be known."""
        member = f"action {artifact.action.hex}"
        data = b""
        try:
            data = self._entries.small("ac", artifact.action, self._limits.action_result_bytes)
            if not data:
                return Reading(member=member, state=ReadState.EMPTY), None
            result = parse_action_result(data, f"ac/{artifact.action.hex}", self._limits)
            files = files_of(result, self._entries, self._limits)
        except (ReadError, InvalidInputError) as error:
            detail = str(error)[:_DETAIL_CHARS]
            return Reading(member=member, state=state_of(error), size=len(data), detail=detail), None
        problems = _action_problems(result, files, {file.path for file in artifact.files})
        return Reading(member=member, state=ReadState.READ, size=len(data), index_problems=problems), files

    def _file(self, file: BazelFile, named: Mapping[str, Blob] | None, progress: Progress) -> Reading:
        state, digest, size, detail = self._body(file, progress)
        return Reading(
            member=f"cas {file.path}",
            state=state,
            expected_digest=str(file.digest),
            expected_size=file.size,
            digest=digest,
            size=size,
            index_problems=() if named is None else _file_problems(file, named.get(file.path)),
            detail=detail,
        )

    def _body(self, file: BazelFile, progress: Progress) -> tuple[ReadState, str, int, str]:
        # REAPI, "ContentAddressableStorage": the empty blob is always there, so Bazel never writes it.
        if file.size == 0 and file.digest == _EMPTY:
            return ReadState.READ, str(_EMPTY), 0, ""
        bound = min(file.size, self._limits.blob_bytes)
        hasher = hashlib.sha256()
        size = 0
        try:
            for chunk in self._entries.chunks("cas", file.digest):
                size += len(chunk)
                if size > bound:
                    return ReadState.TOO_LARGE, "", size, f"It is over {bound:,} bytes, and was not read any further."
                hasher.update(chunk)
                progress(len(chunk))
        except AbsentError as error:
            return ReadState.ABSENT, "", 0, f"{error} {_OUTLIVED}"[:_DETAIL_CHARS]
        except (ReadError, InvalidInputError) as error:
            return state_of(error), "", size, str(error)[:_DETAIL_CHARS]
        state = ReadState.TRUNCATED if size < file.size else ReadState.READ
        return (ReadState.EMPTY if size == 0 else state), f"sha256:{hasher.hexdigest()}", size, ""


def files_of(result: ActionResult, entries: Entries, limits: Limits) -> Mapping[str, Blob]:
    """All files that an action result names, those in output directories included.

    The trees of directories lie in the CAS and are hashed. Raises ReadError and InvalidInputError.
    """
    files = dict(result.files)
    for path, tree in result.trees.items():
        document = f"the tree of {path}"
        try:
            digest = CasDigest.from_hex(tree.hex)
        except ValueError as error:
            raise InvalidInputError(document, "digest", "is no SHA-256", "Build with SHA-256 digests.") from error
        try:
            data = b"" if digest == _EMPTY else entries.small("cas", digest, limits.action_result_bytes)
        except AbsentError as error:
            raise AbsentError(f"The action result is there, but not {document}: {error} {_OUTLIVED}") from error
        if CasDigest.of(data) != digest:
            raise InvalidInputError(document, "content", f"is not {digest}", "Clear the cache and build again.")
        files.update({f"{path}/{name}": blob for name, blob in parse_tree(data, document, limits).items()})
    return files


def matching_actions(
    cache_folder: Path, files: Iterable[BazelFile], limits: Limits = DEFAULT_LIMITS
) -> tuple[ActionDigest, ...]:
    """The actions in a disk cache whose results name exactly ``files``; results that cannot be read are passed over."""
    entries = DiskEntries(cache_folder)
    wanted = {file.path: Blob(file.digest.hex, file.size) for file in files}
    found = []
    for action in entries.actions():
        try:
            data = entries.small("ac", action, limits.action_result_bytes)
            result = parse_action_result(data, f"ac/{action.hex}", limits)
            if files_of(result, entries, limits) == wanted:
                found.append(action)
        except (ReadError, InvalidInputError):
            continue  # not this build's, or about to be evicted
    return tuple(found)


def _with_reason(action: Reading, files: Sequence[Reading]) -> Reading:
    """The reading of an action result that is not there, with what its blobs tell of the reason.

    bazel-remote answers "not found" for an action result as soon as one blob that it names is gone.
    """
    if action.state is not ReadState.ABSENT or action.size:  # with a size it is a tree that is not there
        return action
    missing = [reading.member for reading in files if reading.state is ReadState.ABSENT]
    if len(missing) == len(files):
        why = "Nor is any of its blobs: the build did not reach this cache, or was evicted. Build it again."
    elif missing:
        why = (
            f"Nor are {len(missing)} of its {len(files)} blobs, among them {missing[0]}: some caches hide a result "
            "when a blob that it names is gone. Build it again."
        )
    elif all(reading.state is ReadState.READ for reading in files):
        why = (
            "All blobs that the receipt lists are: the result alone was evicted, or some caches hide it because a blob "
            "that it alone names is gone (what the action printed, the tree of a folder). Build it again."
        )
    else:
        return action
    return action.model_copy(update={"detail": f"{action.detail} {why}"[:_DETAIL_CHARS]})


def _action_problems(result: ActionResult, files: Mapping[str, Blob], receipt: set[str]) -> tuple[str, ...]:
    problems = [f"The action ended with exit code {result.exit_code}."] if result.exit_code else []
    problems += [f"The action made the symbolic link {printable(path, 300)}." for path in result.links]
    extra = sorted(path for path in files if path not in receipt)
    problems += [f"The action made {printable(path, 300)}, which the receipt does not list." for path in extra[:20]]
    return tuple(problems)


def _file_problems(file: BazelFile, named: Blob | None) -> tuple[str, ...]:
    if named is None:
        return (f"The action result does not name {file.path}.",)
    problems = []
    if named.hex != file.digest.hex:
        problems.append(
            f"The action result names {printable(named.hex)} for {file.path}, the receipt {file.digest.hex}."
        )
    if named.size != file.size:
        problems.append(f"The action result says {named.size:,} bytes for {file.path}, the receipt {file.size:,}.")
    return tuple(problems)
