"""A Bazel ``--disk_cache`` folder as a mutable source: the action result is an index, the CAS holds the bodies.

Bytes of the action cache are never hashed: Bazel and caches may rewrite them, and the key is another message's digest.
"""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flywheel_assets.adapters.bazel.cache_files import CacheFiles
from flywheel_assets.adapters.bazel.messages import ActionResult, Blob, parse_action_result, parse_tree
from flywheel_assets.adapters.files import one_at_a_time, state_of
from flywheel_assets.domain.artifacts import Artifact, BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import InvalidInputError, ReadError, UsageError, printable
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress

_THREADS = 3
_EMPTY = CasDigest.of(b"")


class BazelDiskCache:
    """ports.SourceCache over a ``--disk_cache`` folder."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._files = CacheFiles(folder)
        self._limits = limits

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """A reading ``action <hex>``, then ``cas <path>`` for each output file, in the receipt's order.

        Raises UsageError for what is no Bazel output; what the cache holds is said in readings.
        """
        if not isinstance(artifact, BazelOutputs):
            raise UsageError(f"{artifact.name} is no Bazel output, and a Bazel disk cache holds nothing else.")
        progress = one_at_a_time(progress)
        action, named = self._action(artifact)
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [pool.submit(self._file, file, named, progress) for file in artifact.files]
            try:
                return (action, *(future.result() for future in futures))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _action(self, artifact: BazelOutputs) -> tuple[Reading, Mapping[str, Blob] | None]:
        """The reading of the action result, and the files it names; None when that cannot be known."""
        member = f"action {artifact.action.hex}"
        try:
            data = self._files.small("ac", artifact.action, self._limits.action_result_bytes)
            if not data:
                return Reading(member=member, state=ReadState.EMPTY), None
            result = parse_action_result(data, f"ac/{artifact.action.hex}", self._limits)
            files = files_of(result, self._files, self._limits)
        except (ReadError, InvalidInputError) as error:
            return Reading(member=member, state=state_of(error), detail=str(error)[:600]), None
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
        hasher = hashlib.sha256()
        size = 0
        try:
            for chunk in self._files.chunks("cas", file.digest):
                size += len(chunk)
                if size > self._limits.blob_bytes:
                    return ReadState.TOO_LARGE, "", size, f"It is over {self._limits.blob_bytes:,} bytes."
                hasher.update(chunk)
                progress(len(chunk))
        except (ReadError, InvalidInputError) as error:
            return state_of(error), "", size, str(error)[:600]
        state = ReadState.TRUNCATED if size < file.size else ReadState.READ
        return (ReadState.EMPTY if size == 0 else state), f"sha256:{hasher.hexdigest()}", size, ""


def files_of(result: ActionResult, cache: CacheFiles, limits: Limits) -> Mapping[str, Blob]:
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
        data = b"" if digest == _EMPTY else cache.small("cas", digest, limits.action_result_bytes)
        if CasDigest.of(data) != digest:
            raise InvalidInputError(document, "content", f"is not {digest}", "Clear the disk cache and build again.")
        files.update({f"{path}/{name}": blob for name, blob in parse_tree(data, document, limits).items()})
    return files


def matching_actions(
    cache_folder: Path, files: Iterable[BazelFile], limits: Limits = DEFAULT_LIMITS
) -> tuple[ActionDigest, ...]:
    """The actions in a disk cache whose results name exactly ``files``; results that cannot be read are passed over."""
    cache = CacheFiles(cache_folder)
    wanted = {file.path: Blob(file.digest.hex, file.size) for file in files}
    found = []
    for action in cache.actions():
        try:
            data = cache.small("ac", action, limits.action_result_bytes)
            result = parse_action_result(data, f"ac/{action.hex}", limits)
            if files_of(result, cache, limits) == wanted:
                found.append(action)
        except (ReadError, InvalidInputError):
            continue  # not this build's, or about to be evicted
    return tuple(found)


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
