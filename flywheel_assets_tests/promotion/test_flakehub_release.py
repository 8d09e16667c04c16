"""`flywheel verify flakehub:…`: what FlakeHub says, what the cache holds and what was signed have to be one thing."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    ReadBackError,
    SignatureError,
    UsageError,
)
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.verification import Verified, verify_reference
from flywheel_assets.wiring import published_reader
from flywheel_assets_tests.promotion.flakes import ATTRIBUTE, FLAKE, attach, released
from flywheel_assets_tests.promotion.installation import CLOCK, Installation, published
from flywheel_assets_tests.scripted import Answer, Scripted

OTHER = "0" * 40


def listed(version: str, revision: str) -> dict[str, Any]:
    """A release in the answer of FlakeHub's API."""
    return {
        "version": version,
        "simplified_version": version.partition("+")[0],
        "revision": revision,
        "published_at": "2026-04-14T10:00:00Z",
        "updated_at": "2026-04-14T10:00:00Z",
        "commit_count": 7,
    }


@dataclass
class FlakeHub:
    """What FlakeHub tells of one flake, for the test to change, and the cache that carries tide-clock."""

    scripted: Scripted
    place: Installation
    revision: str
    store_path: str
    releases: list[dict[str, Any]]
    outputs: dict[str, str]
    yanked: dict[str, str]

    @property
    def cache(self) -> str:
        return f"file://{self.place.home / 'surfaces/durable-nix'}"

    def answer(self, target: str) -> Answer:
        parts = target.strip("/").replace("%3D", "=").replace("%2B", "+").split("/")
        if parts[0] == "f" and parts[-1] == "releases":
            return Answer(body=json.dumps(self.releases).encode())
        if parts[0] == "f" and parts[4] == "output" and f"{parts[3].removeprefix('=')}#{parts[5]}" in self.outputs:
            path = self.outputs[f"{parts[3].removeprefix('=')}#{parts[5]}"]
            return Answer(body=json.dumps({"attribute_path": parts[5], "store_path": path, "token": None}).encode())
        if parts[0] == "version" and parts[3].removeprefix("=") in self.yanked:
            version = parts[3].removeprefix("=")
            found = {"project": FLAKE, "version": version, "revision": self.yanked[version]}
            return Answer(body=json.dumps(found).encode())
        return Answer(404)

    def carry(self, version: str | None, revision: str = "", change: Callable[[str], str] = str) -> None:
        """Put the proofs of a release beside the closure; ``change`` the summary's resource."""
        attach(self.place.open(), released(version, revision or self.revision), change)

    def verify(self, reference: str, **more: str) -> Verified:
        reader, verifier = published_reader(reference, cache=self.cache, flakehub=self.scripted.url)
        pem = (self.place.home / "keys/release.pub").read_text()
        return verify_reference(reader, verifier, pem, reference, lambda _count: None, **more)


@pytest.fixture
def flakehub(tmp_path: Path, scripted: Scripted) -> FlakeHub:
    """One release, 1.4.0, as it was approved."""
    place = published().copy(tmp_path / "home")
    receipt = assemble(place.open(), "tide-clock", CLOCK).receipts[0].receipt
    revision, store_path = str(receipt.run.source.revision), receipt.artifact.name
    found = FlakeHub(
        scripted, place, revision, store_path, [listed("1.4.0", revision)], {f"1.4.0#{ATTRIBUTE}": store_path}, {}
    )
    scripted.otherwise = lambda asked: found.answer(asked.path)
    found.carry("1.4.0")
    return found


def test_a_release_verifies_down_to_every_byte_of_its_closure(flakehub: FlakeHub) -> None:
    found = flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")
    assert found.summary.resource == f"flakehub:{FLAKE}/1.4.0?rev={flakehub.revision}#{ATTRIBUTE}"
    assert found.document()["source"].endswith(f"@{flakehub.revision}")
    assert found.bytes_read > 0


def test_the_address_in_a_flake_s_inputs_means_the_same_release(flakehub: FlakeHub) -> None:
    for version in ("1.4.0", "=1.4.0", "=1.4.0.tar.gz"):
        assert flakehub.verify(f"https://flakehub.com/f/{FLAKE}/{version}#{ATTRIBUTE}").bytes_read > 0


