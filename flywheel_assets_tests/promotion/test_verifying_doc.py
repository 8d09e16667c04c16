"""docs/verifying.md: each command does as it stands what the text says."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.promotion.flakes import attach, flakehub_of, released
from flywheel_assets_tests.promotion.installation import CLOCK, MAP, judged, promote_at_once
from flywheel_assets_tests.promotion.test_real_consumers import CONFIGURATION
from flywheel_assets_tests.scripted import Scripted
from flywheel_assets_tests.servers import WebServer

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/verifying.md").read_text(), re.DOTALL | re.MULTILINE)
VARIABLES = next(block for block in BLOCKS if block.startswith("DIGEST="))
TOOLS = ("cosign", "cosign2", "crane", "slsa-verifier", "nix", "jq", "curl")

pytestmark = pytest.mark.peer(*TOOLS)


@dataclass(frozen=True)
class Consumer:
    """A folder with the public keys and nothing else, and the references."""

    folder: Path
    environment: dict[str, str]

    def run(self, *blocks: str) -> subprocess.CompletedProcess[str]:
        """In one shell, as they are pasted; stderr shows each command."""
        command = ["bash", "-eux", "-o", "pipefail", "-c", "\n".join(blocks)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=200
        )


@pytest.fixture
def consumer(
    tmp_path: Path, registry: Server, nginx: WebServer, scripted: Scripted, fresh_name: str, peer_path: PeerPath
) -> Consumer:
    place = judged(tmp_path / "home")
    overlay = place.home / "overlay.yaml"
    overlay.write_text(f'surfaces: {{ghcr: {{url: "{registry.url}/{fresh_name}", credential: null}}}}')
    flywheel = open_flywheel(Settings(place.home, (*SAMPLE_CATALOGUE, overlay)))
    image = promote_at_once(flywheel, "harbor-map-image", MAP).publication
    promote(flywheel, "tide-clock", CLOCK)
    closure = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    assert isinstance(closure, NixClosure)
    run = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.run
    attach(flywheel, released("1.4.0", str(run.source.revision)))
    shutil.copytree(place.home / "surfaces/durable-nix", nginx.folder / "cache")
    reference = flakehub_of(scripted, "1.4.0", str(run.source.revision), closure.root)
    folder = tmp_path / "consumer"
    for name in ("bin", "etc"):
        (folder / name).mkdir(parents=True)
    for name in TOOLS:
        (folder / "bin" / name).symlink_to(peer_path(name))
    (folder / "bin/flywheel").symlink_to(ROOT / ".venv/bin/flywheel")
    (folder / "etc/nix.conf").write_text(CONFIGURATION)
    for key in ("release.pub", "release.nix.pub"):
        shutil.copy(place.home / "keys" / key, folder)
    shutil.copy(SAMPLE / "keys/tinyland-dind.pub", folder / "builder.pub")
    return Consumer(
        folder,
        {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TUF_ROOT": str(folder / "tuf"),
            "NIX_CONF_DIR": str(folder / "etc"),
            "NIX_REMOTE": str(folder / "store"),
            "IMAGE": image.reference,
            "CACHE": f"{nginx.url}/cache",
            "STORE_PATH": closure.root,
            "RELEASE": reference,
            "FLYWHEEL_FLAKEHUB": scripted.url,
        },
    )


def test_every_command_of_the_document_succeeds_and_gets_what_it_says(consumer: Consumer) -> None:
    assert len(BLOCKS) == 12
    done = consumer.run(*BLOCKS)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    folder = consumer.folder
    for proofs in ("proofs", "nix-proofs"):
        assert sorted(path.name for path in (folder / proofs).iterdir()) == ["provenance.dsse.json", "vsa.dsse.json"]
    assert (folder / "by-crane.json").read_bytes() == (folder / "proofs/vsa.dsse.json").read_bytes()
    assert (folder / "by-curl.json").read_bytes() == (folder / "nix-proofs/vsa.dsse.json").read_bytes()
    assert (folder / "flake-by-curl.json").read_bytes() == (folder / "flake-proofs/vsa.dsse.json").read_bytes()
    assert (folder / "flake-by-curl.json").read_bytes() != (folder / "by-curl.json").read_bytes()
    assert json.loads((folder / "by-cosign.json").read_text())["payload"]


def test_of_two_summaries_beside_an_image_each_consumer_finds_the_one_by_its_key(
    consumer: Consumer, tmp_path: Path
) -> None:
    second = judged(tmp_path / "second")
    for path in (second.home / "keys").glob("release.*"):
        path.unlink()
    overlay = second.home / "overlay.yaml"
    registry = consumer.environment["IMAGE"].partition("/tinyland-inc/")[0]
    overlay.write_text(f'surfaces: {{ghcr: {{url: "http://{registry}", credential: null}}}}')
    promote(open_flywheel(Settings(second.home, (*SAMPLE_CATALOGUE, overlay))), "harbor-map-image", MAP)
    consumer.run(BLOCKS[0])
    loops = [block for block in BLOCKS if block.endswith('test "$found"\n')]
    taken = set()
    for key in ((consumer.folder / "release.pub").read_bytes(), (second.home / "keys/release.pub").read_bytes()):
        (consumer.folder / "release.pub").write_bytes(key)
        done = consumer.run(VARIABLES, *loops)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert json.loads((consumer.folder / "summaries.jsonl").read_text().splitlines()[1])["payload"]
        taken.add((consumer.folder / "by-crane.json").read_bytes())
        found = [json.loads((consumer.folder / f"by-{tool}.json").read_text()) for tool in ("cosign", "crane")]
        assert found[0]["signatures"][0]["sig"] == found[1]["signatures"][0]["sig"]
    assert len(taken) == 2
    shutil.copy(consumer.folder / "builder.pub", consumer.folder / "release.pub")
    for loop in loops:
        assert consumer.run(VARIABLES, loops[0].partition("found=")[0], loop).returncode != 0


def test_no_verifier_takes_a_summary_of_which_one_byte_is_another(consumer: Consumer) -> None:
    assert consumer.run(BLOCKS[0]).returncode == 0
    for folder, command in zip(("proofs", "nix-proofs"), _slsa_commands(), strict=True):
        assert consumer.run(VARIABLES, command).returncode == 0
        path = consumer.folder / folder / "vsa.dsse.json"
        data = path.read_bytes()
        payload, signature = data.index(b'"payload":"') + 11, data.index(b'"sig":"') + 7
        end = data.index(b'"', payload) - 3  # the last characters of base64 may hold bits that stand for nothing
        for position in (*range(payload, end, 97), *range(signature, signature + 90, 10)):
            changed = b"B" if data[position : position + 1] == b"A" else b"A"
            path.write_bytes(data[:position] + changed + data[position + 1 :])
            assert consumer.run(VARIABLES, command).returncode != 0, position
        path.write_bytes(data)


def _slsa_commands() -> list[str]:
    block = next(block for block in BLOCKS if block.startswith("slsa-verifier"))
    first, second = block.split("\nslsa-verifier")
    return [first, f"slsa-verifier{second}"]
