"""What ``flywheel receipt oci`` says of an image that a builder has just put into a layout."""

from pathlib import Path

from pydantic import ValidationError

from flywheel_assets.adapters.oci.documents import Index
from flywheel_assets.adapters.oci.image_readings import node_problems
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.tree import Node, TreeReader, fits
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import InvalidInputError, UsageError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import invalid


def image_in_layout(layout_folder: Path, reference: str, repository: str, limits: Limits = DEFAULT_LIMITS) -> OciImage:
    """The image that a tag or ``sha256:…`` digest names in the layout, with the digest of each platform.

    Raises UsageError when nothing has that name, ReadError and InvalidInputError for what lies there.
    """
    layout = OciLayout(layout_folder, limits=limits)
    layout.check()
    root = TreeReader(layout, limits, lambda _: None).read(_resolve(layout, reference))
    platforms: dict[str, ManifestDigest] = {}
    for node in root.walk():
        _refuse_unsound(node)
        if isinstance(node.document, Index) or node.is_attestation:
            continue
        if node.platform is None or node.platform in platforms:
            problem = "names no platform" if node.platform is None else f"is a second {node.platform}"
            raise InvalidInputError(str(node.digest), "platform", problem, "Build one image for each platform.")
        platforms[node.platform] = node.digest
    try:
        return OciImage(repository=repository, manifest=root.digest, platforms=platforms)
    except ValidationError as error:
        raise invalid(error, f"the image {root.digest}", "Give a valid repository and image.") from error


def _resolve(layout: OciLayout, reference: str) -> ManifestDigest:
    if reference.startswith("sha256:"):
        try:
            return ManifestDigest(reference)
        except ValueError as error:
            raise UsageError(f"{printable(reference)} is no digest: give sha256: and 64 hex digits.") from error
    found = layout.tag(reference)
    if found is None:
        raise UsageError(f"{layout.path} has no image tagged {printable(reference)!r}. Give a tag or a digest in it.")
    return found.digest


def _refuse_unsound(node: Node) -> None:
    problems = node_problems(node)
    if node.document is None or not fits(node.body, node.digest) or problems:
        problem = (problems or [node.body.detail or f"is {node.body.state}, found {node.body.digest or 'nothing'}"])[0]
        raise InvalidInputError(str(node.digest), "content", problem, "Build the image again.")
    if node.config and not fits(node.config.body, node.config.digest):
        detail = node.config.body.detail or f"is {node.config.body.state}"
        raise InvalidInputError(str(node.config.digest), "config", detail, "Build the image again.")
