"""What refers to an image in staging (signatures, SBOMs, attestations) travels along when the image is copied.

It is nobody's word: it is verified against its own digests and bounded by the limits, and no more is known of it.
Found by the list of referrers and under cosign's tags; what is listed and gone, or of another image, is passed over.
So is what somebody could run or install: no gate has approved that, and the image that it calls its subject is no pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock

from flywheel_assets.adapters.oci.bodies import SENDING, in_parallel, read_body
from flywheel_assets.adapters.oci.cosign import ATTESTATIONS, SIGNATURES, SUFFIXES, cosign_tag, lacks, merged
from flywheel_assets.adapters.oci.documents import OCI_MANIFEST, Index, Manifest, parse_manifest
from flywheel_assets.adapters.oci.proofs import sound
from flywheel_assets.adapters.oci.referrers import DSSE, Blob, Descriptor, descriptor
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.tree import Node, fits
from flywheel_assets.adapters.oci.wanted import Document, Wanted, listed, unsound
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest, Sha256
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError, UnauthorisedError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.statements import SIMPLE_SIGNING
from flywheel_assets.domain.untrusted import JsonObject, parse_json
from flywheel_assets.ports import Progress

SBOM = "sbom"
"""cosign's third tag: one document, replaced and never added to."""
_SIGNED = {SIGNATURES: SIMPLE_SIGNING, ATTESTATIONS: DSSE}
_TO_RUN = (
    "application/vnd.oci.image.",
    "application/vnd.docker.",
    "application/vnd.cncf.helm.",
    "application/vnd.wasm.",
)
"""How media types begin of configs and layers that container runtimes, plugin hosts and package managers take."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A manifest that is said to belong to ``subject``: listed as its referrer, or under ``tag``."""

    subject: Descriptor
    digest: ManifestDigest
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Streamed:
    """A blob as ``put_blob`` takes it: opened anew each time it is iterated, and told to ``progress``."""

    repository: Repository
    digest: Sha256
    progress: Progress

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.repository.open_blob(self.digest):
            self.progress(len(chunk))
            yield chunk


