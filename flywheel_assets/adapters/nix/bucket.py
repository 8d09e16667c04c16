"""A Nix cache in S3, or in what speaks its protocol, through obstore's synchronous API.

Where it is and who asks comes from the environment that every S3 client reads (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
AWS_REGION, …), and obstore reads it itself. Its errors repeat what the server said, which may be what it was sent,
credentials included: nothing of them leaves this module but the status.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from flywheel_assets.adapters.nix.cache_files import CACHE_INFO, DISTANT_THREADS
from flywheel_assets.adapters.nix.folder import relative_name
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
    printable,
)
from flywheel_assets.domain.limits import MIB

if TYPE_CHECKING:
    from obstore.store import S3Store

# S3 takes 10,000 parts at most: this makes 80 GiB of one file, with two of them in memory.
_PART = 8 * MIB
_PARTS_AT_ONCE = 2
# obstore gives a request 30 s before it tries again, so a large file is read range by range.
_RANGE = 4 * MIB
# What obstore writes before the server's own words.
_STATUS = re.compile(r"Server returned [a-z0-9 -]*status code: ([0-9]{3})\b")
_ELSEWHERE = "Received redirect without LOCATION"
_REFUSED, _SLOW_DOWN = range(300, 500), {429, 503}
_REMEDY = "Check AWS_REGION, AWS_ENDPOINT_URL and the credential, which may have expired or be missing."


class Bucket:
    """``CacheFiles`` and ``DurableFiles`` at ``s3://bucket/prefix``.

    With ``anonymous`` no credential is used, whatever the environment holds. Raises UsageError for what is no such URL.
    """

    threads = DISTANT_THREADS

    def __init__(self, url: str, *, anonymous: bool = False) -> None:
        self.place = url.rstrip("/")
        self._store = _opened(self.place, anonymous=anonymous)

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

    @contextmanager
    def _asking(self, name: str, *, writes: bool = False) -> Iterator[None]:
        """What obstore raises in the block is one of our errors; ``writes`` says what a refusal is."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        told = f"{self.place}/{name}"
        try:
            yield
        except FileNotFoundError:
            raise AbsentError(f"{told} is not there.") from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise UnauthorisedError(f"{told} is refused to this reader or writer. Check its AWS_ variables.") from None
        except BaseError as error:
            raise _failure(told, str(error), writes=writes) from None


def _failure(told: str, message: str, *, writes: bool) -> FlywheelError:
    """The error that obstore's ``message`` means for the object ``told``; S3 says SlowDown with 503."""
    found = _STATUS.search(message)
    status = int(found[1]) if found else 0
    is_elsewhere = found is None and _ELSEWHERE in message.partition("\n")[0]
    if status in _SLOW_DOWN:
        return RateLimitedError(f"{told} has to wait: the server limits its callers ({status}).")
    if status not in _REFUSED and not is_elsewhere:
        reason = f" (status {status})" if status else ""
        return UnreadableError(
            f"{told} failed{reason}. Check AWS_ENDPOINT_URL (AWS_ALLOW_HTTP=true for http) and try again later."
        )
    problem = f"was answered with status {status}" if status else "is said to be in another region"
    if writes:
        return PublicationError(f"{told} {problem}. {_REMEDY}")
    return InvalidInputError(told, "status", problem, _REMEDY)


def _opened(url: str, *, anonymous: bool) -> "S3Store":
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    try:
        return S3Store.from_url(
            url,
            config={"skip_signature": True} if anonymous else None,
            retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=2)},
        )
    except (BaseError, ValueError):
        raise UsageError(
            f"{printable(url)} cannot be opened. Write s3://bucket/prefix, and check the AWS_ variables."
        ) from None
