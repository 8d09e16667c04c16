"""A builder's machine for tests of `flywheel receipt`: a checkout, a key, an inbox, and a Nix that knows one path."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.receipts import Receipt, read_statement

FLYWHEEL = Path(sys.executable).parent / "flywheel"
REPOSITORY = "https://github.com/example-org/lamp"
STORE_PATH = f"/nix/store/{'a' * 32}-lamp-1.0"
NIX = f"""#!/bin/sh
echo '[{{"path": "{STORE_PATH}", "narHash": "sha256:{"0" * 52}", "narSize": 120, "references": []}}]'
"""


@dataclass(frozen=True)
class Machine:
    """All of it lies in one folder."""

    folder: Path

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def key(self) -> Path:
        return self.folder / "builder.pem"

    def prepare(self) -> None:
        for name in ("checkout", "inbox", "bin"):
            (self.folder / name).mkdir()
        nix = self.folder / "bin" / "nix"
        nix.write_text(NIX, encoding="utf-8")
        nix.chmod(0o755)
        key_file(self.key)
        git = ("git", "-C", str(self.folder / "checkout"), "-c", "user.name=T", "-c", "user.email=t@example.org")
        for command in (("init", "-q", "-b", "main"), ("commit", "-q", "--allow-empty", "-m", "light")):
            subprocess.run([*git, *command], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})

    def run(
        self, *command: str | Path, code: int = 0, variables: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        """In the checkout, with these variables and next to no others."""
        path = f"{self.folder / 'bin'}:{FLYWHEEL.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder / "checkout",
            env={"PATH": path, "HOME": str(self.folder), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def options(self, *more: str) -> tuple[str, ...]:
        """Those that every receipt takes, but for who signs it and where it goes."""
        return (
            *("--output", "lamp", "--builder", "example-nix", "--run", "7", "--event", "push", "--actor", "ada"),
            *("--repository", REPOSITORY, *more),
        )

    def signed(self, *more: str) -> tuple[str, ...]:
        """The options of a receipt that goes into the inbox."""
        return self.options("--key", str(self.key), "--to", str(self.inbox), *more)

    def receipt(self, folder: Path | None = None) -> Receipt:
        """The one in the inbox, or in another folder, whose signature verifies."""
        (path,) = (folder or self.inbox).glob("*.json")
        checked = SignatureVerifier().check(path.read_bytes(), path.name, {"builder": key_file(self.key).public_key})
        assert checked.keys == ("builder",)
        found = read_statement(checked.payload, path.name)
        assert isinstance(found, Receipt)
        return found
