"""A Nix cache in S3, or in what speaks its protocol."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from flywheel_assets.adapters.nix.cache_files import CACHE_INFO, DISTANT_THREADS
from flywheel_assets.adapters.nix.folder import relative_name
from flywheel_assets.adapters.s3 import asking, open_bucket
from flywheel_assets.domain.errors import AbsentError, LimitExceededError, UnauthorisedError
from flywheel_assets.domain.limits import MIB

# S3 takes 10,000 parts at most: this makes 80 GiB of one file, with two of them in memory.
_PART = 8 * MIB
_PARTS_AT_ONCE = 2
# obstore gives a request 30 s before it tries again, so a large file is read range by range.
_RANGE = 4 * MIB


class Bucket:
    """``CacheFiles`` and ``DurableFiles`` at ``s3://bucket/prefix``.

    With ``anonymous`` no credential is used, whatever the environment holds. Raises UsageError for what is no such URL.
    """

    threads = DISTANT_THREADS

    def __init__(self, url: str, *, anonymous: bool = False) -> None:
        self.place = url.rstrip("/")
        self._store = open_bucket(self.place, anonymous=anonymous)

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises as ``size``, and LimitExceededError when it is over ``most`` bytes."""
        size = self.size(name)
        if size > most:
            problem = f"has {size:,} bytes, and at most {most:,} are read"
            raise LimitExceededError(f"{self.place}/{name}", "size", problem, "Look at what lies there.")
        return b"".join(self._ranges(name, size))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in pieces of at most 1 MiB."""
        for piece in self._ranges(name, self.size(name)):
            for start in range(0, len(piece), MIB):
                yield piece[start : start + MIB]

    def size(self, name: str) -> int:
        """The file's size in bytes. Raises ReadError by its kind, InvalidInputError for an answer that is none.

        S3 refuses what is not there to readers who may not list: what is refused to one who may read the cache's own
        description is absent.
        """
        try:
            return self._head(name)
        except UnauthorisedError as error:
            if name == CACHE_INFO:
                raise
            self._head(CACHE_INFO)  # raises when this reader is refused here altogether
            raise AbsentError(f"{self.place}/{name} is not there.") from error

    def located(self, url: str, document: str) -> str:
        """``url`` when it names a file below the prefix; InvalidInputError otherwise."""
        return relative_name(url, document)

    def prepare(self, *folders: str) -> None:
        """Nothing: a bucket has no folders."""

    def settle(self) -> None:
        """Nothing: an answered write is durable."""

    def put(self, name: str, data: bytes, *, settled: bool = True) -> None:
        """Write ``data``."""
        import obstore

        del settled
        with self._asking(name, writes=True):
            obstore.put(self._store, name, data)

    def put_once(self, name: str, data: bytes) -> bool:
        """Write ``data`` on the condition that there is nothing (S3: If-None-Match)."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._asking(name, writes=True):
            try:
                obstore.put(self._store, name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def upload(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        """Write in parts; there is no file before the last of them, and none when ``chunks`` raises."""
        import obstore

        del size
        with self._asking(name, writes=True):
            obstore.put(self._store, name, chunks, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)

    def remove(self, name: str) -> bool:
        """Delete the object. In a bucket with versions an older one stays, for its owner alone."""
        import obstore

        try:
            self._head(name)
        except AbsentError:
            return False
        with self._asking(name, writes=True):
            obstore.delete(self._store, name)
        return True

    def _head(self, name: str) -> int:
        import obstore

        with self._asking(name):
            return int(obstore.head(self._store, name)["size"])

    def _ranges(self, name: str, size: int) -> Iterator[bytes]:
        for start in range(0, size, _RANGE):
            yield self._range(name, start, min(start + _RANGE, size))

    def _range(self, name: str, start: int, end: int) -> bytes:
        import obstore

        with self._asking(name):
            return bytes(obstore.get_range(self._store, name, start=start, end=end))

    def _asking(self, name: str, *, writes: bool = False) -> AbstractContextManager[None]:
        return asking(f"{self.place}/{name}", writes=writes)
