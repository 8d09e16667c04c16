"""From settings and a catalogue to a Flywheel with real adapters."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from flywheel_assets.adapters.evidence.folder import FolderEvidence
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.nix.reader import PublishedClosure
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.oci.reader import PublishedImage, is_reference
from flywheel_assets.adapters.signatures.keys import create_once, key_file, private_bytes
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.errors import UsageError, printable
from flywheel_assets.ports import PublishedReader, Verifier
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.wiring.rebuilds import open_rebuilder
from flywheel_assets.wiring.sources import open_sources
from flywheel_assets.wiring.surfaces import open_caches, open_inbox, open_surfaces

RELEASE_KEY_NAME = "flywheel-release-1"
# Where an S3 client finds a credential without asking the machine's metadata service, which a consumer never does.
S3_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
PACKAGE = Path(str(files("flywheel_assets")))
SAMPLE = PACKAGE / "sample"
# The platform's catalogue is the one YAML file of its folder; no code names it.
SAMPLE_CATALOGUE = (*sorted((PACKAGE / "catalog").glob("*.yaml")), SAMPLE / "overlay.yaml")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation keeps its state, and which catalogue files it runs on."""

    home: Path
    catalogues: tuple[Path, ...]

    @property
    def on_sample(self) -> bool:
        """Whether the recorded sample flywheel runs, with or without further overlays."""
        return SAMPLE_CATALOGUE[-1] in self.catalogues

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder."""
        return self.home / "dagster"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """From FLYWHEEL_HOME (default ./.flywheel) and FLYWHEEL_CATALOGUE (files, colon-separated; default: the sample)."""
    home = Path(environment.get("FLYWHEEL_HOME") or ".flywheel").absolute()
    named = environment.get("FLYWHEEL_CATALOGUE", "")
    catalogues = tuple(Path(part).absolute() for part in named.split(os.pathsep) if part)
    return Settings(home, catalogues or SAMPLE_CATALOGUE)


def read_catalogue(chosen: Settings) -> Catalogue:
    """The catalogue of these settings."""
    return load_catalogue(list(chosen.catalogues))


def open_flywheel(chosen: Settings) -> Flywheel:
    """Everything wired up. Makes the working folder, and the keys on first run."""
    catalogue = read_catalogue(chosen)
    try:
        chosen.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"FLYWHEEL_HOME, {chosen.home}, cannot be made: {error.strerror}.") from error
    if chosen.on_sample:
        install_sample(chosen.home)
    home, keys = chosen.home, chosen.home / "keys"
    verifier, verifier_signer = SignatureVerifier(catalogue.trust_root), key_file(keys / "verifier.pem")
    caches = open_caches(home, catalogue)
    return Flywheel(
        catalogue=catalogue,
        evidence=FolderEvidence(_folder(home, catalogue.evidence), home / "checkpoints", verifier_signer, verifier),
        inbox=open_inbox(home, catalogue),
        caches=caches,
        surfaces=open_surfaces(home, catalogue, caches, release_nix_key(keys)),
        verifier=verifier,
        verifier_signer=verifier_signer,
        release_signer=key_file(keys / "release.pem"),
        clock=lambda: datetime.now(UTC),
        runs=open_sources(home, catalogue),
        rebuilder=open_rebuilder(keys, catalogue, caches),
    )


def release_nix_key(keys: Path) -> NixSigningKey:
    """The Nix release key, made on first run (0600), its public form beside it for trusted-public-keys."""
    path = keys / "release.nix.key"
    if not path.exists():
        create_once(path, NixSigningKey.generate(RELEASE_KEY_NAME).to_text().encode(), 0o600)
    key = NixSigningKey.from_text(private_bytes(path).decode("ascii", "replace").strip())
    public = keys / "release.nix.pub"
    if not public.exists():
        create_once(public, key.public_text.encode(), 0o644)
    return key


def install_sample(home: Path) -> None:
    """Lay the recorded sample out in the working folder; what is there already is left as it is."""
    for part in ("nix-cache", "bazel-cache", "oci-staging", "inbox"):
        _copy_once(SAMPLE / part, home / "sample" / part)
    # What the image's own workflow has published before this pipeline ever ran.
    _copy_once(SAMPLE / "ghcr", home / "surfaces" / "ghcr")


def _copy_once(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}")
    shutil.copytree(source, temporary)
    try:
        temporary.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(temporary)
        if not target.exists():
            raise


def _folder(home: Path, url: str) -> Path:
    """The folder of a ``file:`` URL; relative ones lie under the working folder."""
    return home / url.removeprefix("file://").removeprefix("file:")


def published_reader(
    reference: str,
    nix_keys: tuple[str, ...] = (),
    netrc: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[PublishedReader, Verifier]:
    """What verifies a reference without any installation; ``netrc`` is for what cannot be read anonymously.

    S3 is shown the environment's credential if it holds one. Raises UsageError for what is no reference.
    """
    shown = Credentials(netrc=netrc) if netrc else ANONYMOUS
    if "#" in reference:
        anonymous = not any(map(environment.get, S3_CREDENTIALS))
        return PublishedClosure(reference, nix_keys, credentials=shown, anonymous=anonymous), SignatureVerifier()
    if is_reference(reference):
        return PublishedImage(reference, credentials=shown), SignatureVerifier()
    raise UsageError(
        f"{printable(reference)!r} is no reference that can be verified. Write host/name@sha256:…, "
        "oci:/layout@sha256:…, or https://cache.example#/nix/store/…, s3://bucket#/nix/store/…, file:///folder#/nix/store/…"
    )
