"""Builds flakes with the real Nix in stores of its own, asks them what was built, and fills a binary cache."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.digests import NarHash
from recording.tools import called, output

CACHE_KEY = "attic-main"
SETTINGS = """\
experimental-features = nix-command flakes
sandbox = false
substituters =
build-users-group =
flake-registry =
sandbox-paths = /bin /usr /lib /lib64
"""
UNCACHED = ("--option", "narinfo-cache-positive-ttl", "0", "--option", "narinfo-cache-negative-ttl", "0")


@dataclass(frozen=True)
class CacheKey:
    """The key pair with which the cache vouches for its rows."""

    secret_file: Path
    public_text: str


class Nix:
    """Nix with settings and a home of its own."""

    def __init__(self, work: Path) -> None:
        self._home = work / "nix-home"
        self._settings = work / "nix-settings"
        self._home.mkdir()
        self._settings.mkdir()
        (self._settings / "nix.conf").write_text(SETTINGS, encoding="utf-8")

    def cache_key(self, work: Path) -> CacheKey:
        """A new key pair; the secret half lies in ``work``."""
        secret, public = work / "cache-key.secret", work / "cache-key.public"
        self._output(None, "nix-store", "--generate-binary-cache-key", CACHE_KEY, secret, public)
        return CacheKey(secret, public.read_text(encoding="utf-8").strip())

    def check(self, store: Path, flake: Path) -> None:
        """Run ``nix flake check``, which the receipts speak of."""
        self._output(store, "nix", "flake", "check", f"path:{flake}")

    def build(self, store: Path, flake: Path, attribute: str) -> str:
        """The store path that ``attribute`` of ``flake`` was built to."""
        built = self._output(store, "nix", "build", f"path:{flake}#{attribute}", "--no-link", "--json")
        return str(json.loads(built)[0]["outputs"]["out"])

    def closure(self, store: Path, root: str) -> NixClosure:
        """The closure of ``root`` as the builder's own store knows it."""
        entries = self.path_infos(store, root, "--recursive")
        return NixClosure(
            root=root,
            deriver=next(entry["deriver"] for entry in entries if entry["path"] == root),
            members=tuple(
                ClosureMember(
                    path=entry["path"],
                    nar_hash=NarHash.parse(entry["narHash"]),
                    nar_size=entry["narSize"],
                    references=tuple(entry["references"]),
                )
                for entry in entries
            ),
        )

    def path_infos(self, store: Path | str, *arguments: str) -> list[dict[str, Any]]:
        """``nix path-info --json``: a list of objects up to Nix 2.19, an object by path in later ones."""
        found = json.loads(self._output(store, "nix", "path-info", "--json", *UNCACHED, *arguments))
        return found if isinstance(found, list) else [{"path": path, **entry} for path, entry in found.items()]

    def fill_cache(self, store: Path, root: str, cache: Path, key: CacheKey) -> None:
        """Copy the closure of ``root`` into the binary cache, signed with the cache's key."""
        url = f"file://{cache}?compression=zstd&secret-key={key.secret_file}"
        self._output(store, "nix", "copy", root, "--to", url)

    def can_install(self, cache: Path, store: Path, root: str, key: CacheKey) -> bool:
        """Whether a Nix that trusts the cache's key takes the closure of ``root`` from it."""
        trust = ("--option", "trusted-public-keys", key.public_text)
        command = ("nix", "copy", root, "--from", f"file://{cache}", *trust, *UNCACHED)
        return called(*command, home=self._home, environment=self._environment(store)).returncode == 0

    def dump(self, path: Path) -> bytes:
        """The NAR of a file or folder."""
        return self._output(None, "nix-store", "--dump", path)

    def _output(self, store: Path | str | None, *command: str | Path) -> bytes:
        return output(*command, home=self._home, environment=self._environment(store))

    def _environment(self, store: Path | str | None) -> dict[str, str]:
        chosen = {} if store is None else {"NIX_REMOTE": str(store)}
        return {"NIX_CONF_DIR": str(self._settings), **chosen}


def on_disk(store: Path, path: str) -> Path:
    """Where a store path really lies."""
    return store / path.removeprefix("/")


def writable_copy(source: Path, target: Path) -> None:
    """Copy a folder out of a store, where all is read-only, into one that can be changed."""
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
