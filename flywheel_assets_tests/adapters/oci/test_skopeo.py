"""A real client reads what was published, and what a real client wrote is read."""

import json
import subprocess
from pathlib import Path

import pytest

from flywheel_assets.adapters.oci.builder import image_in_layout
from flywheel_assets.adapters.oci.documents import DOCKER_MANIFEST, Manifest, parse_manifest
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
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
from flywheel_assets_tests.peers import PeerPath

pytestmark = pytest.mark.peer("skopeo")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    image = make_image(tmp_path / "staging")
    surface = OciSurface(layouts(tmp_path / "durable"), OciStaging(layouts(tmp_path / "staging")))
    plan = surface.plan(release_of(image, "v1"))
    surface.copy(plan, nothing)
    surface.attach(plan, PROOFS)
    surface.reveal(plan)
    return tmp_path / "durable/released/dashboard"


def skopeo(peer_path: PeerPath, *arguments: str) -> bytes:
    command = [str(peer_path("skopeo")), "--insecure-policy", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("platform", PLATFORMS)
def test_skopeo_inspects_each_platform(published: Path, peer_path: PeerPath, platform: str) -> None:
    system, architecture, *variant = platform.split("/")
    chosen = ["--override-os", system, "--override-arch", architecture]
    chosen += ["--override-variant", variant[0]] if variant else []
    found = json.loads(skopeo(peer_path, *chosen, "inspect", f"oci:{published}:v1"))
    assert (found["Os"], found["Architecture"]) == (system, architecture)
    assert len(found["Layers"]) == 2


def test_skopeo_copies_the_whole_image(published: Path, peer_path: PeerPath, tmp_path: Path) -> None:
    skopeo(peer_path, "copy", "--all", "--preserve-digests", f"oci:{published}:v1", f"dir:{tmp_path / 'out'}")
    raw = skopeo(peer_path, "inspect", "--raw", f"oci:{published}:v1")
    assert (tmp_path / "out/manifest.json").read_bytes() == raw


def test_skopeo_copies_the_proofs(published: Path, peer_path: PeerPath, tmp_path: Path) -> None:
    image = image_in_layout(published, "v1", "released/dashboard")
    tag = f"sha256-{image.manifest.hex}"
    raw = json.loads(skopeo(peer_path, "inspect", "--raw", f"oci:{published}:{tag}"))
    kinds = [entry["artifactType"] for entry in raw["manifests"]]
    assert kinds.count("application/vnd.dsse.envelope.v1+json") == len(PROOFS)


def test_an_image_that_skopeo_wrote_is_described_and_inspected(
    published: Path, peer_path: PeerPath, tmp_path: Path
) -> None:
    staged = tmp_path / "other" / REPOSITORY
    staged.parent.mkdir(parents=True)
    skopeo(peer_path, "copy", "--all", f"oci:{published}:v1", f"oci:{staged}:pushed")
    image = image_in_layout(staged, "pushed", REPOSITORY)
    assert image.platforms.keys() == set(PLATFORMS)
    readings = OciStaging(layouts(tmp_path / "other")).inspect(image, nothing)
    assert {reading.state for reading in readings} == {ReadState.READ}
    assert not [problem for reading in readings for problem in reading.index_problems]


def test_docker_media_types_of_a_real_conversion_are_read(published: Path, peer_path: PeerPath, tmp_path: Path) -> None:
    """`--format v2s2` makes Docker manifests; a layout cannot name them, but blobs lie there by digest."""
    out = tmp_path / "docker"
    skopeo(peer_path, "--override-arch", "amd64", "copy", "--format", "v2s2", f"oci:{published}:v1", f"dir:{out}")
    found = parse_manifest((out / "manifest.json").read_bytes(), "manifest.json")
    assert isinstance(found, Manifest)
    assert found.media_type == DOCKER_MANIFEST
