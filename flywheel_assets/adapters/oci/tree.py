"""An image as a tree of documents, read from a repository: indexes, manifests and the configs of images.

What does not match its digest is reported and never followed: its children would be an attacker's choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.oci.bodies import Body, in_parallel, read_body
from flywheel_assets.adapters.oci.documents import (
    IMAGE_CONFIGS,
    NO_PLATFORM,
    ChildDescriptor,
    Index,
    Manifest,
    config_platform,
    parse_manifest,
)
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import ConfigDigest, ManifestDigest, Sha256
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Progress


@dataclass(frozen=True, slots=True)
class Config:
    """An image config: how reading it ended, and the platform in it."""

    digest: ConfigDigest
    size: int
    body: Body
    platform: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """An index or manifest. ``size`` and ``declared`` (the platform) are from its parent's descriptor.

    ``document`` is None when it could not be read, did not match its digest, or could not be parsed.
    """

    digest: ManifestDigest
    size: int | None
    declared: str | None
    body: Body
    document: Index | Manifest | None
    children: tuple["Node", ...] = ()
    config: Config | None = None

    @property
    def platform(self) -> str | None:
        """What a consumer chooses it by: the descriptor's platform, or the config's where that has none."""
        return self.declared or (self.config.platform if self.config else None)

    @property
    def is_undetermined(self) -> bool:
        """Whether its platform, or its children, are unknown only because something could not be read."""
        unread_config = self.config is not None and self.config.platform is None
        return self.document is None or (unread_config and self.declared is None)

    @property
    def is_attestation(self) -> bool:
        """Whether no consumer would run it: docker buildx's attestation manifests."""
        return self.declared == NO_PLATFORM

    def walk(self) -> Iterator["Node"]:
        """This node and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def fits(body: Body, digest: Sha256) -> bool:
    """Whether the whole body was read and is what the digest names."""
    return body.state is ReadState.READ and body.digest == str(digest)


def blobs_of(node: Node, *, configs: bool = True) -> dict[str, tuple[Sha256, int]]:
    """Configs and layers of all manifests by digest text, each once; without those ``configs`` read already."""
    blobs: dict[str, tuple[Sha256, int]] = {}
    for each in node.walk():
        if isinstance(each.document, Manifest):
            if configs or each.config is None:
                config = each.document.config
                blobs.setdefault(str(config.digest), (config.digest, config.size))
            for layer in each.document.layers:
                blobs.setdefault(str(layer.digest), (layer.digest, layer.size))
    return blobs


class TreeReader:
    """Reads one tree. At most ``limits.index_children`` manifests and ``limits.index_depth`` nested indexes.

    ``progress`` is called from several threads.
    """

    def __init__(self, repository: Repository, limits: Limits, progress: Progress) -> None:
        self._repository = repository
        self._limits = limits
        self._progress = progress
        self._manifests = count(1)

    def read(self, digest: ManifestDigest) -> Node:
        """The tree below ``digest``."""
        return self._node(digest, None, depth=1)

    def _node(self, digest: ManifestDigest, descriptor: ChildDescriptor | None, depth: int) -> Node:
        size = descriptor.size if descriptor else None
        declared = descriptor.platform.name if descriptor and descriptor.platform else None
        body = read_body(
            self._repository.open_manifest, digest, size, self._limits.manifest_bytes, self._progress, keep=True
        )
        if not fits(body, digest) or (size is not None and body.size != size):
            return Node(digest, size, declared, body, None)
        try:
            expected = descriptor.media_type if descriptor else None
            document = parse_manifest(body.data or b"", str(digest), self._limits, media_type=expected)
            self._bound(document, str(digest), depth)
        except InvalidInputError as error:
            return Node(digest, size, declared, self._failed(body, error), None)
        if isinstance(document, Manifest):
            return Node(digest, size, declared, body, document, config=self._config(document))
        children = in_parallel(lambda child: self._node(child.digest, child, depth + 1), document.children)
        return Node(digest, size, declared, body, document, tuple(children))

    def _bound(self, document: Index | Manifest, name: str, depth: int) -> None:
        if isinstance(document, Index) and depth > self._limits.index_depth:
            raise LimitExceededError(
                name, "manifests", f"is an index below {self._limits.index_depth} indexes", "Flatten the index."
            )
        if isinstance(document, Manifest) and next(self._manifests) > self._limits.index_children:
            raise LimitExceededError(
                name, "manifests", f"is one manifest more than {self._limits.index_children}", "Split the image."
            )

    def _config(self, manifest: Manifest) -> Config | None:
        """The config when it is an image's; any other is a blob like a layer."""
        if manifest.config.media_type not in IMAGE_CONFIGS:
            return None
        digest, size = manifest.config.digest, manifest.config.size
        body = read_body(
            self._repository.open_blob, digest, size, self._limits.manifest_bytes, self._progress, keep=True
        )
        if not fits(body, digest):
            return Config(digest, size, body, None)
        try:
            return Config(digest, size, body, config_platform(body.data or b"", str(digest), self._limits))
        except InvalidInputError as error:
            return Config(digest, size, self._failed(body, error), None)

    @staticmethod
    def _failed(body: Body, error: InvalidInputError) -> Body:
        return Body(state_of(error), body.digest, body.size, str(error))
