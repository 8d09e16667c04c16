"""A durable place of images, layouts in a folder or a registry, as a publication surface.

Blobs and manifests lie under their digests before any tag names them; the tags are written last. Everything is safe to
repeat, and what a crash leaves behind is either whole or unnamed.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain

from flywheel_assets.adapters.files import one_at_a_time, state_of
from flywheel_assets.adapters.oci import attaching, proofs
from flywheel_assets.adapters.oci.bodies import Body, both, in_parallel, read_body, threads_for
from flywheel_assets.adapters.oci.cosign import SUFFIXES, cosign_tag
from flywheel_assets.adapters.oci.documents import ChildDescriptor
from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.adapters.oci.repository import Repository, refuse_taken
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.travelling import Journey, Streamed
from flywheel_assets.adapters.oci.wanted import Blob, Known, Wanted, wanted_of
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    PublicationError,
    ReadBackError,
    ReadError,
    UsageError,
)
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached, Plan, Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished
from flywheel_assets.ports import Progress, agreed

Find = Callable[[str], Repository]


class OciSurface:
    """ports.PublicationSurface. ``target`` finds the repository of a release by its name.

    ``consumer`` finds it as those who pull see it. Both raise InvalidInputError when there can be none of that name.
    """

    def __init__(
        self,
        target: Find,
        source: OciStaging,
        limits: Limits = DEFAULT_LIMITS,
        *,
        consumer: Find | None = None,
    ) -> None:
        self._target, self._consumer = target, consumer or target
        self._source, self._limits = source, limits
        self._known = Known()

    def plan(self, release: Release) -> Plan:
        """Blobs and manifests that the target lacks, in the order of copying, and the tags to set.

        Raises NameTakenError, ReadError for the source, PublicationError when the image is not what the receipt says.
        """
        image, target = self._place(release, self._target)
        with _refusals():
            wanted = self._wanted(image, target)
            there, names = both(lambda: wanted.present(target), lambda: self._names(release, image, target))
        return Plan(
            release=release,
            reference=target.reference(image.manifest),
            missing=tuple(digest for digest in wanted.all if digest not in there),
            present=tuple(digest for digest in wanted.all if digest in there),
            names=names,
        )

    def copy(self, plan: Plan, progress: Progress) -> None:
        """Copy what is missing: bodies first, then manifests, children before parents; then what refers to them.

        No tag of the release is written. A source that has lost the image meanwhile is no matter when all is there.
        What refers to it has travelled by then only if the tags are right too: they are set after that.
        """
        image, target = self._place(plan.release, self._target)
        source, missing = self._source.repository(image.repository), set(plan.missing)
        progress = one_at_a_time(progress)

        def put(blob: Blob) -> None:
            target.put_blob(Streamed(source, blob[0], progress), *blob, source)

        with _refusals():
            wanted = self._wanted(image, target)
            target.prepare()
            journey = Journey(source, target, self._limits, progress, may_be_lost=not (missing or plan.names))
            subjects = [document.descriptor for document in wanted.documents]
            bodies = [blob for blob in wanted.bodies if str(blob[0]) in missing]
            beside, _ = both(lambda: journey.look(subjects), lambda: in_parallel(put, bodies, threads_for(bodies)))
            for document in wanted.documents:
                if str(document.digest) in missing:
                    progress(len(document.data))
                    target.put_manifest(document.data, document.media_type)
            journey.carry(beside)

    def attach(self, plan: Plan, proofs_: Sequence[Proof]) -> None:
        """Put the proofs beside the image. PublicationError when the image is not copied yet."""
        image, target = self._place(plan.release, self._target)
        with _refusals():
            attaching.attach(target, self._subject(image, target), proofs_, self._limits)

    def reveal(self, plan: Plan, last_word: Callable[[], object] = agreed) -> None:
        """Set the tags, after another look at all of them: one that was right in the plan may have been moved since.

        NameTakenError when one was taken since the plan, ReadError when the image is not there.
        """
        release = plan.release
        image, target = self._place(release, self._target)
        with _refusals():
            wanted = self._known.wanted(image, lambda: wanted_of(image, target, target, self._limits))
            last_word()
            target.set_names(dict.fromkeys(release.tags, wanted.documents[-1].descriptor), release.moving)

    def read_back(self, release: Release, progress: Progress, proofs_: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        """As a consumer: the whole image by digest, what each tag names, and every proof. The source is not asked.

        Each form of ``proofs_`` must be in each place in which ``attach`` put it.
        """
        image, consumer = self._place(release, self._consumer)
        self._wait_for(release, image, consumer)
        readings = [*image_readings(consumer, image, self._limits, progress)]
        readings += in_parallel(lambda tag: self._tag_reading(consumer, tag, image), release.tags)
        try:
            found = [item.reading for item in proofs.find_proofs(consumer, image.manifest, self._limits, progress)]
            readings += found
            readings += self._lacking(image, consumer, proofs_, found) if proofs_ else ()
        except (ReadError, InvalidInputError) as error:
            body = Body(state_of(error), detail=str(error))
            readings.append(body.reading("referrers", image.manifest, None))
        return tuple(readings)

    def proofs(self, release: Release) -> tuple[Attached, ...]:
        """What lies beside the image and fits its digest, as a consumer finds it; none when nothing is there.

        Raises UnauthorisedError, RateLimitedError or UnreadableError, and ReadBackError for what is malformed.
        """
        image, consumer = self._place(release, self._consumer)
        try:
            found = list(proofs.find_proofs(consumer, image.manifest, self._limits, lambda _: None))
        except AbsentError:
            return ()
        except InvalidInputError as error:
            raise ReadBackError(f"The proofs of {image.manifest} cannot be found. {error}") from error
        return tuple(item.attached for item in found if item.attached is not None)

    def withdraw(self, release: Release, mark: Proof, others: Collection[str]) -> Unpublished:
        """``mark`` becomes a referrer and one of cosign's attestations; then every tag that names the image goes.

        Whoever set it: the release's own may not be all. They are asked for beside those that the place lists: it may
        not tell of them. What cannot be told of one keeps no other.
        The manifest stays under its digest, where the mark says what it is: indexes of others may list it.
        """
        del others  # a tag is one image's, and nothing that images share is touched
        image, target = self._place(release, self._target)
        is_there = False
        with _refusals(), suppress(AbsentError):  # what somebody deleted needs no mark, and has tags that lead nowhere
            attaching.attach(target, self._subject(image, target), [mark], self._limits)
            is_there = True
        listed, unlisted = _listed(target, image, is_there=is_there)
        tags = tuple(dict.fromkeys((*listed, *release.tags)))
        answers = [_untag(target, tag, image.manifest) for tag in tags]
        gone = tuple(f"tag {tag}" for tag, (is_gone, _) in zip(tags, answers, strict=True) if is_gone)
        return Unpublished(removed=gone, remaining=(*(why for _, why in answers if why), *unlisted))

    def _lacking(
        self, image: OciImage, consumer: Repository, proofs_: Sequence[Proof], found: Sequence[Reading]
    ) -> Iterator[Reading]:
        """A reading for each form of a proof that was not found in its place."""
        subject, read = self._subject(image, consumer), {reading.digest for reading in found}
        for place, digest in attaching.lacking(consumer, subject, proofs_, read, self._limits):
            body = Body(ReadState.ABSENT, detail=f"{consumer.place} has it not {place}.")
            yield body.reading(f"proof {digest}", digest, None)

    def _place(self, release: Release, find: Find) -> tuple[OciImage, Repository]:
        image = release.artifact
        if not isinstance(image, OciImage) or release.repository is None:
            raise UsageError(
                f"The release of {release.output} is no OCI image with a repository. "
                "Name another surface for it in the catalogue."
            )
        try:
            return image, find(release.repository)
        except InvalidInputError as error:
            raise UsageError(str(error)) from error

    def _wanted(self, image: OciImage, target: Repository) -> Wanted:
        return self._known.wanted(
            image, lambda: wanted_of(image, target, self._source.repository(image.repository), self._limits)
        )

    def _subject(self, image: OciImage, target: Repository) -> Descriptor:
        """The image's descriptor, when it lies in the target: whole, for its manifest was stored last."""
        wanted = self._known.wanted(image, lambda: wanted_of(image, target, target, self._limits))
        if target.manifest_size(image.manifest) is None:
            raise PublicationError(f"{target.place} lacks {image.manifest}. Copy the image again.")
        return wanted.documents[-1].descriptor

    def _names(self, release: Release, image: OciImage, target: Repository) -> tuple[str, ...]:
        """The tags that are not at the digest yet."""
        found = dict(zip(release.tags, in_parallel(lambda tag: _tag(target, tag), release.tags), strict=True))
        for tag in set(release.tags) - set(release.moving):
            refuse_taken(target.place, tag, found[tag], image.manifest)
        return tuple(tag for tag, there in found.items() if there is None or there.digest != image.manifest)

    def _wait_for(self, release: Release, image: OciImage, consumer: Repository) -> None:
        """Give a registry time until consumers see what publishers see. What they see in the end is then read."""
        for _ in chain((None,), consumer.waits()):
            if self._is_seen(release, image, consumer):
                return

    def _is_seen(self, release: Release, image: OciImage, consumer: Repository) -> bool:
        published = self._target(release.repository or "")
        try:
            if any(consumer.manifest_size(digest) is None for digest in {image.manifest, *image.platforms.values()}):
                return False
            tags = in_parallel(consumer.tag, release.tags)
            found, expected = in_parallel(lambda each: _beside(each, image.manifest), (consumer, published))
        except AbsentError:
            return False
        except (ReadError, InvalidInputError):
            return True  # waiting does not help: the readings say what is wrong
        return expected <= found and all(tag is not None and tag.digest == image.manifest for tag in tags)

    def _tag_reading(self, consumer: Repository, tag: str, image: OciImage) -> Reading:
        try:
            found = consumer.tag(tag)
            if found is None:
                raise AbsentError(f"{consumer.place} has no tag {tag!r}.")
        except (ReadError, InvalidInputError) as error:
            return Body(state_of(error), detail=str(error)).reading(f"tag {tag}", image.manifest, None)
        bound = self._limits.manifest_bytes
        body = read_body(consumer.open_manifest, found.digest, found.size, bound, lambda _: None)
        return body.reading(f"tag {tag}", image.manifest, found.size)


