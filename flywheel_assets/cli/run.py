"""`flywheel run`: the main job. Drain what arrived, print the report, then serve the UI until Ctrl-C."""

import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from flywheel_assets.cli.console import console, runs_progress
from flywheel_assets.cli.looking import print_report
from flywheel_assets.cli.standing_in import stand_in
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.report import report
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel, settings

HOST = "127.0.0.1"  # the webserver has no authentication


@click.command(help="Pick up builds, gate and publish them, print the report, then serve the UI.")
@click.option("--ui/--no-ui", "with_ui", default=True, help="Serve the Dagster UI with the sensors running.")
@click.option("--port", default=3000, show_default=True, help="Port of the UI on 127.0.0.1.")
def run(with_ui: bool, port: int) -> None:
    """Drain, report, serve."""
    # Ctrl-C and a service manager's stop end everything the same way, at any point. Whoever started this in the
    # background may have let it ignore SIGINT, and Dagster gives SIGTERM the handler that SIGINT has.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    chosen = settings()
    with _alone(chosen.home):
        if with_ui:
            _demand_free(port)  # before minutes of work, not after
        with stand_in(chosen):
            _drain(chosen)
            if with_ui:
                from flywheel_assets.cli.serving import serve

                serve(chosen, HOST, port)


def _drain(chosen: Settings) -> None:
    """Do everything that is to be done now, in this process, visibly."""
    out, started = console(), time.monotonic()
    flywheel = open_flywheel(chosen)
    out.print(_banner(chosen), style="dim")
    os.environ["DAGSTER_HOME"] = str(chosen.dagster_home)
    with noticed_interrupts() as stop_if_interrupted, runs_progress("starting Dagster") as progress:

        def said(text: str, done: int, total: int) -> None:
            stop_if_interrupted()
            progress(text, done, total)

        import dagster as dg

        from flywheel_assets.orchestration.drain import drain, prepare_home, sweep
        from flywheel_assets.orchestration.resources import Pipeline

        prepare_home(chosen.dagster_home)
        with dg.DagsterInstance.get() as instance:
            sweep(instance)
            drained = drain(Pipeline(chosen, flywheel), instance, said)
            stop_if_interrupted()
    print_report(chosen, report(flywheel))
    seconds = time.monotonic() - started
    for failure in dict.fromkeys(drained.failures):
        out.print(f"Failed: {failure}", style="red")
    for problem in drained.problems:
        out.print(f"Not settled: {problem}", style="yellow")
    taken = drained.taken
    if taken.total or drained.runs:
        out.print(
            f"Took in {len(taken.builds)} builds and {taken.total - len(taken.builds)} other documents, "
            f"{drained.runs} runs, {seconds:.0f} s. State is in {chosen.home}.",
        )
    elif not drained.problems:
        out.print("Nothing to do: every build that arrived is judged, and what may be published is.")


def _banner(chosen: Settings) -> str:
    """What it runs on, by the names of the files where somebody named them."""
    if chosen.catalogues == SAMPLE_CATALOGUE:
        return "Running on the recorded sample flywheel; FLYWHEEL_CATALOGUE names your own."
    sample = ", with the recorded sample flywheel" if chosen.on_sample else ""
    return f"Running on {', '.join(map(str, chosen.catalogues))} (FLYWHEEL_CATALOGUE){sample}."


@contextmanager
def noticed_interrupts() -> Iterator[Callable[[], None]]:
    """Yields a function that raises KeyboardInterrupt whenever it is called after SIGINT or SIGTERM has come.

    Dagster takes an interrupt inside a run for a failure of that run and goes on, one that is raised here as well. The
    wakeup descriptor sees every signal, whoever handles it.
    """
    heard, bell = socket.socketpair()
    heard.setblocking(False)
    bell.setblocking(False)
    before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)

    come = set[int]()

    def stop_if_interrupted() -> None:
        with suppress(BlockingIOError):
            come.update(heard.recv(64))
        if {signal.SIGINT, signal.SIGTERM} & come:
            raise KeyboardInterrupt

    try:
        yield stop_if_interrupted
    finally:
        signal.set_wakeup_fd(before)
        heard.close()
        bell.close()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the working folder: two of these would only get in each other's way."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"FLYWHEEL_HOME, {home}, cannot be made: {error.strerror}.") from error
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"`flywheel run` is already running on {home}. Stop it, or choose another FLYWHEEL_HOME."
            ) from error
        yield
        sys.stdout.flush()


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"Port {port} on {HOST} cannot be had. Choose another: make run PORT=3001.") from error
