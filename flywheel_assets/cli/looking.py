"""`flywheel report`: it only looks."""

from collections import Counter

import click
from rich.table import Table
from rich.text import Text

from flywheel_assets.cli.console import NARROW, console, print_json, verdict_text
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.report import Row, State, as_json
from flywheel_assets.promotion.report import report as rows_of
from flywheel_assets.wiring import Settings, open_flywheel, settings


@click.command(help="Every build that arrived: verdict, reason, where published.")
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def report(as_document: bool) -> None:
    """Print the table or the document."""
    chosen = settings()
    flywheel = open_flywheel(chosen)
    rows = rows_of(flywheel)
    if as_document:
        print_json(as_json(flywheel, rows))
    else:
        print_report(chosen, rows)


def print_report(chosen: Settings, rows: list[Row]) -> None:
    """The table of all builds and a line that counts them."""
    out = console()
    if out.width < NARROW:
        for row in rows:
            out.print(Text(f"{row.output} {row.build}  ", style="bold"), _verdict(row), f", {row.reason}", sep="")
            if row.published_at:
                out.print(f"  published at {_short(chosen, row.published_at)}")
    else:
        out.print(_table(chosen, rows))
    if unsettled := sum(not row.settled for row in rows):
        out.print(
            f"* {unsettled} were judged before something came that bears on them: the next run judges them again."
        )
    for name, count in Counter(row.exception for row in rows if row.exception).items():
        out.print(f"{count} of them pass by the exception {name}.")
    for row in (row for row in rows if row.state in {State.TO_WITHDRAW, State.TO_YANK}):
        out.print(f"{row.output} {row.build}: {row.message}. {row.actor}: {row.remedy}")
    states = [row.state.value for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    out.print(f"\n{len(rows)} builds: {counts or 'none'}. `flywheel why-not OUTPUT [BUILD]` explains any of them.")


def _verdict(row: Row) -> Text:
    """The verdict, with a mark where evidence or the catalogue changed since."""
    return verdict_text(row.verdict).append("" if row.settled else "*")


def _table(chosen: Settings, rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("output", "build", "state", "verdict", "reason"):
        table.add_column(column, no_wrap=True)
    table.add_column("where published", overflow="fold")
    for row in rows:
        where = _short(chosen, row.published_at)
        table.add_row(row.output, row.build, row.state.value, _verdict(row), row.reason, where)
    return table


def _short(chosen: Settings, reference: str) -> str:
    return reference.replace(f"{chosen.home}/", "…/")


def parse_build(text: str) -> BuildKey:
    """A build key from the command line."""
    try:
        return BuildKey.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
