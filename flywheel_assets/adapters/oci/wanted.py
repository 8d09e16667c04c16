"""What a layout must hold for an image to be whole: the set that plans are subtracted from."""

from dataclasses import dataclass

from flywheel_assets.adapters.oci.bodies import Body
from flywheel_assets.adapters.oci.image_readings import node_problems, platform_problems
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.adapters.oci.tree import Node, TreeReader, blobs_of, fits
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import AbsentError, PublicationError, UnauthorisedError, UnreadableError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import Limits

Blob = tuple[Sha256, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bodies (configs and layers, the largest first), then manifests with children before parents."""

    bodies: tuple[Blob, ...]
    manifests: tuple[Blob, ...]
    descriptor: Descriptor

    @property
    def all(self) -> tuple[Blob, ...]:
        """In the order in which they are copied."""
        return self.bodies + self.manifests


def wanted_of(image: OciImage, target: OciLayout, source: OciLayout, limits: Limits) -> Wanted:
    """From the documents in ``target`` when they are all there and sound, else from those in ``source``.

    So a promotion can be repeated when the mutable cache has long lost the image. Raises AbsentError,
    UnauthorisedError, UnreadableError, or PublicationError when the image is not what the receipt says.
    """
    root = TreeReader(target, limits, lambda _: None).read(image.manifest)
    if _complaint(root, image) is not None:
        root = TreeReader(source, limits, lambda _: None).read(image.manifest)
    complaint = _complaint(root, image)
    if complaint is not None:
        raise complaint
    return _listed(root)


def _listed(root: Node) -> Wanted:
    manifests: dict[str, Blob] = {}
    for node in reversed(list(root.walk())):
        manifests.setdefault(str(node.digest), (node.digest, node.body.size))
    bodies = sorted(blobs_of(root).values(), key=lambda blob: (-blob[1], str(blob[0])))
    media_type = root.document.media_type if root.document else ""
    descriptor = {"mediaType": media_type, "digest": str(root.digest), "size": root.body.size}
    return Wanted(tuple(bodies), tuple(manifests.values()), descriptor)


def _complaint(root: Node, image: OciImage) -> Exception | None:
    for node in root.walk():
        config = node.config
        for digest, body in ((node.digest, node.body), *([(config.digest, config.body)] if config else [])):
            if not fits(body, digest):
                return _read_complaint(digest, body)
        if node.document is None:
            return PublicationError(f"{node.digest} is not as long as the index says. Build the image again.")
    problems = platform_problems(root, image.platforms)
    problems += [problem for node in root.walk() for problem in node_problems(node)]
    if problems:
        return PublicationError(f"The image {image.manifest} is not what its receipt says. {problems[0]}")
    return None


def _read_complaint(digest: Sha256, body: Body) -> Exception:
    kinds = {
        ReadState.ABSENT: AbsentError,
        ReadState.UNAUTHORISED: UnauthorisedError,
        ReadState.UNREADABLE: UnreadableError,
    }
    kind = kinds.get(body.state, PublicationError)
    found = body.detail or f"It was found {body.state} as {body.digest} with {body.size:,} bytes."
    return kind(f"{digest} cannot be copied. {found} Build it again if it stays so.")
