"""Record the sample flywheel anew, with the real tools, into flywheel_assets/sample.

Everything is made and checked in a temporary folder; only a sample that holds what it promises takes the
place of the old one. What lies beside it in that folder and was not recorded stays.
"""

import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from recording import account, bazel, published, tampering
from recording.cases import CASES, DASHBOARD_IMAGE, FOLDERS, GOOD_TIDE_CLOCK, TRIVY_FILE, TRUNCATED_FILE, Case
from recording.checking import Recorded, check
from recording.envelopes import Keys
from recording.images import Buildah, Layout, copied
from recording.nix import Nix, on_disk
from recording.tools import RecordingError, versions

from flywheel_assets.domain.artifacts import BazelOutputs, NixClosure, OciImage
from flywheel_assets.domain.builds import Dependency
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import TEST_RESULT_V01, statement_bytes

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "scripts" / "recording" / "sources"
SAMPLE = ROOT / "flywheel_assets" / "sample"
CONTAINERFILES = {
    "harbor-map-image": ("harbor-map/Containerfile", ("linux/amd64", "linux/arm64")),
    "runner-dashboard-image": ("app/Dockerfile", ("linux/amd64",)),
}


class Recording:
    """One recording: the builders' stores and keys, and the sample as it grows."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.sample = work / "sample"
        self.sample.mkdir()
        self.keys = Keys()
        self.nix = Nix(work)
        self.cache_key = self.nix.cache_key(work)
        self.buildah = Buildah(work)
        self.store, self.other_store = work / "store", work / "other-store"
        self.receipts: dict[str, Receipt] = {}

    @property
    def closures(self) -> dict[str, NixClosure]:
        """The Nix builds so far, by run."""
        made = {run: receipt.artifact for run, receipt in self.receipts.items()}
        return {run: artifact for run, artifact in made.items() if isinstance(artifact, NixClosure)}

    def record(self) -> None:
        """Build every case, fill the caches, write the receipts, then spoil what is to be spoiled."""
        self.nix.check(self.store, self.checkout(GOOD_TIDE_CLOCK))
        for case in CASES:
            print(f"  {case.run}  {case.output}", flush=True)
            self.receipts[case.run] = self.receipt(case)
        cache = self.sample / "nix-cache"
        tampering.tamper(cache, self.cache_key, self.closures, nix=self.nix, store=self.store, work=self.work)
        self.write_inbox()
        self.publish_dashboard()
        self.keys.write_public(self.sample / "keys")
        public = f"{self.cache_key.public_text}\n"
        (self.sample / "keys" / "attic-main.nix.pub").write_text(public, encoding="utf-8")
        account.write(self.sample / "RECORDED.md", datetime.now(UTC).date(), versions(self.work), self.keys)

    def checkout(self, case: Case) -> Path:
        """The sources of a case, at its version."""
        folder = self.work / "checkouts" / case.run
        if not folder.exists():
            shutil.copytree(SOURCES / FOLDERS[case.repository], folder)
            if case.release:
                release = folder / "release.json"
                values = json.loads(release.read_bytes()) | case.release
                release.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return folder

    def receipt(self, case: Case) -> Receipt:
        """Build a case; the answer is what its builder has to tell."""
        checkout = self.checkout(case)
        artifact = self.built(case, checkout)
        locks = {name: Sha256.of((checkout / name).read_bytes()) for name in case.locks}
        dependencies: tuple[Dependency, ...] = ()
        if case.maker == "nix-image":
            tide_clock = self.closures[GOOD_TIDE_CLOCK.run]
            digest = Sha256(str(tide_clock.digest))
            used = Dependency(output=GOOD_TIDE_CLOCK.output, store_path=tide_clock.root, digest=digest)
            dependencies = (used,)
        return Receipt(output=case.output, run=case.builder_run(locks, dependencies), artifact=artifact)

    def built(self, case: Case, checkout: Path) -> NixClosure | OciImage | BazelOutputs:
        """What the real tool made of a case, which then lies in its mutable cache."""
        if case.maker == "bazel":
            return bazel.built(checkout, "//lint:results", self.sample / "bazel-cache", self.work)
        if case.maker == "nix":
            return self.built_by_nix(case, checkout)
        layout, tag = self.sample / "oci-staging" / case.image, f"run-{case.run}"
        if case.maker == "nix-image":
            made = on_disk(self.store, self.nix.build(self.store, checkout, case.output))
            copied(made, "latest", layout, tag, self.work)
        else:
            definition, platforms = CONTAINERFILES[case.output]
            self.buildah.build(
                checkout / definition,
                case.output,
                platforms=platforms,
                created=case.committed,
                layout=layout,
                tag=tag,
            )
        return Layout(layout).image(case.image, tag)

    def built_by_nix(self, case: Case, checkout: Path) -> NixClosure:
        """The closure of a case. What the second builder made never reaches the cache, which has the path."""
        store = self.other_store if case.other_store else self.store
        root = self.nix.build(store, checkout, case.output)
        self.nix.fill_cache(store, root, self.sample / "nix-cache", self.cache_key)
        return self.nix.closure(store, root)

    def write_inbox(self) -> None:
        """Sign and write each receipt, the scan of the image, and a receipt that was cut."""
        inbox = self.sample / "inbox"
        inbox.mkdir()
        for case in CASES:
            sealed = self.keys.sealed(receipt_statement(self.receipts[case.run]), case.signer)
            (inbox / case.file).write_bytes(sealed)
        whole = (inbox / GOOD_TIDE_CLOCK.file).read_bytes()
        (inbox / TRUNCATED_FILE).write_bytes(whole[: len(whole) // 2])
        image = self.receipts[DASHBOARD_IMAGE.run].artifact
        scan = statement_bytes(
            [(image.name, {"sha256": image.digest.hex})],
            TEST_RESULT_V01,
            {"result": "PASSED", "configuration": [{"name": "trivy scan"}]},
        )
        (inbox / TRIVY_FILE).write_bytes(self.keys.sealed(scan, DASHBOARD_IMAGE.signer))

    def publish_dashboard(self) -> None:
        """Do what the platform's own image workflow has done before this project looks."""
        case, tag = DASHBOARD_IMAGE, f"sha-{str(DASHBOARD_IMAGE.revision)[:12]}"
        staged, public = (self.sample / place / case.image for place in ("oci-staging", "ghcr"))
        layout = copied(staged, f"run-{case.run}", public, tag, self.work)
        published.attach(layout, tag, (self.sample / "inbox" / case.file).read_bytes())


