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
from flywheel_assets.adapters.flakehub.reader import PublishedFlake, is_flake_reference
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.nix.reader import PublishedClosure
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.oci.reader import PublishedImage, is_reference
from flywheel_assets.adapters.signatures.keys import create_once, key_file, private_bytes
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import Catalogue, DurableSurface, Surface
from flywheel_assets.domain.errors import UsageError, printable
from flywheel_assets.ports import PublishedReader, Verifier
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.wiring.rebuilds import open_rebuilder
from flywheel_assets.wiring.sources import open_sources
from flywheel_assets.wiring.surfaces import open_caches, open_inbox, open_surfaces, open_workflows

RELEASE_KEY_NAME = "flywheel-release-1"
# Where an S3 client finds a credential without asking the machine's metadata service, which a consumer never does.
S3_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
FLAKEHUB = "https://api.flakehub.com"
STAND_IN = "https://stand-in.invalid"  # in the sample's catalogue
PACKAGE = Path(str(files("flywheel_assets")))
SAMPLE = PACKAGE / "sample"
# The platform's catalogue is the one YAML file of its folder; no code names it.
SAMPLE_CATALOGUE = (*sorted((PACKAGE / "catalog").glob("*.yaml")), SAMPLE / "overlay.yaml")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation keeps its state, and which catalogue files it runs on.

    ``stand_in`` is where the sample's stand-in is served, unless ``stand_in_url`` says it.
    """

    home: Path
    catalogues: tuple[Path, ...]
    stand_in: str | None = None

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
        workflows=open_workflows(home, _at_stand_in(chosen, catalogue) if chosen.on_sample else catalogue),
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


def stand_in_url(home: Path) -> Path:
    """Where the address of the sample's stand-in stands while it runs."""
    return home / "sample" / "flakehub" / "url"


def _at_stand_in(chosen: Settings, catalogue: Catalogue) -> Catalogue:
    """The sample's catalogue with the stand-in's address of now. Its own stays the same, and so do all verdicts.

    While none runs it keeps a name that no resolver knows: then nothing can be asked, which is what a reader is told.
    """
    try:
        url = chosen.stand_in or stand_in_url(chosen.home).read_text("ascii").strip()
    except OSError:
        return catalogue

    def placed(surface: Surface) -> Surface:
        if not isinstance(surface, DurableSurface) or surface.url != STAND_IN or surface.forge is None:
            return surface
        return surface.model_copy(update={"url": url, "forge": surface.forge.model_copy(update={"url": url})})

    placed_all = {name: placed(surface) for name, surface in catalogue.surfaces.items()}
    return catalogue.model_copy(update={"surfaces": placed_all})


def install_sample(home: Path) -> None:
    """Lay the recorded sample out in the working folder; what is there already is left as it is."""
    token = home / "sample" / "flakehub" / "token"
    if not token.exists():
        token.parent.mkdir(parents=True, exist_ok=True)
        create_once(token, uuid4().hex.encode(), 0o600)
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
    *,
    cache: str | None = None,
    flakehub: str = FLAKEHUB,
) -> tuple[PublishedReader, Verifier]:
    """What verifies a reference without any installation; ``netrc`` is for what cannot be read anonymously.

    S3 is shown the environment's credential if it holds one. ``cache`` carries the closure of a release on FlakeHub,
    whose API is at ``flakehub``. Raises UsageError for what is no reference.
    """
    shown = Credentials(netrc=netrc) if netrc else ANONYMOUS

    def closure(place: str, release: str | None = None) -> PublishedClosure:
        anonymous = not any(map(environment.get, S3_CREDENTIALS))
        return PublishedClosure(place, nix_keys, credentials=shown, anonymous=anonymous, release=release)

    if is_flake_reference(reference):
        if cache is None:
            raise UsageError(
                "FlakeHub tells which store path a release has, and not where its bytes and proofs lie. Say "
                "by --cache https://cache.example which Nix cache is the publisher's."
            )
        reader = PublishedFlake(reference, HttpClient(flakehub, shown), lambda path, of: closure(f"{cache}#{path}", of))
        return reader, SignatureVerifier()
    if "#" in reference:
        return closure(reference), SignatureVerifier()
    if is_reference(reference):
        return PublishedImage(reference, credentials=shown), SignatureVerifier()
    raise UsageError(
        f"{printable(reference)!r} is no reference that can be verified. Write host/name@sha256:…, "
        "oci:/layout@sha256:…, or https://cache.example#/nix/store/…, s3://bucket#/nix/store/…, "
        "file:///folder#/nix/store/…, or flakehub:ORG/FLAKE/VERSION#attribute."
    )
