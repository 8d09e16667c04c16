"""A registry over HTTP, and one repository in it (OCI distribution-spec 1.1).

Reading is tried again where it may help. Nothing that is read is verified here but manifests, whose digest decides what
is read next. Uploads are in ``uploading``, tokens in ``auth``, what refers to an image in ``registry_referrers``.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from threading import Lock

from pydantic import ValidationError

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.adapters.http.wire import Octets
from flywheel_assets.adapters.oci import registry_referrers, registry_tags
from flywheel_assets.adapters.oci.auth import Access, scope
from flywheel_assets.adapters.oci.bodies import both, in_parallel
from flywheel_assets.adapters.oci.documents import INDEX_TYPES, MANIFEST_TYPES, ChildDescriptor
from flywheel_assets.adapters.oci.referrers import Descriptor
from flywheel_assets.adapters.oci.repository import Repository, refuse_taken
from flywheel_assets.adapters.oci.uploading import Upload
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    PublicationError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS, KIB, MIB, Limits
from flywheel_assets.domain.statements import invalid

ACCEPT = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
MAX_BREAKS = 5
MAX_ROUNDS = 64
"""Of patience with one upload: each must bring it on by this part of the blob at least."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks at a registry that lags behind what it has taken."""
_REMEDY = "Look at the registry."


class Registry:
    """One registry at ``url``; a path in it is a prefix of all repositories. Safe for threads, and made to be kept.

    ``hosts`` are those, besides its own, that it may lead to: for blobs, uploads and tokens.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials = ANONYMOUS,
        hosts: Collection[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        *,
        pauses: Sequence[float] = PAUSES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises UsageError when ``url`` is none of a server. ``sleep`` passes the ``pauses``, in seconds."""
        client = HttpClient(url, credentials, hosts)
        self.access = Access(client, limits)
        self.origin = client.origin
        self.limits, self.pauses, self.sleep = limits, pauses, sleep
        self.lock = Lock()
        self._prefix = client.base.removeprefix(client.origin).strip("/")

    def repository(self, name: str) -> "RegistryRepository":
        """The repository of a validated name."""
        return RegistryRepository(self, "/".join(filter(None, (self._prefix, name))))


