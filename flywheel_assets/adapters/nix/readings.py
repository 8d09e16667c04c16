"""Readings: what a NAR's file turned out to be beside what its path must be. Pure."""

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.nix.bodies import Body
from flywheel_assets.adapters.nix.closure import Expected, differences
from flywheel_assets.adapters.nix.narinfo import NarInfo
from flywheel_assets.domain.errors import InvalidInputError, ReadError, printable
from flywheel_assets.domain.inspections import Reading, ReadState


def judged(path: str, wanted: Expected | None, info: NarInfo, body: Body) -> Reading:
    """The reading of a file that was opened. ``wanted`` is None where nobody trusted speaks for the path."""
    added = set(info.references) - set(wanted.references) if wanted else set()
    return Reading(
        member=path,
        state=body.state,
        expected_digest=str(wanted.nar_hash) if wanted else "",
        expected_size=wanted.nar_size if wanted else None,
        digest=str(body.nar_hash),
        size=body.nar_size,
        index_problems=(*(differences(info, wanted) if wanted else ()), *_file_problems(info, body)),
        added_references=tuple(sorted(added)),
        detail=printable(body.detail, 600),
    )


def failed(path: str, expected: Expected | None, error: ReadError | InvalidInputError) -> Reading:
    """The reading of a path that could not be read at all."""
    return Reading(
        member=path,
        state=state_of(error),
        expected_digest=str(expected.nar_hash) if expected else "",
        expected_size=expected.nar_size if expected else None,
        detail=printable(str(error), 600),
    )


def _file_problems(info: NarInfo, body: Body) -> list[str]:
    """Where the file itself is not what the narinfo says; only a whole file can be compared."""
    if body.state is not ReadState.READ:
        return []
    problems = []
    if info.file_hash is not None and info.file_hash != body.file_hash:
        problems.append(f"narinfo says FileHash {info.file_hash}, the file is {body.file_hash}")
    if info.file_size is not None and info.file_size != body.file_size:
        problems.append(f"narinfo says FileSize {info.file_size}, the file has {body.file_size}")
    return problems