def _tag(repository: Repository, name: str) -> ChildDescriptor | None:
    try:
        return repository.tag(name)
    except AbsentError:
        return None  # a layout that is yet to be made


def _listed(repository: Repository, image: OciImage, *, is_there: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags that name the image, and why there may be more of them.

    Where the image is there so is its mark, under a tag of cosign's: a place that has no tags then does not tell them.
    """
    try:
        return repository.tags_of(image.manifest), ()
    except AbsentError as error:
        if not is_there:
            return (), ()
        why: FlywheelError = error
    except (ReadError, InvalidInputError) as error:
        why = error
    return (), (f"any tag that the release did not set: {why}",)


def _untag(repository: Repository, name: str, digest: ManifestDigest) -> tuple[bool, str]:
    """Whether a tag named the manifest and does no more; and why it still may."""
    try:
        at = _tag(repository, name)
        if at is None or str(at.digest) != str(digest):
            return False, ""
        why = repository.remove_tag(name, digest)
    except (ReadError, InvalidInputError, PublicationError) as error:
        return False, f"the tag {name}: {error}"
    return not why, why


def _beside(repository: Repository, subject: ManifestDigest) -> set[str]:
    """The digests of what refers to an image, and of what lies under cosign's tags."""
    tagged = in_parallel(lambda suffix: repository.tag(cosign_tag(subject, suffix)), SUFFIXES)
    return {entry["digest"] for entry in repository.referrers(subject)} | {str(each.digest) for each in tagged if each}


@contextmanager
def _refusals() -> Iterator[None]:
    """While publishing, malformed content on either side is a refusal to publish."""
    try:
        yield
    except InvalidInputError as error:
        raise PublicationError(str(error)) from error
