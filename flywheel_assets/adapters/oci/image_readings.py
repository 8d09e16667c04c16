"""All readings of one image in one repository: documents first, then every body, compared with the receipt."""

from collections.abc import Iterator, Mapping

from flywheel_assets.adapters.files import one_at_a_time, state_of
from flywheel_assets.adapters.oci.bodies import Body, read_bodies
from flywheel_assets.adapters.oci.documents import Index, Manifest
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.tree import Node, TreeReader, blobs_of
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import InvalidInputError, ReadError
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Progress


def image_readings(repository: Repository, image: OciImage, limits: Limits, progress: Progress) -> tuple[Reading, ...]:
    """Parents before children, platforms in the index's order. Never raises for what the repository holds."""
    progress = one_at_a_time(progress)
    try:
        repository.check()
    except (ReadError, InvalidInputError) as error:
        return (Body(state_of(error), detail=str(error)).reading(_root_name(image), image.manifest, None),)
    root = TreeReader(repository, limits, progress).read(image.manifest)
    bodies = read_bodies(repository, blobs_of(root, configs=False), limits.blob_bytes, progress)
    problems = platform_problems(root, image.platforms)
    readings = [root.body.reading(_name(root, image), root.digest, root.size, problems + node_problems(root))]
    readings += _members(root, bodies)
    for node in list(root.walk())[1:]:
        readings.append(node.body.reading(_name(node, image), node.digest, node.size, node_problems(node)))
        readings += _members(node, bodies)
    return tuple(readings)


def platform_problems(root: Node, receipt: Mapping[str, ManifestDigest]) -> list[str]:
    """Where the platforms that a consumer finds differ from those that the receipt vouches for.

    What could not be read contradicts nothing: its own reading says so, and another try may find it.
    """
    problems = []
    found: dict[str, ManifestDigest] = {}
    leaves = [node for node in root.walk() if not isinstance(node.document, Index) and not node.is_attestation]
    for node in leaves:
        platform = node.platform
        if platform is None:
            if not node.is_undetermined:
                problems.append(f"The manifest {node.digest} names no platform.")
        elif platform in found:
            problems.append(f"The platform {platform} is named twice, by {found[platform]} and {node.digest}.")
        else:
            found[platform] = node.digest
            if platform not in receipt:
                problems.append(f"The platform {platform} ({node.digest}) is not in the receipt.")
            elif receipt[platform] != node.digest:
                problems.append(f"The platform {platform} is {node.digest}, and {receipt[platform]} in the receipt.")
    if not any(node.is_undetermined for node in leaves):
        problems += [f"The receipt's platform {name} is not in the image." for name in receipt if name not in found]
    return problems


def node_problems(node: Node) -> list[str]:
    """Where a manifest contradicts the descriptor that led to it, or its config."""
    problems = []
    if node.size is not None and node.body.digest == str(node.digest) and node.body.size != node.size:
        problems.append(f"The descriptor says {node.size:,} bytes, and the content has {node.body.size:,}.")
    configured = node.config.platform if node.config else None
    # Builders leave the variant out on either side, so only system and architecture have to agree.
    if node.declared and configured and node.declared.split("/")[:2] != configured.split("/")[:2]:
        problems.append(f"The index says {node.declared}, and the image's config {configured}.")
    return problems


def _members(node: Node, bodies: Mapping[str, Body]) -> Iterator[Reading]:
    if not isinstance(node.document, Manifest):
        return
    platform = node.platform or "no platform"
    config = node.document.config
    body = node.config.body if node.config else bodies[str(config.digest)]
    yield body.reading(f"config {platform} {config.digest}", config.digest, config.size)
    count = len(node.document.layers)
    for number, layer in enumerate(node.document.layers, 1):
        member = f"layer {platform} {number}/{count} {layer.digest}"
        yield bodies[str(layer.digest)].reading(member, layer.digest, layer.size)


def _name(node: Node, image: OciImage) -> str:
    if isinstance(node.document, Index):
        return f"index {node.digest}"
    if node.document is None and node.size is None:
        return _root_name(image)
    return f"manifest {node.platform or 'no platform'} {node.digest}"


def _root_name(image: OciImage) -> str:
    """What the root is when it cannot be read: the receipt knows whether it has a level of platforms below."""
    for platform, digest in image.platforms.items():
        if digest == image.manifest:
            return f"manifest {platform} {image.manifest}"
    return f"index {image.manifest}"
