"""Starts the real programs, with nothing of this machine's settings, and asks for their versions."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 300
PACKAGES = {
    "nix": "nix-bin",
    "bazel": "bazel-bootstrap",
    "buildah": "buildah",
    "umoci": "umoci",
    "skopeo": "skopeo",
}


class RecordingError(Exception):
    """The sample cannot be recorded, or is not what it must be; says why."""


def called(
    *command: str | Path, home: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The finished program, whatever its exit status; it sees no variable but those given."""
    try:
        return subprocess.run(
            [str(part) for part in command],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=cwd or home,
            env={"PATH": PATH, "HOME": str(home), "LC_ALL": "C.UTF-8", **(environment or {})},
            timeout=TIMEOUT,
        )
    except FileNotFoundError as error:
        raise RecordingError(f"{command[0]} is not there; `make peers` and apt-get bring the tools") from error


def output(
    *command: str | Path, home: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> bytes:
    """What the program writes to its standard output; RecordingError when it fails."""
    done = called(*command, home=home, environment=environment, cwd=cwd)
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-2000:]
        raise RecordingError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done.stdout


def versions(home: Path) -> dict[str, str]:
    """Each tool's version: the package's when there is one, for Debian's Bazel does not know its own."""
    found = {}
    for tool, package in PACKAGES.items():
        asked = called("dpkg-query", "--showformat", "${Version}", "--show", package, home=home)
        if asked.returncode:
            asked = called(tool, "--version", home=home)
        found[tool] = asked.stdout.decode().strip().splitlines()[0] if asked.stdout else "unknown"
    return found
