"""The files of a ``--disk_cache`` folder: ``ac/<2 hex>/<64 hex>`` and ``cas/<2 hex>/<64 hex>``."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from flywheel_assets.adapters.files import Folder
from flywheel_assets.domain.digests import ActionDigest, CasDigest

Store = Literal["ac", "cas"]


class CacheFiles:
    """Reads entries by digest; only digests, which are validated, ever become file names."""

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(
            folder,
            remedy="Clear the disk cache and build again.",
            shrink="Make the action's outputs fewer.",
            shown=lambda name: f"The disk cache's {name}",
        )

    def chunks(self, store: Store, digest: ActionDigest | CasDigest) -> Iterator[bytes]:
        """An entry in chunks of at most 1 MiB, unverified. Raises as ``Folder.chunks``."""
        return self._folder.chunks(_name(store, digest))

    def small(self, store: Store, digest: ActionDigest | CasDigest, bound: int) -> bytes:
        """A whole entry of at most ``bound`` bytes; LimitExceededError when it is larger."""
        return self._folder.read(_name(store, digest), bound)

    def actions(self) -> Iterator[ActionDigest]:
        """The digests of all actions in the cache, in order. Raises as ``Folder.names``."""
        subfolders = [sub for sub in self._folder.names("ac") if re.fullmatch("[0-9a-f]{2}", sub)]
        names = sorted(name for sub in subfolders for name in self._folder.names(f"ac/{sub}"))
        for name in names:
            try:
                yield ActionDigest.from_hex(name)
            except ValueError:
                continue  # a temporary file that Bazel is writing


def _name(store: Store, digest: ActionDigest | CasDigest) -> str:
    return f"{store}/{digest.hex[:2]}/{digest.hex}"
