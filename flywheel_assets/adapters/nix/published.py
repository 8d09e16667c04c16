"""What a consumer finds on a durable cache with nothing but the folder and a store path. Reads only.

``read_surface`` believes the narinfos it walks: whoever verifies takes the attestations from here, checks their
signatures, and lets ``NixCache.inspect`` hold every body against the members that the provenance lists.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.folder import cache_folder
from flywheel_assets.adapters.nix.narinfo import NarInfo
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError, UsageError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import STORE_PATH, store_path_hash

ATTESTATIONS = "attestations"
_PROOF = re.compile(r"[a-z][a-z-]{0,30}\.dsse\.json")
_REFERENCE = re.compile(rf"file://(/[^\x00-\x1f]*)#({STORE_PATH.pattern})")


@dataclass(frozen=True, slots=True)
class Published:
    """A closure as the surface shows it: the root's narinfo, all of them by path, and the DSSE envelopes."""

    root: NarInfo
    narinfos: tuple[NarInfo, ...]
    attestations: tuple[bytes, ...]


def surface_reference(folder: Path, root: str) -> str:
    """``file://<absolute folder>#<store path>``."""
    return f"file://{folder.absolute()}#{root}"


def parse_reference(reference: str) -> tuple[Path, str]:
    """Folder and store path out of what ``surface_reference`` wrote; UsageError otherwise."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"{printable(reference)!r} is no published store path: write it as file:///folder#/nix/store/…"
        )
    return Path(match[1]), match[2]


def read_surface(folder: Path, store_path: str, limits: Limits = DEFAULT_LIMITS) -> Published:
    """The closure of ``store_path`` by its narinfos, and the proofs beside it; no NAR is read.

    Raises ReadError for what is not there, InvalidInputError for a narinfo of another path or a malformed one,
    LimitExceededError for a closure over the limits, UsageError for what is no store path.
    """
    if not STORE_PATH.fullmatch(store_path):
        raise UsageError(f"{printable(store_path)!r} is no store path: write it as /nix/store/<hash>-<name>.")
    cache = NixCache(folder, (), limits)
    cache.check_store_dir()
    found: dict[str, NarInfo] = {}
    pending = {store_path}
    while pending:
        if len(found) + len(pending) > limits.closure_members:
            problem = f"over {limits.closure_members:,} paths"
            raise LimitExceededError(store_path, "closure", problem, "Publish a smaller closure.")
        for path in sorted(pending):
            found[path] = _look_up(cache, path)
        pending = {name for path in pending for name in found[path].references} - found.keys()
    return Published(
        root=found[store_path],
        narinfos=tuple(found[path] for path in sorted(found)),
        attestations=attestations(cache_folder(folder), store_path, limits),
    )


def attestations(folder: Folder, root: str, limits: Limits) -> tuple[bytes, ...]:
    """The envelopes beside ``root``, sorted by name; none when none were attached. Raises as ``Folder.read``."""
    below = f"{ATTESTATIONS}/{store_path_hash(root)}"
    try:
        names = [name for name in folder.names(below) if _PROOF.fullmatch(name)]
    except AbsentError:
        return ()
    if len(names) > limits.validations:
        problem = f"{len(names):,} files, and at most {limits.validations:,} are read"
        raise LimitExceededError(str(folder.path / below), "attestations", problem, "Remove what is foreign.")
    # An envelope holds its payload in base64, a third longer, and signatures.
    return tuple(folder.read(f"{below}/{name}", 2 * limits.receipt_bytes) for name in names)


def _look_up(cache: NixCache, path: str) -> NarInfo:
    info = cache.look_up(path)
    if info.store_path != path:
        raise InvalidInputError(path, "StorePath", f"its narinfo is of {info.store_path}", "Publish it again.")
    return info
