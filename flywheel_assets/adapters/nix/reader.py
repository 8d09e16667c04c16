"""A published closure as a consumer meets it: ``file://<folder>#<store path>``."""

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.folder import cache_folder
from flywheel_assets.adapters.nix.published import attestations, parse_reference
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress


class PublishedClosure:
    """ports.PublishedReader on a durable Nix cache in a folder."""

    def __init__(self, reference: str, upstream_keys: tuple[str, ...] = (), limits: Limits = DEFAULT_LIMITS) -> None:
        """``upstream_keys`` may vouch for members that the provenance does not list. UsageError for no reference."""
        self._folder, self._path = parse_reference(reference)
        self._upstream_keys, self._limits = upstream_keys, limits

    def identity(self) -> str:
        """The store path."""
        return self._path

    def proofs(self) -> tuple[bytes, ...]:
        """The envelopes in the attestations folder of the path."""
        NixCache(self._folder, (), self._limits).check_store_dir()
        return attestations(cache_folder(self._folder), self._path, self._limits)

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Every member, its narinfo and its whole NAR."""
        return NixCache(self._folder, self._upstream_keys, self._limits).inspect(artifact, progress)
