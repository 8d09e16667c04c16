"""Reading the proofs beside an image, in a layout or a registry, as a consumer finds them.

They are found as referrers (by the list of a registry's own, or the fallback tag), and under cosign's tags.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from flywheel_assets.adapters.files import one_at_a_time
from flywheel_assets.adapters.oci.bodies import in_parallel
from flywheel_assets.adapters.oci.cosign import SUFFIXES, cosign_tag
from flywheel_assets.adapters.oci.documents import (
    ChildDescriptor,
    Manifest,
    parse_manifest,
)
from flywheel_assets.adapters.oci.referrers import (
    DSSE,
    EMPTY_TYPE,
    Descriptor,
)
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest, Sha256
from flywheel_assets.domain.envelopes import BUNDLE
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.statements import SIMPLE_SIGNING
from flywheel_assets.domain.untrusted import JsonObject, parse_json
from flywheel_assets.ports import Progress

_OF_COSIGN = "application/vnd.dev.cosign."
_KEPT = ("dev.cosignproject.cosign/", "dev.sigstore.cosign/")
"""Annotations that belong to what is signed: signature, certificate, chain, log entry."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document found beside an image that is what its digest says; ``attached`` when it is a proof."""

    reading: Reading
    attached: Attached | None = None


def find_proofs(repository: Repository, subject: ManifestDigest, limits: Limits, progress: Progress) -> Iterator[Found]:
    """Every envelope, bundle and simple signing payload beside ``subject``, each once, and what led there.

    Anybody may put something there: what is gone, malformed, not what its digest says or about another image is
    passed over, and of more bytes than the limits allow the largest. Raises the other ReadErrors, what a list of
    referrers that cannot be read raises, and LimitExceededError when manifests are larger than that list says.
    """
    read = 0

    def counted(count: int) -> None:
        nonlocal read
        read += count
        progress(count)

    def named(lead: _Lead) -> tuple[int, list[_Layer]]:
        if read > limits.proofs * limits.proof_manifest_bytes:
            problem = "are manifests of far more bytes than their list says"
            raise LimitExceededError(repository.place, "referrers", problem, "Delete those that nobody needs.")
        return _manifest(repository, lead, limits, one)

    one = one_at_a_time(counted)
    leads = list(_leading_there(repository, subject, limits))
    layers: dict[_Layer, None] = {}
    for lead, (size, found) in zip(leads, in_parallel(named, leads), strict=True):
        layers |= dict.fromkeys(found)
        if size:
            yield Found(_reading("referrer", lead.digest, size))
    fitting = _that_fit(layers, limits)
    wanted = [layer for layer in layers if layer in fitting]
    for layer, data in in_parallel(lambda each: _read(repository, each, one), wanted):
        if data:
            attached = Attached(data=data, form=layer.form, annotations=dict(layer.annotations))
            yield Found(_reading("proof", layer.digest, len(data)), attached)


@dataclass(frozen=True, slots=True)
class _Lead:
    """A manifest that may name proofs, and the subject that it must have: those under cosign's tags have none."""

    digest: ManifestDigest
    subject: ManifestDigest | None


@dataclass(frozen=True, order=True, slots=True)
class _Layer:
    """A proof that a manifest names: one payload has as many signatures as there are signers."""

    size: int
    digest: BlobDigest
    form: Form
    annotations: tuple[tuple[str, str], ...]


def _leading_there(repository: Repository, subject: ManifestDigest, limits: Limits) -> Iterator[_Lead]:
    for entry in repository.referrers(subject):
        digest = _of_proof(entry, limits.proof_manifest_bytes)
        if digest is not None:
            yield _Lead(digest, subject)
    for suffix in SUFFIXES:
        tagged = repository.tag(cosign_tag(subject, suffix))
        if tagged is not None:
            yield _Lead(tagged.digest, None)


