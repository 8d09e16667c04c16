"""What ``flywheel receipt oci`` says of an image that a builder has just put into a layout or pushed."""

from pathlib import Path

from pydantic import ValidationError

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.oci.bodies import Body
from flywheel_assets.adapters.oci.documents import Index
from flywheel_assets.adapters.oci.image_readings import node_problems
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.reader import PublishedImage
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.tree import Node, TreeReader, fits
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
    printable,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import invalid

_UNREAD = {
    ReadState.ABSENT: AbsentError,
    ReadState.UNAUTHORISED: UnauthorisedError,
    ReadState.RATE_LIMITED: RateLimitedError,
    ReadState.UNREADABLE: UnreadableError,
}


def image_in_layout(layout_folder: Path, reference: str, repository: str, limits: Limits = DEFAULT_LIMITS) -> OciImage:
    """The image that a tag or ``sha256:…`` digest names in the layout, with the digest of each platform.

    Raises UsageError when nothing has that name, ReadError and InvalidInputError for what lies there.
    """
    layout = OciLayout(layout_folder, limits=limits)
    layout.check()
    return _described(layout, _resolve(layout, reference), repository, limits)


def image_at(
    reference: str,
    repository: str | None = None,
    *,
    credentials: Credentials = ANONYMOUS,
    limits: Limits = DEFAULT_LIMITS,
) -> OciImage:
    """The image under ``host/name:tag``, ``host/name@sha256:…`` or ``oci:<folder>…``; what a tag names now is pinned.

    ``repository`` is what staging calls it, by default its name in the registry. Raises UsageError for what is no
    reference, ReadError and InvalidInputError as ``image_in_layout``.
    """
    published = PublishedImage(reference, limits, credentials)
    if repository is None:
        if reference.startswith("oci:"):
            raise UsageError("An image in a layout has no name of its own: say what repository it is in staging.")
        repository = published.repository.place.partition("/")[2]
    return _described(published.repository, published.manifest(), repository, limits)


def _described(source: Repository, manifest: ManifestDigest, repository: str, limits: Limits) -> OciImage:
    root = TreeReader(source, limits, lambda _: None).read(manifest)
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


def _refuse_unread(body: Body) -> None:
    """What could not be read is no fault of the image, and another try or a credential may help."""
    if body.state in _UNREAD:
        raise _UNREAD[body.state](body.detail)


def _refuse_unsound(node: Node) -> None:
    _refuse_unread(node.body)
    problems = node_problems(node)
    if node.document is None or not fits(node.body, node.digest) or problems:
        problem = (problems or [node.body.detail or f"is {node.body.state}, found {node.body.digest or 'nothing'}"])[0]
        raise InvalidInputError(str(node.digest), "content", problem, "Build the image again.")
    if node.config:
        _refuse_unread(node.config.body)
    if node.config and not fits(node.config.body, node.config.digest):
        detail = node.config.body.detail or f"is {node.config.body.state}"
        raise InvalidInputError(str(node.config.digest), "config", detail, "Build the image again.")
