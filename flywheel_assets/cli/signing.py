"""What all commands share that sign a person's decision: whose key, why, and where the signed document goes."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from flywheel_assets.cli.console import console, print_json
from flywheel_assets.domain.decisions import Decision, decision_statement
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.deciding import signed_decision, signers_of, take_decision
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.proposing import BuildCase, why_not_theirs
from flywheel_assets.promotion.weighing import decisions_on, same_decision
from flywheel_assets.wiring.people import PersonSigner, person_signer, write_decision

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
key_option = click.option(
    "--key",
    "key_file",
    default=None,
    envvar="FLYWHEEL_PERSON_KEY",
    type=click.Path(path_type=Path),
    help="Your private key: PEM (PKCS #8), or OpenSSH's Ed25519.",
)
"""Whose key signs, for every command that signs."""

_OPTIONS = (
    key_option,
    click.option(
        "--write",
        "target",
        default=None,
        type=click.Path(path_type=Path),
        help="Write the signed document to a file, to be delivered into the inbox, and decide nothing here.",
    ),
    click.option(
        "--unsigned",
        default=None,
        type=click.Path(path_type=Path),
        help="Sign nothing: write the statement to a file, for `flywheel sign` on somebody else's machine.",
    ),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def signing_options(command: F) -> F:
    """--reason, --key, --write, --unsigned, --yes and --json."""
    reason = click.option("--reason", required=True, help="Why: one line, which is signed and shown.")
    document = click.option("--json", "as_document", is_flag=True, help="Print the decision as JSON (docs/json.md).")
    return reason(document(key_options(command)))


def prose(given: Mapping[str, Any]) -> Console:
    """Where sentences go: beside the document, where one is asked for."""
    return console(aside=bool(given.get("as_document")))


def key_options(command: F) -> F:
    """The same without --reason, for a command that does not always decide."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settle(
    flywheel: Flywheel,
    decision: Decision,
    given: Mapping[str, Any],
    case: BuildCase | None = None,
    *,
    warning: str = "",
) -> bool:
    """Sign a decision with ``given``'s key, ask, and take it into evidence or write it; False when it was only written.

    ``warning`` is said before, and only of what would count. Raises UsageError for a key that is none, or whose
    decision would not count.
    """
    is_taken = _settle(flywheel, decision, given, case, warning)
    if given.get("as_document"):
        found = [each for each in decisions_on(flywheel) if each.decision.id == decision.id] if is_taken else []
        document = found[0].document() if found else {"id": str(decision.id)}
        print_json({"schema": 1, "decision": document, "written": str(given["unsigned"] or given["target"] or "")})
    return is_taken


def _settle(
    flywheel: Flywheel, decision: Decision, given: Mapping[str, Any], case: BuildCase | None, warning: str
) -> bool:
    out = prose(given)
    if given["unsigned"] is not None:
        if given["key_file"] is not None or given["target"] is not None:
            raise UsageError("--unsigned leaves signing to somebody else: give neither --key nor --write with it.")
        write_decision(given["unsigned"], decision_statement(decision))
        out.print(f"Written to {given['unsigned']}, unsigned: `flywheel sign` signs it.")
        return False
    document, people = signed(flywheel, decision, given, case)
    if earlier := same_decision(flywheel, decision, people):
        end = f", until {earlier.until:%Y-%m-%d %H:%M} UTC" if earlier.until else ""
        console(aside=True).print(f"  the same stands already by {earlier.who}, as {earlier.decision.short_id}{end}")
    if warning:
        console(aside=True).print(warning)  # where the question is that follows
    if not given["yes"]:
        click.confirm(f"Sign this as {' and '.join(people)}?", abort=True, err=True)
    if given["target"] is None:
        take_decision(flywheel, document)
        return True
    write_decision(given["target"], document)
    out.print(f"Written to {given['target']}. It counts once it is in the inbox and taken in.")
    return False


def signed(
    flywheel: Flywheel, decision: Decision, given: Mapping[str, Any], case: BuildCase | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """A decision signed with ``given``'s key, and by whom. Raises UsageError as ``settle``; nothing is kept of it."""
    document = signed_decision(decision, signer_of(given["key_file"]))
    people = signers_of(flywheel, document)
    if problem := why_not_theirs(flywheel, people, decision, case):
        raise UsageError(problem)
    return document, people


def signer_of(key_file: Path | None) -> PersonSigner:
    """The signer of a person's key file; its passphrase is asked for. Raises UsageError."""
    if key_file is None:
        raise UsageError("A decision must be signed: give --key FILE, or name the file in FLYWHEEL_PERSON_KEY.")
    return person_signer(key_file, lambda: str(click.prompt("Passphrase", hide_input=True, err=True)))


def period(text: str) -> timedelta:
    """``36h``, ``7d`` or ``2w``. Raises UsageError."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", text)
    if match is None:
        raise UsageError(f"{text!r} is no time span. Write 36h, 7d or 2w.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def end(text: str | None, now: datetime) -> datetime | None:
    """A time span from ``now`` on, or a time (RFC 3339; without a zone it is UTC). Raises UsageError."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+[a-z]", text):
        return now + period(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time. Write 2026-12-24T18:00Z, or a span such as 36h or 7d.") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise UsageError(f"{text} is over already.")
    return moment