def test_a_rolling_release_is_one_by_its_version_and_needs_a_summary_of_its_own(flakehub: FlakeHub) -> None:
    version = f"0.1.7+rev-{flakehub.revision}"
    flakehub.releases.append(listed(version, flakehub.revision))
    flakehub.outputs[f"{version}#{ATTRIBUTE}"] = flakehub.store_path
    with pytest.raises(SignatureError, match="carries no proofs at all"):
        flakehub.verify(f"flakehub:{FLAKE}/{version}#{ATTRIBUTE}")
    flakehub.carry(None)
    assert flakehub.verify(f"flakehub:{FLAKE}/{version}#{ATTRIBUTE}").bytes_read > 0


@pytest.mark.parametrize("version", ["9.9.9+rev-{}", "1.5.0+rev-{}", "0.2.7+rev-{}", "0.1.7-rc+rev-{}"])
def test_a_version_that_nobody_approved_is_not_rolling_because_it_ends_in_the_revision(
    flakehub: FlakeHub, version: str
) -> None:
    flakehub.carry(None)  # what was approved: rolling, of this revision
    version = version.format(flakehub.revision)
    flakehub.releases[:] = [listed(version, flakehub.revision)]
    flakehub.outputs[f"{version}#{ATTRIBUTE}"] = flakehub.store_path
    with pytest.raises(SignatureError, match="carries no proofs at all"):
        flakehub.verify(f"flakehub:{FLAKE}/{version}#{ATTRIBUTE}")
    with pytest.raises(ReadBackError, match="a summary speaks of one version"):
        flakehub.verify(f"flakehub:{FLAKE}/{version.partition('+')[0]}#{ATTRIBUTE}")


def test_a_rolling_release_is_asked_for_by_its_whole_version(flakehub: FlakeHub) -> None:
    flakehub.carry(None)
    version = f"0.1.7+rev-{flakehub.revision}"
    flakehub.releases[:] = [listed(version, flakehub.revision)]
    flakehub.outputs[f"{version}#{ATTRIBUTE}"] = flakehub.store_path
    with pytest.raises(ReadBackError, match=r"FlakeHub has 0\.1\.7\+rev-.* for 0\.1\.7, and"):
        flakehub.verify(f"flakehub:{FLAKE}/0.1.7#{ATTRIBUTE}")


