"""How long publishing an image takes from registry to registry, beside `skopeo copy` and `crane copy`.

All are run in turns, each into a registry of its own that has never seen the image; printed are medians and their
ratios. Ours is what a promotion does between the gate and the read-back, but for its proofs: plan, copy, reveal, in a
warm process, every byte hashed, and what refers to the image looked for.
"""

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest
from flywheel_assets.domain.limits import GIB, KIB, MIB
from flywheel_assets.domain.publications import Release
from flywheel_assets_tests import delaying
from flywheel_assets_tests.peers import Peers
from flywheel_assets_tests.processes import Server, running

NAME = "bench/image"
LAYERS = 12
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PEERS = Peers(Path(__file__).parents[1] / ".venv" / "peers.json")
SKOPEO_CACHE = Path("/var/lib/containers/cache/blob-info-cache-v1.boltdb")
ROUND_TRIP = 0.020

Contestant = Callable[[str, str], float]
"""From source and target (``host:port``) to seconds."""


def ignored(_count: int) -> None:
    """A progress that nobody watches."""


# --- what is copied, and where ------------------------------------------------------------------


@contextmanager
def registry(folder: Path) -> Iterator[Server]:
    """An empty registry, gone with all its data after the block."""
    folder.mkdir(parents=True)

    def command(port: int) -> list[str]:
        lines = ["version: 0.1", "log: {level: error, accesslog: {disabled: true}}"]
        lines += [f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}", f"http: {{addr: 127.0.0.1:{port}}}"]
        (folder / "config.yml").write_text("\n".join(lines))
        return [peer("docker-registry"), "serve", str(folder / "config.yml")]

    try:
        with running(folder, command) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def far(folder: Path, server: Server) -> Iterator[str]:
    """``host:port`` of the server, a round trip away."""
    folder.mkdir(parents=True)

    def command(port: int) -> list[str]:
        return [sys.executable, delaying.__file__, str(port), str(server.port), str(ROUND_TRIP / 2)]

    with running(folder, command) as proxy:
        yield proxy.host


