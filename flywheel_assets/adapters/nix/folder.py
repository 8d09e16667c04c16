"""A Nix cache's folder, and the names in it that come out of untrusted narinfos."""

import re
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.nix.cache_files import LOCAL_THREADS
from flywheel_assets.domain.errors import InvalidInputError

REMEDY = "Copy the path into the cache again with `nix copy`."
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,199}")
_MOST_STEPS = 4


class CacheFolder(Folder):
    """``CacheFiles`` in a folder, as ``nix copy --to file://…`` writes it."""

    threads = LOCAL_THREADS

    def __init__(self, path: Path) -> None:
        super().__init__(path, remedy=REMEDY)

    @property
    def place(self) -> str:
        """``file://`` and the absolute path."""
        return f"file://{self.path}"

    def located(self, url: str, document: str) -> str:
        """``url`` when it names a file below the folder; InvalidInputError otherwise."""
        return relative_name(url, document)


def relative_name(url: str, document: str) -> str:
    """``url`` when it is a plain relative file name, steps joined by ``/``; InvalidInputError otherwise.

    No scheme, no leading slash, no ``.`` or ``..``, no backslash, query, fragment or percent sign.
    """
    steps = url.split("/")
    if len(steps) > _MOST_STEPS or not all(map(_STEP.fullmatch, steps)):
        raise InvalidInputError(document, "URL", f"{url[:200]!r} is not a file name below the cache", REMEDY)
    return url