def _that_fit(layers: Collection[_Layer], limits: Limits) -> set[_Layer]:
    """The smallest, as many as may be kept: large ones of others do not crowd out ours."""
    found: set[_Layer] = set()
    total = 0
    for layer in sorted(layers):
        total += layer.size
        if layer.size > limits.signed_bytes or total > limits.proofs_bytes:
            break
        found.add(layer)
    return found


def _read(repository: Repository, layer: _Layer, progress: Progress) -> tuple[_Layer, bytes | None]:
    data = sound(repository.open_blob, layer.digest, layer.size, progress)
    return layer, data if data is not None and len(data) == layer.size else None


def _of_proof(entry: Descriptor, bound: int) -> ManifestDigest | None:
    """The digest of a listed manifest that calls itself one of ours or cosign's, or does not say what it is.

    None for one of more than ``bound`` bytes: it names one proof, so that is none of ours or cosign's.
    """
    kind = str(entry.get("artifactType") or EMPTY_TYPE)
    if kind not in {DSSE, EMPTY_TYPE} and not kind.startswith((BUNDLE, _OF_COSIGN)):
        return None
    try:
        found = ChildDescriptor.model_validate(entry)
    except ValidationError:
        return None
    return found.digest if found.size <= bound else None


def _manifest(repository: Repository, lead: _Lead, limits: Limits, progress: Progress) -> tuple[int, list[_Layer]]:
    """Size of a manifest and the proofs that it names; nothing when it is not sound or of another subject."""
    bound = limits.manifest_bytes if lead.subject is None else limits.proof_manifest_bytes
    data = sound(repository.open_manifest, lead.digest, bound, progress)
    if data is None:
        return 0, []
    try:
        manifest = parse_manifest(data, str(lead.digest), replace(limits, layers=limits.cosign_layers))
        fields = parse_json(data, str(lead.digest), max_bytes=limits.manifest_bytes, limits=limits)
    except InvalidInputError:
        return 0, []
    if not isinstance(manifest, Manifest):
        return 0, []
    if lead.subject is not None and (manifest.subject is None or manifest.subject.digest != lead.subject):
        return 0, []
    # A referrer is for one proof. What anybody lists is read as far as that, so that ours are not crowded out.
    number = len(manifest.layers) if lead.subject is None else 1
    layers = list(zip(manifest.layers, fields["layers"], strict=True))[:number]
    return len(data), [
        _Layer(layer.size, layer.digest, form, _annotations(more))
        for layer, more in layers
        if (form := _form(layer.media_type)) is not None
    ]


def _form(media_type: str) -> Form | None:
    if media_type.startswith(BUNDLE):
        return Form.BUNDLE
    return {DSSE: Form.DSSE, SIMPLE_SIGNING: Form.SIMPLE_SIGNING}.get(media_type)


def _annotations(layer: JsonObject) -> tuple[tuple[str, str], ...]:
    annotations = layer.get("annotations")
    kept = [
        (key, value)
        for key, value in (annotations.items() if isinstance(annotations, dict) else ())
        if key.startswith(_KEPT) and isinstance(value, str) and value
    ]
    return tuple(sorted(kept))


def sound(open_: Callable[[Sha256], Iterator[bytes]], digest: Sha256, bound: int, progress: Progress) -> bytes | None:
    """The bytes under a digest; None when they are gone, more than ``bound``, or not what it names."""
    data = bytearray()
    try:
        for chunk in open_(digest):
            data += chunk
            progress(len(chunk))
            if len(data) > bound:
                return None
    except (AbsentError, InvalidInputError):
        return None
    return bytes(data) if Sha256.of(bytes(data)).hex == digest.hex else None


def _reading(kind: str, digest: Sha256, size: int) -> Reading:
    return Reading(
        member=f"{kind} {digest}",
        state=ReadState.READ,
        expected_digest=str(digest),
        expected_size=size,
        digest=str(digest),
        size=size,
    )
