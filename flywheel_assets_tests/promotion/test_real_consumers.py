"""Real tools, which know nothing of this project, read what it published from the sample."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.domain.artifacts import NixClosure, OciImage
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    Installation,
    judged,
    key,
    published,
)

CONFIGURATION = """experimental-features = nix-command
sandbox = false
substituters =
build-users-group =
require-sigs = true
"""
LINE = key("14402201301")


def nix_in(folder: Path, program: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    for name in ("home", "etc"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/nix.conf").write_text(CONFIGURATION, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "NIX_CONF_DIR": str(folder / "etc"),
        "NIX_REMOTE": str(folder / "store"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(program), *arguments]
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=100
        )

    return run


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    """The automatic publication, and the one on demand."""
    made = judged(tmp_path / "installation")
    for output, build in (("tide-clock", CLOCK), ("sounding-line", LINE)):
        promote(made.open(), output, build)
    return made


@pytest.mark.peer("nix")
def test_nix_imports_every_published_closure_trusting_the_release_key_alone(
    place: Installation, tmp_path: Path, peer_path: PeerPath
) -> None:
    trusted = (place.home / "keys/release.nix.pub").read_text().strip()
    durable = tmp_path / "consumer-sees/durable-nix"
    durable.parent.mkdir()
    shutil.copytree(place.home / "surfaces/durable-nix", durable)
    flywheel = place.open()
    shutil.rmtree(place.home / "sample")
    for output, build in (("tide-clock", CLOCK), ("sounding-line", LINE)):
        closure = assemble(flywheel, output, build).receipts[0].receipt.artifact
        assert isinstance(closure, NixClosure)
        nix = nix_in(tmp_path / output, peer_path("nix"))
        done = nix("copy", "--from", f"file://{durable}", "--option", "trusted-public-keys", trusted, closure.root)
        assert done.returncode == 0, done.stderr
        assert nix("store", "verify", "--recursive", "--no-trust", closure.root).returncode == 0
        info = json.loads(nix("path-info", "--recursive", "--json", closure.root).stdout)
        assert {row["path"] for row in info} == {member.path for member in closure.members}
        assert (tmp_path / output / "store" / closure.root.removeprefix("/")).exists()


@pytest.mark.peer("nix")
def test_nix_takes_nothing_with_the_key_of_the_mutable_cache(
    place: Installation, tmp_path: Path, peer_path: PeerPath
) -> None:
    flywheel = place.open()
    closure = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    attic = (place.home / "keys/release.nix.pub").read_text().partition(":")[0] + ":" + "A" * 43 + "="
    nix = nix_in(tmp_path / "nix", peer_path("nix"))
    source = f"file://{place.home}/surfaces/durable-nix"
    done = nix("copy", "--from", source, "--option", "trusted-public-keys", attic, closure.name)
    assert done.returncode != 0
    assert "signature" in done.stderr


def skopeo(program: Path, *arguments: str) -> bytes:
    command = [str(program), "--insecure-policy", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=100).stdout


IMAGES = [("harbor-map-image", "harbor-map", MAP), ("tide-clock-image", "tide-clock", CLOCK_IMAGE)]


@pytest.mark.peer("skopeo")
@pytest.mark.parametrize(("output", "name", "build"), IMAGES)
def test_skopeo_inspects_and_copies_every_platform_of_an_image_by_each_tag(
    output: str, name: str, build: BuildKey, tmp_path: Path, peer_path: PeerPath
) -> None:
    flywheel, program = published().open(), peer_path("skopeo")
    receipt = assemble(flywheel, output, build).receipts[0].receipt
    image = receipt.artifact
    assert isinstance(image, OciImage)
    layout = published().home / "surfaces/ghcr/tinyland-inc" / name
    for tag in ("main", f"sha-{str(receipt.run.source.revision)[:12]}"):
        for platform in image.platforms:
            system, architecture, *_ = platform.split("/")
            chosen = ("--override-os", system, "--override-arch", architecture)
            found = json.loads(skopeo(program, *chosen, "inspect", f"oci:{layout}:{tag}"))
            assert (found["Os"], found["Architecture"]) == (system, architecture)
            assert found["Layers"]
        target = tmp_path / tag
        skopeo(program, "copy", "--all", "--preserve-digests", f"oci:{layout}:{tag}", f"dir:{target}")
        digest = skopeo(program, "manifest-digest", str(target / "manifest.json")).decode().strip()
        assert digest == str(image.manifest)
    if output == "harbor-map-image":
        assert sorted(image.platforms) == ["linux/amd64", "linux/arm64"]