def test_the_same_store_path_released_from_another_revision_was_not_approved_by_that(flakehub: FlakeHub) -> None:
    flakehub.releases[:] = [listed("1.4.0", OTHER)]
    with pytest.raises(SignatureError, match="carries no proofs at all"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


def test_a_summary_for_another_revision_is_refused_where_the_provenance_tells(flakehub: FlakeHub) -> None:
    flakehub.releases.append(listed("1.4.1", OTHER))
    flakehub.outputs[f"1.4.1#{ATTRIBUTE}"] = flakehub.store_path
    flakehub.carry("1.4.1", OTHER)
    with pytest.raises(ReadBackError, match=f"built from {flakehub.revision}, and the release says {OTHER}"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.1#{ATTRIBUTE}")


def test_a_summary_of_another_resource_is_refused(flakehub: FlakeHub) -> None:
    flakehub.releases.append(listed("1.4.1", flakehub.revision))
    flakehub.outputs[f"1.4.1#{ATTRIBUTE}"] = flakehub.store_path
    flakehub.carry("1.4.1", change=lambda resource: resource.replace("1.4.1", "1.4.0"))
    with pytest.raises(ReadBackError, match=r"the summary speaks of flakehub:.*/1\.4\.0\?rev=.*, not of .*1\.4\.1"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.1#{ATTRIBUTE}")
    with pytest.raises(ReadBackError, match="not of oci:elsewhere"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}", resource="oci:elsewhere")


def test_another_store_path_is_none_that_was_approved(flakehub: FlakeHub) -> None:
    flakehub.outputs[f"1.4.0#{ATTRIBUTE}"] = f"/nix/store/{'a' * 32}-tide-clock-1.4.0"
    with pytest.raises(SignatureError, match="carries no proofs at all"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


def test_bytes_that_the_cache_has_lost_are_missed(flakehub: FlakeHub) -> None:
    for nar in (flakehub.place.home / "surfaces/durable-nix/nar").iterdir():
        nar.write_bytes(b"")
    with pytest.raises(ReadBackError, match=r"zero bytes|empty"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


def test_a_flipped_byte_in_the_release_s_proofs_or_the_closure_s_bytes_is_noticed(flakehub: FlakeHub) -> None:
    durable, hash_part = flakehub.place.home / "surfaces/durable-nix", store_path_hash(flakehub.store_path)
    info = (durable / f"{hash_part}.narinfo").read_text()
    paths = [*durable.glob(f"attestations/{hash_part}/*/*.json"), durable / info.split("URL: ")[1].splitlines()[0]]
    assert len(paths) == 3
    for path in paths:
        data = path.read_bytes()
        for position in (0, len(data) // 3, len(data) // 2):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            with pytest.raises(FlywheelError):
                flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")
        path.write_bytes(data)
    assert flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}").bytes_read > 0


def test_a_yanked_release_is_told(flakehub: FlakeHub) -> None:
    flakehub.releases.clear()
    flakehub.yanked["1.4.0"] = flakehub.revision
    with pytest.raises(ReadBackError, match=r"1\.4\.0 was yanked: FlakeHub no longer resolves to it"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


def test_a_release_that_is_not_there_and_one_without_output_paths_are_two_things(flakehub: FlakeHub) -> None:
    with pytest.raises(AbsentError, match=r"FlakeHub has no release 1\.4\.9"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.9#{ATTRIBUTE}")
    flakehub.outputs.clear()
    with pytest.raises(AbsentError, match="released without output paths"):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


@pytest.mark.parametrize(
    "answer",
    [
        {"attribute_path": ATTRIBUTE, "store_path": "/nix/store/../../etc/passwd"},
        {"attribute_path": "packages.x86_64-linux.other", "store_path": f"/nix/store/{'a' * 32}-x"},
        {},
    ],
)
def test_an_answer_that_is_none_of_this_api_is_invalid(flakehub: FlakeHub, answer: dict[str, str]) -> None:
    truth = flakehub.answer

    def lie(target: str) -> Answer:
        return Answer(body=json.dumps(answer).encode()) if "/output/" in target else truth(target)

    flakehub.scripted.otherwise = lambda asked: lie(asked.path)
    with pytest.raises(InvalidInputError):
        flakehub.verify(f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}")


@pytest.mark.parametrize(
    "reference",
    [
        "flakehub:",
        f"flakehub:{FLAKE}/1.4.0",
        f"flakehub:{FLAKE}#{ATTRIBUTE}",
        f"flakehub:{FLAKE}/*#{ATTRIBUTE}",
        f"flakehub:{FLAKE}/1.4#{ATTRIBUTE}",
        f"flakehub:example-org/../1.4.0#{ATTRIBUTE}",
        f"flakehub:{FLAKE}/1.4.0#a/b",
        f"https://flakehub.com/flake/{FLAKE}",
    ],
)
def test_what_is_no_exact_release_is_a_usage_error_that_says_how_to_write_one(
    flakehub: FlakeHub, reference: str
) -> None:
    with pytest.raises(UsageError, match="write flakehub:ORG/FLAKE/VERSION#attribute"):
        flakehub.verify(reference)
    assert flakehub.scripted.asked == []


def test_the_command_asks_for_the_cache_and_prints_what_it_found(flakehub: FlakeHub) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "flywheel"), "verify", f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}"]
        command += ["--key", str(flakehub.place.home / "keys/release.pub"), "--json", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    refused = run()
    assert refused.returncode == 2
    assert "--cache https://cache.example which" in refused.stderr, "it can be copied"
    done = run("--cache", flakehub.cache, "--flakehub", flakehub.scripted.url)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["reference"] == f"flakehub:{FLAKE}/1.4.0#{ATTRIBUTE}"
    assert document["resource"].startswith("flakehub:")
