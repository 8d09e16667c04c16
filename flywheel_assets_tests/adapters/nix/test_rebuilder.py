"""A real Nix builds again from a local Git repository, in its sandbox and in a store of its own. No /nix is needed."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from flywheel_assets.adapters.git import fetch_revision
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.rebuilder import NixRebuilder
from flywheel_assets.domain.artifacts import ClosureMember
from flywheel_assets.domain.digests import GitRevision, NarHash, Sha256
from flywheel_assets.domain.errors import InvalidInputError, UnreadableError
from flywheel_assets.domain.listings import FileKind, compare
from flywheel_assets_tests.promotion.installation import a_signer

pytestmark = pytest.mark.peer("nix", "git")

REPOSITORY = "https://git.example/org/tool"
# The rebuilder's own options win over a machine that is set up carelessly.
CONFIGURATION = """experimental-features = nix-command flakes
sandbox = false
accept-flake-config = true
build-users-group =
sandbox-paths = /bin /usr /lib /lib64
"""
FLAKE = """{
  outputs = _: {
    packages.x86_64-linux =
      let
        build = name: script: derivation {
          inherit name;
          system = "x86_64-linux";
          builder = "/bin/sh";
          args = [ "-c" script ];
          PATH = "/bin:/usr/bin";
        };
      in rec {
        library = build "library" "echo library > $out";
        same = build "same" "mkdir -p $out/bin; echo ${library} > $out/bin/tool; chmod +x $out/bin/tool";
        different = build "different" "mkdir $out; echo same > $out/a; head -c 20 /dev/urandom > $out/noise";
        curious = build "curious" "cat ${toString ./.}/flake.nix /etc/shadow /root/* $HOME/* > $out 2>&1; exit 0";
        failing = build "failing" "echo it cannot be built >&2; exit 3";
        endless = build "endless" "while true; do sleep 1; done";
        leaky = build "leaky" "echo ${builtins.getEnv "SECRET"} > $out";
      };
  };
}
"""


@dataclass(frozen=True)
class Source:
    """A Git repository with one commit, where a rebuilder may fetch it."""

    folder: Path
    revision: GitRevision

    @property
    def url(self) -> str:
        return f"file://{self.folder}"


def git(folder: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{who}_{what}": "someone@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True, env=environment, timeout=60
    )
    return done.stdout.strip()


def source(folder: Path, flake: str = FLAKE) -> Source:
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "flake.nix").write_text(flake, "utf-8")
    (folder / "flake.lock").write_text('{"nodes": {"root": {}}, "root": "root", "version": 7}', "utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "the tool")
    return Source(folder, GitRevision(git(folder, "rev-parse", "HEAD")))


Make = Callable[..., NixRebuilder]


@pytest.fixture
def tool(tmp_path: Path) -> Source:
    return source(tmp_path / "tool")


@pytest.fixture
def make(peer_path: Callable[[str], Path], tmp_path: Path, tool: Source) -> Make:
    """Makes a rebuilder with a store called so."""
    configuration = tmp_path / "etc"
    configuration.mkdir()
    (configuration / "nix.conf").write_text(CONFIGURATION, "utf-8")
    environment = {"PATH": os.environ["PATH"], "NIX_CONF_DIR": str(configuration), "SECRET": "a secret"}

    def made(store: str, **more: object) -> NixRebuilder:
        rebuilder = NixRebuilder(
            signer=a_signer("rebuilder"),
            nix=str(peer_path("nix")),
            store=f"local?root={tmp_path / store}",
            fetch=partial(fetch_revision, environment=environment),
            caches={},
            environment=environment,
            seconds=120,
            urls={REPOSITORY: tool.url},
        )
        return replace(rebuilder, **more)  # type: ignore[arg-type]  # fields by their names

    return made


def attribute(name: str) -> str:
    return f"packages.x86_64-linux.{name}"


def root(rebuilder: NixRebuilder, tool: Source, name: str) -> ClosureMember:
    closure = rebuilder.rebuild(REPOSITORY, tool.revision, attribute(name)).closure
    return closure.by_path[closure.root]


def test_what_is_reproducible_comes_out_the_same_in_another_store(make: Make, tool: Source) -> None:
    one = make("one").rebuild(REPOSITORY, tool.revision, attribute("same"))
    other = make("other").rebuild(REPOSITORY, tool.revision, attribute("same"))
    assert one.closure == other.closure
    assert [member.path.partition("-")[2] for member in one.closure.members if member.path != one.closure.root] == [
        "library"
    ]
    assert one.source.locked_inputs[0].digest == Sha256.of((tool.folder / "flake.lock").read_bytes())
    assert one.source.committed_at.isoformat() == git(tool.folder, "show", "-s", "--format=%cI")


def test_what_is_not_differs_in_the_files_that_are_not(make: Make, tool: Source) -> None:
    one, other = make("one"), make("other")
    mine, theirs = root(one, tool, "different"), root(other, tool, "different")
    assert mine.path == theirs.path
    assert mine.nar_hash != theirs.nar_hash
    found = compare(one.listing(mine), other.listing(theirs))
    assert found.told(3) == "1 of 2 files differ: noise (content, 20 → 20 bytes)"


def test_a_second_try_builds_nothing_twice(make: Make, tool: Source) -> None:
    """The store keeps what came out: after a crash the same is heard, also of what is irreproducible."""
    rebuilder = make("one")
    assert root(rebuilder, tool, "different") == root(rebuilder, tool, "different")


def test_the_build_sees_neither_this_machine_nor_its_secrets(make: Make, tool: Source) -> None:
    rebuilder = make("one")
    found = rebuilder.listing(root(rebuilder, tool, "leaky"))
    assert found[b""].size == 1, "pure evaluation sees no variable"
    root(rebuilder, tool, "curious")
    text = b"".join(path.read_bytes() for path in Path(rebuilder.store.removeprefix("local?root=")).rglob("*-curious"))
    assert b"/etc/shadow" in text, "there was none"
    assert b"root:" not in text
    assert b"a secret" not in text


def test_a_build_that_fails_says_so(make: Make, tool: Source) -> None:
    with pytest.raises(UnreadableError, match=r"nix build ended with status 1: error: .*failing.*it cannot be built"):
        make("one").rebuild(REPOSITORY, tool.revision, attribute("failing"))


def test_a_build_that_does_not_end_is_ended(make: Make, tool: Source) -> None:
    with pytest.raises(UnreadableError, match=r"timed out|took over"):
        make("one", seconds=2).rebuild(REPOSITORY, tool.revision, attribute("endless"))


def test_an_attribute_that_is_not_there_is_none(make: Make, tool: Source) -> None:
    with pytest.raises(UnreadableError, match="nix build ended"):
        make("one").rebuild(REPOSITORY, tool.revision, attribute("nothing"))


def test_a_revision_that_the_repository_has_not_is_not_fetched(make: Make) -> None:
    with pytest.raises(UnreadableError, match="git could not fetch from file:"):
        make("one").rebuild(REPOSITORY, GitRevision("a" * 40), attribute("same"))


def test_a_nix_that_is_not_there_is_named(make: Make, tool: Source) -> None:
    with pytest.raises(UnreadableError, match="/nowhere/nix cannot be started"):
        make("one", nix="/nowhere/nix").rebuild(REPOSITORY, tool.revision, attribute("same"))


def test_what_a_substituter_has_is_no_second_opinion(make: Make, tool: Source, tmp_path: Path) -> None:
    first = make("one")
    path = root(first, tool, "same").path
    cache = f"file://{tmp_path / 'cache'}"
    secret = tmp_path / "secret"
    generated = subprocess.run(
        [first.nix, "--extra-experimental-features", "nix-command", "key", "generate-secret", "--key-name", "cache-1"],
        check=True,
        capture_output=True,
        timeout=60,
        env={**first.environment, "HOME": str(tmp_path)},
    )
    secret.write_bytes(generated.stdout)
    public = subprocess.run(
        [first.nix, "--extra-experimental-features", "nix-command", "key", "convert-secret-to-public"],
        input=generated.stdout,
        check=True,
        capture_output=True,
        timeout=60,
        env={**first.environment, "HOME": str(tmp_path)},
    ).stdout.decode()
    subprocess.run(
        [
            *(first.nix, "--extra-experimental-features", "nix-command", "copy", "--store", first.store),
            *("--to", f"{cache}?secret-key={secret}", path),
        ],
        check=True,
        timeout=60,
        env={**first.environment, "HOME": str(tmp_path)},
    )
    second = make("other", substituters=(cache,), trusted_public_keys=(public,))
    with pytest.raises(UnreadableError, match="came from a substituter and was not built here"):
        second.rebuild(REPOSITORY, tool.revision, attribute("same"))


def test_a_flake_cannot_change_the_settings(make: Make, tmp_path: Path) -> None:
    hook, sign = tmp_path / "hook", tmp_path / "it-ran"
    hook.write_text(f"#!/bin/sh\ntouch {sign}\n", "utf-8")
    hook.chmod(0o755)
    loose = FLAKE.replace(
        "outputs = _:", f'nixConfig.sandbox = false; nixConfig.post-build-hook = "{hook}"; outputs = _:'
    )
    other = source(tmp_path / "loose", loose.replace("echo library", "test -e /root && echo loose; echo library"))
    rebuilder = make("one", urls={REPOSITORY: other.url})
    made = root(rebuilder, other, "library")
    assert rebuilder.listing(made)[b""].size == len(b"library\n")
    assert not sign.exists()


def test_hooks_and_filters_of_a_source_are_never_run(make: Make, tmp_path: Path) -> None:
    hostile = source(tmp_path / "hostile")
    sign = tmp_path / "it-ran"
    (hostile.folder / ".gitattributes").write_text("* filter=evil\n", "utf-8")
    (hostile.folder / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = ext::touch {sign}\n', "utf-8")
    for name in ("post-checkout", "reference-transaction", "post-merge"):
        hook = hostile.folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {sign}\n", "utf-8")
        hook.chmod(0o755)
    git(hostile.folder, "config", "filter.evil.smudge", f"touch {sign}")
    git(hostile.folder, "add", ".")
    sign.unlink(missing_ok=True)
    git(hostile.folder, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "hostile")
    revision = GitRevision(git(hostile.folder, "rev-parse", "HEAD"))
    sign.unlink(missing_ok=True)
    make("one", urls={REPOSITORY: hostile.url}).rebuild(REPOSITORY, revision, attribute("library"))
    assert not sign.exists()


def test_a_url_of_another_protocol_is_not_fetched(make: Make, tool: Source) -> None:
    for url in ("ext::sh -c true", "ssh://git@example/x", "/tmp"):
        with pytest.raises(UnreadableError, match="git could not fetch"):
            make("one", urls={REPOSITORY: url}).rebuild(REPOSITORY, tool.revision, attribute("same"))


# What lies in a mutable cache


@pytest.fixture
def cached(make: Make, tool: Source, tmp_path: Path) -> tuple[NixRebuilder, ClosureMember]:
    """A rebuilder whose result lies in a cache too."""
    rebuilder = make("one")
    member = root(rebuilder, tool, "same")
    subprocess.run(
        [
            *(rebuilder.nix, "--extra-experimental-features", "nix-command", "copy", "--store", rebuilder.store),
            *("--to", f"file://{tmp_path / 'cache'}", member.path),
        ],
        check=True,
        timeout=60,
        env={**rebuilder.environment, "HOME": str(tmp_path)},
    )
    return replace(rebuilder, caches={"main": NixCache(tmp_path / "cache")}), member


def test_a_cached_body_lists_as_the_built_one(cached: tuple[NixRebuilder, ClosureMember]) -> None:
    rebuilder, member = cached
    found = rebuilder.cached_listing("main", member)
    assert found == rebuilder.listing(member)
    assert found[b"bin/tool"].executable
    assert found[b"bin"].kind is FileKind.DIRECTORY


def test_another_body_than_the_members_is_refused(cached: tuple[NixRebuilder, ClosureMember], tmp_path: Path) -> None:
    rebuilder, member = cached
    other = member.model_copy(update={"nar_hash": NarHash.of(b"other")})
    with pytest.raises(UnreadableError, match="main holds another body of"):
        rebuilder.cached_listing("main", other)
    with pytest.raises(UnreadableError, match="no more as it was built"):
        rebuilder.listing(other)
    with pytest.raises(UnreadableError, match="is truncated"):
        rebuilder.cached_listing("main", member.model_copy(update={"nar_size": member.nar_size + 8}))
    with pytest.raises(UnreadableError, match="elsewhere is no Nix cache"):
        rebuilder.cached_listing("elsewhere", member)
    for body in (tmp_path / "cache" / "nar").iterdir():
        body.write_bytes(b"")
    with pytest.raises((UnreadableError, InvalidInputError), match="is empty"):
        rebuilder.cached_listing("main", member)
