"""Where the entries of a cache lie: a ``--disk_cache`` folder, or an HTTP cache. Only digests ever become names.

Source: Bazel's documentation, "Remote Caching", "HTTP Caching Protocol"; for folders, what Bazel 4 to 8 write.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.files import HttpFiles
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits

Store = Literal["ac", "cas"]


class Entries(Protocol):
    """The action cache (``ac``) and the content-addressed store (``cas``) of one cache, read by digest."""

    @property
    def readers(self) -> int:
        """How many threads may read at once with profit."""
        ...

    def chunks(self, store: Store, digest: ActionDigest | CasDigest) -> Iterator[bytes]:
        """An entry in chunks of at most 1 MiB, unverified. Raises ReadError by its kind, InvalidInputError."""
        ...

    def small(self, store: Store, digest: ActionDigest | CasDigest, bound: int) -> bytes:
        """A whole entry of at most ``bound`` bytes, unverified; LimitExceededError when it is larger."""
        ...


class DiskEntries:
    """The files of a ``--disk_cache`` folder: ``ac/<2 hex>/<64 hex>`` and ``cas/<2 hex>/<64 hex>``."""

    readers = 3

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(
            folder,
            remedy="Clear the disk cache and build again.",
            shrink="Make the action's outputs fewer.",
            shown=lambda name: f"The disk cache's {name}",
        )

    def chunks(self, store: Store, digest: ActionDigest | CasDigest) -> Iterator[bytes]:
        """As of Entries. Raises as ``Folder.chunks``."""
        return self._folder.chunks(self._name(store, digest))

    def small(self, store: Store, digest: ActionDigest | CasDigest, bound: int) -> bytes:
        """As of Entries. Raises as ``Folder.read``."""
        return self._folder.read(self._name(store, digest), bound)

    def actions(self) -> Iterator[ActionDigest]:
        """The digests of all actions in the cache, in order. Raises as ``Folder.names``."""
        subfolders = [sub for sub in self._folder.names("ac") if re.fullmatch("[0-9a-f]{2}", sub)]
        names = sorted(name for sub in subfolders for name in self._folder.names(f"ac/{sub}"))
        for name in names:
            try:
                yield ActionDigest.from_hex(name)
            except ValueError:
                continue  # a temporary file that Bazel is writing

    @staticmethod
    def _name(store: Store, digest: ActionDigest | CasDigest) -> str:
        return f"{store}/{digest.hex[:2]}/{digest.hex}"


class HttpEntries:
    """``ac/<64 hex>`` and ``cas/<64 hex>`` below a client's base, whose path may end in an instance name.

    No ``Accept`` is sent: some caches would answer one for JSON with another form of an action result.
    """

    # A small entry costs a round trip: 300 at 20 ms take 0.5 s, one by one 6.4 s. More cost where the server is near.
    readers = 16

    def __init__(self, client: HttpClient, limits: Limits = DEFAULT_LIMITS) -> None:
        self._files = HttpFiles(client, limits)

    def chunks(self, store: Store, digest: ActionDigest | CasDigest) -> Iterator[bytes]:
        """As of Entries. Raises as ``HttpFiles.chunks``."""
        return self._files.chunks(f"{store}/{digest.hex}")

    def small(self, store: Store, digest: ActionDigest | CasDigest, bound: int) -> bytes:
        """As of Entries. Raises as ``HttpFiles.read``."""
        return self._files.read(f"{store}/{digest.hex}", bound)
