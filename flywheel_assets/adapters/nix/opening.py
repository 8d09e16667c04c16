"""From a URL to the files of a cache: ``file:``, ``http:``, ``https:`` or ``s3:``."""

from collections.abc import Collection
from pathlib import Path

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.nix.bucket import Bucket
from flywheel_assets.adapters.nix.cache_files import CacheFiles, DurableFiles
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.adapters.nix.remote import RemoteDurable, RemoteFiles
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits


def cache_files(
    url: str,
    credentials: Credentials = ANONYMOUS,
    hosts: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    *,
    anonymous: bool = False,
) -> CacheFiles:
    """The cache at ``url``, for reading. A ``file:`` URL holds an absolute path.

    ``credentials`` and ``hosts`` are for HTTP; S3 takes the environment's credential unless ``anonymous``. Raises
    UsageError for what is no such URL.
    """
    if url.startswith("s3:"):
        return Bucket(url, anonymous=anonymous)
    if url.startswith(("http:", "https:")):
        return RemoteFiles(HttpClient(url, credentials, hosts), limits)
    return CacheFolder(_folder(url))


def durable_files(
    url: str,
    credentials: Credentials = ANONYMOUS,
    hosts: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> DurableFiles:
    """The durable cache at ``url``, for writing too; otherwise as ``cache_files``."""
    if url.startswith("s3:"):
        return Bucket(url)
    if url.startswith(("http:", "https:")):
        return RemoteDurable(HttpClient(url, credentials, hosts), limits)
    return DurableFolder(_folder(url))


def _folder(url: str) -> Path:
    return Path(url.removeprefix("file://").removeprefix("file:"))
