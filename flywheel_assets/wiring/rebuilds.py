"""The rebuilder by what the catalogue says of it: Nix, its store, where sources come from."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flywheel_assets.adapters.git import fetch_revision
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.rebuilder import NixRebuilder
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.ports import Rebuilder, SourceCache

# All that Git and Nix get to see: this process's environment may hold secrets.
SHOWN = (
    "PATH",
    "LANG",
    "TMPDIR",
    "NIX_CONF_DIR",
    "NIX_SSL_CERT_FILE",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


def open_rebuilder(
    keys: Path, catalogue: Catalogue, caches: Mapping[str, SourceCache], environment: Mapping[str, str] = os.environ
) -> Rebuilder | None:
    """The rebuilder, its key made on first run; None where the catalogue names none. Nothing is started yet."""
    found = catalogue.rebuilder
    if found is None:
        return None
    shown = {name: environment[name] for name in SHOWN if name in environment}
    return NixRebuilder(
        signer=key_file(keys / "rebuilder.pem"),
        nix=found.nix,
        store=found.store,
        fetch=partial(fetch_revision, environment=shown),
        caches={name: cache for name, cache in caches.items() if isinstance(cache, NixCache)},
        environment=shown,
        seconds=found.timeout_minutes * 60,
        cores=found.cores,
        substituters=found.substituters,
        trusted_public_keys=found.trusted_public_keys,
        urls=found.fetch_from,
    )
