"""`flywheel approve` and `sign`: a person lets one artifact go to one surface, under one name, for a time."""

from pathlib import Path
from typing import Any

import click

from flywheel_assets.cli.console import console
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.cli.signing import key_option, period, prose, settle, signer_of, signing_options
from flywheel_assets.domain.errors import printable
from flywheel_assets.promotion.deciding import signed_decision
from flywheel_assets.promotion.excuses import headline
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.proposing import ACCEPTABLE, approval_of, case_of, count_of, told_of
from flywheel_assets.wiring import open_flywheel, settings
from flywheel_assets.wiring.people import read_unsigned, write_decision


@click.command(help="Approve one build for its surface: what is signed is shown before you agree.")
@click.argument("output")
@click.argument("build")
@click.option("--for", "lasts", default=None, help="How long it lasts, such as 36h or 7d; default: a week at most.")
@click.option(
    "--accept",
    "accepts",
    multiple=True,
    type=click.Choice(ACCEPTABLE),
    help="A reason that needs an approval of its own and is accepted.",
)
@signing_options
def approve(output: str, build: str, lasts: str | None, accepts: tuple[str, ...], reason: str, **given: Any) -> None:
    """Show, sign, and say what is still missing."""
    flywheel, key = open_flywheel(settings()), parse_build(build)
    case = case_of(flywheel, output, key)
    approval = approval_of(case, reason, period(lasts) if lasts else None, accepts)
    out = prose(given)
    for label, value in told_of(case, approval).items():
        out.print(f"  {label + ':':<12} {value}")
    if settle(flywheel, approval, given, case):
        (excuse,) = explain_builds(flywheel, output, key)
        out.print(f"Approved, as {approval.short_id}.\n{count_of(flywheel, output, key, accepts)}\n{headline(excuse)}")


@click.command(help="Sign a decision that `--unsigned` wrote elsewhere, shown in full; this needs no installation.")
@click.argument("statement", type=click.Path(path_type=Path))
@key_option
@click.option(
    "--write", "target", required=True, type=click.Path(path_type=Path), help="The file that goes into the inbox."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def sign(statement: Path, key_file: Path | None, target: Path, yes: bool) -> None:
    """Show what it says, sign that and nothing else, and write it."""
    decision, out = read_unsigned(statement), console()
    for label, value in decision.model_dump(mode="json", exclude_defaults=True).items():
        for name, each in value.items() if isinstance(value, dict) else ((label, value),):
            said = each if isinstance(each, str) else ", ".join(each)
            out.print(f"  {name + ':':<12} {printable(said, 2000)}")  # the file may be anybody's
    signer = signer_of(key_file)
    if not yes:
        click.confirm("Sign this?", abort=True, err=True)
    write_decision(target, signed_decision(decision, signer))
    out.print(f"Written to {target}. It counts once it is in the inbox and taken in.")
