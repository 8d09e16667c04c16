"""An OCI image layout in a folder: blobs by digest, names in index.json.

Source: OCI image-spec 1.1, image-layout.md. Temporary files and locks lie in ``.flywheel`` beside ``blobs``, so that
``blobs`` holds nothing but content under its own digest.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flywheel_assets.adapters.files import Folder
from flywheel_assets.adapters.http.wire import Octets
from flywheel_assets.adapters.oci import layout_index, writing
from flywheel_assets.adapters.oci.documents import OCI_INDEX, ChildDescriptor
from flywheel_assets.adapters.oci.fallback import entries_of, with_entries
from flywheel_assets.adapters.oci.referrers import Descriptor, descriptor, fallback_tag
from flywheel_assets.adapters.oci.repository import Repository, refuse_taken
from flywheel_assets.adapters.writing import publishing
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, PublicationError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, KIB, Limits
from flywheel_assets.domain.untrusted import JsonObject, parse_json

_RESERVED = {"blobs", "index.json", "oci-layout"}


class OciLayout:
    """One image layout: ``folder``, or ``folder/<repository>`` when a validated repository name is given.

    Reading never follows a symbolic link below ``folder``. InvalidInputError for a repository
    whose folder would lie within another layout.
    """

    def __init__(self, folder: Path, repository: str = "", limits: Limits = DEFAULT_LIMITS) -> None:
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links
        self._below = tuple(repository.split("/")) if repository else ()
        self._files = Folder(self._folder, remedy="Put a plain file into plain folders.")
        self._limits = limits
        if _RESERVED & set(self._below):
            raise InvalidInputError(
                repository, "repository", "has a part that image layouts use themselves", "Rename the repository."
            )

    @property
    def path(self) -> Path:
        """The layout's own folder, absolute."""
        return self._folder.joinpath(*self._below)

    @property
    def place(self) -> str:
        """The layout's folder."""
        return str(self.path)

    def reference(self, digest: Sha256) -> str:
        """``oci:<folder>@sha256:…``."""
        return f"oci:{self.path}@{digest}"

    # --- reading ---

    def check(self) -> None:
        """Raises AbsentError or InvalidInputError when this is no image layout of a known version."""
        data = self._files.read(self._name("oci-layout"), 4 * KIB)
        fields = parse_json(data, str(self.path / "oci-layout"), limits=self._limits)
        if fields.get("imageLayoutVersion") != layout_index.LAYOUT_VERSION:
            raise InvalidInputError(
                str(self.path / "oci-layout"),
                "imageLayoutVersion",
                f"is not {layout_index.LAYOUT_VERSION}",
                "Write an image layout of that version.",
            )

    def blob_size(self, digest: Sha256) -> int | None:
        """Size in bytes of the blob's file; None when there is none. ReadError when that cannot be told."""
        try:
            return self._files.size(self._name("blobs", "sha256", digest.hex))
        except AbsentError:
            return None

    def open_blob(self, digest: Sha256) -> Iterator[bytes]:
        """The blob in chunks of at most 1 MiB, unverified. Errors come with the first chunk."""
        return self._files.chunks(self._name("blobs", "sha256", digest.hex))

    def manifest_size(self, digest: Sha256) -> int | None:
        """As ``blob_size``: manifests lie among the blobs."""
        return self.blob_size(digest)

    def open_manifest(self, digest: Sha256) -> Iterator[bytes]:
        """As ``open_blob``."""
        return self.open_blob(digest)

    def tag(self, name: str) -> ChildDescriptor | None:
        """What ``name`` points to in index.json, unverified; None when nothing carries that name."""
        return layout_index.named(self.index(), name, str(self.path))

    def tags_of(self, digest: Sha256) -> tuple[str, ...]:
        """The names that ``digest`` has in index.json. AbsentError when there is none."""
        return layout_index.names_of(self.index(), digest)

    def referrers(self, subject: ManifestDigest) -> list[Descriptor]:
        """From the index under the fallback tag. AbsentError when that is named and not there."""
        name = fallback_tag(subject)
        found = self.tag(name)
        if found is None:
            return []
        data = self._files.read(self._name("blobs", "sha256", found.digest.hex), self._limits.manifest_bytes)
        if ManifestDigest.of(data) != found.digest:
            raise InvalidInputError(self.place, name, "is not what its digest says", "Delete the tag.")
        return entries_of(data, f"{self.place}:{name}", self._limits)

    def waits(self) -> Iterator[None]:
        """None: what is written here is seen at once."""
        return iter(())

    def index(self) -> JsonObject:
        """index.json, re-read. AbsentError when there is none."""
        data = self._files.read(self._name("index.json"), self._limits.manifest_bytes)
        return layout_index.parse_layout_index(data, str(self.path / "index.json"), self._limits)

    def _name(self, *steps: str) -> str:
        return "/".join((*self._below, *steps))

    # --- writing; the operating system's refusals are PublicationErrors ---

    def prepare(self) -> None:
        """Make this an image layout unless it is one; PublicationError when a link leads it elsewhere."""
        blobs = self.path / "blobs" / "sha256"
        with publishing(self.path):
            blobs.mkdir(parents=True, exist_ok=True)
            (self.path / writing.PRIVATE).mkdir(exist_ok=True)
            inside = self._folder.resolve(strict=True).joinpath(*self._below)
            if blobs.resolve(strict=True) != inside / "blobs" / "sha256":
                raise PublicationError(f"{blobs} is reached through a symbolic link. Make it a plain folder.")
            with self.locked("index"):
                for name, content in (
                    ("index.json", layout_index.layout_index_bytes(layout_index.EMPTY)),
                    ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
                ):
                    if not (self.path / name).exists():
                        writing.replace(self.path, name, content)
        self.check()

    def put_blob(self, chunks: Iterable[Octets], digest: Sha256, size: int, source: Repository | None = None) -> bool:
        """Store a blob, verified while it streams; False when it was there with that size.

        PublicationError when the bytes are not ``size`` bytes under ``digest``; nothing is kept of them then.
        """
        del source  # every byte is written here, wherever it comes from
        part = self.path / writing.PRIVATE / f"{digest.hex}.part"
        blob = self.path / "blobs" / "sha256" / digest.hex
        # Two writers of one blob take turns; the second then finds it there.
        with (
            publishing(blob),
            writing.exclusive(self.path, part.name) as file,
            writing.removed_unless_moved(part) as moved,
        ):
            if self.blob_size(digest) == size:
                return False
            writing.write_verified(file, chunks, digest, size)
            writing.move(part, blob)
            moved()
        return True

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Among the blobs; its media type stands where it is named."""
        del media_type
        self.put_blob([data], ManifestDigest.of(data), len(data))

    def set_names(
        self, wanted: Mapping[str, Descriptor], moving: Collection[str], *, keep_replaced: bool = True
    ) -> None:
        """Point every name of ``wanted`` to its descriptor (``mediaType``, ``digest``, ``size``) in one update.

        NameTakenError when one that is not in ``moving`` names other content: decided under the lock, where
        nobody who takes it can come between. AbsentError when a manifest is not there.
        """
        for entry in wanted.values():
            if self.manifest_size(ManifestDigest(entry["digest"])) is None:
                raise AbsentError(f"{self.reference(ManifestDigest(entry['digest']))} is not there.")
        with self.locked("index"):
            self._rename(wanted, moving, keep_replaced=keep_replaced)

    def remove_tag(self, name: str, digest: Sha256) -> str:
        """Take the name off in index.json; what it named stays listed without it, for who pulls by digest."""
        with self.locked("index"):
            index = self.index()
            found = layout_index.named(index, name, self.place)
            if found is not None and str(found.digest) == str(digest):
                unnamed = layout_index.without_name(index, name)
                writing.replace(self.path, "index.json", layout_index.layout_index_bytes(unnamed))
        return ""

    def list_referrers(self, subject: Descriptor, entries: Sequence[Descriptor]) -> None:
        """Under the fallback tag, keeping what others listed there whose manifest is still there."""
        digest = ManifestDigest(subject["digest"])
        # Two promotions that list at once would each lose the other's entry: read and write under one lock.
        with self.locked("referrers"):
            index = with_entries(self, self.referrers(digest), entries)
            self.put_manifest(index, OCI_INDEX)
            tag = fallback_tag(digest)
            self.set_names({tag: descriptor(OCI_INDEX, index)}, moving=[tag], keep_replaced=False)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock of this layout against other threads and processes of this project."""
        with publishing(self.path / writing.PRIVATE), writing.exclusive(self.path, f"{name}.lock"):
            yield

    def _rename(self, wanted: Mapping[str, Descriptor], moving: Collection[str], *, keep_replaced: bool) -> None:
        index = self.index()
        changed = {}
        for name, entry in wanted.items():
            found = layout_index.named(index, name, self.place)
            if name not in moving:
                refuse_taken(self.place, name, found, entry["digest"])
            if found is None or str(found.digest) != entry["digest"]:
                changed[name] = entry
        if changed:
            renamed = layout_index.with_names(index, changed, keep_replaced=keep_replaced)
            writing.replace(self.path, "index.json", layout_index.layout_index_bytes(renamed))
