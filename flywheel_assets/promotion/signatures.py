"""Signatures of published images by the release key, in the two formats that stock verifiers look for.

Sources: cosign, specs/SIGNATURE_SPEC.md (the simple signing payload); cosign v3, whose signatures are statements of a
predicate type of their own in a Sigstore bundle. Both payloads follow from the image and its name alone; signatures
are made once into a create-once slot, so that repeated and concurrent promotions publish the same bytes.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE, bundles_of
from flywheel_assets.domain.errors import PublicationError
from flywheel_assets.domain.image_signatures import COSIGN_SIGN_V1
from flywheel_assets.domain.publications import Attached, Form, Proof
from flywheel_assets.domain.statements import PAYLOAD_TYPE, SIMPLE_SIGNING, canonical, statement_bytes
from flywheel_assets.ports import Checked
from flywheel_assets.promotion.flywheel import Flywheel


def image_signatures(flywheel: Flywheel, image: OciImage, target: PublicationTarget) -> list[Proof]:
    """Both signatures of an image. PublicationError when what the evidence store keeps of one was altered."""
    name = docker_reference(flywheel, image, target)
    return [_simple(flywheel, image, name), _statement(flywheel, image, name)]


def docker_reference(flywheel: Flywheel, image: OciImage, target: PublicationTarget) -> str:
    """``host/repository`` as consumers pull it; the bare repository where the surface is a folder."""
    repository = target.repository or image.repository
    scheme, _, place = flywheel.catalogue.surfaces[target.surface].url.partition("://")
    return f"{place.rstrip('/')}/{repository}" if scheme in {"http", "https"} else repository


@dataclass(frozen=True, slots=True)
class Kept:
    """What was signed by the release key once for all: as it was signed, and the payload in it."""

    signed: bytes
    payload: bytes


def signed_once(flywheel: Flywheel, slot: str, sign: Callable[[], bytes], check: Callable[[bytes], Checked]) -> Kept:
    """What the create-once slot holds. PublicationError when the release key did not sign it.

    Whoever can write to the evidence store must not choose what is published.
    """
    signed = flywheel.evidence.slot(slot, sign)
    checked = check(signed)
    if not checked.keys:
        raise PublicationError(
            f"The {slot} that is kept is not signed by the release key: it was altered, or the key replaced."
        )
    return Kept(signed, checked.payload)


def envelope_check(flywheel: Flywheel) -> Callable[[bytes], Checked]:
    """How an envelope out of a slot is checked."""
    return lambda envelope: flywheel.verifier.check(envelope, "what is kept for this promotion", _release_key(flywheel))


def _release_key(flywheel: Flywheel) -> dict[str, str]:
    return {"release": flywheel.release_signer.public_key}


def _simple(flywheel: Flywheel, image: OciImage, name: str) -> Proof:
    payload = canonical(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": str(image.manifest)},
                "type": "cosign container image signature",
            },
            "optional": {},
        }
    )

    def annotations(signature: bytes) -> dict[str, str]:
        return {COSIGN_SIGNATURE: b64encode(signature).decode("ascii")}

    def check(signature: bytes) -> Checked:
        attached = Attached(data=payload, form=Form.SIMPLE_SIGNING, annotations=annotations(signature))
        return flywheel.verifier.check_attached(attached, "what is kept for this promotion", _release_key(flywheel))

    slot = f"signature {name}@{image.manifest}"
    kept = signed_once(flywheel, slot, lambda: flywheel.release_signer.sign_bytes(payload), check)
    return Proof(
        name="signature",
        predicate_type=SIMPLE_SIGNING,
        envelope=payload,
        form=Form.SIMPLE_SIGNING,
        annotations=annotations(kept.signed),
    )


def _statement(flywheel: Flywheel, image: OciImage, name: str) -> Proof:
    payload = statement_bytes([(name, {"sha256": image.manifest.hex})], COSIGN_SIGN_V1, {})
    slot = f"signed statement {name}@{image.manifest}"
    kept = signed_once(
        flywheel, slot, lambda: flywheel.release_signer.sign(payload, PAYLOAD_TYPE), envelope_check(flywheel)
    )
    if kept.payload != payload:
        raise PublicationError(f"The {slot} that is kept speaks of something else; it was replaced.")
    (bundle,) = bundles_of(kept.signed, slot, flywheel.limits)
    return Proof(name="signature-bundle", predicate_type=COSIGN_SIGN_V1, envelope=bundle, form=Form.BUNDLE)
