"""cosign, of both major versions, takes each proof beside an image, and none of which one byte is another."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.adapters.oci.attaching import attach
from flywheel_assets.adapters.oci.referrers import Descriptor, fallback_tag
from flywheel_assets.adapters.oci.registry import RegistryRepository
from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets.domain.image_signatures import COSIGN_SIGN_V1
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.publications import Form, Proof
from flywheel_assets.domain.statements import VSA_V1
from flywheel_assets_tests.adapters.oci.attaching import (
    BUILDERS,
    RELEASE,
    SERVERS,
    Made,
    a_signer,
    digest_of,
    made_for,
    put_image,
    repository_at,
    simple_signing,
)
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server

pytestmark = [pytest.mark.peer("cosign", "cosign2")]

# cosign 2.6 asks for a trust root when it finds bundles, also where a key is given and the root is never looked at.
NO_ROOT = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
OPTIONS = {"cosign": [], "cosign2": ["--trusted-root", "none.json"]}
OLD_TAGS = {"cosign": ["--new-bundle-format=false"], "cosign2": OPTIONS["cosign2"]}
VERIFY = ("verify",)
VERIFY_VSA = ("verify-attestation", "--type", VSA_V1)
VERIFY_PROVENANCE = ("verify-attestation", "--type", "slsaprovenance1")
Cosign = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=SERVERS)
def repository(request: pytest.FixtureRequest) -> RegistryRepository:
    found = repository_at(request, request.param)
    assert isinstance(found, RegistryRepository)
    return found


@pytest.fixture(params=["cosign", "cosign2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cosign(version: str, tmp_path: Path, peer_path: PeerPath) -> Cosign:
    """Runs one version of cosign, without the network and without anything of this machine's user."""
    (tmp_path / "none.json").write_text(NO_ROOT)

    def run(
        command: tuple[str, ...], signer: DsseSigner, repository: RegistryRepository, subject: Descriptor, *more: str
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "key.pub").write_text(signer.public_key)
        name, *options = command
        given = [*options, *(more or OPTIONS[version]), "--key", "key.pub", "--insecure-ignore-tlog"]
        return subprocess.run(
            [str(peer_path(version)), name, *given, "--allow-http-registry", f"{repository.place}@{subject['digest']}"],
            env={"HOME": str(tmp_path), "TUF_ROOT": str(tmp_path / "tuf")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def tags_only(request: pytest.FixtureRequest, registry: Server) -> RegistryRepository:
    """In a registry whose lists of referrers are tags, which a test can take away."""
    del registry
    found = repository_at(request, "registry")
    assert isinstance(found, RegistryRepository)
    return found


def hide_bundles(repository: RegistryRepository, subject: Descriptor) -> None:
    """As where only cosign's tags were copied on: no referrer is listed any more."""
    index = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    repository.put(fallback_tag(digest_of(subject)), index, "application/vnd.oci.image.index.v1+json")


@pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS)
def test_each_proof_verifies_with_the_key_of_who_signed_it(
    repository: RegistryRepository, cosign: Cosign, builder: DsseSigner
) -> None:
    subject = put_image(repository)
    attach(repository, subject, made_for(subject, builder).all, DEFAULT_LIMITS)
    for command, signer in ((VERIFY, RELEASE), (VERIFY_VSA, RELEASE), (VERIFY_PROVENANCE, builder)):
        done = cosign(command, signer, repository, subject)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    for command in (VERIFY, VERIFY_VSA, VERIFY_PROVENANCE):
        assert cosign(command, a_signer(), repository, subject).returncode != 0
    assert cosign(VERIFY_PROVENANCE, RELEASE, repository, subject).returncode != 0
    assert cosign(VERIFY_VSA, builder, repository, subject).returncode != 0


@pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS)
def test_older_versions_find_the_same_under_their_tags(
    tags_only: RegistryRepository, cosign: Cosign, version: str, builder: DsseSigner
) -> None:
    subject = put_image(tags_only)
    attach(tags_only, subject, made_for(subject, builder).all, DEFAULT_LIMITS)
    hide_bundles(tags_only, subject)
    for command, signer in ((VERIFY, RELEASE), (VERIFY_VSA, RELEASE), (VERIFY_PROVENANCE, builder)):
        done = cosign(command, signer, tags_only, subject, *OLD_TAGS[version])
        assert done.returncode == 0, done.stderr
        assert cosign(command, a_signer(), tags_only, subject, *OLD_TAGS[version]).returncode != 0


