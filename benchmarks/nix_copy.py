"""How long publishing a closure takes, beside `nix copy`, which verifies nothing on the way from cache to cache.

Both are run in turns, each into a place of its own; printed are medians and their ratio. Ours is what a promotion does
between the gate and the read-back, but for its proofs: plan, copy, reveal, in a warm process, every byte hashed, every
path signed. `nix copy` starts anew each time: that is how it is used, and takes it 20 ms.

ext4 makes new files slowly for minutes after many were deleted nearby, which slows both sides and blurs the ratio:
TMPDIR chooses another place.
"""

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

from backports import zstd

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.narinfo import NarInfo, render_narinfo
from flywheel_assets.adapters.nix.opening import cache_files, durable_files
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.digests import FileHash, NarHash
from flywheel_assets.domain.limits import GIB, KIB, MIB
from flywheel_assets_tests import delaying
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, ignored, made, nar, release, store_path
from flywheel_assets_tests.peers import Peers
from flywheel_assets_tests.processes import Server, running

KEY = NixSigningKey.generate("release-1")
ROUND_TRIP = 0.020
FSYNCED = 0.65
DISTANT = 0.5

Contestant = Callable[[str, str], float]
"""From the URLs of source and target to seconds."""


# --- what is copied -----------------------------------------------------------------------------


def real_bytes() -> Iterator[bytes]:
    """Libraries of this machine, without end: they compress as real outputs do."""
    files = sorted(path for path in Path("/usr/lib").rglob("*.so*") if path.is_file() and not path.is_symlink())
    while True:
        for path in files:
            yield path.read_bytes()


def closure_in(cache: Cache, count: int, doublings: int, big: int) -> NixClosure:
    """A root and ``count`` paths of 1 KiB and up to so many ``doublings`` of it, and one of ``big`` bytes, if any."""
    chance = random.Random(7)  # noqa: S311 - the same closure in every run
    source, held, paths = real_bytes(), b"", list[Made]()

    def take(size: int) -> bytes:
        nonlocal held
        while len(held) < size:
            held += next(source)
        data, held = held[:size], held[size:]
        return data

    for number in range(count):
        references = [paths[-1].path] if number % 10 else []
        paths.append(made(f"path-{number}", references, take(int(KIB * 2 ** chance.uniform(0, doublings)))))
    if big:
        paths.append(made("big", contents=take(big)))
    root = made("root", [path.path for path in paths])
    for path in (*paths, root):
        cache.add(path)
    return closure(root, *paths)


