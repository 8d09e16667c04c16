"""`flywheel report` and `flywheel why-not`: they only look."""

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from flywheel_assets.cli.console import NARROW, console, print_json, verdict_text
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.explaining import Explanation, explain_builds
from flywheel_assets.promotion.report import Row, as_json
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
            out.print(
                Text(f"{row.output} {row.build}  ", style="bold"), verdict_text(row.verdict), f", {row.reason}", sep=""
            )
            if row.published_at:
                out.print(f"  published at {_short(chosen, row.published_at)}")
    else:
        out.print(_table(chosen, rows))
    states = [row.state.value for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    out.print(f"\n{len(rows)} builds: {counts or 'none'}. `flywheel why-not OUTPUT [BUILD]` explains any of them.")


def _table(chosen: Settings, rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("output", "build", "state", "verdict", "reason"):
        table.add_column(column, no_wrap=True)
    table.add_column("where published", overflow="fold")
    for row in rows:
        where = _short(chosen, row.published_at)
        table.add_row(row.output, row.build, row.state.value, verdict_text(row.verdict), row.reason, where)
    return table


def _short(chosen: Settings, reference: str) -> str:
    return reference.replace(f"{chosen.home}/", "…/")


@click.command("why-not", help="Why a build is not published, what would change that, who acts.")
@click.argument("output")
@click.argument("build", required=False)
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def why_not(output: str, build: str | None, as_document: bool) -> None:
    """Explain one build, or all builds of an output, on the evidence of now."""
    flywheel = open_flywheel(settings())
    explanations = explain_builds(flywheel, output, parse_build(build) if build else None)
    if as_document:
        print_json({"schema": 1, "output": output, "builds": [_document(e) for e in explanations]})
        return
    for explanation in explanations:
        _print(explanation)


def parse_build(text: str) -> BuildKey:
    """A build key from the command line."""
    try:
        return BuildKey.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _document(explanation: Explanation) -> dict[str, Any]:
    document: dict[str, Any] = explanation.row.model_dump(mode="json")
    document["findings"] = [finding.model_dump(mode="json") for finding in explanation.findings]
    return document


def _print(explanation: Explanation) -> None:
    out, row = console(), explanation.row
    out.print(
        Text(f"{row.output} {row.build}  ", style="bold"), verdict_text(row.verdict), f" ({row.state.value})", sep=""
    )
    if row.published_at:
        out.print(f"  published at {row.published_at}")
    if not explanation.findings or explanation.every_rule_holds:
        out.print(f"  {row.reason}: {row.message.removesuffix('.')}.")
        if row.remedy:
            out.print(f"    to change it: {row.remedy}\n    who acts:     {row.actor}")
    for finding in explanation.failed:
        out.print("  ", verdict_text(finding.verdict.value), f"  {finding.rule} ({finding.reason})", sep="")
        out.print(f"    {finding.message}.")
        out.print(f"    to change it: {finding.remedy}\n    who acts:     {finding.actor}")
    passed = len(explanation.findings) - len(explanation.failed)
    if explanation.findings:
        out.print(f"  {passed} of {len(explanation.findings)} rules hold.\n")
