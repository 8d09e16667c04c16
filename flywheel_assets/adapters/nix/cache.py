"""A Nix binary cache, read and never believed: every body is hashed, every narinfo compared.

Source: the Nix manual, "Local binary cache store" and "Serving a Nix store via HTTP", for the layout.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flywheel_assets.adapters.files import one_at_a_time, reporting
from flywheel_assets.adapters.nix.bodies import read_body
from flywheel_assets.adapters.nix.cache_files import CACHE_INFO, CacheFiles
from flywheel_assets.adapters.nix.closure import Expected, members, nix_closure, vouched
from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.adapters.nix.narinfo import NarInfo, parse_narinfo
from flywheel_assets.adapters.nix.parallel import in_parallel
from flywheel_assets.adapters.nix.readings import failed, judged
from flywheel_assets.adapters.nix.signatures import public_key
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.errors import InvalidInputError, ReadError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.ports import Progress

_REMEDY = "Point the catalogue at a Nix binary cache."


class NixCache:
    """``ports.SourceCache`` over the files of a cache; a path is short for those of a folder.

    ``upstream_keys`` are the Nix public keys (``name:base64``) that may speak for paths which a receipt does
    not list. With ``members_are_signed`` the receipt's members too must be signed by one of them, as a
    consumer with these ``trusted-public-keys`` demands. Raises UsageError for a key that is none.
    """

    def __init__(
        self,
        files: CacheFiles | Path,
        upstream_keys: tuple[str, ...] = (),
        limits: Limits = DEFAULT_LIMITS,
        store_dir: str = "/nix/store",
        *,
        members_are_signed: bool = False,
    ) -> None:
        for key in upstream_keys:
            public_key(key)
        self._files = CacheFolder(files) if isinstance(files, Path) else files
        self._keys = upstream_keys
        self._limits = limits
        self._store_dir = store_dir
        self._members_are_signed = members_are_signed

    @property
    def threads(self) -> int:
        """How many paths at a time are worth it."""
        return self._files.threads

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """One reading per path of the closure, sorted by path; ``progress`` gets bytes of files, one call at a time.

        Whatever the cache holds or lacks is a reading. Raises UsageError for an artifact of another kind.
        """
        wanted: dict[str, Expected | None] = dict(members(nix_closure(artifact)))
        try:
            self.check_store_dir()
        except (ReadError, InvalidInputError) as error:
            return tuple(failed(path, wanted[path], error) for path in sorted(wanted))
        readings: dict[str, Reading] = {}
        read = partial(self._read, one_at_a_time(progress))
        while wanted:
            room = self._limits.closure_members - len(readings)
            wave = sorted(wanted.items())
            following: set[str] = set()
            for reading, references in in_parallel(read, wave[:room], self.threads):
                readings[reading.member] = reading
                following.update(references)
            if len(wave) > room:
                readings[wave[room][0]] = self._one_too_many(wave[room][0])
                break
            wanted = dict.fromkeys(following - readings.keys())
        return tuple(readings[path] for path in sorted(readings))

    def check_store_dir(self) -> None:
        """Raises ReadError, or InvalidInputError when the cache is for another store folder or does not say."""
        document = f"{self._files.place}/{CACHE_INFO}"
        text = self._files.read(CACHE_INFO, self._limits.narinfo_bytes).decode("utf-8", "replace")
        found = [line.partition(": ")[2].strip() for line in text.splitlines() if line.startswith("StoreDir: ")]
        if found != [self._store_dir]:
            problem = f"is {' and '.join(found) or 'not there'}, and has to be {self._store_dir}"
            raise InvalidInputError(document, "StoreDir", problem, _REMEDY)

    def look_up(self, path: str) -> NarInfo:
        """What the cache's index says of ``path``. Raises ReadError or InvalidInputError."""
        name = f"{store_path_hash(path)}.narinfo"
        data = self._files.read(name, self._limits.narinfo_bytes)
        return parse_narinfo(data, f"{self._files.place}/{name}", self._limits)

    def open_nar(self, path: str) -> tuple[NarInfo, Iterator[bytes]]:
        """The narinfo and its file in chunks. Raises ReadError or InvalidInputError, the chunks too."""
        info = self.look_up(path)
        return info, self._files.chunks(self._files.located(info.url, f"the narinfo of {path}"))

    def _read(self, progress: Progress, wanted_path: tuple[str, Expected | None]) -> tuple[Reading, tuple[str, ...]]:
        """The reading of one path, and the references to follow from it. What is expected is None for upstream's."""
        path, expected = wanted_path
        try:
            info, chunks = self.open_nar(path)
            asked = expected is None or self._members_are_signed
            voucher = vouched(info, path, self._keys) if asked else None
            wanted = expected or voucher
            size = wanted.nar_size if wanted else info.nar_size
            body = read_body(reporting(chunks, progress), info.compression, size, self._limits)
        except (ReadError, InvalidInputError) as error:
            return failed(path, expected, error), expected.references if expected else ()
        reading = judged(path, wanted, info, body)
        if asked and voucher is not None:
            reading = reading.model_copy(update={"vouched_by": voucher.vouched_by})
        elif asked:
            problems = (*reading.index_problems, "narinfo is not signed for this path by a key that is trusted here")
            reading = reading.model_copy(update={"index_problems": problems})
        return reading, wanted.references if wanted else ()

    def _one_too_many(self, path: str) -> Reading:
        detail = f"the closure has over {self._limits.closure_members:,} paths; this one and others were not read"
        return Reading(member=path, state=ReadState.TOO_LARGE, detail=detail)
