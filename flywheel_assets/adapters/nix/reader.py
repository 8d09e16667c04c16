"""A published closure as a consumer meets it: ``<URL of the cache>#<store path>``."""

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.http.places import EVERYWHERE
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.opening import cache_files
from flywheel_assets.adapters.nix.published import attestations, parse_reference
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached
from flywheel_assets.ports import Progress


class PublishedClosure:
    """ports.PublishedReader on a durable Nix cache."""

    def __init__(
        self,
        reference: str,
        upstream_keys: tuple[str, ...] = (),
        limits: Limits = DEFAULT_LIMITS,
        *,
        credentials: Credentials = ANONYMOUS,
        anonymous: bool = False,
        release: str | None = None,
    ) -> None:
        """``upstream_keys`` may vouch for members that the provenance does not list. UsageError for no reference.

        ``credentials`` are shown over HTTP; S3 gets the environment's, unless ``anonymous``. ``release`` is the
        resource of a flake's release, whose proofs are wanted (``proofs_folder``).
        """
        place, self._path = parse_reference(reference)
        self._files = cache_files(place, credentials, EVERYWHERE, limits, anonymous=anonymous)
        self._cache = NixCache(self._files, upstream_keys, limits)
        self._limits = limits
        self._release = release

    def identity(self) -> str:
        """The store path."""
        return self._path

    def revision(self) -> None:
        """A Nix cache tells of none."""

    def resource(self) -> None:
        """Any: it may be a mirror."""

    def proofs(self) -> tuple[Attached, ...]:
        """What lies in the attestations folder of the path."""
        self._cache.check_store_dir()
        return attestations(self._files, self._path, self._limits, self._release)

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Every member, its narinfo and its whole NAR."""
        return self._cache.inspect(artifact, progress)
