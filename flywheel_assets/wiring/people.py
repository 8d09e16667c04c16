"""What `flywheel approve`, `hold` and the like need of the adapters: a person's key, and files to read and write."""

from collections.abc import Callable
from pathlib import Path

from flywheel_assets.adapters.signatures.people import person_key
from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.domain.decisions import REMEDY, Decision, read_decision
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.statements import parse_statement
from flywheel_assets.ports import Signer

PersonSigner = Signer
"""A person's key, ready to sign."""

MAX_STATEMENT_BYTES = 64 * 1024


def person_signer(path: Path, ask: Callable[[], str]) -> PersonSigner:
    """The signer of a person's key file. Raises UsageError."""
    return person_key(path, ask)


def write_decision(path: Path, document: bytes) -> None:
    """Write a signed decision, whole or not at all."""
    write_atomically(path, document)


def read_unsigned(path: Path) -> Decision:
    """The decision in a statement that somebody is to sign. Raises InvalidInputError naming the field that is wrong."""
    with path.open("rb") as stream:
        data = stream.read(MAX_STATEMENT_BYTES + 1)
    if len(data) > MAX_STATEMENT_BYTES:
        raise UsageError(f"{path} is no decision: it has more than {MAX_STATEMENT_BYTES:,} bytes.")
    return read_decision(parse_statement(data, str(path), REMEDY), str(path))