class RegistryRepository:
    """repository.Repository over HTTP."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry, self.name = registry, name
        self._root = f"/v2/{name}"
        self._pull = (scope(name, "pull"),)
        self._push = (scope(name, "pull", "push"),)
        self._delete = (scope(name, "pull", "delete"),)

    @property
    def place(self) -> str:
        """``host/name``."""
        return f"{self.registry.origin.partition('://')[2]}/{self.name}"

    def reference(self, digest: Sha256) -> str:
        """``host/name@sha256:…``."""
        return f"{self.place}@{digest}"

    # --- reading ---

    def check(self) -> None:
        """Nothing: a registry tells with its first answer."""

    def blob_size(self, digest: Sha256) -> int | None:
        """From a HEAD request."""
        return patiently(lambda: self._size(f"blobs/{digest}", f"the blob {digest}", {}))

    def manifest_size(self, digest: Sha256) -> int | None:
        """From a HEAD request."""
        return patiently(lambda: self._size(f"manifests/{digest}", f"the manifest {digest}", {"Accept": ACCEPT}))

    def open_blob(self, digest: Sha256) -> Iterator[bytes]:
        """The blob in chunks of at most 1 MiB, taken up where it broke off. Errors come with the first chunk."""
        done = breaks = 0
        while True:
            try:
                for chunk in self._blob_from(digest, done):
                    done += len(chunk)
                    yield chunk
                return
            except UnreadableError:
                breaks += 1
                if breaks == MAX_BREAKS:
                    raise

    def open_manifest(self, digest: Sha256) -> Iterator[bytes]:
        """The manifest, in one piece."""
        found = patiently(lambda: self.manifest(str(digest)))
        if found is None:
            raise AbsentError(f"{self.reference(digest)} is not there.")
        yield found[1]

    def tag(self, name: str) -> ChildDescriptor | None:
        """What a pull by this tag gets: hashed here, whatever the registry says that it is."""
        found = patiently(lambda: self.manifest(name))
        if found is None:
            return None
        media_type, data = found
        try:
            return ChildDescriptor(media_type=media_type, digest=ManifestDigest.of(data), size=len(data))
        except ValidationError as error:
            raise invalid(error, f"{self.place}:{name}", _REMEDY) from error

    def tags_of(self, digest: Sha256) -> tuple[str, ...]:
        """By asking each tag that the registry lists."""
        return registry_tags.tags_of(self, digest)

    def referrers(self, subject: ManifestDigest) -> list[Descriptor]:
        """From the referrers API, else from the index under the fallback tag."""
        return registry_referrers.listed(self, subject)

    def waits(self) -> Iterator[None]:
        """After each of the registry's pauses."""
        for pause in self.registry.pauses:
            self.registry.sleep(pause)
            yield

    def manifest(self, reference: str) -> tuple[str, bytes] | None:
        """Content type and bytes under a tag or digest; None when there are none. Asked once."""
        with self.get(f"{self._root}/manifests/{reference}", {"Accept": ACCEPT}) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.status != HTTPStatus.OK:
                raise _unread(response, f"the manifest {reference}")
            data = response.read(self.registry.limits.manifest_bytes)
            said = response.header("Docker-Content-Digest")
            if said and said != str(Sha256.of(data)):
                raise InvalidInputError(response.url, "digest", "is not what the registry says", _REMEDY)
            return response.header("Content-Type").partition(";")[0].strip(), data

    def get(self, target: str, headers: dict[str, str], *, follow: bool = True) -> Response:
        """GET with a token to pull; ``target`` is a path on the registry or a URL of a place that it may lead to."""
        return self.registry.access.request("GET", target, self._pull, headers=headers, follow=follow)

    def _size(self, path: str, what: str, headers: dict[str, str]) -> int | None:
        target = f"{self._root}/{path}"
        with self.registry.access.request("HEAD", target, self._pull, headers=headers) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.status != HTTPStatus.OK:
                raise _unread(response, what)
            length = response.header("Content-Length")
            if not (length.isascii() and length.isdigit() and len(length) < 19):  # noqa: PLR2004 - fits 64 bits
                raise InvalidInputError(response.url, "Content-Length", f"is no size of {what}", _REMEDY)
            return int(length)

    def _blob_from(self, digest: Sha256, start: int) -> Iterator[bytes]:
        what = f"the blob {digest}"

        def opened() -> Response:
            response = self.get(f"{self._root}/blobs/{digest}", {"Range": f"bytes={start}-"} if start else {})
            if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                raise _unread(response, what)
            return response

        with patiently(opened) as response:
            skipped = start
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                if not response.header("Content-Range").startswith(f"bytes {start}-"):
                    raise InvalidInputError(response.url, "Content-Range", "is not what was asked for", _REMEDY)
                skipped = 0
            for chunk in response.chunks(self.registry.limits.blob_bytes):
                rest = chunk[skipped:] if skipped else chunk
                skipped -= len(chunk) - len(rest)
                if rest:
                    yield rest

    # --- writing ---

    def prepare(self) -> None:
        """Nothing: a repository begins with what is first pushed to it."""

    def put_blob(self, chunks: Iterable[Octets], digest: Sha256, size: int, source: Repository | None = None) -> bool:
        """Take the blob over from ``source`` when that is in this registry, or send it.

        With a ``source`` nothing is asked first, for a plan has asked; a blob that is there meanwhile is stored once.
        """
        if source is None and self.blob_size(digest) == size:
            return False
        origin = ""
        if isinstance(source, RegistryRepository) and source.registry.origin == self.registry.origin:
            origin = source.name
        upload = Upload(self.registry.access, self.name, chunks, digest, size, origin=origin)
        kept = 0
        while True:
            try:
                patiently(upload.attempt)
            except UnreadableError:
                if upload.kept - kept < max(MIB, size // MAX_ROUNDS):
                    raise
                kept = upload.kept  # it has gone on a good deal since the last time: so it may again
            else:
                return True

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Under its digest."""
        self.put(str(ManifestDigest.of(data)), data, media_type)

    def set_names(self, wanted: Mapping[str, Descriptor], moving: Collection[str]) -> None:
        """All tags are looked at once more just before any is written; a registry cannot do both in one step.

        AbsentError when a manifest is not there.
        """
        digests = {str(descriptor["digest"]): ManifestDigest(descriptor["digest"]) for descriptor in wanted.values()}
        tags, data = both(lambda: in_parallel(self.tag, wanted), lambda: in_parallel(self.stored, digests.values()))
        found, stored = dict(zip(wanted, tags, strict=True)), dict(zip(digests, data, strict=True))
        for name in set(wanted) - set(moving):
            refuse_taken(self.place, name, found[name], wanted[name]["digest"])
        for name, descriptor in wanted.items():
            there, digest = found[name], str(descriptor["digest"])
            if there is None or str(there.digest) != digest:
                self.put(name, stored[digest], descriptor["mediaType"])

    def remove_tag(self, name: str, digest: Sha256) -> str:
        """DELETE by the tag (distribution-spec 1.1, "Deleting tags"), which many registries refuse.

        Never by the digest: others may refer to that, and the mark needs it. Somebody who moves the tag within the
        moment between the look and the DELETE loses it; a registry has no condition for that.
        """
        found = self.tag(name)
        if found is None or str(found.digest) != str(digest):
            return ""
        target = f"{self._root}/manifests/{name}"
        with self.registry.access.request("DELETE", target, self._delete, headers={}) as response:
            if response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
                return f"the tag {name}: {self.place} lets nobody delete tags ({response.status})"
            if response.status not in {HTTPStatus.ACCEPTED, HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
                error = refusal(response, f"deleting the tag {name}", "Give this surface a credential that may delete.")
                if isinstance(error, UnauthorisedError):
                    return f"the tag {name}: {error}"
                raise error
        there = self.tag(name)
        is_gone = there is None or str(there.digest) != str(digest)
        return "" if is_gone else f"the tag {name}: {self.place} took the DELETE and still serves it"

    def list_referrers(self, subject: Descriptor, entries: Sequence[Descriptor]) -> None:
        """Wait until the registry lists them, or list them under the fallback tag."""
        registry_referrers.list_beside(self, subject, entries)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """One lock for all names of the registry: what it is held for is short."""
        del name
        with self.registry.lock:
            yield

    def put(self, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest under a tag or digest."""
        patiently(partial(self._put, reference, data, media_type))

    def _put(self, reference: str, data: bytes, media_type: str) -> None:
        target, headers = f"{self._root}/manifests/{reference}", {"Content-Type": media_type}
        with self.registry.access.request("PUT", target, self._push, headers=headers, body=data) as response:
            if response.status not in {HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.ACCEPTED}:
                raise _unstored(response, f"the manifest {reference}")
            said = response.header("Docker-Content-Digest")
            if said and said != str(Sha256.of(data)):
                raise PublicationError(f"{response.url} stored something else than {Sha256.of(data)}. {_REMEDY}")

    def stored(self, digest: ManifestDigest) -> bytes:
        """The manifest, which must read back as what was stored."""
        data = b"".join(self.open_manifest(digest))
        if ManifestDigest.of(data) != digest:
            raise PublicationError(f"{self.reference(digest)} reads back as {Sha256.of(data)}. {_REMEDY}")
        return data


def _unread(response: Response, what: str) -> FlywheelError:
    """While reading nothing is published: a status that makes no sense is an invalid answer."""
    error = refusal(response, what)
    if isinstance(error, PublicationError):
        return InvalidInputError(response.url, "status", f"is {response.status} for {what}", _REMEDY)
    return error


def _unstored(response: Response, what: str) -> FlywheelError:
    """A registry may not see at once what was stored before the manifest, least of all when many push together."""
    if response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and b"BLOB_UNKNOWN" in response.read(64 * KIB):
        return UnreadableError(f"{response.url} does not find all that {what} names. Promote again if it stays so.")
    return refusal(response, f"writing {what}", _REMEDY)
