"""Files of JSON objects one after another, on lines of their own or not, as Bazel writes logs and build events."""

import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.files import read_error
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, printable
from flywheel_assets.domain.limits import MIB

ENTRY_CHARS = 64 * MIB
"""One object: an action lists every input, so it is far larger than what becomes of it."""

_READ = 64 * 1024
_ZSTD = b"\x28\xb5\x2f\xfd"


def objects(file: Path, what: str, remedy: str) -> Iterator[Any]:
    """Each object of ``file``, streamed; at most ENTRY_CHARS characters are held at once. ``what`` is for errors.

    Raises InvalidInputError for a malformed file, LimitExceededError, ReadError.
    """
    name = printable(str(file))
    try:
        with file.open("rb") as opened:
            if opened.read(len(_ZSTD)) == _ZSTD:
                problem = "is compressed, as Bazel's compact log is, and only JSON is read"
                raise InvalidInputError(name, "encoding", problem, remedy)
            opened.seek(0)
            yield from _decoded(TextIOWrapper(opened, encoding="utf-8"), name, remedy)
    except OSError as error:
        raise read_error(error, f"{what} {name}", remedy) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(name, "encoding", "is not UTF-8", remedy) from error


def _decoded(file: TextIOWrapper, name: str, remedy: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    rest = ""
    while True:
        # The window doubles, so that an object of any size is tried only a few times.
        more = file.read(max(_READ, len(rest)))
        rest = (rest + more).lstrip()
        at_end = not more
        position = 0
        while position < len(rest):
            try:
                value, position = decoder.raw_decode(rest, position)
            except json.JSONDecodeError as error:
                if at_end:
                    raise InvalidInputError(name, "JSON", "ends within an object, or is no JSON", remedy) from error
                break
            except (ValueError, RecursionError) as error:
                raise InvalidInputError(name, "JSON", "cannot be parsed", remedy) from error
            yield value
            while position < len(rest) and rest[position].isspace():
                position += 1
        rest = rest[position:]
        if at_end:
            return
        if len(rest) > ENTRY_CHARS:
            raise LimitExceededError(name, "an object", f"is over {ENTRY_CHARS:,} characters", "Split the action.")
