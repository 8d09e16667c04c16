"""`flywheel withdraw` and `quarantine`: taking back what is public, and saying what must not be trusted any more."""

from typing import Any

import click
from rich.table import Table

from flywheel_assets.cli.console import NARROW, console, print_json
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.cli.signing import key_options, settle, signed
from flywheel_assets.domain.decisions import Decision
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.quarantining import (
    builds_hit,
    quarantine_of_run,
    quarantine_of_signer,
)
from flywheel_assets.promotion.still_public import where_it_is
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.weighing import same_decision
from flywheel_assets.promotion.went_out import Unread
from flywheel_assets.promotion.withdrawing import (
    Public,
    all_public,
    distrusted,
    doubted,
    left_to_do,
    survey,
    unrecorded_public,
    withdrawal_of,
)
from flywheel_assets.promotion.yanking import to_do, told
from flywheel_assets.wiring import open_flywheel, settings

NOT_CARRIED_OUT = 1
_UNTOLD = {"evidence-damaged", "no-authentic-receipt"}
_FIELDS = (
    *("output", "build", "digest", "surface", "reference", "since"),
    *("owner", "surface_owner", "reason", "message", "to_do"),
)
_REASON = click.option("--reason", default="", help="Why: one line, which is signed and shown.")


@click.command(help="Take a build's artifact back, for ever: it is unpublished or marked, and never passes again.")
@click.argument("output", required=False)
@click.argument("build", required=False)
@click.option("--quarantined", "doubtful", is_flag=True, help="All that `flywheel quarantine` lists as public.")
@click.option("--pending", is_flag=True, help="Sign nothing: carry out what was decided already, or was cut off.")
@click.option("--json", "as_document", is_flag=True, help="Print what was done as JSON (docs/json.md).")
@_REASON
@key_options
def withdraw(
    output: str | None,
    build: str | None,
    doubtful: bool,
    pending: bool,
    as_document: bool,
    reason: str,
    **given: Any,
) -> int:
    """Decide, then carry out whatever is decided. What was only written down is carried out once it was taken in."""
    if sum((output is not None and build is not None, doubtful, pending)) != 1:
        raise click.UsageError("Say what is to be withdrawn: OUTPUT BUILD, --quarantined, or --pending.")
    _demand_reason(reason, is_deciding=not pending)
    flywheel = open_flywheel(settings())
    decisions = [] if pending else _decisions(flywheel, output, build, reason)
    warnings = [_warning(flywheel, each) for each in decisions]
    if len(decisions) > 1 and not given["yes"]:
        if given["unsigned"] is None:
            signed(flywheel, decisions[0], given)  # whoever may not is told so, and not what it would do
        for warning in warnings:
            console(aside=True).print(warning)
        click.confirm(f"Withdraw all {len(decisions)}?", abort=True, err=True)
        given, warnings = {**given, "yes": True}, [""] * len(decisions)
    are_taken = [
        settle(flywheel, decision, _numbered(given, number, len(decisions)), warning=warning)
        for number, (decision, warning) in enumerate(zip(decisions, warnings, strict=True), start=1)
    ]
    return _carry_out(flywheel, decisions, as_document=as_document) if pending or all(are_taken) else 0


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
    if not only_list and not _quarantine(flywheel, signer, run, reason, given):
        return
    public, unread = survey(flywheel)
    public += unrecorded_public(flywheel)
    rows = [_document(flywheel, each) for each in distrusted(public)] + [_unread_document(each) for each in unread]
    if as_document:
        print_json({"schema": 1, "public": rows})
        return
    _print(rows)