class Pieces:
    """Bytes that do not compress, made piece by piece each time they are iterated."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self._seed = size, seed

    def __iter__(self) -> Iterator[bytes]:
        piece = random.Random(self._seed).randbytes(MIB)  # noqa: S311 - the same in every run
        for number in range(0, self.size, MIB):
            yield (number.to_bytes(8, "little") + piece[8:])[: self.size - number]


def fill(server: Server, size: int, layers: int) -> Release:
    """Put an image of ``size`` bytes into the registry; the release of it."""
    import hashlib

    repository = Registry(server.url).repository(NAME)
    described = []
    for number in range(layers):
        pieces, hasher = Pieces(size // layers, number), hashlib.sha256()
        for piece in pieces:
            hasher.update(piece)
        blob = BlobDigest.from_hex(hasher.hexdigest())
        repository.put_blob(pieces, blob, pieces.size)
        described.append({"mediaType": LAYER, "digest": str(blob), "size": pieces.size})
    digests = [layer["digest"] for layer in described]
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": digests}}
    ).encode()
    repository.put_blob([config], BlobDigest.of(config), len(config))
    entry = {"mediaType": CONFIG, "digest": str(BlobDigest.of(config)), "size": len(config)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": entry, "layers": described}).encode()
    repository.put_manifest(manifest, MANIFEST)
    digest = ManifestDigest.of(manifest)
    repository.set_names({"v1": {"mediaType": MANIFEST, "digest": str(digest), "size": len(manifest)}}, ())
    return Release(
        output="bench",
        build=BuildKey(run="1", attempt=1, system="x86_64-linux"),
        artifact=OciImage(repository=NAME, manifest=digest, platforms={"linux/amd64": digest}),
        repository=NAME,
        tags=("v1",),
    )


# --- the contestants ----------------------------------------------------------------------------


def ours(release: Release) -> Contestant:
    """A promotion, with connections and clients of its own."""

    def run(source: str, target: str) -> float:
        began = time.monotonic()
        staging = OciStaging(Registry(f"http://{source}").repository)
        surface = OciSurface(Registry(f"http://{target}").repository, staging)
        plan = surface.plan(release)
        surface.copy(plan, ignored)
        surface.reveal(plan)
        return time.monotonic() - began

    return run


def skopeo(source: str, target: str) -> float:
    """Without what it remembers from earlier runs."""
    SKOPEO_CACHE.unlink(missing_ok=True)
    options = ["--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
    return timed(peer("skopeo"), *options, f"docker://{source}/{NAME}:v1", f"docker://{target}/{NAME}:v1")


def crane(source: str, target: str) -> float:
    """As it is."""
    return timed(peer("crane"), "copy", "--insecure", f"{source}/{NAME}:v1", f"{target}/{NAME}:v1")


def timed(*command: str) -> float:
    """Seconds that a command takes."""
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def peer(name: str) -> str:
    """Where `make peers` put a part."""
    return str(PEERS.path(name))


def contest(folder: Path, what: str, source: Server, release: Release, rounds: int, *, is_far: bool = False) -> None:
    """All of them in turns, cold and with everything present."""
    contestants: dict[str, Contestant] = {"ours": ours(release), "skopeo": skopeo, "crane": crane}
    cold: dict[str, list[float]] = {name: [] for name in contestants}
    again: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            with (
                registry(folder / f"{name}-{number}") as target,
                placed(folder, source, target, is_far=is_far) as hosts,
            ):
                first, second = run(*hosts), run(*hosts)
            if number:  # the first warms files and code
                cold[name].append(first)
                again[name].append(second)
    report(what, cold, 0.5 if is_far else 0.75)
    report(f"{what}, all present", again, 0.5 if is_far else 0.4)


@contextmanager
def placed(folder: Path, source: Server, target: Server, *, is_far: bool) -> Iterator[tuple[str, str]]:
    """Source and target as ``host:port``, both a round trip away or here."""
    if not is_far:
        yield source.host, target.host
        return
    here = folder / f"proxies-{target.port}"
    with far(here / "source", source) as one, far(here / "target", target) as other:
        yield one, other


def report(what: str, seconds: dict[str, list[float]], limit: float) -> None:
    """One line for each other contestant."""
    median = {name: statistics.median(each) for name, each in seconds.items()}
    for name in ("skopeo", "crane"):
        ratio = median["ours"] / median[name]
        told = f"ours {median['ours']:7.3f} s   {name:<6} {median[name]:7.3f} s   ratio {ratio:5.2f}"
        sys.stdout.write(f"{what:<34} {told} (target {limit:.2f}) {'ok' if ratio <= limit else 'MISSED'}\n")
    sys.stdout.flush()


def memory(folder: Path, gigabytes: float) -> None:
    """Print the peak memory of a child that publishes one layer of this size."""
    with registry(folder / "source") as source, registry(folder / "target") as target:
        release = fill(source, int(gigabytes * GIB) // MIB * MIB, 1)
        command = [sys.executable, __file__, "--child", source.host, target.host, release.model_dump_json()]
        subprocess.run(command, check=True)


def child(source: str, target: str, release: Release) -> None:
    """Publish, and say how much memory that took."""
    seconds = ours(release)(source, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB
    sys.stdout.write(f"one large layer: {seconds:.1f} s, peak memory {peak:.0f} MiB (target 100)\n")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the image")
    parser.add_argument("--huge", type=float, default=5.0, help="GiB of the one layer whose copying is weighed")
    parser.add_argument("--only", choices=["near", "far", "memory"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], chosen.child[1], Release.model_validate_json(chosen.child[2]))
        return
    with tempfile.TemporaryDirectory(prefix="oci-bench-") as name:
        folder = Path(name)
        if chosen.only in {None, "near"}:
            with registry(folder / "near") as source:
                release = fill(source, int(chosen.gigabytes * GIB), LAYERS)
                contest(folder, f"{chosen.gigabytes:g} GB, {LAYERS} layers", source, release, chosen.rounds)
        if chosen.only in {None, "far"}:
            with registry(folder / "far") as source:
                release = fill(source, int(chosen.gigabytes * GIB / 10), LAYERS)
                what = f"{chosen.gigabytes * 100:g} MB, 20 ms away"
                contest(folder, what, source, release, chosen.rounds, is_far=True)
        if chosen.only in {None, "memory"}:
            memory(folder, chosen.huge)


if __name__ == "__main__":
    main()
