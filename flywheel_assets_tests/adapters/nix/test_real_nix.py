"""The real Nix builds, fills the mutable cache, and is the consumer of the durable one. No /nix is needed."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.nix.builder import closure_of
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import CacheFiles, DurableFiles
from flywheel_assets.adapters.nix.narinfo import parse_narinfo, render_narinfo
from flywheel_assets.adapters.nix.opening import cache_files, durable_files
from flywheel_assets.adapters.nix.signatures import NixSigningKey, verify_signature
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets_tests.adapters.nix.making import ignored, release
from flywheel_assets_tests.servers import WebServer

pytestmark = pytest.mark.peer("nix")

CONFIGURATION = """experimental-features = nix-command flakes
sandbox = false
substituters =
build-users-group =
flake-registry =
sandbox-paths = /bin /usr /lib /lib64
require-sigs = true
"""
# Two paths, of which one refers to the other and to itself; the padding makes a body of several chunks.
EXPRESSION = """
let
  build = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
    PATH = "/bin:/usr/bin";
  };
  lib = build "lib" "head -c 3000000 /dev/zero > $out; echo lib >> $out";
in build "app" "mkdir $out; echo ${lib} $out > $out/names"
"""


@dataclass
class Nix:
    """Nix with a store, a home and a configuration of its own."""

    program: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "NIX_CONF_DIR": str(self.folder / "etc"),
            "NIX_REMOTE": str(self.folder / "store"),
        }

    def prepare(self) -> None:
        for name in ("home", "etc"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "etc" / "nix.conf").write_text(CONFIGURATION, encoding="utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def take(self, cache: Path | str, path: str, *keys: str) -> subprocess.CompletedProcess[str]:
        """Import a closure into this store, trusting these keys alone."""
        options = ("--option", "narinfo-cache-positive-ttl", "0", "--option", "narinfo-cache-negative-ttl", "0")
        trust = ("--option", "trusted-public-keys", " ".join(keys))
        place = f"file://{cache}" if isinstance(cache, Path) else cache
        return self.run("copy", "--from", place, *options, *trust, path)


@dataclass
class Built:
    """A closure of two paths in a builder's store and in its mutable cache, signed by the builder's key."""

    nix: Nix
    closure: NixClosure
    cache: Path
    key: NixSigningKey


@pytest.fixture
def make_nix(peer_path: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Nix]:
    def make(name: str) -> Nix:
        nix = Nix(peer_path("nix"), tmp_path / name)
        nix.prepare()
        return nix

    return make


@pytest.fixture(params=["zstd"])
def built(
    make_nix: Callable[[str], Nix],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Built:
    nix = make_nix("builder")
    root = nix.ok("build", "--impure", "--expr", EXPRESSION, "--json", "--out-link", "result")
    assert root
    for name, value in nix.environment.items():
        monkeypatch.setenv(name, value)
    closure = closure_of(str(nix.folder / "result"), (str(nix.program),))
    key = NixSigningKey.generate("builder-1")
    secret = tmp_path / "secret"
    secret.write_text(key.to_text(), encoding="utf-8")
    cache = tmp_path / "cache"
    nix.ok("copy", "--to", f"file://{cache}?compression={request.param}&secret-key={secret}", closure.root)
    return Built(nix, closure, cache, key)


def publish(
    built: Built,
    target: Path | DurableFiles,
    key: NixSigningKey,
    artifact: NixClosure | None = None,
    source: Path | CacheFiles | None = None,
) -> NixCacheSurface:
    upstream = (built.key.public_text,)
    surface = NixCacheSurface(target, NixCache(source or built.cache, upstream), key, upstream_keys=upstream)
    plan = surface.plan(release(artifact or built.closure))
    surface.copy(plan, ignored)
    surface.reveal(plan)
    return surface


def test_a_builder_reads_its_closure_from_nix(built: Built) -> None:
    assert built.closure.root.endswith("-app")
    assert [member.path[-4:] for member in built.closure.members if member.path != built.closure.root] == ["-lib"]
    assert built.closure.root in built.closure.by_path[built.closure.root].references
    assert len(built.closure.by_path[built.closure.root].references) == 2
    assert built.closure.deriver is not None
    assert built.closure.deriver.endswith("-app.drv")
    again = closure_of(built.closure.root, (str(built.nix.program),))
    assert again == built.closure
    with pytest.raises(UnreadableError, match="error:"):
        closure_of(built.closure.root.replace("-app", "-none"), (str(built.nix.program),))


@pytest.mark.parametrize("built", ["zstd", "xz", "bzip2", "none"], indirect=True)
def test_what_nix_wrote_is_read_whole_verified_and_written_alike(built: Built) -> None:
    readings = NixCache(built.cache).inspect(built.closure, ignored)
    assert len(readings) == 2
    for reading in readings:
        assert reading.state is ReadState.READ
        assert reading.digest == reading.expected_digest
        assert reading.index_problems == reading.added_references == ()
        data = (built.cache / f"{store_path_hash(reading.member)}.narinfo").read_bytes()
        info = parse_narinfo(data, reading.member)
        assert render_narinfo(info) == data
    # The cache signs what the receipt says: our fingerprint and theirs are the same.
    signed = NixCache(built.cache, (built.key.public_text,), members_are_signed=True)
    assert {reading.vouched_by for reading in signed.inspect(built.closure, ignored)} == {"builder-1"}


def test_a_path_that_the_receipt_leaves_out_is_taken_on_the_signature_of_nix(
    built: Built, tmp_path: Path, make_nix: Callable[[str], Nix]
) -> None:
    root = built.closure.by_path[built.closure.root]
    partial = NixClosure(root=built.closure.root, deriver=None, members=(root,))
    readings = NixCache(built.cache, (built.key.public_text,)).inspect(partial, ignored)
    assert sorted(reading.vouched_by for reading in readings) == ["", "builder-1"]
    key = NixSigningKey.generate("release-1")
    publish(built, tmp_path / "durable", key, partial)
    done = make_nix("consumer").take(tmp_path / "durable", built.closure.root, key.public_text)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("built", ["zstd", "xz", "none"], indirect=True)
def test_nix_imports_what_was_published_trusting_the_release_key_alone(
    built: Built, tmp_path: Path, make_nix: Callable[[str], Nix]
) -> None:
    key, target = NixSigningKey.generate("release-1"), tmp_path / "durable"
    surface = publish(built, target, key)
    readings = surface.read_back(release(built.closure), ignored)
    assert {reading.vouched_by for reading in readings} == {"release-1"}
    consumer = make_nix("consumer")
    done = consumer.take(target, built.closure.root, key.public_text)
    assert done.returncode == 0, done.stderr
    names = consumer.folder / "store" / built.closure.root.removeprefix("/") / "names"
    assert built.closure.root in names.read_text(encoding="utf-8")
    consumer.ok("store", "verify", "--recursive", "--no-trust", built.closure.root)


def test_nix_imports_from_the_web_what_was_published_there(
    built: Built, make_nix: Callable[[str], Nix], nginx: WebServer
) -> None:
    built.cache.rename(nginx.folder / "mutable")
    key, target = NixSigningKey.generate("release-1"), f"{nginx.url}/durable"
    surface = publish(built, durable_files(target), key, source=cache_files(f"{nginx.url}/mutable"))
    assert {reading.vouched_by for reading in surface.read_back(release(built.closure), ignored)} == {"release-1"}
    consumer = make_nix("consumer")
    stranger = consumer.take(target, built.closure.root, NixSigningKey.generate("release-1").public_text)
    assert stranger.returncode != 0
    assert "signature" in stranger.stderr
    done = consumer.take(target, built.closure.root, key.public_text)
    assert done.returncode == 0, done.stderr
    consumer.ok("store", "verify", "--recursive", "--no-trust", built.closure.root)


def test_nix_refuses_the_mutable_cache_and_any_other_key(
    built: Built, tmp_path: Path, make_nix: Callable[[str], Nix]
) -> None:
    key, target = NixSigningKey.generate("release-1"), tmp_path / "durable"
    publish(built, target, key)
    stranger = NixSigningKey.generate("release-1")
    for number, (cache, trusted) in enumerate([(built.cache, key), (target, stranger)]):
        done = make_nix(f"consumer-{number}").take(cache, built.closure.root, trusted.public_text)
        assert done.returncode != 0
        assert "signature" in done.stderr


def test_nix_and_read_back_refuse_a_flipped_byte(built: Built, tmp_path: Path, make_nix: Callable[[str], Nix]) -> None:
    key, target = NixSigningKey.generate("release-1"), tmp_path / "durable"
    surface = publish(built, target, key)
    url = parse_narinfo((target / f"{store_path_hash(built.closure.root)}.narinfo").read_bytes(), "app").url
    data = bytearray((target / url).read_bytes())
    data[len(data) // 2] ^= 1
    (target / url).write_bytes(data)
    done = make_nix("consumer").take(target, built.closure.root, key.public_text)
    assert done.returncode != 0
    bad = next(r for r in surface.read_back(release(built.closure), ignored) if r.member == built.closure.root)
    assert bad.state is not ReadState.READ or bad.digest != bad.expected_digest


def test_nix_refuses_a_narinfo_whose_references_were_changed(
    built: Built, tmp_path: Path, make_nix: Callable[[str], Nix]
) -> None:
    key, target = NixSigningKey.generate("release-1"), tmp_path / "durable"
    publish(built, target, key)
    narinfo = target / f"{store_path_hash(built.closure.root)}.narinfo"
    lines = narinfo.read_text(encoding="utf-8").splitlines(keepends=True)
    narinfo.write_text("".join("References: \n" if line[:10] == "References" else line for line in lines), "utf-8")
    done = make_nix("consumer").take(target, built.closure.root, key.public_text)
    assert done.returncode != 0
    assert "signature" in done.stderr


def test_keys_of_nix_and_ours_are_the_same(make_nix: Callable[[str], Nix]) -> None:
    nix = make_nix("keys")
    text = nix.ok("key", "generate-secret", "--key-name", "made-by-nix-1")
    key = NixSigningKey.from_text(text)
    assert key.to_text() == text.strip()
    done = subprocess.run(
        [str(nix.program), "key", "convert-secret-to-public"],
        input=text,
        env=nix.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert key.public_text == done.stdout.strip()
    assert verify_signature(key.sign("x"), "x", (done.stdout,)) == "made-by-nix-1"
