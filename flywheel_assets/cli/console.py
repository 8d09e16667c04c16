"""How things are printed: tables as wide as the terminal, colour and progress only where somebody looks."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 1000  # a table takes what it needs, and no line is broken
NARROW = 150

COLOURS = {
    "passed": "green",
    "waiting": "cyan",
    "needs approval": "yellow",
    "cannot determine": "magenta",
    "rejected temporarily": "yellow",
    "rejected permanently": "red",
}


def console(*, aside: bool = False) -> Console:
    """Standard output. Wide when it is no terminal, so that a log or a pipe gets whole lines.

    ``aside`` is standard error: for what is said beside a document. Nothing is taken for markup: names of files and
    words of receipts are printed as they are.
    """
    width = None if (sys.stderr if aside else sys.stdout).isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=aside, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def verdict_text(verdict: str) -> Text:
    """The verdict in its colour."""
    return Text(verdict, style=COLOURS.get(verdict, ""))


def print_json(document: Any) -> None:
    """Stable JSON: sorted keys, two spaces."""
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def bytes_progress(what: str) -> Iterator[Any]:
    """A progress line for bytes read and written; nothing where standard error is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)


@contextmanager
def runs_progress(what: str) -> Iterator[Any]:
    """A progress bar over runs: call it with what is being done, how many are done, how many there are."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda text, done, total: progress.update(task, description=text, completed=done, total=total)
