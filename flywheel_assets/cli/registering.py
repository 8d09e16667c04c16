"""`flywheel register`: who answers for everything that was ever published, and what became of it."""

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.register import Entry, Standing, as_html, as_json, as_markdown, register, restate
from flywheel_assets.wiring import open_flywheel, settings

REJECTED = 1


@click.command(
    help="The ownership register of all published artifacts; exit 1 when a statement of owners does not hold, or "
    "something is public that must not be."
)
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
@click.option("--markdown", is_flag=True, help="Print a page in Markdown.")
@click.option("--html", is_flag=True, help="Print a page in HTML, which needs nothing but itself.")
@click.option(
    "--restate", "output", default=None, help="State this output's owners anew, as the catalogue has them now."
)
def register_(*, as_document: bool, markdown: bool, html: bool, output: str | None) -> int:
    """Print it."""
    if sum((as_document, markdown, html, output is not None)) > 1:
        raise UsageError("Give one of --json, --markdown, --html and --restate.")
    flywheel = open_flywheel(settings())
    if output is not None:
        for each in (made := restate(flywheel, output)):
            console().print(f"{each.output} {each.build}: {each.ownership.publication_path_owner}")
        console().print(f"{len(made)} statements were made anew.")
        return 0
    entries = register(flywheel)
    if as_document:
        print_json(as_json(flywheel, entries))
    elif markdown or html:
        click.echo((as_html if html else as_markdown)(flywheel, entries), nl=False)
    else:
        _print(entries)
    return REJECTED if any(_wrong(entry) for entry in entries) else 0


def _wrong(entry: Entry) -> tuple[str, ...]:
    """What is not as it should be: of the owners, of what is public, of what is to be taken away."""
    doubt = entry.doubt if entry.state is not Standing.WITHDRAWN else ""
    return tuple(each for each in (doubt, entry.problem, entry.to_do) if each)


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
        out.print(f"{each.output} {each.build}: {each.reference}")
        out.print(f"  why clean: {each.clean_because}\n  proofs: {', '.join(each.proofs)}")
        for wrong in _wrong(each):
            out.print(f"  {wrong}.")
    counted = sum(bool(each.problem) for each in entries), sum(bool(each.doubt or each.to_do) for each in entries)
    out.print(
        f"{len(entries)} artifacts were published; {counted[0]} statements of owners do not hold, "
        f"{counted[1]} are withdrawn or distrusted."
    )
