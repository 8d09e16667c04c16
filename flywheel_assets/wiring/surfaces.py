"""The inbox, caches and publication surfaces by what the catalogue says of them: protocol, URL, credential, hosts."""

from collections.abc import Callable, Mapping
from pathlib import Path

from flywheel_assets.adapters.bazel.cache import BazelCache
from flywheel_assets.adapters.bazel.entries import DiskEntries, HttpEntries
from flywheel_assets.adapters.flakehub.workflow import ATTEMPTS, TIMEOUTS, FlakehubWorkflow
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.dispatching import GithubWorkflows
from flywheel_assets.adapters.forges.github import HEADERS
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS
from flywheel_assets.adapters.inbox.bucket import BucketInbox
from flywheel_assets.adapters.inbox.folder import FolderInbox
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import CacheFiles, DurableFiles
from flywheel_assets.adapters.nix.opening import cache_files, durable_files
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.catalog.models import (
    ArtifactType,
    Catalogue,
    Credential,
    DurableSurface,
    MutableSurface,
    Output,
    PublishingForge,
    Visibility,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.ports import BuildSource, PublicationSurface, PublishingWorkflow, SourceCache
from flywheel_assets.wiring.secrets import credentials

Repositories = Callable[[str], Repository]


def open_inbox(home: Path, catalogue: Catalogue) -> BuildSource:
    """Where receipts arrive: a folder, or a prefix in S3. Nothing is asked of it yet."""
    url = file_url(home, catalogue.inbox)
    if url.startswith("file:"):
        return FolderInbox(Path(url.removeprefix("file:")), DEFAULT_LIMITS)
    return BucketInbox(url, DEFAULT_LIMITS)


def open_caches(home: Path, catalogue: Catalogue) -> dict[str, SourceCache]:
    """The mutable caches, by name. Nothing is asked of them yet."""
    return {
        name: _cache(home, name, surface)
        for name, surface in catalogue.surfaces.items()
        if isinstance(surface, MutableSurface)
    }


def open_surfaces(
    home: Path, catalogue: Catalogue, caches: Mapping[str, SourceCache], nix_key: NixSigningKey
) -> dict[tuple[str, str], PublicationSurface]:
    """The publication surfaces that outputs name, by (surface, cache). Nothing is asked of them yet.

    And, by (surface, surface), those that no output names any more: what went out there may be to be withdrawn.
    """
    found: dict[tuple[str, str], PublicationSurface] = {}
    for output in catalogue.outputs.values():
        for name in _surfaces_of(output):
            surface, cache = catalogue.durable(name), caches[output.cache]
            if (name, output.cache) in found:
                continue
            if isinstance(cache, NixCache) and surface.protocol == "nix":
                files, consumer = _durable_nix(home, name, surface)
                upstream = catalogue.mutable(output.cache).trusted_upstream_keys
                found[name, output.cache] = NixCacheSurface(
                    files, cache, nix_key, DEFAULT_LIMITS, upstream, consumer=consumer
                )
            elif isinstance(cache, OciStaging) and surface.protocol == "oci":
                found[name, output.cache] = _oci_surface(home, name, surface, cache)
    named = {name for name, _ in found}
    for name, left in catalogue.surfaces.items():
        if isinstance(left, DurableSurface) and left.protocol != "flakehub" and name not in named:
            found[name, name] = _without_source(home, name, left, nix_key)
    return found


def open_workflows(home: Path, catalogue: Catalogue) -> dict[str, PublishingWorkflow]:
    """The surfaces that only a workflow can publish to, by name. Nothing is asked of them yet."""
    return {
        name: _workflow(home, name, surface, surface.forge)
        for name, surface in catalogue.surfaces.items()
        if isinstance(surface, DurableSurface) and surface.forge is not None
    }


def file_url(home: Path, url: str) -> str:
    """``url``, a ``file:`` one with the absolute path that it means: relative ones lie below the working folder."""
    if not url.startswith("file:"):
        return url
    return f"file:{home / url.removeprefix('file://').removeprefix('file:')}"


def _surfaces_of(output: Output) -> tuple[str, ...]:
    """The surfaces that take bytes of ours: of a release on FlakeHub, the cache that carries its closure."""
    target = output.publication
    if target is None:
        return ()
    return (target.flake.binaries,) if target.flake is not None else (target.surface,)


def _without_source(home: Path, name: str, surface: DurableSurface, nix_key: NixSigningKey) -> PublicationSurface:
    """A surface to which nothing is copied: it is its own source."""
    if surface.protocol == "nix":
        files, consumer = _durable_nix(home, name, surface)
        source = NixCache(consumer, (), DEFAULT_LIMITS)
        return NixCacheSurface(files, source, nix_key, DEFAULT_LIMITS, consumer=consumer)
    found = _repositories(home, name, surface, surface.read_credential)
    return _oci_surface(home, name, surface, OciStaging(found, DEFAULT_LIMITS))


def _workflow(home: Path, name: str, surface: DurableSurface, forge: PublishingForge) -> PublishingWorkflow:
    shown = credentials(home, forge.credential, name)
    asking = Asking(HttpClient(forge.url, shown, forge.hosts, timeouts=TIMEOUTS), HEADERS, attempts=ATTEMPTS)
    reading = ANONYMOUS if surface.visibility is Visibility.PUBLIC else credentials(home, surface.read_credential, name)
    return FlakehubWorkflow(GithubWorkflows(asking), HttpClient(surface.url, reading, surface.hosts, timeouts=TIMEOUTS))


def _cache(home: Path, name: str, surface: MutableSurface) -> SourceCache:
    url, shown = file_url(home, surface.url), credentials(home, surface.credential, name)
    match surface.protocol:
        case ArtifactType.NIX:
            return NixCache(cache_files(url, shown, surface.hosts), surface.trusted_upstream_keys, DEFAULT_LIMITS)
        case ArtifactType.OCI:
            return OciStaging(_repositories(home, name, surface, surface.credential), DEFAULT_LIMITS)
        case ArtifactType.BAZEL:
            if url.startswith("file:"):
                return BazelCache(DiskEntries(Path(url.removeprefix("file:"))), DEFAULT_LIMITS)
            return BazelCache(HttpEntries(HttpClient(url, shown, surface.hosts)), DEFAULT_LIMITS)


def _durable_nix(home: Path, name: str, surface: DurableSurface) -> tuple[DurableFiles, CacheFiles]:
    """A durable Nix cache for writing, and as its consumers read it."""
    url = file_url(home, surface.url)
    reading = credentials(home, surface.read_credential, name)
    is_public = surface.visibility is Visibility.PUBLIC
    return (
        durable_files(url, credentials(home, surface.credential, name), surface.hosts),
        cache_files(url, reading, surface.hosts, anonymous=is_public),
    )


def _oci_surface(home: Path, name: str, surface: DurableSurface, staging: OciStaging) -> OciSurface:
    target = _repositories(home, name, surface, surface.credential)
    consumer = _repositories(home, name, surface, surface.read_credential)
    return OciSurface(target, staging, DEFAULT_LIMITS, consumer=consumer)


def _repositories(
    home: Path, name: str, surface: MutableSurface | DurableSurface, credential: Credential | None
) -> Repositories:
    """How a repository of this surface is found by its name."""
    url = file_url(home, surface.url)
    if url.startswith("file:"):
        folder = Path(url.removeprefix("file:"))
        return lambda repository: OciLayout(folder, repository, DEFAULT_LIMITS)
    return Registry(url, credentials(home, credential, name), surface.hosts, DEFAULT_LIMITS).repository
