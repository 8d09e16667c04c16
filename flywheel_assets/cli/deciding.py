"""`flywheel hold`, `revoke`, `meet` and `decisions`: what people decide beside approvals, and what was decided."""

from typing import Any

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.cli.signing import end, prose, settle, signing_options
from flywheel_assets.domain.decisions import Act, Scope
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.proposing import decided, meeting_of, revocation_of
from flywheel_assets.promotion.still_public import what_a_hold_leaves
from flywheel_assets.promotion.weighing import Weighed, decisions_on
from flywheel_assets.wiring import open_flywheel, settings


@click.command(help="Stop an output, what a builder builds, or everything from going out, at once.")
@click.argument("output", required=False)
@click.option("--builder", default=None, help="What this runner label builds.")
@click.option("--everything", is_flag=True, help="All of it.")
@click.option("--until", default=None, help="A time (RFC 3339) or a span such as 36h; without it until it is revoked.")
@signing_options
def hold(
    output: str | None, builder: str | None, everything: bool, until: str | None, reason: str, **given: Any
) -> None:
    """Hold it."""
    if sum((output is not None, builder is not None, everything)) != 1:
        raise click.UsageError("Say what is to be held: an OUTPUT, --builder LABEL, or --everything.")
    flywheel = open_flywheel(settings())
    for name, known in ((output, flywheel.catalogue.outputs), (builder, flywheel.catalogue.builders)):
        if name is not None and name not in known:
            raise UsageError(f"The catalogue does not know {name!r}: holding it would stop nothing.")
    now = flywheel.clock()
    decision = decided(Act.HOLD, Scope(output=output, builder=builder), reason, now, end(until, now))
    what = output or (f"what {builder} builds" if builder else "everything")
    prose(given).print(f"  hold {what}, {_until(decision.expires_at)}")
    if settle(flywheel, decision, given):
        prose(given).print(f"Held. `flywheel revoke {decision.short_id}` takes it back.")
        if stays := what_a_hold_leaves(flywheel, decision.scope):
            prose(given).print(stays)


@click.command(help="Take a decision back, by its id or the first eight digits of it. A withdrawal cannot be.")
@click.argument("decision")
@signing_options
def revoke(decision: str, reason: str, **given: Any) -> None:
    """Revoke it."""
    flywheel = open_flywheel(settings())
    revocation = revocation_of(flywheel, decision, reason)
    (row,) = [row for row in decisions_on(flywheel) if row.decision.id == revocation.scope.decision][:1]
    prose(given).print(f"  revoke: {row.who} {row.decision.act.value}s {row.what}")
    if settle(flywheel, revocation, given):
        prose(given).print("Revoked.")


@click.command(help="Say that a gate of a product's change of release authority is met, by its number or its text.")
@click.argument("product")
@click.argument("condition")
@signing_options
def meet(product: str, condition: str, reason: str, **given: Any) -> None:
    """Meet it."""
    flywheel = open_flywheel(settings())
    decision = meeting_of(flywheel.catalogue, product, condition, reason, flywheel.clock())
    prose(given).print(f"  met for {decision.scope.output}: {decision.scope.condition}")
    if settle(flywheel, decision, given):
        prose(given).print(f"Met. `flywheel revoke {decision.short_id}` takes it back.")


@click.command(help="What people decided: who, what, until when, and whether it counts and why not.")
@click.argument("output", required=False)
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def decisions(output: str | None, as_document: bool) -> None:
    """List it."""
    flywheel = open_flywheel(settings())
    if output is not None and output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}.")
    rows = decisions_on(flywheel, output)
    if as_document:
        print_json({"schema": 1, "decisions": [row.document() for row in rows]})
        return
    out = console()
    if rows and out.width >= NARROW:
        out.print(_table(rows))
    else:
        for row in rows:
            out.print(f"{row.decision.short_id}  {row.who} {row.decision.act.value}s {row.what}")
            out.print(f"  {row.counts}; {row.decision.reason}")
    counting = sum(not row.why_not for row in rows)
    out.print(f"{len(rows)} decisions, {counting} of which count.")


def _table(rows: list[Weighed]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "act", "who", "arrived", "until"):
        table.add_column(column, no_wrap=True)
    for column in ("what", "reason", "counts"):
        table.add_column(column, overflow="fold")
    for row in rows:
        decision = row.decision
        table.add_row(
            decision.short_id,
            decision.act.value,
            row.who,
            f"{row.attested.arrived_at:%Y-%m-%d %H:%M}Z",
            f"{row.until:%Y-%m-%d %H:%M}Z" if row.until else "",
            f"{row.what} {row.build}".strip(),
            decision.reason,
            row.counts,
        )
    return table


def _until(moment: Any) -> str:
    return f"until {moment:%Y-%m-%d %H:%M} UTC" if moment else "until it is revoked"
