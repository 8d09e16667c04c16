"""Signatures of images: made once, by the release key, over exactly this image under the name that consumers pull."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE, bundles_of
from flywheel_assets.domain.errors import InvalidInputError, PublicationError, ReadBackError
from flywheel_assets.domain.image_signatures import is_signature_of
from flywheel_assets.domain.publications import Attached, Form, Proof
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.signatures import docker_reference, image_signatures
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    MAP,
    Memory,
    a_signer,
    in_memory,
    sample_catalogue,
    statement_of,
)

IMAGE = OciImage(
    repository="staged/harbor-map",
    manifest=ManifestDigest("sha256:" + "a" * 64),
    platforms={"linux/amd64": ManifestDigest("sha256:" + "b" * 64)},
)
RELEASE = {"release": a_signer("release").public_key}


@pytest.fixture
def memory() -> Memory:
    return in_memory("14402201701")


@pytest.fixture
def target() -> PublicationTarget:
    found = sample_catalogue().outputs["harbor-map-image"].publication
    assert found is not None
    return found


def attached(proof: Proof) -> Attached:
    return Attached(data=proof.envelope, form=proof.form, annotations=proof.annotations)


def test_both_formats_are_signatures_of_the_image_by_the_release_key(memory: Memory, target: PublicationTarget) -> None:
    simple, bundle = image_signatures(memory.flywheel, IMAGE, target)
    assert (simple.form, bundle.form) == (Form.SIMPLE_SIGNING, Form.BUNDLE)
    for proof in (simple, bundle):
        checked = SignatureVerifier().check_attached(attached(proof), "x", RELEASE)
        assert checked.keys == ("release",)
        assert is_signature_of(checked.payload, checked.payload_type, IMAGE.manifest, "x")
    name = "tinyland-inc/harbor-map"
    assert json.loads(simple.envelope)["critical"]["identity"] == {"docker-reference": name}
    assert statement_of(json.dumps(json.loads(bundle.envelope)["dsseEnvelope"]).encode())["subject"] == [
        {"name": name, "digest": {"sha256": "a" * 64}}
    ]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://ghcr.io", "ghcr.io/tinyland-inc/harbor-map"),
        ("https://registry.example:5000/mirror/", "registry.example:5000/mirror/tinyland-inc/harbor-map"),
        ("http://127.0.0.1:5000", "127.0.0.1:5000/tinyland-inc/harbor-map"),
        ("file:surfaces/ghcr", "tinyland-inc/harbor-map"),
        ("file:///srv/ghcr", "tinyland-inc/harbor-map"),
    ],
)
def test_the_signed_name_is_what_consumers_pull_and_no_folder_of_ours(
    memory: Memory, target: PublicationTarget, url: str, name: str
) -> None:
    catalogue = sample_catalogue()
    surfaces = {**catalogue.surfaces, "ghcr": catalogue.surfaces["ghcr"].model_copy(update={"url": url})}
    flywheel = memory.but(catalogue=catalogue.model_copy(update={"surfaces": surfaces}))
    assert docker_reference(flywheel, IMAGE, target) == name


def test_whoever_promotes_again_or_at_once_publishes_the_same_bytes(memory: Memory, target: PublicationTarget) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: image_signatures(memory.but(), IMAGE, target), range(8)))
    assert all(each == found[0] for each in found)
    other = IMAGE.model_copy(update={"manifest": ManifestDigest("sha256:" + "c" * 64)})
    assert image_signatures(memory.flywheel, other, target)[0].envelope != found[0][0].envelope


@pytest.mark.parametrize("slot", ["signature ", "signed statement "])
@pytest.mark.parametrize("harm", ["garbage", "empty", "a stranger's", "another image's", "one bit"])
def test_what_the_store_keeps_is_published_only_as_the_release_key_signed_it(
    memory: Memory, target: PublicationTarget, slot: str, harm: str
) -> None:
    image_signatures(memory.flywheel, IMAGE, target)
    (name,) = [each for each in memory.evidence.slots if each.startswith(slot)]
    good = memory.evidence.slots[name]
    stranger = memory.but(release_signer=a_signer("stranger"), evidence=in_memory("none").evidence)
    image_signatures(stranger, IMAGE, target)
    other = IMAGE.model_copy(update={"manifest": ManifestDigest("sha256:" + "c" * 64)})
    image_signatures(memory.flywheel, other, target)
    (theirs,) = [data for each, data in stranger.evidence.slots.items() if each == name]  # type: ignore[attr-defined]
    (others,) = [d for n, d in memory.evidence.slots.items() if n.startswith(slot) and "c" * 64 in n]
    memory.evidence.slots[name] = {
        "garbage": b"\xff{}",
        "empty": b"",
        "a stranger's": theirs,
        "another image's": others,
        "one bit": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
    }[harm]
    with pytest.raises((PublicationError, InvalidInputError)):
        image_signatures(memory.flywheel, IMAGE, target)


def test_a_closure_has_no_image_signature() -> None:
    made = in_memory("14402201001")
    take_in(made.flywheel)

    promote(made.flywheel, "tide-clock", CLOCK)
    (held,) = made.surfaces["durable-nix"].attached.values()
    assert sorted(held) == ["provenance", "vsa"]


@pytest.mark.parametrize("lost", ["provenance", "vsa", "signature", "signature-bundle"])
def test_a_proof_that_does_not_read_back_is_no_publication(lost: str) -> None:
    memory = in_memory("14402201701")
    take_in(memory.flywheel)
    surface = memory.surfaces["ghcr"]

    def lose(step: str) -> None:
        if step == "read_back":
            for held in surface.attached.values():
                changed = held.pop(lost).model_copy(update={"data": b"{}"})
                held["foreign"] = changed

    surface.before = lose
    with pytest.raises(ReadBackError, match=rf": its proof {lost} \(sha256:[0-9a-f]{{64}}\) does not read back\.$"):
        promote(memory.flywheel, "harbor-map-image", MAP)
    assert publications(memory.flywheel, "harbor-map-image") == []


def test_a_signature_that_was_exchanged_for_another_does_not_read_back() -> None:
    memory = in_memory("14402201701")
    take_in(memory.flywheel)
    surface = memory.surfaces["ghcr"]

    def exchange(step: str) -> None:
        if step == "read_back":
            for held in surface.attached.values():
                annotations = {COSIGN_SIGNATURE: base64.b64encode(b"other").decode()}
                held["signature"] = held["signature"].model_copy(update={"annotations": annotations})

    surface.before = exchange
    with pytest.raises(ReadBackError, match="its proof signature "):
        promote(memory.flywheel, "harbor-map-image", MAP)


def test_what_others_attach_beside_ours_does_no_harm() -> None:
    memory = in_memory("14402201701")
    take_in(memory.flywheel)
    surface = memory.surfaces["ghcr"]

    def add(step: str) -> None:
        if step == "read_back":
            for held in surface.attached.values():
                held["garbage"] = Attached(data=b"\xff")
                held["theirs"] = Attached(
                    data=bundles_of(a_signer("stranger").sign(b"{}", "t"), "x")[0], form=Form.BUNDLE
                )

    surface.before = add
    promote(memory.flywheel, "harbor-map-image", MAP)
    assert len(publications(memory.flywheel, "harbor-map-image")) == 1
