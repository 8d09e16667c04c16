"""A process that ticks for ever, for tests that kill it: ``python -m … <folder> <url of the forge>``."""

import sys
from dataclasses import replace
from pathlib import Path

import stamina
from stamina import instrumentation

from flywheel_assets.adapters.evidence.folder import FolderEvidence
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.orchestration import sensors
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings
from flywheel_assets_tests.orchestration.bench import Bench
from flywheel_assets_tests.orchestration.bursts import carry_out, instance_of
from flywheel_assets_tests.promotion.forged import catalogue
from flywheel_assets_tests.promotion.installation import in_memory

VISIT_SECONDS = 6


def opened(folder: Path, forge: str) -> Flywheel:
    """A flywheel whose evidence is in the folder, and the source its only other part that is real."""
    signer, verifier = key_file(folder / "verifier.pem"), SignatureVerifier()
    evidence = FolderEvidence(folder / "evidence", folder / "checkpoints", signer, verifier)
    source = GithubRuns(Asking(HttpClient(forge)), "receipt*")
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    return replace(memory.flywheel, evidence=evidence, runs={"forge": source})


def main(folder: Path, forge: str) -> None:
    """Both sensors in turn, on an instance that outlives this process."""
    stamina.set_testing(True, attempts=4, cap=True)  # tried again as ever, without the waits
    instrumentation.set_on_retry_hooks([])
    setattr(sensors, "INTAKE_SECONDS", VISIT_SECONDS)  # noqa: B010 - it only imports the name
    with instance_of(folder) as instance:
        bench = Bench(Settings(folder, SAMPLE_CATALOGUE), opened(folder, forge), instance)
        while True:
            carry_out(bench, folder / "place.json", sensors.follow_forges)
            carry_out(bench, folder / "settled.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
