"""A flake's whole way: what the pipeline gave to the workflow, and what came of it, hold before every verifier."""

import subprocess
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import PublicationError, ReadBackError
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.domain.withdrawals import Withdrawal
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import State, report
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.verification import Verified, verify_reference
from flywheel_assets.promotion.withdrawing import withdrawal_of
from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets.wiring import published_reader
from flywheel_assets.wiring.installation import stand_in_url
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.promotion.installation import CHARTS, Installation, judged, statement_of
from flywheel_assets_tests.promotion.people import NOTHING, key_of, with_people

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


def verified(place: Installation, reference: str) -> Verified:
    """As a consumer verifies it, who has the release key alone."""
    cache, hub = f"file://{place.home / 'surfaces/durable-nix'}", stand_in_url(place.home).read_text()
    reader, verifier = published_reader(reference, cache=cache, flakehub=hub)
    return verify_reference(reader, verifier, (place.home / "keys/release.pub").read_text(), reference, lambda _: None)


def stock_verified(
    place: Installation, stand_in: StandIn, folder: Path, verifier: Path, envelope: bytes
) -> subprocess.CompletedProcess[str]:
    """What slsa-verifier says of a summary for the one release."""
    (run,) = stand_in.runs()
    (folder / "vsa.json").write_bytes(envelope)
    catalogue = place.open().catalogue
    statement, target = statement_of(envelope), catalogue.outputs["depth-charts"].publication
    assert target is not None
    assert target.flake is not None
    resource = f"flakehub:{target.flake.name}/rolling?rev={run['inputs']['revision']}#{run['inputs']['attribute']}"
    options = [
        *("--attestation-path", "vsa.json", "--public-key-path", str(place.home / "keys/release.pub")),
        *("--subject-digest", f"sha256:{statement['subject'][0]['digest']['sha256']}", "--resource-uri", resource),
        *("--verifier-id", catalogue.verifier_uri, "--verified-level", "FLYWHEEL_PROMOTED"),
    ]
    command = [str(verifier), "verify-vsa", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def withdrawn(place: Installation) -> Withdrawal:
    """A person takes the release back; what became of that."""
    opened = place.open()
    flywheel = replace(opened, catalogue=with_people(needed=0, catalogue=opened.catalogue))
    decide(flywheel, withdrawal_of(flywheel, "depth-charts", CHARTS, "It sinks ships."), key_of("alva"))
    (done,) = carry_out(flywheel).done
    assert carry_out(flywheel) == NOTHING, "nothing new came of another look"
    return done


def test_what_was_released_verifies_from_its_reference(place: Installation, stand_in: StandIn) -> None:
    reference = published(place)
    (run,) = stand_in.runs()
    found = verified(place, reference)
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
    done = stock_verified(place, stand_in, tmp_path, peer_path("slsa-verifier"), b64decode(run["inputs"]["vsa"]))
    assert done.returncode == 0, done.stderr


def test_what_is_withdrawn_is_marked_in_its_cache_gone_from_there_and_refused_by_verify(
    place: Installation, stand_in: StandIn
) -> None:
    reference = published(place)
    (run,) = stand_in.runs()
    cache = place.home / "surfaces/durable-nix"
    root = cache / f"{store_path_hash(run['inputs']['store_path'])}.narinfo"
    assert root.is_file()
    done = withdrawn(place)
    assert not root.exists()
    assert done.unpublished.removed
    assert done.yanked_by, "FlakeHub still has it, and people yank it there"
    with pytest.raises(ReadBackError, match="is withdrawn: the publisher's summary"):
        verified(place, reference)
    reader, verifier = published_reader(f"file://{cache}#{run['inputs']['store_path']}")
    with pytest.raises(ReadBackError, match="is withdrawn: the publisher's summary"):
        verify_reference(reader, verifier, (place.home / "keys/release.pub").read_text(), "it", lambda _: None)


@pytest.mark.peer("slsa-verifier")
def test_a_stock_verifier_refuses_the_mark_of_what_is_withdrawn(
    place: Installation, stand_in: StandIn, tmp_path: Path, peer_path: PeerPath
) -> None:
    published(place)
    mark = withdrawn(place).mark
    assert mark is not None
    envelope, verifier = place.open().evidence.get(mark), peer_path("slsa-verifier")
    done = stock_verified(place, stand_in, tmp_path, verifier, envelope)
    assert done.returncode != 0
    assert "FAILED" in done.stderr or "PASSED" in done.stderr


@pytest.mark.parametrize("fault", ["", "version-without-revision"])
def test_what_is_yanked_is_seen_whatever_flakehub_still_tells_of_it_and_started_by_nobody_again(
    place: Installation, stand_in: StandIn, fault: str
) -> None:
    flake, _, version = published(place).removeprefix("flakehub:").partition("#")[0].rpartition("/")
    if fault:
        stand_in.fault(fault)
    stand_in.yank(flake, version)
    seen = look_again(place.open(), "depth-charts", CHARTS)
    assert seen is not None
    assert seen.state is DispatchState.YANKED
    for anew in (True, False):
        with pytest.raises(PublicationError, match="yanked"):
            promote(place.open(), "depth-charts", CHARTS, anew=anew)
    assert len(stand_in.runs()) == 1
    (row,) = [row for row in report(place.open()) if row.output == "depth-charts"]
    assert row.state is State.YANKED
