"""`flywheel intake`: what could not be read or routed, and what to do about it."""

import getpass
import os
from typing import Any

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.domain.platform_runs import run_named
from flywheel_assets.promotion.letters import Letter, LetterState, Retried, dismiss, find_letter, letters, retry
from flywheel_assets.wiring import open_flywheel, settings

_as_document = click.option(
    "--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md)."
)


def _user() -> str:
    """Whoever runs this; in a container that may be a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@click.group(help="Deliveries that could not be read, and receipts that wait for the catalogue.")
def intake() -> None:
    """List, explain, retry, dismiss."""


@intake.command("list", help="What is open: delivery, field, reason, since when.")
@click.option("--all", "everything", is_flag=True, help="Also what was settled or dismissed.")
@_as_document
def list_(everything: bool, as_document: bool) -> None:
    """Print the table or the document."""
    found = [letter for letter in letters(open_flywheel(settings())) if everything or letter.state is LetterState.OPEN]
    if as_document:
        print_json({"schema": 1, "letters": [_document(letter) for letter in found]})
        return
    out = console()
    if found and out.width >= NARROW:
        out.print(_table(found))
    elif found:
        for letter in found:
            out.print(f"{letter.number}  {letter.name}: {letter.field}, {_since(letter)}")
    waiting = sum(letter.kind == "unknown-output" for letter in found)
    letters_found = "1 letter" if len(found) == 1 else f"{len(found)} letters"
    out.print(f"{letters_found}, {waiting} waiting for the catalogue. `flywheel intake explain NUMBER` says more.")


@intake.command(help="One letter in full, and what is to be done.")
@click.argument("number", type=int)
@_as_document
def explain(number: int, as_document: bool) -> None:
    """Print it."""
    letter = find_letter(open_flywheel(settings()), number)
    if as_document:
        print_json({"schema": 1, "letter": _document(letter)})
        return
    out = console()
    out.print(f"Letter {letter.number}: {letter.name} ({letter.state.value})")
    out.print(f"  kind:     {letter.kind}\n  since:    {_since(letter)}")
    out.print(f"  field:    {letter.field}\n  reason:   {letter.problem}")
    kept = "the document itself" if letter.kept else "only that it came: its bytes were not read"
    out.print(f"  evidence: {letter.evidence}, {kept}")
    if letter.closed_because:
        out.print(f"  closed:   {letter.closed_because}")
    if letter.state is LetterState.OPEN:
        out.print(f"  to do:    {_to_do(letter)}")


@intake.command("retry", help="Read letters again after a mend: in the catalogue, its trust root, or the inbox.")
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are open.")
@_as_document
def retry_(numbers: tuple[int, ...], everything: bool, as_document: bool) -> int:
    """Retry, and print what came of it; exit code 1 when one still cannot be read."""
    if not numbers and not everything:
        raise click.UsageError("Give the numbers of letters, or --all.")
    flywheel = open_flywheel(settings())
    if everything:
        numbers = tuple(letter.number for letter in letters(flywheel) if letter.state is LetterState.OPEN)
    done = [retry(flywheel, number) for number in numbers]
    if as_document:
        print_json({"schema": 1, "letters": [_result(each) for each in done]})
    else:
        for each in done:
            console().print(f"{each.letter.number}  {each.letter.name}: {each.says.removesuffix('.')}.")
    return 0 if all(each.read for each in done) else 1


@intake.command("dismiss", help="Take a letter off the report, with the reason, which is signed and kept.")
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why nothing is to be done about it.")
@click.option("--by", default=_user, show_default="the user", help="Who says so.")
@_as_document
def dismiss_(number: int, reason: str, by: str, as_document: bool) -> None:
    """Dismiss it."""
    letter = dismiss(open_flywheel(settings()), number, reason, by)
    if as_document:
        print_json({"schema": 1, "letter": _document(letter)})
        return
    console().print(f"Letter {letter.number}, {letter.name}, is dismissed: {letter.closed_because}.")


def _document(letter: Letter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "kind": letter.kind,
        "name": letter.name,
        "field": letter.field,
        "problem": letter.problem,
        "since": letter.since.isoformat() if letter.since else "",
        "evidence": str(letter.evidence),
        "kept": letter.kept,
        "state": letter.state.value,
        "closed_because": letter.closed_because,
    }


def _result(retried: Retried) -> dict[str, Any]:
    return {**_document(retried.letter), "read": retried.read, "says": retried.says}


def _table(found: list[Letter]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("number", "kind", "state", "since", "delivery", "field"):
        table.add_column(column, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for letter in found:
        table.add_row(
            str(letter.number),
            letter.kind,
            letter.state.value,
            _since(letter),
            letter.name,
            letter.field,
            letter.problem,
        )
    return table


def _since(letter: Letter) -> str:
    return f"{letter.since:%Y-%m-%d %H:%M}Z" if letter.since else "unknown"


def _to_do(letter: Letter) -> str:
    if letter.kind == "unknown-output":
        return "add the output to the catalogue, and nothing more; or dismiss it."
    if run_named(letter.name) and not letter.kept:
        return f"`flywheel intake retry {letter.number}` fetches it from its run again; or dismiss it."
    where = "the limits or the catalogue" if letter.kept else "the file in the inbox"
    again = "deliver it again, whole, and dismiss this letter"
    return f"{again}; or mend {where} and retry {letter.number}; or only dismiss it."
