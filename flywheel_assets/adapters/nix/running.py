"""Runs Nix: bounded in time, with an environment of its own, and with nothing of it left behind."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Timer
from typing import IO

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.domain.errors import UnreadableError, printable

TOLD_BYTES = 4096  # of what it says when it fails
ENDING_SECONDS = 10  # from being asked to end to being ended


def printed(command: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float) -> Iterator[bytes]:
    """What a command prints, piece by piece; ``folder`` is where it works.

    Raises UnreadableError, also after the last piece, when it fails or takes longer.
    """
    called = " ".join(word for word in command[1:3] if not word.startswith("-"))
    with TemporaryFile(dir=folder) as said:
        child = _started(command, environment, folder, said)
        is_late = Event()

        def late() -> None:
            is_late.set()
            _end(child)

        watch = Timer(seconds, late)
        watch.daemon = True
        watch.start()
        try:
            yield from _pieces(child.stdout)
            status = child.wait()
        finally:
            watch.cancel()
            _end(child)
        if is_late.is_set():
            raise UnreadableError(f"nix {called} took over {seconds:g} s, and was ended.")
        if status != 0:
            raise UnreadableError(f"nix {called} ended with status {status}: {_last(said)}")


def _pieces(stream: IO[bytes] | None) -> Iterator[bytes]:
    while stream is not None and (piece := stream.read(CHUNK)):
        yield piece


def _started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, said: IO[bytes]
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - a list, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem = f"{command[0]} cannot be started: {error}. Correct `rebuilder.nix` in the catalogue."
        raise UnreadableError(problem) from error


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Let it end, and what it started; then make it."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            break
        try:
            os.killpg(child.pid, kind)
            child.wait(ENDING_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _last(said: IO[bytes]) -> str:
    """Its error, with what of the build's own log comes after it; or its last line."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - TOLD_BYTES))
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if line.startswith("error:")), -1)
    return printable(" ".join(lines[first:]) or "(it said nothing)", 400)
