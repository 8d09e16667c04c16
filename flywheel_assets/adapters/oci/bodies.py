"""Reading whole bodies out of a repository and saying how that ended. Never raises for what it holds."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError, ReadError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import MIB
from flywheel_assets.ports import Progress

WAITING = 16
"""Threads for small requests, where the time goes into waiting."""
SENDING = 6
"""Threads for large bodies, where it goes into the processors: more only take turns."""
LARGE = 16 * MIB

Item = TypeVar("Item")
Result = TypeVar("Result")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Body:
    """One blob as it was found: ``digest`` and ``size`` (bytes) of what was read; ``data`` of documents only."""

    state: ReadState
    digest: str = ""
    size: int = 0
    detail: str = ""
    data: bytes | None = None

    def reading(self, member: str, expected: Sha256, size: int | None, problems: Iterable[str] = ()) -> Reading:
        """As a reading of ``member``."""
        return Reading(
            member=member,
            state=self.state,
            expected_digest=str(expected),
            expected_size=size,
            digest=self.digest,
            size=self.size,
            index_problems=tuple(problems),
            detail=self.detail[:600],
        )


Open = Callable[[Sha256], Iterator[bytes]]
"""``open_blob`` or ``open_manifest`` of a repository."""


def read_body(
    opened: Open, digest: Sha256, expected: int | None, bound: int, progress: Progress, *, keep: bool = False
) -> Body:
    """Read and hash one blob or manifest; with ``keep`` its bytes are handed back (documents, bounded by ``bound``)."""
    if expected is not None:
        bound = min(bound, expected + MIB)  # one that is a little longer is told by its digest, not by an endless read
    hasher = hashlib.sha256()
    size = 0
    kept = bytearray()
    try:
        for chunk in opened(digest):
            size += len(chunk)
            if size > bound:
                return Body(ReadState.TOO_LARGE, size=size, detail=f"{digest} is over {bound:,} bytes.")
            hasher.update(chunk)
            if keep:
                kept += chunk
            progress(len(chunk))
    except (ReadError, InvalidInputError) as error:
        return Body(state_of(error), size=size, detail=str(error))
    state = ReadState.READ
    if size == 0 and expected != 0:
        state = ReadState.EMPTY
    elif expected is not None and size < expected:
        state = ReadState.TRUNCATED
    return Body(state, f"sha256:{hasher.hexdigest()}", size, data=bytes(kept) if keep else None)


def read_bodies(
    repository: Repository, blobs: Mapping[str, tuple[Sha256, int]], bound: int, progress: Progress
) -> dict[str, Body]:
    """Read each of ``blobs`` (digest text to digest and expected size) once, the largest first."""
    order = sorted(blobs.values(), key=lambda blob: (-blob[1], str(blob[0])))
    bodies = in_parallel(
        lambda blob: read_body(repository.open_blob, blob[0], blob[1], bound, progress), order, threads_for(order)
    )
    return {str(digest): body for (digest, _), body in zip(order, bodies, strict=True)}


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item], threads: int = WAITING) -> list[Result]:
    """Results in the order of ``items``. The first exception is raised, and what has not begun never begins."""
    items = list(items)
    if len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def both(first: Callable[[], Result], second: Callable[[], Other]) -> tuple[Result, Other]:
    """The results of both, asked for at the same time."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        return first(), other.result()


def threads_for(blobs: Sequence[tuple[Sha256, int]]) -> int:
    """How many threads move these (digests and sizes in bytes)."""
    return SENDING if sum(size for _, size in blobs) > LARGE * len(blobs) else WAITING