def test_a_signature_of_another_that_came_along_does_not_hide_ours(
    repository: RegistryRepository, cosign: Cosign, version: str
) -> None:
    subject, stranger = put_image(repository), a_signer()
    theirs = made_for(subject, stranger)
    attach(repository, subject, [theirs.provenance, simple_signing(stranger, subject, "theirs")], DEFAULT_LIMITS)
    attach(repository, subject, made_for(subject).all, DEFAULT_LIMITS)
    assert cosign(VERIFY, RELEASE, repository, subject).returncode == 0
    assert cosign(VERIFY_PROVENANCE, BUILDERS["P-256"], repository, subject).returncode == 0
    assert cosign(VERIFY_PROVENANCE, stranger, repository, subject).returncode == 0
    if version == "cosign":
        assert cosign(VERIFY, stranger, repository, subject, *OLD_TAGS[version]).returncode == 0


def test_proofs_of_another_image_are_none_of_this_one(repository: RegistryRepository, cosign: Cosign) -> None:
    subject, other = put_image(repository), put_image(repository, "arm64")
    attach(repository, subject, made_for(other).all, DEFAULT_LIMITS)
    for command, signer in ((VERIFY, RELEASE), (VERIFY_VSA, RELEASE), (VERIFY_PROVENANCE, BUILDERS["P-256"])):
        assert cosign(command, signer, repository, subject).returncode != 0


# One byte


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def flipped_text(text: str, position: int) -> str:
    return base64.b64encode(flipped(base64.b64decode(text), position)).decode()


def one_byte_off(proof: Proof) -> list[Proof]:
    """The proof with one byte of its payload, and with one byte of its signature, another."""
    if proof.form is Form.SIMPLE_SIGNING:
        signature = {COSIGN_SIGNATURE: flipped_text(proof.annotations[COSIGN_SIGNATURE], 20)}
        payload = flipped(proof.envelope, proof.envelope.index(b"note") + 1)
        return [proof.model_copy(update=change) for change in ({"annotations": signature}, {"envelope": payload})]
    document = json.loads(proof.envelope)
    envelope = document["dsseEnvelope"] if proof.form is Form.BUNDLE else document
    (signature,) = envelope["signatures"]
    payload = base64.b64decode(envelope["payload"])
    changes = (
        {"payload": flipped_text(envelope["payload"], payload.index(b"note") + 1)},
        {"signatures": [{**signature, "sig": flipped_text(signature["sig"], 20)}]},
    )
    found = []
    for change in changes:
        changed = {**envelope, **change}
        data = {**document, "dsseEnvelope": changed} if proof.form is Form.BUNDLE else changed
        found.append(proof.model_copy(update={"envelope": json.dumps(data).encode()}))
    return found


def commands(made: Made) -> list[tuple[Proof, tuple[str, ...], DsseSigner]]:
    return [
        (made.provenance, VERIFY_PROVENANCE, BUILDERS["P-256"]),
        (made.vsa, VERIFY_VSA, RELEASE),
        (made.signature, VERIFY, RELEASE),
        (made.signature_bundle, VERIFY, RELEASE),
        (made.signature_bundle, ("verify-attestation", "--type", COSIGN_SIGN_V1), RELEASE),
    ]


def test_each_proof_is_taken_alone_and_refused_with_one_byte_off(
    repository: RegistryRepository, cosign: Cosign
) -> None:
    for number in range(5):
        subject = put_image(repository, f"good{number}")
        proof, command, signer = commands(made_for(subject, note="note"))[number]
        attach(repository, subject, [proof], DEFAULT_LIMITS)
        done = cosign(command, signer, repository, subject)
        assert done.returncode == 0, done.stderr
        for kind in range(2):
            subject = put_image(repository, f"bad{number}{kind}")
            proof, command, signer = commands(made_for(subject, note="note"))[number]
            attach(repository, subject, [one_byte_off(proof)[kind]], DEFAULT_LIMITS)
            assert cosign(command, signer, repository, subject).returncode != 0, (proof.name, kind)


def test_under_the_older_tags_each_proof_is_refused_with_one_byte_off(
    tags_only: RegistryRepository, cosign: Cosign, version: str
) -> None:
    for number in range(3):
        for kind in range(2):
            subject = put_image(tags_only, f"{number}{kind}")
            proof, command, signer = commands(made_for(subject, note="note"))[number]
            for attached, holds in ((one_byte_off(proof)[kind], False), (proof, True)):
                attach(tags_only, subject, [attached], DEFAULT_LIMITS)
                hide_bundles(tags_only, subject)
                done = cosign(command, signer, tags_only, subject, *OLD_TAGS[version])
                assert (done.returncode == 0) == holds, (proof.name, kind)