class Journey:
    """From ``source`` to ``target``, which has the subjects already. ``progress`` is called from several threads.

    Where the source ``may_be_lost``, because all this has travelled once, what it has no longer or shows no longer is
    passed over. A source that does not answer, or asks to wait, may be asked again: that is an error.
    """

    def __init__(
        self, source: Repository, target: Repository, limits: Limits, progress: Progress, *, may_be_lost: bool
    ) -> None:
        self._source, self._target = source, target
        self._limits, self._progress = limits, progress
        self._lost = (AbsentError, UnauthorisedError) if may_be_lost else ()
        self._bytes, self._documents, self._lock = 0, 0, Lock()

    def look(self, subjects: Sequence[Descriptor]) -> list[Beside]:
        """What is said to belong to ``subjects``. Raises ReadError, InvalidInputError for what is no list."""
        lookups = [(subject, suffix) for subject in subjects for suffix in ("", *SUFFIXES, SBOM)]
        return [each for found in in_parallel(self._found, lookups) for each in found]

    def carry(self, found: Sequence[Beside]) -> None:
        """Copy what was found, and what belongs to that, once the subjects are there.

        Raises LimitExceededError, ReadError of the source, PublicationError for what does not match its digest.
        """
        number = 0
        for depth in count(1):
            if not found:
                return
            number += len(found)
            if depth > self._limits.referrer_depth:
                raise self._too_much(found[0], f"referrers beyond {self._limits.referrer_depth} levels")
            if number > self._limits.referrers:
                raise self._too_much(found[0], f"over {self._limits.referrers} referrers")
            carried = [each for each in in_parallel(self._carried, found, SENDING) if each is not None]
            listed_: dict[str, tuple[Descriptor, list[Descriptor]]] = {}
            for beside, _, entry in carried:
                if not beside.tag:
                    listed_.setdefault(beside.subject["digest"], (beside.subject, []))[1].append(entry)
            for subject, entries in listed_.values():
                self._target.list_referrers(subject, entries)
            found = self.look([document.descriptor for _, document, _ in carried])

    def _found(self, lookup: tuple[Descriptor, str]) -> list[Beside]:
        subject, suffix = lookup
        digest = ManifestDigest(subject["digest"])
        try:
            if not suffix:
                return [Beside(subject, each) for each in _digests(self._source.referrers(digest))]
            tag = cosign_tag(digest, suffix)
            tagged = self._source.tag(tag)
        except (AbsentError, *self._lost):
            return []
        return [Beside(subject, tagged.digest, tag)] if tagged is not None else []

    def _carried(self, beside: Beside) -> tuple[Beside, Document, Descriptor] | None:
        try:
            root = self._read(beside.digest)
        except (AbsentError, *self._lost):
            return None
        if not _is_evidence(root.document, beside):
            return None
        wanted = listed(root)
        self._bound(wanted, beside)
        try:
            self._copy(wanted)
        except self._lost:
            return None
        document = wanted.documents[-1]
        fields = parse_json(
            document.data, str(document.digest), max_bytes=self._limits.manifest_bytes, limits=self._limits
        )
        if beside.tag:
            self._name(beside.tag, document, fields)
        return beside, document, _entry(document, fields)

    def _read(self, digest: ManifestDigest) -> Node:
        """One document and nothing below it. Raises as ``carry``."""
        bound = self._limits.manifest_bytes
        body = read_body(self._source.open_manifest, digest, None, bound, lambda _: None, keep=True)
        unread = Node(digest, None, None, body, None)
        if not fits(body, digest) or body.data is None:
            raise unsound(unread) or AssertionError("what does not fit is unsound")
        return replace(unread, document=parse_manifest(body.data, str(digest), self._limits))

    def _copy(self, wanted: Wanted) -> None:
        present = wanted.present(self._target)
        for digest, size in wanted.bodies:
            if str(digest) not in present:
                chunks = Streamed(self._source, digest, self._progress)
                self._target.put_blob(chunks, digest, size, self._source)
        for document in wanted.documents:
            if str(document.digest) not in present:
                self._target.put_manifest(document.data, document.media_type)

    def _name(self, tag: str, document: Document, fields: JsonObject) -> None:
        """Under a tag of cosign's: as it is, or added to what others have put there."""
        with self._target.locked(tag):
            there = self._target.tag(tag)
            if there is None:
                self._target.set_names({tag: document.descriptor}, moving=())
            elif there.digest != document.digest and not tag.endswith(f".{SBOM}"):
                self._merge(tag, there.digest, [Blob(layer, b"") for layer in fields.get("layers", [])])

    def _merge(self, tag: str, there: ManifestDigest, layers: Sequence[Blob]) -> None:
        data = sound(self._target.open_manifest, there, self._limits.manifest_bytes, lambda _: None) or b""
        if not isinstance(parse_manifest(data, tag, self._limits), Manifest):
            raise InvalidInputError(self._target.place, tag, "holds no manifest to add to", "Delete the tag.")
        present = parse_json(data, tag, max_bytes=self._limits.manifest_bytes, limits=self._limits)
        if lacks(present, layers):
            config, manifest = merged(present, layers)
            self._target.put_blob([config], BlobDigest.of(config), len(config))
            self._target.put_manifest(manifest, OCI_MANIFEST)
            self._target.set_names({tag: descriptor(OCI_MANIFEST, manifest)}, moving=[tag])

    def _bound(self, wanted: Wanted, beside: Beside) -> None:
        documents = sum(len(each.data) for each in wanted.documents)
        with self._lock:
            self._documents += documents
            self._bytes += documents + sum(size for _, size in wanted.bodies)
            if self._bytes > self._limits.referrer_bytes or self._documents > self._limits.proofs_bytes:
                raise self._too_much(beside, f"referrers of over {self._limits.referrer_bytes:,} bytes")

    def _too_much(self, beside: Beside, problem: str) -> LimitExceededError:
        digest = str(beside.subject["digest"])
        return LimitExceededError(self._source.place, digest, f"brings {problem}", "Delete those that nobody needs.")


def _digests(entries: Sequence[Descriptor]) -> Iterator[ManifestDigest]:
    for digest in {entry["digest"]: None for entry in entries}:
        with suppress(ValueError):  # of another kind, or none at all: nothing that could be fetched here
            yield ManifestDigest(digest)


def _is_evidence(document: Index | Manifest | None, beside: Beside) -> bool:
    """Whether this speaks about the subject, and is nothing that somebody could run.

    cosign gives what lies under its tags the config of an image, so there the layers tell.
    """
    if not isinstance(document, Manifest):
        return False
    if not beside.tag:
        is_about_it = document.subject is not None and str(document.subject.digest) == beside.subject["digest"]
        return is_about_it and not document.config.media_type.startswith(_TO_RUN)
    kinds = {layer.media_type for layer in document.layers}
    signed = _SIGNED.get(beside.tag.rpartition(".")[2])
    return kinds <= {signed} if signed else not any(kind.startswith(_TO_RUN) for kind in kinds)


def _entry(document: Document, fields: JsonObject) -> Descriptor:
    """What a list says of a referrer (distribution-spec, "Listing Referrers"): from itself, never from another list."""
    config = fields.get("config")
    kind = fields.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    annotations = fields.get("annotations")
    entry = document.descriptor
    if isinstance(kind, str):
        entry["artifactType"] = kind
    if isinstance(annotations, dict) and annotations:
        entry["annotations"] = annotations
    return entry
