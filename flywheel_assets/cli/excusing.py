"""`flywheel why-not` and `flywheel page`: why builds are not published, and whose turn it is. They only look."""

from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.cli.console import console, print_json, verdict_text
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.blockers import Blocker
from flywheel_assets.promotion.excuses import Awaited, Excuse, headline, shown
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.paging import NEWEST, pages_of
from flywheel_assets.wiring import open_flywheel, settings
from flywheel_assets.wiring.pages import write_pages


@click.command("why-not", help="Why a build is not published, what would change that, who acts.")
@click.argument("output")
@click.argument("build", required=False)
@click.option("--as", "me", help="Who you are, by a key in the catalogue's people or owners.")
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def why_not(output: str, build: str | None, me: str | None, as_document: bool) -> None:
    """Explain one build, or all builds of an output, on the evidence of now."""
    flywheel = open_flywheel(settings())
    contact = _contact(flywheel.catalogue, me) if me else ""
    found = explain_builds(flywheel, output, parse_build(build) if build else None)
    if as_document:
        print_json({"schema": 1, "output": output, "builds": [_document(excuse, contact) for excuse in found]})
        return
    for excuse in found:
        _print(excuse, contact, flywheel.clock())


@click.command(help="Write all of it into FOLDER as static HTML: index.html, and pages for each output.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--newest", default=NEWEST, show_default=True, help="How many builds of an output are told in full.")
def page(folder: Path, newest: int) -> None:
    """Write the pages; a web server that serves the folder meanwhile never serves half of one."""
    if newest < 1:
        raise UsageError("--newest must be 1 at least.")
    pages = pages_of(open_flywheel(settings()), newest)
    write_pages(folder, pages)
    console().print(f"Wrote {folder / 'index.html'}, and {len(pages) - 1} pages beside it.")


def _contact(catalogue: Catalogue, me: str) -> str:
    contacts = {name: entry.contact for name, entry in catalogue.owners.items()}
    contacts |= {name: entry.contact for name, entry in catalogue.people.items()}
    if me not in contacts:
        raise UsageError(f"The catalogue has no {me!r} in people or owners: {', '.join(sorted(contacts))}.")
    return contacts[me]


def _document(excuse: Excuse, me: str = "") -> dict[str, Any]:
    """A row, its findings, and what comes of them."""
    document: dict[str, Any] = excuse.row.model_dump(mode="json")
    return document | {
        "findings": [finding.model_dump(mode="json") for finding in excuse.findings],
        "says": headline(excuse, me),
        "call": excuse.call.value,
        "blockers": [blocker.model_dump(mode="json") for blocker in excuse.blockers],
        "steps": [each.model_dump(mode="json") for each in excuse.steps],
        "waits_for": [_awaited(awaited) for awaited in excuse.waits_for],
        **{name: _time(getattr(excuse, name)) for name in ("since", "passes_at", "passes_until")},
    }


def _awaited(awaited: Awaited) -> dict[str, Any]:
    excuse = _document(awaited.excuse) if awaited.excuse else None
    return asdict(awaited) | {"excuse": excuse, "says": headline(awaited.excuse) if awaited.excuse else awaited.says}


def _time(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _print(excuse: Excuse, me: str, now: datetime) -> None:
    out, row = console(), excuse.row
    out.print(Text(f"{row.output} {row.build}: ", style="bold"), headline(excuse, me), sep="")
    age = f", since {shown(excuse.since)} ({_age(now - excuse.since)})" if excuse.since else ""
    out.print("  ", verdict_text(row.verdict), f" ({row.state.value}){age}", sep="")
    if row.published_at:
        out.print(f"  published at {row.published_at}")
    if excuse.passes_until:
        out.print(f"  passes until {shown(excuse.passes_until)}: then an approval or an exception ends")
    if not excuse.blockers:
        out.print(f"  {row.reason}: {row.message.removesuffix('.')}.")
        if row.remedy:
            out.print(f"    to change it: {row.remedy}\n    who acts:     {row.actor}")
    for blocker in excuse.blockers:
        _print_blocker(blocker)
    for awaited in excuse.waits_for:
        _print_awaited(awaited, "  ")
    for finding in excuse.excepted:
        out.print(f"  passes by the exception {finding.exception}: {finding.rule} ({finding.reason})")
        out.print(f"    {finding.message}.")
    if excuse.findings:
        out.print(f"  {excuse.rules_hold}.\n")


def _print_blocker(blocker: Blocker) -> None:
    out = console()
    until = f" on {shown(blocker.until)}" if blocker.until else ""
    ends = f"  ends {blocker.ends.value}{until}"
    out.print("  ", verdict_text(blocker.verdict.value), f"  {blocker.rule} ({blocker.reason}){ends}", sep="")
    out.print(f"    {blocker.message}.")
    out.print(f"    to change it: {blocker.remedy}\n    who acts:     {blocker.actor}")


def _print_awaited(awaited: Awaited, indent: str) -> None:
    out, excuse = console(), awaited.excuse
    out.print(f"{indent}waits for {awaited.name}: {headline(excuse) if excuse else awaited.says + '.'}")
    for further in excuse.waits_for if excuse else ():
        _print_awaited(further, f"{indent}  ")


def _age(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    if hours >= 48:  # noqa: PLR2004 - two days
        return f"{hours // 24} days"
    if hours > 1:
        return f"{hours} hours"
    minutes = int(span.total_seconds() // 60)
    return f"{minutes} minutes" if minutes > 1 else "just now"
