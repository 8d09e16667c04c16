"""Builds a flake's attribute again with a real Nix, in a store that nobody else fills, and lists what came out.

The source is untrusted: it is evaluated pure, without a registry or the flake's own settings, and built in Nix's
sandbox or not at all. What is trusted is Nix, its store, and the substituters that the catalogue names for inputs; the
result itself must have been built here.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from flywheel_assets.adapters.nix.bodies import BodyReader
from flywheel_assets.adapters.nix.builder import built_here, read_path_info
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.listing import NarLister
from flywheel_assets.adapters.nix.running import printed
from flywheel_assets.domain.artifacts import ClosureMember
from flywheel_assets.domain.digests import GitRevision, NarHash
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, MIB, Limits
from flywheel_assets.domain.listings import FileListing
from flywheel_assets.ports import Fetched, Rebuilt, Signer

LOG_BYTES = 64 * MIB  # of one build, after which Nix ends it
ANSWER_BYTES = 64 * MIB
ASKING_SECONDS, GRACE_SECONDS = 600, 120
Fetch = Callable[[str, GitRevision, Path], Fetched]
"""Fetches a revision from a URL into an empty folder, which is then a Git repository."""


@dataclass(frozen=True, slots=True)
class NixRebuilder:
    """``ports.Rebuilder``. ``urls`` say where a repository is fetched from, where that is not its own URI.

    ``environment`` is all that Nix sees of this process's; it gets a home of its own. ``caches`` are the mutable caches
    by catalogue name.
    """

    signer: Signer
    nix: str
    store: str
    fetch: Fetch
    caches: Mapping[str, NixCache]
    environment: Mapping[str, str]
    seconds: int
    cores: int = 2
    substituters: tuple[str, ...] = ()
    trusted_public_keys: tuple[str, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS

    def rebuild(self, repository: str, revision: GitRevision, definition: str) -> Rebuilt:
        """Raises UnreadableError when it cannot be fetched or built, InvalidInputError for what Nix answers."""
        with TemporaryDirectory(prefix="rebuild-") as name:
            folder = Path(name)
            source, link = folder / "source", folder / "result"
            fetched = self.fetch(self.urls.get(repository, repository), revision, source)
            flake = f"git+file://{quote(str(source))}?rev={revision}&shallow=1#{definition}"
            # Nix ends a build in time itself, and cleans up; this only makes sure of it.
            late = self.seconds + GRACE_SECONDS
            self._ask(folder, "build", "--out-link", str(link), *self._settings(), flake, seconds=late)
            if not link.is_symlink():
                raise UnreadableError(f"{definition} at {revision} has no output called out.")
            path = str(link.readlink())
            answer = self._ask(folder, "path-info", "--json", "--recursive", path)
            if path not in built_here(answer):
                raise UnreadableError(
                    f"{path} came from a substituter and was not built here, so it is no second opinion: "
                    "take the cache that has it out of the rebuilder's substituters."
                )
            return Rebuilt(read_path_info(answer), fetched)

    def listing(self, member: ClosureMember) -> FileListing:
        """What was built. Raises UnreadableError when the store has it no more, or something else."""
        lister, hashed = NarLister(f"the rebuilt {member.path}", self.limits), hashlib.sha256()
        with TemporaryDirectory(prefix="rebuild-") as folder:
            for piece in self._printed(Path(folder), "store", "dump-path", member.path):
                hashed.update(piece)
                lister.feed(piece)
        if NarHash.from_hex(hashed.hexdigest()) != member.nar_hash:
            raise UnreadableError(f"The store holds {member.path} no more as it was built.")
        return lister.end()

    def cached_listing(self, cache: str, member: ClosureMember) -> FileListing:
        """What lies in a mutable cache. Raises ReadError, or InvalidInputError, when that is not the member's body."""
        if cache not in self.caches:
            raise UnreadableError(f"{cache} is no Nix cache.")
        lister = NarLister(f"the cached {member.path}", self.limits)
        info, chunks = self.caches[cache].open_nar(member.path)
        reader = BodyReader(info.compression, member.nar_size, self.limits, lister.feed)
        for chunk in chunks:
            if not reader.feed(chunk):
                break
        body = reader.end()
        if body.state is not ReadState.READ:
            raise UnreadableError(f"The body of {member.path} in {cache} is {body.state.value}: {body.detail}.")
        if body.nar_hash != member.nar_hash:
            raise UnreadableError(f"{cache} holds another body of {member.path}, {body.nar_hash}.")
        return lister.end()

    def _settings(self) -> Iterator[str]:
        """Options that the flake cannot change, and those of nix.conf give way to."""
        settings = {
            "sandbox": "true",
            "sandbox-fallback": "false",
            "accept-flake-config": "false",
            "flake-registry": "",
            "use-registries": "false",
            "builders": "",
            "post-build-hook": "",
            "require-sigs": "true",
            "substituters": " ".join(self.substituters),
            "trusted-public-keys": " ".join(self.trusted_public_keys),
            "timeout": str(self.seconds),
            "max-build-log-size": str(LOG_BYTES),
            "max-jobs": "1",
            "cores": str(self.cores),
        }
        yield from ("--no-write-lock-file", "--no-update-lock-file")
        for name, value in settings.items():
            yield from ("--option", name, value)

    def _ask(self, folder: Path, *arguments: str, seconds: float = ASKING_SECONDS) -> bytes:
        """What Nix prints. Raises UnreadableError."""
        answer = b""
        for piece in self._printed(folder, *arguments, seconds=seconds):
            answer += piece
            if len(answer) > ANSWER_BYTES:
                raise UnreadableError(f"nix {arguments[0]} answers more than {ANSWER_BYTES:,} bytes.")
        return answer

    def _printed(self, folder: Path, *arguments: str, seconds: float = ASKING_SECONDS) -> Iterator[bytes]:
        features = ("--extra-experimental-features", "nix-command flakes")
        environment = {**self.environment, "HOME": str(folder)}
        return printed((self.nix, *arguments, "--store", self.store, *features), environment, folder, seconds)
