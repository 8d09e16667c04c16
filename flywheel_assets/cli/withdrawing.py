"""`flywheel withdraw` and `quarantine`: taking back what is public, and saying what must not be trusted any more."""

from typing import Any

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.cli.signing import key_options, settle
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.proposing import decided
from flywheel_assets.promotion.withdrawing import Public, carry_out, quarantined, told, withdrawal_of
from flywheel_assets.wiring import open_flywheel, settings

_REASON = click.option("--reason", default="", help="Why: one line, which is signed and shown.")


@click.command(help="Take a build's artifact back, for ever: it is unpublished or marked, and never passes again.")
@click.argument("output", required=False)
@click.argument("build", required=False)
@click.option("--quarantined", "doubtful", is_flag=True, help="All that `flywheel quarantine` lists as public.")
@click.option("--pending", is_flag=True, help="Sign nothing: carry out what was decided already, or was cut off.")
@_REASON
@key_options
def withdraw(output: str | None, build: str | None, doubtful: bool, pending: bool, reason: str, **given: Any) -> None:
    """Decide, then carry out whatever is decided."""
    if sum((output is not None and build is not None, doubtful, pending)) != 1:
        raise click.UsageError("Say what is to be withdrawn: OUTPUT BUILD, --quarantined, or --pending.")
    _demand_reason(reason, is_deciding=not pending)
    flywheel = open_flywheel(settings())
    decisions = [] if pending else _decisions(flywheel, output, build, reason)
    for decision in decisions:
        console().print(f"  withdraw {decision.scope.output} {decision.scope.digest}, which cannot be taken back")
    if decisions and not given["yes"] and len(decisions) > 1:
        click.confirm(f"Withdraw all {len(decisions)}?", abort=True, err=True)
        given = {**given, "yes": True}
    for number, decision in enumerate(decisions, start=1):
        settle(flywheel, decision, _numbered(given, number, len(decisions)))
    done = carry_out(flywheel)
    for sentence in told(done):
        console().print(sentence)
    if not done:
        console().print("Nothing is public that would have to be taken away now.")


@click.command(
    help="Distrust a signer, or a run: all that came of it is rejected, and what is public of that is listed."
)
@click.option("--signer", default=None, help="The name of the signer's key in the catalogue, where it must stay.")
@click.option("--run", "run", nargs=2, default=None, metavar="REPOSITORY RUN", help="One run, with all its attempts.")
@click.option("--list", "only_list", is_flag=True, help="Decide nothing: list what is public of what was decided.")
@click.option("--json", "as_document", is_flag=True, help="Print the list as the stable JSON document (docs/json.md).")
@_REASON
@key_options
def quarantine(
    signer: str | None, run: tuple[str, str] | None, only_list: bool, as_document: bool, reason: str, **given: Any
) -> None:
    """Decide, then list."""
    if sum((signer is not None, run is not None, only_list)) != 1:
        raise click.UsageError("Say what is compromised: --signer NAME or --run REPOSITORY RUN; or --list.")
    _demand_reason(reason, is_deciding=not only_list)
    flywheel = open_flywheel(settings())
    if not only_list:
        if signer is not None and signer not in flywheel.catalogue.keys:
            raise UsageError(f"The catalogue has no key {signer!r}: quarantining it would change nothing.")
        scope = Scope(key=signer) if run is None else Scope(repository=run[0], run=run[1])
        if not settle(flywheel, decided(Act.QUARANTINE, scope, reason, flywheel.clock()), given):
            return
    found = quarantined(flywheel)
    if as_document:
        print_json({"schema": 1, "public": [_document(flywheel, each) for each in found]})
        return
    _print(flywheel, found)


def _demand_reason(reason: str, *, is_deciding: bool) -> None:
    if is_deciding and not reason:
        raise click.UsageError("Say why, with --reason.")


def _decisions(flywheel: Flywheel, output: str | None, build: str | None, reason: str) -> list[Decision]:
    if output is not None and build is not None:
        return [withdrawal_of(flywheel, output, parse_build(build), reason)]
    about = (each.publication for each in quarantined(flywheel))
    decisions = [withdrawal_of(flywheel, each.output, each.build, reason) for each in about]
    return list({(d.scope.output, str(d.scope.digest)): d for d in decisions}.values())


def _numbered(given: dict[str, Any], number: int, of: int) -> dict[str, Any]:
    """Of several decisions that are written to files each gets one of its own."""
    if of == 1:
        return given
    return {
        name: path.with_name(f"{path.stem}-{number}{path.suffix}") if name in {"target", "unsigned"} and path else path
        for name, path in given.items()
    }


def _document(flywheel: Flywheel, public: Public) -> dict[str, str]:
    publication = public.publication
    surface = flywheel.catalogue.surfaces.get(publication.surface)
    owner = flywheel.catalogue.owners.get(surface.owner) if surface else None
    return {
        "output": publication.output,
        "build": str(publication.build),
        "digest": str(publication.artifact_digest),
        "surface": publication.surface,
        "reference": publication.reference,
        "since": publication.published_at.isoformat(),
        "owner": publication.ownership.publication_path_owner,
        "surface_owner": f"{owner.name} ({owner.contact})" if owner else "",
        "reason": public.doubt.reason if public.doubt else "",
        "message": public.doubt.message if public.doubt else "",
    }


def _print(flywheel: Flywheel, found: list[Public]) -> None:
    out, columns = console(), ("output", "build", "surface", "reference", "since", "owner", "message")
    rows = [_document(flywheel, each) for each in found]
    if rows and out.width >= NARROW:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(row[column] for column in columns))
        out.print(table)
    else:
        for row in rows:
            out.print(f"{row['output']} {row['build']}: {row['reference']}\n  {row['message']}; {row['owner']}")
    remedy = " `flywheel withdraw --quarantined` takes all of it back." if rows else ""
    out.print(f"{len(rows)} public artifacts came of what is withdrawn or in quarantine.{remedy}")
