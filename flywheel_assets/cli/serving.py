"""The Dagster webserver and daemon as children of `flywheel run`: they end with it, however it ends."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from flywheel_assets.cli.console import console
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.drain import sweep
from flywheel_assets.wiring import PACKAGE, Settings

GRACE_SECONDS = 15
PR_SET_PDEATHSIG = 1


def serve(chosen: Settings, host: str, port: int) -> None:
    """Serve the UI with the sensors running until SIGINT or SIGTERM; returns when all is stopped."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(chosen.dagster_home),
        "FLYWHEEL_HOME": str(chosen.home),
        "FLYWHEEL_CATALOGUE": os.pathsep.join(map(str, chosen.catalogues)),
    }
    where = ("-m", "flywheel_assets.definitions")
    logs = chosen.home / "logs"
    logs.mkdir(exist_ok=True)
    commands = {
        "webserver": ("dagster-webserver", *where, "-h", host, "-p", str(port)),
        "daemon": ("dagster-daemon", "run", *where),
    }
    out = console()
    children = {name: _child(command, environment, logs / f"{name}.log") for name, command in commands.items()}
    try:
        if _came_up((host, port), children, stop):
            out.print(f"\nThe UI is at http://{host}:{port}/asset-groups, the sensors run. Ctrl-C stops both.")
        while not stop.wait(0.5) and all(child.poll() is None for child in children.values()):
            pass
    finally:
        ended = [name for name, child in children.items() if child.poll() is not None]
        _end(children, chosen)
    if ended and not stop.is_set():
        raise FlywheelError(f"The {ended[0]} ended by itself; see {logs / ended[0]}.log.")
    out.print("Stopped.")


def _child(command: tuple[str, ...], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that Ctrl-C reaches only us, and end with us even after SIGKILL."""
    program = Path(sys.executable).parent / command[0]
    with log.open("ab") as stream:
        return subprocess.Popen(  # noqa: S603 - our own two programs, no shell
            [program, *command[1:]],
            env=environment,
            cwd=PACKAGE.parent,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - nothing else runs threads here yet
        )


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _came_up(address: tuple[str, int], children: dict[str, subprocess.Popen[bytes]], stop: threading.Event) -> bool:
    while not stop.is_set() and all(child.poll() is None for child in children.values()):
        try:
            with socket.create_connection(address, timeout=1):
                return True
        except OSError:
            time.sleep(0.3)
    return False


def _end(children: dict[str, subprocess.Popen[bytes]], chosen: Settings) -> None:
    """Stop runs, then both programs with their code servers, then close what could not end by itself."""
    os.environ["DAGSTER_HOME"] = str(chosen.dagster_home)
    with dg.DagsterInstance.get() as instance:
        alive = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        try:
            for run in instance.get_runs(filters=dg.RunsFilter(statuses=alive)):
                instance.run_launcher.terminate(run.run_id)
        finally:  # a run that cannot be reached any more must not keep us from ending the rest
            for child in children.values():
                if child.poll() is None:
                    child.terminate()
            deadline = time.monotonic() + GRACE_SECONDS
            for child in children.values():
                _wait_for_group(child, deadline)
            sweep(instance)


def _wait_for_group(child: subprocess.Popen[bytes], deadline: float) -> None:
    """Until nobody of the child's session is left; past the deadline they are killed."""
    while True:
        child.poll()
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            break
        if time.monotonic() > deadline:
            os.killpg(child.pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    child.wait()