def without_empty_folders(folder: Path) -> None:
    """Remove the folders that hold nothing: neither Git nor a wheel would carry them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def swap_in(new: Path, place: Path) -> None:
    """Put each part of the new sample in its place, by renaming; what was not recorded stays as it is."""
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sample-", dir=ROOT) as name:
        fresh, old = Path(name) / "fresh", Path(name) / "old"
        shutil.copytree(new, fresh, copy_function=shutil.copyfile)
        old.mkdir()
        for part in fresh.iterdir():
            target = place / part.name
            if target.exists():
                target.rename(old / part.name)
            part.rename(target)


def main() -> int:
    """Record, check, and only then replace."""
    with tempfile.TemporaryDirectory(prefix="recording-") as name:
        work = Path(name)
        try:
            print("Recording the builds:", flush=True)
            recording = Recording(work)
            recording.record()
            print("Checking what was recorded …", flush=True)
            recorded = Recorded(recording.sample, recording.receipts, recording.nix, recording.cache_key, work)
            check(recorded, (name, str(ROOT), str(Path.home())))
        except RecordingError as error:
            print(error, file=sys.stderr)
            return 1
        # Only now: Nix makes folders in a cache that it merely reads.
        without_empty_folders(recording.sample)
        swap_in(recording.sample, SAMPLE)
    size = sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file())
    print(f"Recorded {len(CASES)} builds in {size:,} bytes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
