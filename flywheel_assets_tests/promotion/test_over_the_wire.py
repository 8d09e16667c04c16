"""The sample flywheel on real servers: the same verdicts as on folders, and proofs that stock verifiers take."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from flywheel_assets.domain.artifacts import NixClosure, OciImage
from flywheel_assets.domain.errors import UnauthorisedError
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.report import report
from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    PUBLISHED,
    SAMPLE_ROWS,
    judge_all,
    promote_at_once,
)
from flywheel_assets_tests.promotion.networked import Networked, network
from flywheel_assets_tests.promotion.test_real_consumers import nix_in
from flywheel_assets_tests.servers import WebServer
from flywheel_assets_tests.token_issuer import TokenIssuer

EXPECTED = {(output, build): (state, verdict, reason) for output, build, state, verdict, reason in SAMPLE_ROWS}
IMAGES = {"harbor-map-image": (MAP, "tinyland-dind"), "tide-clock-image": (CLOCK_IMAGE, "tinyland-nix")}
NO_ROOT = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
VSA, PROVENANCE = "https://slsa.dev/verification_summary/v1", "slsaprovenance1"

pytestmark = [pytest.mark.peer("skopeo", "cosign", "cosign2", "slsa-verifier", "nix"), pytest.mark.timeout(300)]


@pytest.fixture
def with_tokens(
    tmp_path: Path,
    peer_path: PeerPath,
    nginx: WebServer,
    nginx_with_basic: WebServer,
    registry_with_basic: Server,
    registry_with_token: Server,
    token_issuer: TokenIssuer,
) -> Networked:
    """As GHCR is: tokens, anonymous ones to pull, no referrers API. The durable Nix cache takes PUT."""
    return network(
        tmp_path / "home",
        peer_path("skopeo"),
        web=nginx,
        closed_web=nginx_with_basic,
        staging=registry_with_basic.host,
        ghcr=registry_with_token.host,
        realm=token_issuer.realm.split("/")[2],
        durable=f"{nginx.url}/durable",
    )


@pytest.fixture
def with_referrers(
    tmp_path: Path,
    peer_path: PeerPath,
    nginx: WebServer,
    nginx_with_basic: WebServer,
    registry_with_basic: Server,
    referrers_registry: Server,
    s3: Server,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Networked:
    """A registry with a referrers API, open to all; the durable Nix cache is in S3."""
    variables = {"ENDPOINT_URL": s3.url, "ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "REGION": "us-east-1"}
    for name, value in {**variables, "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return network(
        tmp_path / "home",
        peer_path("skopeo"),
        web=nginx,
        closed_web=nginx_with_basic,
        staging=registry_with_basic.host,
        ghcr=referrers_registry.host,
        realm="unused.example",
        durable=f"s3://{s3_bucket}/cache",
    )


def rows(flywheel: Flywheel) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {(r.output, r.build): (r.state.value, r.verdict, r.reason) for r in report(flywheel)}


def flywheel_verify(place: Networked, reference: str, save: Path) -> subprocess.CompletedProcess[str]:
    """As a consumer: the public key and the reference, and nothing else of the installation."""
    key = save.with_suffix(".pub")
    shutil.copy(place.home / "keys/release.pub", key)
    command = [str(Path(sys.executable).with_name("flywheel")), "verify", reference, "--key", str(key)]
    return subprocess.run(
        [*command, "--save", str(save), "--json"], capture_output=True, text=True, check=False, timeout=60
    )


def slsa(program: Path, digest: str, resource: str, envelope: Path, key: Path, verifier: str) -> bool:
    command = [str(program), "verify-vsa", "--subject-digest", digest, "--attestation-path", str(envelope)]
    command += ["--verifier-id", verifier, "--resource-uri", resource, "--public-key-path", str(key)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def flipped(path: Path) -> Path:
    """A copy whose payload is another in one byte."""
    data = bytearray(path.read_bytes())
    at = data.index(b'"payload":"') + 40
    data[at] = ord("B") if data[at] == ord("A") else ord("A")
    copy = path.with_name(f"flipped-{path.name}")
    copy.write_bytes(data)
    return copy


Cosign = Callable[..., bool]


def cosign_in(folder: Path, program: Path) -> Cosign:
    folder.mkdir()
    (folder / "none.json").write_text(NO_ROOT)

    def run(reference: str, key: Path, command: str, *options: str) -> bool:
        given = [command, "--key", str(key), "--insecure-ignore-tlog", "--allow-http-registry", *options]
        if program.name.startswith("cosign2"):
            given += ["--trusted-root", "none.json"]
        done = subprocess.run(
            [str(program), *given, reference],
            env={"HOME": str(folder), "TUF_ROOT": str(folder / "tuf")},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        (folder / "stderr").write_text(done.stderr)
        return done.returncode == 0

    return run


@pytest.mark.parametrize("surfaces", ["with_tokens", "with_referrers"])
def test_the_sample_goes_from_servers_to_servers_and_stock_verifiers_take_every_proof(
    surfaces: str, request: pytest.FixtureRequest, tmp_path: Path, peer_path: PeerPath
) -> None:
    place: Networked = request.getfixturevalue(surfaces)
    flywheel = place.run()
    assert rows(flywheel) == EXPECTED
    everything_verifies_for_a_consumer(place, flywheel, tmp_path, peer_path)
    again = {output: promote_at_once(place.open(), output, build) for output, build in PUBLISHED.items()}
    assert {output: done.copied for output, done in again.items()} == dict.fromkeys(PUBLISHED, ())
    assert all(len(publications(flywheel, output)) == 1 for output in PUBLISHED)


def everything_verifies_for_a_consumer(
    place: Networked, flywheel: Flywheel, tmp_path: Path, peer_path: PeerPath
) -> None:
    verifier, key = flywheel.catalogue.verifier_uri, place.home / "keys/release.pub"
    for output in ("tide-clock", *IMAGES):
        (publication,) = publications(flywheel, output)
        saved = tmp_path / f"proofs-{output}"
        done = flywheel_verify(place, publication.reference, saved)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        vsa = saved / "vsa.dsse.json"
        digest = f"sha256:{publication.artifact_digest.hex}"
        assert slsa(peer_path("slsa-verifier"), digest, found["resource"], vsa, key, verifier)
        assert not slsa(peer_path("slsa-verifier"), digest, found["resource"], flipped(vsa), key, verifier)
    stranger = SAMPLE / "keys" / "image-workflow.pub"
    for output, (build, lane) in IMAGES.items():
        image = assemble(flywheel, output, build).receipts[0].receipt.artifact
        assert isinstance(image, OciImage)
        (publication,) = publications(flywheel, output)
        for name in ("cosign", "cosign2"):
            cosign = cosign_in(tmp_path / f"{name}-{output}", peer_path(name))
            assert cosign(publication.reference, key, "verify")
            assert cosign(publication.reference, key, "verify-attestation", "--type", VSA)
            builder = SAMPLE / "keys" / f"{lane}.pub"
            assert cosign(publication.reference, builder, "verify-attestation", "--type", PROVENANCE)
            assert not cosign(publication.reference, stranger, "verify")
            assert not cosign(publication.reference, key, "verify-attestation", "--type", PROVENANCE)
    nix_takes_the_closure_with_the_release_key_alone(place, flywheel, tmp_path, peer_path)


def nix_takes_the_closure_with_the_release_key_alone(
    place: Networked, flywheel: Flywheel, tmp_path: Path, peer_path: PeerPath
) -> None:
    closure = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    assert isinstance(closure, NixClosure)
    trusted = (place.home / "keys/release.nix.pub").read_text().strip()
    stranger = f"{trusted.partition(':')[0]}:{'A' * 43}="
    durable = place.durable if place.durable.startswith("http") else copy_of_bucket(place.durable, tmp_path / "bucket")
    for number, (public_key, taken) in enumerate([(trusted, True), (stranger, False)]):
        nix = nix_in(tmp_path / f"nix-{number}", peer_path("nix"))
        options = ("--option", "trusted-public-keys", public_key)
        done = nix("copy", "--from", durable, *options, closure.root)
        assert (done.returncode == 0) is taken, done.stderr


def copy_of_bucket(url: str, folder: Path) -> str:
    """All objects as files, and their URL: the Nix of Debian is built without S3."""
    store = S3Store.from_url(url)
    names = [str(entry["path"]) for entries in obstore.list(store) for entry in entries]
    assert any(name.endswith(".narinfo") for name in names)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(obstore.get(store, name).bytes()))
    return f"file://{folder}"


@pytest.fixture
def on_its_own(
    tmp_path: Path,
    peer_path: PeerPath,
    nginx: WebServer,
    nginx_with_basic: WebServer,
    registry_with_basic: Server,
    own_registry: Server,
) -> Networked:
    """With a registry that no other test uses: what is changed below a digest stays so."""
    return network(
        tmp_path / "home",
        peer_path("skopeo"),
        web=nginx,
        closed_web=nginx_with_basic,
        staging=registry_with_basic.host,
        ghcr=own_registry.host,
        realm="unused.example",
        durable=f"{nginx.url}/durable",
    )


def test_one_flipped_byte_on_the_servers_is_refused_by_each_verifier(
    on_its_own: Networked, own_registry: Server, nginx: WebServer, tmp_path: Path, peer_path: PeerPath
) -> None:
    flywheel = on_its_own.run()
    key = on_its_own.home / "keys/release.pub"
    (publication,) = publications(flywheel, "tide-clock-image")
    cosign = cosign_in(tmp_path / "cosign", peer_path("cosign"))
    assert cosign(publication.reference, key, "verify")
    attested = ("verify-attestation", "--type", VSA)
    assert cosign(publication.reference, key, *attested)
    blobs = own_registry.folder / "data/docker/registry/v2/blobs/sha256"
    changed = [path for path in blobs.glob("*/*/data") if _flip_signed(path)]
    assert len(changed) >= 4, "signature, summary and provenance, in their forms"
    assert not cosign(publication.reference, key, "verify")
    assert not cosign(publication.reference, key, *attested)
    assert flywheel_verify(on_its_own, publication.reference, tmp_path / "saved").returncode == 1

    closure = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    assert isinstance(closure, NixClosure)
    narinfo = nginx.folder / "durable" / f"{store_path_hash(closure.root)}.narinfo"
    text = narinfo.read_text()
    nar = nginx.folder / "durable" / text.partition("\nURL: ")[2].partition("\n")[0]
    trusted = (on_its_own.home / "keys/release.nix.pub").read_text().strip()

    def nix_takes_it(store: str) -> tuple[bool, str]:
        nix = nix_in(tmp_path / store, peer_path("nix"))
        done = nix("copy", "--from", on_its_own.durable, "--option", "trusted-public-keys", trusted, closure.root)
        return done.returncode == 0, done.stderr

    data = nar.read_bytes()
    for at in (len(data) // 2, len(data) - 5):
        nar.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert not nix_takes_it(f"nix-byte-{at}")[0]
    nar.write_bytes(data)
    assert nix_takes_it("nix-whole")[0]
    at = text.index("Sig: ") + 30
    narinfo.write_text(f"{text[:at]}{'B' if text[at] == 'A' else 'A'}{text[at + 1 :]}")
    taken, said = nix_takes_it("nix-signature")
    assert not taken
    assert "signature" in said


def _flip_signed(path: Path) -> bool:
    """Change one byte in an envelope, bundle or signed payload; manifests and layers stay as they are."""
    data = path.read_bytes()
    for mark in (b'"payload":"', b'"docker-manifest-digest":"sha256:'):
        at = data.find(mark)
        if data.startswith(b"{") and at >= 0:
            at += len(mark) + 20
            other = b"b" if data[at : at + 1] == b"a" else b"a"
            path.write_bytes(data[:at] + other + data[at + 1 :])
            return True
    return False


def test_a_refused_credential_is_named_without_its_secret_and_nothing_becomes_visible(
    with_tokens: Networked,
) -> None:
    judged = with_tokens.open()
    take_in(judged)
    judge_all(judged)
    overlay = with_tokens.overlay.read_text()
    with_tokens.overlay.write_text(
        overlay.replace("file:password", "file:wrong", 3).replace("file:wrong", "file:password", 2)
    )
    (with_tokens.home / "wrong").write_text("not-the-password")
    with pytest.raises(UnauthorisedError, match=r"tinyland-inc/harbor-map.* is refused") as refused:
        promote(with_tokens.open(), "harbor-map-image", MAP)
    assert "not-the-password" not in str(refused.value)
    assert not publications(with_tokens.open(), "harbor-map-image")
