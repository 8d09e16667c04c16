"""What a Nix cache is made of, wherever it lies: named files to read, and for a durable cache to write.

``folder``, ``remote`` and ``bucket`` implement these two protocols; all else in this package knows nothing but them.
"""

import os
from collections.abc import Iterator
from typing import Protocol

CACHE_INFO = "nix-cache-info"
# Python hashes and decompresses on several cores, and does all else on one.
LOCAL_THREADS = min(4, max(2, os.cpu_count() or 2))
DISTANT_THREADS = 25


class CacheFiles(Protocol):
    """Files of a cache by relative names, steps joined by ``/``."""

    @property
    def place(self) -> str:
        """URL of the cache, for references and messages."""
        ...

    @property
    def threads(self) -> int:
        """How many requests at a time are worth it."""
        ...

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises ReadError by its kind, InvalidInputError; LimitExceededError over ``most`` bytes."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file in pieces of at most 1 MiB. Raises as ``read``, with the first piece or where it breaks off."""
        ...

    def size(self, name: str) -> int:
        """The file's size in bytes. Raises as ``read``."""
        ...

    def located(self, url: str, document: str) -> str:
        """The name for ``read`` that the ``URL`` of a narinfo means; InvalidInputError when it may not be followed."""
        ...


class DurableFiles(CacheFiles, Protocol):
    """Files of a cache of one's own. Names given here are its own, never out of a narinfo.

    A file is there whole or not at all. Writing raises PublicationError, and ReadError when a server does not answer.
    """

    def prepare(self, *folders: str) -> None:
        """Make ready for writing, in the cache itself and in these below it."""
        ...

    def put(self, name: str, data: bytes, *, settled: bool = True) -> None:
        """Make ``data`` the file ``name``, in place of what is there.

        A power cut may empty what is not ``settled`` until ``settle`` was called: for files that nothing names yet.
        """
        ...

    def put_once(self, name: str, data: bytes) -> bool:
        """Make ``data`` the file ``name`` unless there is one; whether it did."""
        ...

    def upload(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        """Make ``chunks``, ``size`` bytes together, the file ``name``, which is not settled yet.

        What ``chunks`` raises passes through, and then there is no such file.
        """
        ...

    def remove(self, name: str) -> bool:
        """Take the file ``name`` away, durably; whether there was one."""
        ...

    def settle(self) -> None:
        """See to it that what was written so far outlives a power cut."""
        ...
