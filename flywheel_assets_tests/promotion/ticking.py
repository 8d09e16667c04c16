"""A process that does nothing but ticks, for tests that kill it: ``python -m … <folder> <url of the forge>``."""

import sys
import time
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
from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.runs import take_in_runs
from flywheel_assets_tests.promotion.forged import catalogue
from flywheel_assets_tests.promotion.installation import in_memory


def opened(folder: Path, forge: str) -> Flywheel:
    """A flywheel whose evidence is in the folder, and the source its only other part that is real."""
    signer, verifier = key_file(folder / "verifier.pem"), SignatureVerifier()
    evidence = FolderEvidence(folder / "evidence", folder / "checkpoints", signer, verifier)
    source = GithubRuns(Asking(HttpClient(forge)), "receipt*")
    memory = in_memory("nothing", catalogue=catalogue(SourceKind.GITHUB))
    return replace(memory.flywheel, evidence=evidence, runs={"forge": source})


def main(folder: Path, forge: str) -> None:
    """Ticks without end; the cursor is kept when one has ended."""
    stamina.set_testing(True, attempts=4, cap=True)  # tried again as ever, without the waits
    instrumentation.set_on_retry_hooks([])
    flywheel, kept = opened(folder, forge), folder / "cursor"
    while True:
        cursor = kept.read_text() if kept.exists() else ""
        deadline = time.monotonic() + 2
        found = take_in_runs(flywheel, cursor, lambda deadline=deadline: time.monotonic() > deadline)  # type: ignore[misc]
        write_atomically(kept, found.cursor.encode())
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
