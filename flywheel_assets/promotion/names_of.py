"""The names of what was published: by its record, and where an earlier one lacks them by reference and catalogue."""

from flywheel_assets.catalog.models import DurableSurface, PublicationTarget, Way
from flywheel_assets.domain.artifacts import Artifact, OciImage
from flywheel_assets.domain.names import STORE_PATH
from flywheel_assets.domain.publications import Publication, Release
from flywheel_assets.promotion.flywheel import Flywheel

_SCHEMES = ("https://", "http://", "file://", "file:")


def release_of(flywheel: Flywheel, publication: Publication, artifact: Artifact) -> Release | None:
    """The release as it was published; None of an image where nothing tells its repository any more."""
    target, repository = _target(flywheel, publication), publication.repository
    tags, moving = publication.tags, publication.moving
    if isinstance(artifact, OciImage) and repository is None:
        repository = _repository_in(flywheel, publication)
        if repository is None:
            return None
    if not tags and target is not None:
        tags, moving = target.tags_of(publication.revision), target.moving_tags
    return Release(
        output=publication.output,
        build=publication.build,
        artifact=artifact,
        repository=repository,
        tags=tags,
        moving=moving,
    )


def cache_of(flywheel: Flywheel, publication: Publication) -> str | None:
    """The durable Nix cache that holds its closure; None of an image, or where nothing tells of it any more."""
    if publication.way == Way.TRIGGERS.value:
        target = _target(flywheel, publication)
        return publication.binaries or (target.flake.binaries if target and target.flake else None)
    return publication.surface if root_in(publication) else None


def root_in(publication: Publication) -> str | None:
    """The root of its closure as far as the record says it; that of a flake's release is not in its reference."""
    root = publication.root or publication.reference.rpartition("#")[2]
    return root if STORE_PATH.fullmatch(root) else None


def is_image(publication: Publication) -> bool:
    """Whether it is an image, which shares no store path with anything."""
    return publication.way != Way.TRIGGERS.value and root_in(publication) is None


def _target(flywheel: Flywheel, publication: Publication) -> PublicationTarget | None:
    output = flywheel.catalogue.outputs.get(publication.output)
    return output.publication if output else None


def _repository_in(flywheel: Flywheel, publication: Publication) -> str | None:
    """What follows the surface's own place in ``oci:<folder>/<repository>@…`` or ``host/<repository>@…``."""
    surface = flywheel.catalogue.surfaces.get(publication.surface)
    if not isinstance(surface, DurableSurface):
        return None
    root = surface.url
    for scheme in _SCHEMES:
        root = root.removeprefix(scheme)
    place = "/" + publication.reference.removeprefix("oci:").rpartition("@")[0]
    _, found, repository = place.rpartition(f"/{root.strip('/')}/")
    return repository if found else None
