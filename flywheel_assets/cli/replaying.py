"""`flywheel replay` and `flywheel what-if`: what was concluded, and what would be. They only look."""

import os
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.cli.console import console, print_json, verdict_text
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.replaying import Outcome, Replayed, replay, replay_everything
from flywheel_assets.promotion.what_if import Change, Prospect, Turn
from flywheel_assets.promotion.what_if import what_if as prospect_of
from flywheel_assets.wiring import open_flywheel, settings

DONE, REJECTED = 0, 1
NEW_FAILURES, ANY_CHANGE = "new-failures", "any-change"

_as_document = click.option(
    "--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md)."
)


@click.command("replay", help="Make past verdicts again from their evidence, and compare them byte for byte.")
@click.argument("output", required=False)
@click.argument("build", required=False)
@click.option("--all", "all_of", is_flag=True, help="Every verdict on the build, or on each build; else the newest.")
@click.option("--everything", is_flag=True, help="Every verdict on every build of every output.")
@_as_document
def replay_(output: str | None, build: str | None, all_of: bool, everything: bool, as_document: bool) -> int:
    """Exit code 1 when a verdict is not reproduced; with --everything those that kept no recipe only count."""
    if everything == (output is not None):
        raise click.UsageError("Give an OUTPUT, or --everything.")
    flywheel = open_flywheel(settings())
    found = _replayed(flywheel, output, build, all_of=all_of)
    excused = {Outcome.REPRODUCED} | ({Outcome.TOO_OLD} if everything else set())
    if as_document:
        print_json({"schema": 1, "verdicts": [_document(each) for each in found]})
    else:
        _print_replayed(found)
    return DONE if {each.outcome for each in found} <= excused else REJECTED


def _replayed(flywheel: Flywheel, output: str | None, build: str | None, *, all_of: bool) -> list[Replayed]:
    if output is None:
        return list(replay_everything(flywheel))
    return replay(flywheel, output, parse_build(build) if build else None, newest=not all_of)


def _document(each: Replayed) -> dict[str, object]:
    return asdict(each) | {"at": each.at and each.at.isoformat(), "outcome": each.outcome.value}


def _print_replayed(found: list[Replayed]) -> None:
    out = console()
    for each in found:
        if each.outcome is not Outcome.REPRODUCED:
            since = f", recorded {each.at:%Y-%m-%d %H:%M}Z" if each.at else ""
            out.print(Text(f"{each.output} {each.build}", style="bold"), f"  entry {each.entry}{since}", sep="")
            out.print(f"  {each.outcome.value}: {each.says.removesuffix('.')}.")
    counts = Counter(each.outcome.value for each in found)
    out.print(f"{len(found)} verdicts: {', '.join(f'{n} {outcome}' for outcome, n in counts.items()) or 'none'}.")


@click.command("what-if", help="What would newly pass or fail under another catalogue, or at a later time.")
@click.option(
    "--catalog",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A catalogue file instead of those in use: the base first, then overlays. May be repeated.",
)
@click.option("--at", "at", help="A later time, as 2026-12-01T00:00Z.")
@click.option(
    "--fail-on",
    type=click.Choice([NEW_FAILURES, ANY_CHANGE]),
    help="Exit with 1 if there are any: for a check on changes of the catalogue.",
)
@_as_document
def what_if(files: tuple[Path, ...], at: str | None, fail_on: str | None, as_document: bool) -> int:
    """Print what would change; nothing is written, and no cache is read."""
    if not files and at is None:
        raise click.UsageError("Give a --catalog, a time with --at, or both.")
    flywheel = open_flywheel(settings())
    catalogue = load_catalogue(list(files)) if files else flywheel.catalogue
    later = _later(at, flywheel.clock()) if at else None
    found = prospect_of(flywheel, catalogue, later, processes=len(os.sched_getaffinity(0)))
    if as_document:
        print_json({"schema": 1, "catalogue": str(catalogue.digest), **_prospect(found)})
    else:
        _print(found)
    failed = {NEW_FAILURES: found.counts[Turn.FAILS], ANY_CHANGE: len(found.changes)}.get(fail_on or "", 0)
    return REJECTED if failed else DONE


def _later(text: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time. Write it as 2026-12-01T00:00Z.") from error
    if at.tzinfo is None:
        raise UsageError(f"{text!r} names no time zone. Write it as 2026-12-01T00:00Z.")
    if at < now:
        raise UsageError(f"{text} is over. What was concluded then is reproduced by `flywheel replay`.")
    return at.astimezone(UTC)


def _prospect(found: Prospect) -> dict[str, object]:
    return {
        "builds": found.builds,
        "counts": {turn.value: count for turn, count in found.counts.items()},
        "changes": [asdict(change) | {"turn": change.turn.value} for change in found.changes],
        "waiting": found.waiting,
    }


def _print(found: Prospect) -> None:
    out = console()
    for turn in Turn:
        changes = [change for change in found.changes if change.turn is turn]
        if changes:
            out.print(Text(f"{turn.value}: {len(changes)}", style="bold"))
        for change in changes:
            _print_change(change)
    for output, number in found.waiting.items():
        out.print(f"{output}: {number} receipts wait for the catalogue, and would be taken in.")
    counts = ", ".join(f"{count} {turn.value}" for turn, count in found.counts.items() if count)
    out.print(f"{found.builds} builds, {counts or 'nothing would change'}.")


def _print_change(change: Change) -> None:
    out = console()
    line = Text(f"  {change.output} {change.build}  ")
    line += verdict_text(change.before.verdict) + Text(f" ({change.before.reason}) → ")
    line += verdict_text(change.after.verdict) + Text(f" ({change.after.reason})")
    out.print(line + Text("  published" if change.is_published else ""))
    if change.after.message:
        out.print(f"    {change.after.message}.")
    acts = "" if change.actor == change.owner else f"  who acts: {change.actor}"
    out.print(f"    whose it is: {change.owner}{acts}")
