"""What a Git checkout says of itself: revision, ref, commit time, and whether it is dirty."""

import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.errors import UnreadableError, UsageError, printable

TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Checkout:
    """The state of a checkout. ``origin`` is the remote as https URI without ``.git``; empty when there is none."""

    origin: str
    revision: GitRevision
    ref: str
    dirty: bool
    committed_at: datetime


def read_checkout(folder: Path) -> Checkout:
    """Ask git about ``folder``. Raises UsageError when it is no checkout, UnreadableError when git fails."""
    revision = _git(folder, "rev-parse", "HEAD")
    return Checkout(
        origin=_https(_git(folder, "config", "--get", "--default", "", "remote.origin.url")),
        revision=GitRevision(revision),
        ref=_git(folder, "rev-parse", "--symbolic-full-name", "HEAD"),
        # Untracked files count: a build may have seen them.
        dirty=bool(_git(folder, "status", "--porcelain")),
        committed_at=datetime.fromisoformat(_git(folder, "show", "--no-patch", "--format=%cI", "HEAD")),
    )


def _https(url: str) -> str:
    if url.startswith("git@") and ":" in url:
        url = "https://" + url.removeprefix("git@").replace(":", "/", 1)
    return url.removesuffix(".git") if url.startswith("https://") and "@" not in url else ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed, so the source cannot be told. Install git on the builder.") from error
    except subprocess.TimeoutExpired as error:
        raise UnreadableError(f"git did not answer within {TIMEOUT_SECONDS} seconds in {folder}.") from error
    if done.returncode != 0:
        problem = printable(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given", 300)
        raise UsageError(f"{folder} is no Git checkout that can be read: {problem}")
    return done.stdout.strip()
