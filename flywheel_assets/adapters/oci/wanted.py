"""What a repository must hold for an image to be whole: the set that plans are subtracted from."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flywheel_assets.adapters.oci.bodies import Body, in_parallel
from flywheel_assets.adapters.oci.image_readings import node_problems, platform_problems
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.tree import Node, TreeReader, blobs_of, fits
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.errors import (
    AbsentError,
    PublicationError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import MIB, Limits

Blob = tuple[Sha256, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index whose bytes are what its digest says."""

    digest: ManifestDigest
    media_type: str
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        """As a subject of referrers, or behind a tag."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bodies (configs and layers, the largest first), then documents with children before parents: the last is all."""

    bodies: tuple[Blob, ...]
    documents: tuple[Document, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Digests in the order in which they are copied."""
        return tuple(str(digest) for digest, _ in self.bodies) + tuple(str(each.digest) for each in self.documents)

    def present(self, repository: Repository) -> set[str]:
        """The digests of what the repository holds already, in its size."""

        def is_there(item: Blob | Document) -> bool:
            if isinstance(item, Document):
                return repository.manifest_size(item.digest) == len(item.data)
            return repository.blob_size(item[0]) == item[1]

        items: list[Blob | Document] = [*self.bodies, *self.documents]
        found = in_parallel(is_there, items)
        return {digest for digest, there in zip(self.all, found, strict=True) if there}


def wanted_of(image: OciImage, target: Repository, source: Repository, limits: Limits) -> Wanted:
    """From the documents in ``target`` when they are all there and sound, else from those in ``source``.

    So a promotion can be repeated when the mutable cache has long lost the image. Raises AbsentError,
    UnauthorisedError, RateLimitedError, UnreadableError, or PublicationError when the image is not what the receipt
    says.
    """
    root = TreeReader(target, limits, lambda _: None).read(image.manifest)
    if _complaint(root, image) is not None:
        root = TreeReader(source, limits, lambda _: None).read(image.manifest)
    complaint = _complaint(root, image)
    if complaint is not None:
        raise complaint
    return listed(root)


def listed(root: Node) -> Wanted:
    """All that belongs to a tree whose documents were all read and sound."""
    documents: dict[str, Document] = {}
    for node in reversed(list(root.walk())):
        if node.document is not None and node.body.data is not None:
            found = Document(node.digest, node.document.media_type, node.body.data)
            documents.setdefault(str(node.digest), found)
    bodies = sorted(blobs_of(root).values(), key=lambda blob: (-blob[1], str(blob[0])))
    return Wanted(tuple(bodies), tuple(documents.values()))


def unsound(node: Node) -> Exception | None:
    """Why this document, none of those below, cannot be copied."""
    if not fits(node.body, node.digest):
        return _read_complaint(node.digest, node.body)
    if node.document is None:
        return PublicationError(f"{node.digest} is not as long as its descriptor says. Build the image again.")
    return None


def _complaint(root: Node, image: OciImage) -> Exception | None:
    for node in root.walk():
        complaint = unsound(node)
        if complaint is not None:
            return complaint
        if node.config is not None and not fits(node.config.body, node.config.digest):
            return _read_complaint(node.config.digest, node.config.body)
    problems = platform_problems(root, image.platforms)
    problems += [problem for node in root.walk() for problem in node_problems(node)]
    if problems:
        return PublicationError(f"The image {image.manifest} is not what its receipt says. {problems[0]}")
    return None


def _read_complaint(digest: Sha256, body: Body) -> Exception:
    kinds: dict[ReadState, type[ReadError | PublicationError]] = {
        ReadState.ABSENT: AbsentError,
        ReadState.UNAUTHORISED: UnauthorisedError,
        ReadState.RATE_LIMITED: RateLimitedError,
        ReadState.UNREADABLE: UnreadableError,
    }
    kind = kinds.get(body.state, PublicationError)
    found = body.detail or f"It was found {body.state} as {body.digest} with {body.size:,} bytes."
    return kind(f"{digest} cannot be copied. {found} Build it again if it stays so.")


class Known:
    """What images that were lately read consist of: their digest says so for good. Safe for threads."""

    MOST, BYTES = 8, 4 * MIB

    def __init__(self) -> None:
        self._wanted: OrderedDict[str, Wanted] = OrderedDict()

    def wanted(self, image: OciImage, read: Callable[[], Wanted]) -> Wanted:
        """From memory, or as ``read``; only what is small is kept."""
        key = image.model_dump_json()
        found = self._wanted.get(key) or read()
        if sum(len(document.data) for document in found.documents) <= self.BYTES // self.MOST:
            self._wanted[key] = found
            while len(self._wanted) > self.MOST:
                self._wanted.popitem(last=False)
        return found
