"""`flywheel register`: who answers for everything that was ever published, and what became of it."""

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.register import Entry, as_html, as_json, as_markdown, register, restate
from flywheel_assets.wiring import open_flywheel, settings

REJECTED = 1


@click.command(
    help="The ownership register of all published artifacts; exit 1 when somebody's statement does not hold."
)
@click.option("--json", "form", flag_value="json", help="Print the stable JSON document (docs/json.md).")
@click.option("--markdown", "form", flag_value="markdown", help="Print a page in Markdown.")
@click.option("--html", "form", flag_value="html", help="Print a page in HTML, which needs nothing but itself.")
@click.option(
    "--restate", "output", default=None, help="State this output's owners anew, as the catalogue has them now."
)
def register_(form: str | None, output: str | None) -> int:
    """Print it."""
    flywheel = open_flywheel(settings())
    if output is not None:
        if form is not None:
            raise UsageError("--restate prints no page.")
        for each in (made := restate(flywheel, output)):
            console().print(f"{each.output} {each.build}: {each.ownership.publication_path_owner}")
        console().print(f"{len(made)} statements were made anew.")
        return 0
    entries = register(flywheel)
    if form == "json":
        print_json(as_json(flywheel, entries))
    elif form is not None:
        click.echo((as_html if form == "html" else as_markdown)(flywheel, entries), nl=False)
    else:
        _print(entries)
    return REJECTED if any(entry.problem for entry in entries) else 0


def _print(entries: list[Entry]) -> None:
    out = console()
    if entries and out.width >= NARROW:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("output", "build", "state", "since", "builder path", "publication path", "surface"):
            table.add_column(column, overflow="fold")
        for each in entries:
            who = each.builder_path_owner, each.publication_path_owner
            table.add_row(each.output, each.build, each.state.value, each.since[:10], *who, each.surface)
        out.print(table)
    else:
        for each in entries:
            out.print(f"{each.output} {each.build}: {each.state.value} since {each.since[:10]} on {each.surface}")
            out.print(f"  builder path: {each.builder_path_owner}; publication path: {each.publication_path_owner}")
    for each in entries:
        for problem in (each.doubt, each.problem):
            if problem:
                out.print(f"{each.output} {each.build}: {problem}.")
    problems = sum(bool(each.problem) for each in entries)
    out.print(f"{len(entries)} artifacts were published; {problems} statements of owners do not hold.")
