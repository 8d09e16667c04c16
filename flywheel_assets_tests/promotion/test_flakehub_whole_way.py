"""A flake's whole way: what the pipeline gave to the workflow, and what came of it, hold before every verifier."""

import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.verification import verify_reference
from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets.wiring import published_reader
from flywheel_assets.wiring.installation import stand_in_url
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.promotion.installation import CHARTS, Installation, judged, statement_of

LOOKS = 9


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    return judged(tmp_path / "home")


@pytest.fixture
def stand_in(place: Installation) -> Iterator[StandIn]:
    address = stand_in_url(place.home)
    found = StandIn(address.parent)
    address.write_text(found.start(), "ascii")
    yield found
    found.stop()


def published(place: Installation) -> str:
    """Where depth-charts is, after as many looks as that takes."""
    for _ in range(LOOKS):
        done = promote(place.open(), "depth-charts", CHARTS, anew=False)
        if isinstance(done, Promoted):
            return done.publication.reference
    raise AssertionError("it never was")


def test_what_was_released_verifies_from_its_reference(place: Installation, stand_in: StandIn) -> None:
    reference = published(place)
    (run,) = stand_in.runs()
    cache, hub = f"file://{place.home / 'surfaces/durable-nix'}", stand_in_url(place.home).read_text()
    reader, verifier = published_reader(reference, cache=cache, flakehub=hub)
    key = (place.home / "keys/release.pub").read_text()
    found = verify_reference(reader, verifier, key, reference, lambda _count: None)
    assert reference.endswith(f"+rev-{run['inputs']['revision']}#{run['inputs']['attribute']}")
    assert found.summary.resource.endswith(f"/rolling?rev={run['inputs']['revision']}#{run['inputs']['attribute']}")
    # What was given to the workflow is what lies there for consumers.
    assert found.envelopes["vsa.dsse.json"] == b64decode(run["inputs"]["vsa"])
    assert found.receipt.artifact.name == run["inputs"]["store_path"]


@pytest.mark.peer("slsa-verifier")
def test_a_stock_verifier_takes_the_summary_that_the_workflow_was_given(
    place: Installation, stand_in: StandIn, tmp_path: Path, peer_path: PeerPath
) -> None:
    published(place)
    (run,) = stand_in.runs()
    envelope, catalogue = b64decode(run["inputs"]["vsa"]), place.open().catalogue
    (tmp_path / "vsa.json").write_bytes(envelope)
    statement, target = statement_of(envelope), catalogue.outputs["depth-charts"].publication
    assert target is not None
    assert target.flake is not None
    resource = f"flakehub:{target.flake.name}/rolling?rev={run['inputs']['revision']}#{run['inputs']['attribute']}"
    options = [
        *("--attestation-path", "vsa.json", "--public-key-path", str(place.home / "keys/release.pub")),
        *("--subject-digest", f"sha256:{statement['subject'][0]['digest']['sha256']}", "--resource-uri", resource),
        *("--verifier-id", catalogue.verifier_uri, "--verified-level", "FLYWHEEL_PROMOTED"),
    ]
    command = [str(peer_path("slsa-verifier")), "verify-vsa", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
