"""One repository of images, wherever it lies: what a layout in a folder and a registry over HTTP both offer.

All that reads or writes images here talks to this. Nothing that is read is verified yet; whoever reads hashes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from flywheel_assets.adapters.http.wire import Octets
from flywheel_assets.adapters.oci.documents import ChildDescriptor
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.errors import NameTakenError


class Repository(Protocol):
    """A repository. Reading raises ReadError and InvalidInputError, writing PublicationError too.

    A layout keeps manifests among its blobs, a registry serves them elsewhere: each is asked for as what it is.
    """

    @property
    def place(self) -> str:
        """What messages call it: the layout's folder, or ``host/name``."""
        ...

    def reference(self, digest: Sha256) -> str:
        """How a consumer writes an image in it: ``oci:<folder>@sha256:…`` or ``host/name@sha256:…``."""
        ...

    def check(self) -> None:
        """Raises when it cannot be read at all."""
        ...

    def blob_size(self, digest: Sha256) -> int | None:
        """Size in bytes of a config or layer; None when there is none."""
        ...

    def open_blob(self, digest: Sha256) -> Iterator[bytes]:
        """A config or layer in chunks of at most 1 MiB. Errors come with the first chunk or a later one."""
        ...

    def manifest_size(self, digest: Sha256) -> int | None:
        """Size in bytes of a manifest or index; None when there is none."""
        ...

    def open_manifest(self, digest: Sha256) -> Iterator[bytes]:
        """A manifest or index in chunks. Errors come with the first chunk or a later one."""
        ...

    def tag(self, name: str) -> ChildDescriptor | None:
        """What a tag points to; None when nothing carries that name."""
        ...

    def tags_of(self, digest: Sha256) -> tuple[str, ...]:
        """All tags that name a manifest, whoever set them. AbsentError where no tags are known at all."""
        ...

    def referrers(self, subject: ManifestDigest) -> list[Descriptor]:
        """Entries of what refers to ``subject``, as they are listed: nobody's word. None listed: an empty list.

        From the referrers API where there is one, else from the index under the fallback tag.
        """
        ...

    def waits(self) -> Iterator[None]:
        """One item, after some time, for each further look that is worth while when something is not seen yet.

        None for a folder; a registry may lag behind what it has taken.
        """
        ...

    def prepare(self) -> None:
        """Make it ready to be written to."""
        ...

    def put_blob(self, chunks: Iterable[Octets], digest: Sha256, size: int, source: "Repository | None" = None) -> bool:
        """Store a config or layer, verified while it streams; False when it turned out to be there with that size.

        ``chunks`` are iterated again when they must be sent again. ``source`` is where they come from: a registry
        may take the blob over from a repository of its own. PublicationError when they are not ``size`` bytes
        under ``digest``; nothing is kept of them then.
        """
        ...

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Store a manifest or index under its digest, once all that it names is there. No tag names it."""
        ...

    def set_names(self, wanted: Mapping[str, Descriptor], moving: Collection[str]) -> None:
        """Point each tag of ``wanted`` to a manifest that is there (``mediaType``, ``digest``, ``size``).

        NameTakenError, before anything is written, when one that is not in ``moving`` names other content.
        """
        ...

    def remove_tag(self, name: str, digest: Sha256) -> str:
        """Take a tag away that points to ``digest``; one that points elsewhere, or is gone, is left alone.

        Returns why it stays, as a sentence; empty when it points there no more.
        """
        ...

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Hold a name against other writers of this project, as far as that reaches.

        A layout holds it against all on its folder, a registry against the threads of this process.
        """
        ...

    def list_referrers(self, subject: Descriptor, entries: Sequence[Descriptor]) -> None:
        """Make stored manifests findable as referrers of ``subject``, beside what is listed already.

        Nothing to do where a registry lists them itself. Raises InvalidInputError when what lies under the
        fallback tag is no index.
        """
        ...


def refuse_taken(place: str, name: str, found: ChildDescriptor | None, digest: Sha256) -> None:
    """NameTakenError when the tag ``name``, which may not move, names anything but ``digest``."""
    if found is not None and str(found.digest) != str(digest):
        raise NameTakenError(
            f"The tag {name!r} of {place} names {found.digest} and shall name {digest}. "
            "Choose another tag, or declare it as a moving channel in the catalogue."
        )