def one_path_in(cache: Cache, size: int) -> None:
    """One path of ``size`` bytes that do not compress, written piece by piece."""
    piece = random.Random(7).randbytes(MIB)  # noqa: S311 - as above
    empty = nar(b"")
    head, tail = empty[:-24] + size.to_bytes(8, "little"), empty[-16:]
    compressor, unpacked, packed = zstd.ZstdCompressor(level=1), hashlib.sha256(), hashlib.sha256()
    draft = cache.folder / "draft"
    with draft.open("wb") as file:

        def write(data: bytes) -> None:
            packed.update(data)
            file.write(data)

        for data in (head, *(number.to_bytes(8, "little") + piece[8:] for number in range(size // MIB)), tail):
            unpacked.update(data)
            write(compressor.compress(data))
        write(compressor.flush())
    file_hash = FileHash.from_hex(packed.hexdigest())
    info = NarInfo(
        store_path=store_path("huge"),
        url=f"nar/{file_hash.nix32.removeprefix('sha256:')}.nar.zst",
        compression="zstd",
        file_hash=file_hash,
        file_size=draft.stat().st_size,
        nar_hash=NarHash.from_hex(unpacked.hexdigest()),
        nar_size=len(head) + size + len(tail),
        references=(),
    )
    draft.rename(cache.folder / info.url)
    cache.narinfo(info.store_path).write_bytes(render_narinfo(info))


# --- servers ------------------------------------------------------------------------------------


def nginx(folder: Path) -> AbstractContextManager[Server]:
    """A web server on ``folder``/www, taking PUT."""

    def command(port: int) -> list[str]:
        lines = ["user root;" if os.geteuid() == 0 else "", "daemon off; worker_processes 1; error_log stderr crit;"]
        lines += [f"pid {folder}/pid; events {{ worker_connections 1024; }}", "http {", "access_log off; sendfile on;"]
        lines += [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        lines += [f"root {folder}/www; client_max_body_size 0; dav_methods PUT; create_full_put_path on;"]
        lines += ["keepalive_requests 1000000;", f"server {{ listen 127.0.0.1:{port} backlog=511; }}", "}"]
        (folder / "nginx.conf").write_text("\n".join(lines))
        web_server = str(Peers(Path(__file__).parents[1] / ".venv" / "peers.json").path("nginx"))
        return [web_server, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]

    return running(folder, command)


@contextmanager
def delayed(server: Server, folder: Path) -> Iterator[Server]:
    """``server``, ROUND_TRIP away."""
    folder.mkdir()

    def command(port: int) -> list[str]:
        return [sys.executable, delaying.__file__, str(port), str(server.port), str(ROUND_TRIP / 2)]

    with running(folder, command) as proxy:
        yield proxy


# --- the two contestants ------------------------------------------------------------------------


def ours(artifact: NixClosure) -> Contestant:
    """What a promotion does."""

    def publish(source: str, target: str) -> float:
        began = time.monotonic()
        surface = NixCacheSurface(durable_files(target), NixCache(cache_files(source)), KEY)
        plan = surface.plan(release(artifact))
        surface.copy(plan, ignored)
        surface.reveal(plan)
        return time.monotonic() - began

    return publish


def theirs(artifact: NixClosure, folder: Path) -> Contestant:
    """`nix copy`, with nothing remembered from an earlier run."""
    home = folder / "home"

    def copy(source: str, target: str) -> float:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        (home / "nix.conf").write_text("experimental-features = nix-command\nsubstituters =\nbuild-users-group =\n")
        own = {"HOME": str(home), "NIX_CONF_DIR": str(home), "NIX_REMOTE": str(home / "store")}
        places = ["--from", source, "--to", f"{target}?compression=zstd"]
        began = time.monotonic()
        subprocess.run(
            ["nix", "copy", "--no-check-sigs", *places, artifact.root],
            env={"PATH": os.environ["PATH"], **own},
            check=True,
            capture_output=True,
        )
        return time.monotonic() - began

    return copy


@contextmanager
def without_fsync() -> Iterator[None]:
    """`nix copy` does not sync: neither do we, where the two are compared like for like."""
    with mock.patch("os.fsync"), mock.patch("flywheel_assets.adapters.nix.durable._sync_file_system"):
        yield


class Contest:
    """Runs in turns of one closure, from the cache at ``server``/source into targets that are new each time."""

    def __init__(self, name: str, folder: Path, artifact: NixClosure, rounds: int) -> None:
        self.name, self.folder, self.rounds = name, folder, rounds
        self.mine, self.its = ours(artifact), theirs(artifact, folder)
        self._targets = 0

    def to_files(self, server: Server, what: str, limit: float, *, once: bool = False) -> None:
        """From HTTP to folders; ``once`` for what takes minutes."""
        self._compare(f"{server.url}/source", lambda name: f"file://{self.folder}/{name}", what, limit, once=once)

    def to_http(self, server: Server, what: str, limit: float) -> None:
        """From HTTP to the same server, by PUT."""
        self._compare(f"{server.url}/source", lambda name: f"{server.url}/{name}", what, limit, once=False)

    def _compare(self, source: str, target: Callable[[str], str], what: str, limit: float, *, once: bool) -> None:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(1 if once else self.rounds + 1):
            for run, found in zip((self.mine, self.its), times, strict=True):
                self._targets += 1
                found.append(run(source, target(f"target-{self._targets}")))
        # The first of each warmed files and code.
        one, other = (statistics.median(found[1:] or found) for found in times)
        verdict = "" if one / other <= limit else "  MISSED"
        print(
            f"{self.name}, {what:28} ours {one:7.3f} s   nix copy {other:7.3f} s   "
            f"ratio {one / other:.2f}, target {limit:.2f}{verdict}",
            flush=True,
        )


def contest(name: str, folder: Path, shape: tuple[int, int, int], limit: float, rounds: int) -> None:
    """All pairings of one closure."""
    artifact = closure_in(Cache(folder / "www" / "source"), *shape)
    size = sum(member.nar_size for member in artifact.members) / MIB
    run = Contest(f"{name} ({size:.0f} MiB)", folder, artifact, rounds)
    with nginx(folder) as server, delayed(server, folder / "delaying") as distant:
        with without_fsync():
            run.to_files(server, "HTTP to file", limit)
        run.to_files(server, "HTTP to file, fsynced", FSYNCED)
        run.to_http(server, "HTTP to HTTP", limit)
        run.to_files(distant, f"{1000 * ROUND_TRIP:.0f} ms away, to file", DISTANT, once=True)


# --- memory -------------------------------------------------------------------------------------


def memory(folder: Path, gigabytes: float) -> None:
    """Print the peak memory of a new process that publishes one NAR of this size from HTTP to HTTP."""
    one_path_in(Cache(folder / "www" / "source"), int(gigabytes * GIB) // MIB * MIB)
    with nginx(folder) as server:
        subprocess.run([sys.executable, __file__, "--publish", server.url], check=True)


def publish_one(server: str) -> None:
    """What that new process does."""
    info = NixCache(cache_files(f"{server}/source")).look_up(store_path("huge"))
    member = ClosureMember(path=info.store_path, nar_hash=info.nar_hash, nar_size=info.nar_size, references=())
    artifact = NixClosure(root=info.store_path, deriver=None, members=(member,))
    seconds = ours(artifact)(f"{server}/source", f"{server}/target")
    # Not ru_maxrss: that begins with what the parent had.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        f"one NAR of {info.nar_size / GIB:.1f} GiB, HTTP to HTTP: {seconds:.1f} s, "
        f"peak memory {int(peak.split()[1]) / KIB:.0f} MiB, target 100"
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--only", choices=["closures", "memory"])
    parser.add_argument("--publish", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.publish:
        publish_one(chosen.publish)
        return
    with tempfile.TemporaryDirectory(prefix="nix-copy-") as name:
        if chosen.only in {None, "closures"}:
            contest("200 small paths and 50 MB", Path(name) / "one", (200, 5, 50_000_000), 0.5, chosen.rounds)
            contest("2,000 paths", Path(name) / "two", (1999, 8, 0), 0.3, chosen.rounds)
        if chosen.only in {None, "memory"}:
            memory(Path(name) / "three", chosen.gigabytes)


if __name__ == "__main__":
    main()
