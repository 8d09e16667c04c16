"""What a Git checkout says of itself: revision, ref, commit time, and whether it is dirty. And fetching one revision.

What is fetched is never checked out: so no hook, filter or submodule of it is ever run.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flywheel_assets.domain.builds import LockedInput
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import UnreadableError, UsageError, printable
from flywheel_assets.ports import Fetched

TIMEOUT_SECONDS, FETCHING_SECONDS = 60, 900
LOCK_FILE = "flake.lock"
# Nothing of the machine's own settings, no helper, no question, and no other protocol than the URL's.
_ALONE = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
_STRICT = ("-c", "protocol.allow=never", "-c", "http.followRedirects=false", "-c", "core.hooksPath=/dev/null")


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


def fetch_revision(url: str, revision: GitRevision, folder: Path, environment: Mapping[str, str]) -> Fetched:
    """Fetch one commit from an ``https:`` or ``file:`` URL into ``folder``, which is made. Raises UnreadableError."""
    folder.mkdir(parents=True)
    alone = {**environment, **_ALONE, "HOME": str(folder)}

    def git(*arguments: str) -> bytes:
        return _fetching(folder, url, arguments, alone)

    git("init", "--quiet", "--initial-branch", "rebuilt")
    allowed = f"protocol.{url.partition(':')[0]}.allow=always"
    fetching = ("fetch", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules", url, str(revision))
    git(*_STRICT, "-c", allowed, "-c", "fetch.fsckObjects=true", *fetching)
    git("update-ref", "refs/heads/rebuilt", str(revision))
    committed = git("show", "--no-patch", "--format=%cI", str(revision)).decode("ascii", "replace").strip()
    locked: tuple[LockedInput, ...] = ()
    if git("ls-tree", "--name-only", str(revision), LOCK_FILE):
        locked = (LockedInput(name=LOCK_FILE, digest=Sha256.of(git("cat-file", "blob", f"{revision}:{LOCK_FILE}"))),)
    return Fetched(datetime.fromisoformat(committed), locked)


def _fetching(folder: Path, url: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell, and what is asked for cannot be an option
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - from PATH, as everywhere here
            capture_output=True,
            check=False,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            timeout=FETCHING_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreadableError(f"git could not fetch from {url}: {printable(str(error), 300)}") from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise UnreadableError(f"git could not fetch from {url}: {printable(lines[-1], 300)}")
    return done.stdout