def _carry_out(flywheel: Flywheel, decisions: list[Decision], *, as_document: bool) -> int:
    """And say what was done, what failed, and what is left to people, however long ago that was decided.

    What was decided now comes first; the exit is 1 as long as that, or with no decision anything withdrawn, is public.
    """
    digests = {each.scope.digest for each in decisions if each.scope.digest is not None}
    done, failed = carry_out(flywheel, digests)
    public = [*all_public(flywheel), *unrecorded_public(flywheel)]
    left = [each.withdrawal for each in public if each.is_to_be_yanked and each.withdrawal is not None]
    found = [*done, *(each for each in left if each not in done)]
    mine = [each for each in found if not digests or each.artifact_digest in digests]
    code = NOT_CARRIED_OUT if failed or any(each.yanked_by for each in mine) else 0
    if as_document:
        withdrawals = [each.model_dump(mode="json") | {"to_do": to_do(each)} for each in found]
        print_json({"schema": 1, "withdrawals": withdrawals, "failed": failed})
        return code
    never = digests - {each.publication.artifact_digest for each in public}
    unpublished = [f"{d.scope.output} {d.scope.digest}: never published." for d in decisions if d.scope.digest in never]
    earlier = list(told(each for each in found if each not in mine))
    heading = ["Besides, of what was withdrawn before:"] if earlier else []
    for sentence in (*told(mine), *unpublished, *heading, *earlier, *failed):
        console().print(sentence)
    if not (found or failed or unpublished):
        console().print("Nothing is public that would have to be taken away now.")
    return code


def _quarantine(
    flywheel: Flywheel, signer: str | None, run: tuple[str, str] | None, reason: str, given: dict[str, Any]
) -> bool:
    """Decide, once; False when that was only written down."""
    decision = (
        quarantine_of_run(flywheel, *run, reason) if run else quarantine_of_signer(flywheel, signer or "", reason)
    )
    if earlier := same_decision(flywheel, decision):
        at = f"{earlier.attested.arrived_at:%Y-%m-%d %H:%M} UTC"
        console(aside=True).print(f"In quarantine since {at}, by {earlier.who}: nothing is signed again.")
        return True
    hit = len(builds_hit(flywheel, decision))
    if not hit:
        # Not what --yes is for: a mistyped run would read as an all-clear.
        click.confirm(
            f"No build in evidence came of {decision.scope.subject}. Sign it all the same?", abort=True, err=True
        )
    warning = f"  quarantine {decision.scope.subject}: {hit} builds came of it, and more may be built from these"
    return settle(flywheel, decision, given, warning=warning)


def _warning(flywheel: Flywheel, decision: Decision) -> str:
    """What nobody can take back: of which artifact, and where it goes from."""
    scope = decision.scope
    what = f"  withdraw {scope.output} {scope.digest}, which cannot be taken back"
    return "\n    ".join([what, *where_it_is(flywheel, scope)])


def _demand_reason(reason: str, *, is_deciding: bool) -> None:
    if is_deciding and not reason:
        raise click.UsageError("Say why, with --reason.")


def _decisions(flywheel: Flywheel, output: str | None, build: str | None, reason: str) -> list[Decision]:
    if output is not None and build is not None:
        return [withdrawal_of(flywheel, output, parse_build(build), reason)]
    public = [*all_public(flywheel), *unrecorded_public(flywheel)]
    about = (each.publication for each in doubted(public) if each.is_compromised)
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
        "to_do": left_to_do(public),
    }


def _unread_document(unread: Unread) -> dict[str, str]:
    """What cannot be judged counts as public; nothing else is known of it."""
    known = {"output": unread.output, "build": unread.build}
    why = f"what went out there cannot be told: {unread.problem}"
    return {**dict.fromkeys(_FIELDS, ""), **known, "reason": "evidence-damaged", "message": why}


def _told(row: dict[str, str]) -> str:
    """Why it must not be public, and of what is withdrawn already who takes it away."""
    return "; ".join(filter(None, (row["message"], row["to_do"])))


def _print(rows: list[dict[str, str]]) -> None:
    out, columns = console(), ("output", "build", "surface", "reference", "since", "owner", "message")
    if rows and out.width >= NARROW:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_told(row) if column == "message" else row[column] for column in columns))
        out.print(table)
    else:
        for row in rows:
            out.print(f"{row['output']} {row['build']}: {row['reference']}\n  {_told(row)}; {row['owner']}")
    owed = sum(bool(row["to_do"]) for row in rows)
    untold = sum(row["reason"] in _UNTOLD and not row["to_do"] for row in rows)
    known = len(rows) - untold
    all_of_it = "what nobody withdrew yet" if owed else "all of it"
    remedy = f" `flywheel withdraw --quarantined` takes {all_of_it} back." if known > owed else ""
    out.print(f"{known} public artifacts came of what is withdrawn or in quarantine.{remedy}")
    if owed:
        out.print(f"Withdrawn already: {owed} of them, which stay in this list until they were seen gone.")
    if untold:
        out.print(f"{untold} cannot be judged, and count as public: nothing takes them back until that is mended.")
