"""Real clients read what was published into real registries, and what they pushed is published."""

import json
import subprocess
from pathlib import Path

import pytest

from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets_tests.adapters.oci.images import (
    PLATFORMS,
    PROOFS,
    REPOSITORY,
    layouts,
    make_image,
    nothing,
    release_of,
)
from flywheel_assets_tests.adapters.oci.registries import repositories
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server

REGISTRIES = [
    pytest.param("registry", marks=pytest.mark.peer("docker-registry")),
    pytest.param("referrers_registry", marks=pytest.mark.peer("olareg")),
]


@pytest.fixture(params=REGISTRIES)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def image(tmp_path: Path) -> OciImage:
    return make_image(tmp_path / "staging")


def publish(surface: OciSurface, image: OciImage) -> str:
    """All steps; the reference."""
    release = release_of(image, "v1", "latest", moving=("latest",))
    plan = surface.plan(release)
    surface.copy(plan, nothing)
    surface.attach(plan, PROOFS)
    surface.reveal(plan)
    readings = surface.read_back(release, nothing)
    assert {reading.state for reading in readings} == {ReadState.READ}
    assert all(reading.digest == reading.expected_digest and not reading.index_problems for reading in readings)
    return plan.reference


def run(peer_path: PeerPath, name: str, *arguments: str) -> bytes:
    return subprocess.run([str(peer_path(name)), *arguments], check=True, capture_output=True).stdout


@pytest.mark.peer("crane")
def test_crane_pulls_each_platform_and_each_tag(
    server: Server, image: OciImage, tmp_path: Path, fresh_name: str, peer_path: PeerPath
) -> None:
    surface = OciSurface(repositories(server, fresh_name), OciStaging(layouts(tmp_path / "staging")))
    reference = publish(surface, image)
    name = reference.partition("@")[0]
    for tag in ("v1", "latest"):
        assert run(peer_path, "crane", "digest", "--insecure", f"{name}:{tag}").decode().strip() == str(image.manifest)
    for platform in PLATFORMS:
        out = tmp_path / "out.tar"
        run(peer_path, "crane", "pull", "--insecure", "--platform", platform, reference, str(out))
        assert out.stat().st_size > 0


@pytest.mark.peer("skopeo")
def test_skopeo_copies_what_was_published_whole(
    server: Server, image: OciImage, tmp_path: Path, fresh_name: str, peer_path: PeerPath
) -> None:
    surface = OciSurface(repositories(server, fresh_name), OciStaging(layouts(tmp_path / "staging")))
    reference = publish(surface, image)
    options = ("--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false")
    run(peer_path, "skopeo", *options, f"docker://{reference}", f"dir:{tmp_path / 'out'}")
    assert len(list((tmp_path / "out").iterdir())) > len(PLATFORMS)


@pytest.mark.peer("skopeo", "crane")
@pytest.mark.parametrize("client", ["skopeo", "crane"])
def test_what_a_real_client_staged_in_a_registry_is_inspected_and_published(
    server: Server, image: OciImage, tmp_path: Path, fresh_name: str, peer_path: PeerPath, client: str
) -> None:
    staged = tmp_path / "staging" / REPOSITORY
    place = f"{server.host}/{fresh_name}/{REPOSITORY}"
    if client == "skopeo":
        options = ("--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false")
        run(peer_path, "skopeo", *options, f"oci:{staged}:staged", f"docker://{place}:staged")
    else:
        run(peer_path, "crane", "push", "--insecure", "--index", str(staged), f"{place}:pushed")
        # crane pushes index.json itself, which here names our index alone: that is staged too, by its digest.
        pushed = json.loads(run(peer_path, "crane", "manifest", "--insecure", f"{place}:pushed"))
        assert [entry["digest"] for entry in pushed["manifests"]] == [str(image.manifest)]
    staging = OciStaging(repositories(server, fresh_name))
    assert {reading.state for reading in staging.inspect(image, nothing)} == {ReadState.READ}
    publish(OciSurface(repositories(server, f"{fresh_name}/durable"), staging), image)


def test_consumers_without_a_credential_read_what_the_publisher_pushed_with_one(
    registry_with_token: Server, image: OciImage, tmp_path: Path, fresh_name: str, request: pytest.FixtureRequest
) -> None:
    issuer = request.getfixturevalue("token_issuer")
    hosts = [issuer.realm.split("/")[2]]
    publisher = repositories(registry_with_token, fresh_name, pusher=True, hosts=hosts)
    staging = OciStaging(layouts(tmp_path / "staging"))

    def surface() -> OciSurface:
        return OciSurface(publisher, staging, consumer=repositories(registry_with_token, fresh_name, hosts=hosts))

    publish(surface(), image)
    issuer.private.add(f"{fresh_name}/released/dashboard")
    readings = surface().read_back(release_of(image, "v1"), nothing)
    assert {reading.state for reading in readings} == {ReadState.UNAUTHORISED}
