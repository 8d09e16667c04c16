"""Image indexes and manifests, parsed once into a closed union. Pure.

Sources: OCI image-spec 1.1 (descriptor.md, image-index.md, manifest.md, config.md); Docker "Image Manifest
Version 2, Schema 2". These are foreign documents: unknown fields are ignored, used ones are validated, and
``urls`` and ``data`` of a descriptor are never looked at.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from flywheel_assets.domain.digests import BlobDigest, ConfigDigest, ManifestDigest
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import Platform
from flywheel_assets.domain.statements import invalid
from flywheel_assets.domain.untrusted import JsonObject, parse_json

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
NO_PLATFORM = "unknown/unknown"
"""How docker buildx marks the attestation manifests that it puts into an index."""

REMEDY = "Build and push the image again with a tool that follows the OCI image-spec."

_TYPE_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MediaType = Annotated[str, StringConstraints(pattern=rf"^{_TYPE_NAME}/{_TYPE_NAME}$")]
"""RFC 6838, section 4.2, without parameters."""

_PLATFORM: TypeAdapter[str] = TypeAdapter(Platform)


class Foreign(BaseModel):
    """Part of a foreign document: frozen, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Described(Foreign):
    """What every descriptor says of its content; ``size`` in bytes."""

    media_type: MediaType = Field(alias="mediaType")
    size: Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class BlobDescriptor(Described):
    """A layer."""

    digest: BlobDigest


class ConfigDescriptor(Described):
    """The config of a manifest."""

    digest: ConfigDigest


class PlatformFields(Foreign):
    """``platform`` of a descriptor, and the same fields of an image config."""

    os: str
    architecture: str
    variant: str | None = None

    @property
    def name(self) -> str:
        """``os/architecture[/variant]``; a ValidationError when it has no such spelling."""
        return _PLATFORM.validate_python("/".join(filter(None, (self.os, self.architecture, self.variant))))


class ChildDescriptor(Described):
    """A manifest or index below an index, or the subject of a referrer."""

    digest: ManifestDigest
    platform: PlatformFields | None = None
    artifact_type: MediaType | None = Field(alias="artifactType", default=None)


class Index(Foreign):
    """An image index, or a Docker manifest list."""

    media_type: MediaType = Field(alias="mediaType")
    children: tuple[ChildDescriptor, ...] = Field(alias="manifests")
    subject: ChildDescriptor | None = None


class Manifest(Foreign):
    """An image or artifact manifest."""

    media_type: MediaType = Field(alias="mediaType")
    config: ConfigDescriptor
    layers: tuple[BlobDescriptor, ...]
    subject: ChildDescriptor | None = None
    artifact_type: MediaType | None = Field(alias="artifactType", default=None)


def parse_manifest(
    data: bytes, document: str, limits: Limits = DEFAULT_LIMITS, *, media_type: str | None = None
) -> Index | Manifest:
    """The index or manifest in ``data``; ``media_type`` is what the descriptor that led here says.

    Raises LimitExceededError for what is too large, deep or long, InvalidInputError for the rest.
    """
    fields = parse_json(data, document, max_bytes=limits.manifest_bytes, limits=limits)
    kind = _media_type(fields, document, media_type)
    _bound_length(fields, "manifests", limits.index_children, document)
    _bound_length(fields, "layers", limits.layers, document)
    try:
        if kind in INDEX_TYPES:
            return _checked_index(Index.model_validate({**fields, "mediaType": kind}), document, limits)
        return _checked_manifest(Manifest.model_validate({**fields, "mediaType": kind}), document, limits)
    except ValidationError as error:
        raise invalid(error, document, REMEDY) from error


def config_platform(data: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """``os/architecture[/variant]`` of an image config (image-spec, config.md)."""
    fields = parse_json(data, document, max_bytes=limits.manifest_bytes, limits=limits)
    try:
        return PlatformFields.model_validate(fields).name
    except ValidationError as error:
        raise invalid(error, document, REMEDY) from error


def _media_type(fields: JsonObject, document: str, expected: str | None) -> str:
    """The one type that descriptor, ``mediaType`` and shape agree on (CVE-2021-41190: they may disagree)."""
    if fields.get("schemaVersion") != 2 or isinstance(fields["schemaVersion"], bool):  # noqa: PLR2004 - the spec's
        raise InvalidInputError(document, "schemaVersion", "is not 2", REMEDY)
    is_index = "manifests" in fields
    if is_index and ("layers" in fields or "config" in fields):
        raise InvalidInputError(document, "manifests", "stands beside config or layers: index or manifest?", REMEDY)
    declared = fields.get("mediaType")
    if expected is not None and declared is not None and declared != expected:
        raise InvalidInputError(
            document, "mediaType", f"is {declared!r}, where its descriptor says {expected!r}", REMEDY
        )
    kind = declared if declared is not None else expected
    if kind is None:
        return OCI_INDEX if is_index else OCI_MANIFEST
    if not isinstance(kind, str) or kind not in INDEX_TYPES | MANIFEST_TYPES:
        raise InvalidInputError(document, "mediaType", f"{kind!r} is no manifest or index that is read here", REMEDY)
    if is_index != (kind in INDEX_TYPES):
        raise InvalidInputError(document, "mediaType", f"is {kind!r}, which the document does not look like", REMEDY)
    return kind


def _bound_length(fields: JsonObject, field: str, bound: int, document: str) -> None:
    items = fields.get(field)
    if isinstance(items, list) and len(items) > bound:
        raise LimitExceededError(
            document, field, f"has {len(items):,} entries, and at most {bound:,} are read", "Split the image."
        )


def _checked_index(index: Index, document: str, limits: Limits) -> Index:
    for number, child in enumerate(index.children):
        field = f"manifests.{number}"
        if child.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            raise InvalidInputError(document, f"{field}.mediaType", f"{child.media_type!r} is no manifest", REMEDY)
        _bound_size(child, limits.manifest_bytes, f"{field}.size", document)
        if child.platform is not None:
            _ = child.platform.name
    return index


def _checked_manifest(manifest: Manifest, document: str, limits: Limits) -> Manifest:
    _bound_size(manifest.config, limits.blob_bytes, "config.size", document)
    for number, layer in enumerate(manifest.layers):
        _bound_size(layer, limits.blob_bytes, f"layers.{number}.size", document)
    return manifest


def _bound_size(item: Described, bound: int, field: str, document: str) -> None:
    if item.size > bound:
        raise LimitExceededError(
            document, field, f"is {item.size:,} bytes, and at most {bound:,} are read", "Make the content smaller."
        )
