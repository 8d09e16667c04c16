"""What tests of proofs share: repositories of each kind, an image in them, and proofs as a promotion makes them."""

import base64
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.referrers import Descriptor, descriptor
from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE, bundles_of
from flywheel_assets.domain.image_signatures import COSIGN_SIGN_V1
from flywheel_assets.domain.publications import Form, Proof
from flywheel_assets.domain.statements import (
    PAYLOAD_TYPE,
    PROVENANCE_V1,
    SIMPLE_SIGNING,
    VSA_V1,
    canonical,
    statement_bytes,
)
from flywheel_assets_tests.adapters.oci.images import CONFIG, MANIFEST

SERVERS = [
    pytest.param("registry", marks=pytest.mark.peer("docker-registry")),
    pytest.param("referrers_registry", marks=pytest.mark.peer("olareg")),
]
PLACES = ["layout", *SERVERS]


def repository_at(request: pytest.FixtureRequest, place: str) -> Repository:
    """A new repository: in a folder, or on the server of a fixture."""
    name = str(request.getfixturevalue("fresh_name"))
    if place == "layout":
        layout = OciLayout(request.getfixturevalue("tmp_path") / "durable", name)
        layout.prepare()
        return layout
    return Registry(request.getfixturevalue(place).url).repository(name)


def put(repository: Repository, data: bytes) -> None:
    repository.put_blob([data], BlobDigest.of(data), len(data))


def put_image(repository: Repository, seed: str = "") -> Descriptor:
    """An image without layers; its descriptor."""
    config = canonical(
        {"os": "linux", "architecture": seed or "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    )
    put(repository, config)
    manifest = canonical(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": []}
    )
    repository.put_manifest(manifest, MANIFEST)
    return descriptor(MANIFEST, manifest)


def digest_of(subject: Descriptor) -> ManifestDigest:
    return ManifestDigest(subject["digest"])


def a_signer(private: PrivateKeyTypes | None = None) -> DsseSigner:
    pem = (private or ec.generate_private_key(ec.SECP256R1())).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return DsseSigner(pem, "a test's key")


RELEASE = a_signer()
BUILDERS = {"P-256": a_signer(), "Ed25519": a_signer(ed25519.Ed25519PrivateKey.generate())}


@dataclass(frozen=True)
class Made:
    """The proofs of one image as a promotion attaches them."""

    provenance: Proof
    vsa: Proof
    signature: Proof
    signature_bundle: Proof

    @property
    def all(self) -> tuple[Proof, ...]:
        return (self.provenance, self.vsa, self.signature, self.signature_bundle)


def made_for(subject: Descriptor, builder: DsseSigner = BUILDERS["P-256"], note: str = "") -> Made:
    """The builder names its key as it likes; ``note`` makes them other ones."""
    about = [("image", {"sha256": digest_of(subject).hex})]

    def signed(signer: DsseSigner, predicate_type: str) -> bytes:
        return signer.sign(statement_bytes(about, predicate_type, {"note": note}), PAYLOAD_TYPE)

    provenance = signed(builder, PROVENANCE_V1).replace(builder.keyid.encode(), b"key-of-the-builder")
    (bundle,) = bundles_of(signed(RELEASE, COSIGN_SIGN_V1), "x")
    return Made(
        Proof(name="provenance", predicate_type=PROVENANCE_V1, envelope=provenance),
        Proof(name="vsa", predicate_type=VSA_V1, envelope=signed(RELEASE, VSA_V1)),
        simple_signing(RELEASE, subject, note),
        Proof(name="signature-bundle", predicate_type=COSIGN_SIGN_V1, envelope=bundle, form=Form.BUNDLE),
    )


def simple_signing(signer: DsseSigner, subject: Descriptor, note: str = "", **annotations: str) -> Proof:
    payload = canonical(
        {
            "critical": {
                "identity": {"docker-reference": "image"},
                "image": {"docker-manifest-digest": subject["digest"]},
                "type": "cosign container image signature",
            },
            "optional": {"note": note},
        }
    )
    signature = base64.b64encode(signer.sign_bytes(payload)).decode()
    return Proof(
        name="signature",
        predicate_type=SIMPLE_SIGNING,
        envelope=payload,
        form=Form.SIMPLE_SIGNING,
        annotations={COSIGN_SIGNATURE: signature, **annotations},
    )
