"""A durable folder of OCI layouts, one per repository, as a publication surface.

Blobs and manifests lie under their digests before any tag names them; one update of index.json reveals all tags.
Everything is safe to repeat, and what a crash leaves behind is either whole or unnamed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flywheel_assets.adapters.files import one_at_a_time, reporting, state_of
from flywheel_assets.adapters.oci import layout_index, proofs
from flywheel_assets.adapters.oci.bodies import Body, in_parallel, read_body
from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.wanted import Wanted, wanted_of
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    PublicationError,
    ReadBackError,
    ReadError,
    UsageError,
)
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Plan, Proof, Release
from flywheel_assets.ports import Progress


class OciLayoutSurface:
    """ports.PublicationSurface over ``root/<release.repository>/``, each an OCI image layout."""

    def __init__(self, root: Path, source: OciStaging, limits: Limits = DEFAULT_LIMITS) -> None:
        self._root = root
        self._source = source
        self._limits = limits

    def plan(self, release: Release) -> Plan:
        """Blobs and manifests that the target lacks, in the order of copying, and the tags to set.

        Raises NameTakenError, ReadError for the source, PublicationError when the image is not what the receipt says.
        """
        image, target = self._place(release)
        with _refusals():
            wanted = self._wanted(image, target)
            present = tuple(str(digest) for digest, size in wanted.all if target.has_blob(digest, size))
            names = self._names(release, image, target)
        return Plan(
            release=release,
            reference=f"oci:{target.path}@{image.manifest}",
            missing=tuple(str(digest) for digest, _ in wanted.all if str(digest) not in present),
            present=present,
            names=names,
        )

    def copy(self, plan: Plan, progress: Progress) -> None:
        """Copy what is missing: bodies first, then manifests, children before parents. No name is written."""
        image, target = self._place(plan.release)
        source = self._source.layout(image.repository)
        progress = one_at_a_time(progress)

        def put(blob: tuple[Sha256, int]) -> None:
            target.put_blob(reporting(source.open_blob(blob[0]), progress), *blob)

        with _refusals():
            wanted = self._wanted(image, target)
            target.prepare()
            missing = set(plan.missing)
            in_parallel(put, [blob for blob in wanted.bodies if str(blob[0]) in missing])
            for manifest in wanted.manifests:
                if str(manifest[0]) in missing:
                    put(manifest)

    def attach(self, plan: Plan, proofs_: Sequence[Proof]) -> None:
        """List the proofs as referrers of the image. PublicationError when the image is not copied yet."""
        image, target = self._place(plan.release)
        with _refusals():
            proofs.attach(target, self._subject(image, target), proofs_, self._limits)

    def reveal(self, plan: Plan) -> None:
        """Set all tags in one update of index.json. NameTakenError when one was taken since the plan."""
        image, target = self._place(plan.release)
        with _refusals():
            subject = self._subject(image, target)
            target.set_names(dict.fromkeys(plan.release.tags, subject), plan.release.moving)

    def read_back(self, release: Release, progress: Progress) -> tuple[Reading, ...]:
        """The whole image by digest, what each tag names, and every proof. The source is not asked."""
        image, target = self._place(release)
        readings = [*image_readings(target, image, self._limits, progress)]
        readings += [self._tag_reading(target, tag, image, progress) for tag in release.tags]
        try:
            found = list(proofs.find_proofs(target, image.manifest, self._limits, progress))
            readings += [item.reading for item in found]
        except (ReadError, InvalidInputError) as error:
            body = Body(state_of(error), detail=str(error))
            readings.append(body.reading("referrers", image.manifest, None))
        return tuple(readings)

    def proofs(self, release: Release) -> tuple[bytes, ...]:
        """The envelopes that the fallback tag leads to and that fit their digests; none when nothing is there.

        Raises UnauthorisedError or UnreadableError, and ReadBackError when index.json is malformed.
        """
        image, target = self._place(release)
        try:
            found = list(proofs.find_proofs(target, image.manifest, self._limits, lambda _: None))
        except AbsentError:
            return ()
        except InvalidInputError as error:
            raise ReadBackError(f"The proofs of {image.manifest} cannot be found. {error}") from error
        return tuple(item.envelope for item in found if item.envelope is not None)

    def _place(self, release: Release) -> tuple[OciImage, OciLayout]:
        image = release.artifact
        if not isinstance(image, OciImage) or release.repository is None:
            raise UsageError(
                f"The release of {release.output} is no OCI image with a repository. "
                "Name another surface for it in the catalogue."
            )
        try:
            return image, OciLayout(self._root, release.repository, self._limits)
        except InvalidInputError as error:
            raise UsageError(str(error)) from error

    def _wanted(self, image: OciImage, target: OciLayout) -> Wanted:
        return wanted_of(image, target, self._source.layout(image.repository), self._limits)

    def _subject(self, image: OciImage, target: OciLayout) -> Descriptor:
        """The image's descriptor, when all of it lies in the target."""
        wanted = wanted_of(image, target, target, self._limits)
        lacking = [str(digest) for digest, size in wanted.all if not target.has_blob(digest, size)]
        if lacking:
            raise PublicationError(f"{target.path} lacks {lacking[0]} of {image.manifest}. Copy the image again.")
        return wanted.descriptor

    def _names(self, release: Release, image: OciImage, target: OciLayout) -> tuple[str, ...]:
        """The tags that are not at the digest yet."""
        digest, document = str(image.manifest), str(target.path)
        try:
            index = target.index()
        except AbsentError:
            return release.tags
        layout_index.refuse_taken(index, release.tags, digest, release.moving, document)
        named = {tag: layout_index.named(index, tag, document) for tag in release.tags}
        return tuple(tag for tag, found in named.items() if found is None or found.digest != image.manifest)

    def _tag_reading(self, target: OciLayout, tag: str, image: OciImage, progress: Progress) -> Reading:
        try:
            found = target.tag(tag)
            if found is None:
                raise AbsentError(f"{target.path} has no tag {tag!r}.")
        except (ReadError, InvalidInputError) as error:
            return Body(state_of(error), detail=str(error)).reading(f"tag {tag}", image.manifest, None)
        body = read_body(target, found.digest, found.size, self._limits.manifest_bytes, progress)
        return body.reading(f"tag {tag}", image.manifest, found.size)


@contextmanager
def _refusals() -> Iterator[None]:
    """While publishing, malformed content on either side is a refusal to publish."""
    try:
        yield
    except InvalidInputError as error:
        raise PublicationError(str(error)) from error
