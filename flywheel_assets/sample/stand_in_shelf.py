"""What the stand-in was told, in files of a folder: old or new whatever ends the process, and nothing in memory."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = Any
# What may be made to go wrong: a name in the file `faults`, one a line, while the stand-in runs. A number behind it
# says how often; without one it goes on until the line is taken out.
FAULTS = frozenset(
    {
        "hang-up-after-dispatch",  # the run is there, and the answer never comes
        "error-after-dispatch",  # the run is there, and a gateway says 502
        "error-before-dispatch",  # no run, and the same answer
        "no-run-details",  # an older GitHub Enterprise: the key is refused, the answer empty
        "refuse-dispatch",  # 422
        "limit",  # 403 with a secondary rate limit, whatever is asked of the forge
        "hub-limit",  # 429 of FlakeHub
        "hub-down",  # 503 of FlakeHub
        "cancel",  # the next run to complete ends cancelled, and releases nothing
        "fail",  # … ends in a failure
        "late-release",  # the newest release is not seen, by so many requests: /version is one as the list is
        "version-without-revision",  # /version tells what is yanked, and not of what revision
        "wrong-revision",  # the release is of another revision
        "wrong-store-path",
        "without-outputs",
        "conflict",  # somebody releases the version first; the upload's 409 ends the run with a failure
    }
)


class Shelf:
    """``state.json`` and ``faults`` in a folder; whoever reads or changes them holds the shelf."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one thread of one process at a time: another stand-in may serve the same folder."""
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def state(self) -> Json:
        """Runs by number and releases by flake and version."""
        try:
            return json.loads((self.folder / "state.json").read_bytes())
        except FileNotFoundError:
            return {"runs": {}, "releases": {}}

    def keep(self, state: Json) -> None:
        """Make ``state`` what is known."""
        _replace(self.folder / "state.json", json.dumps(state, indent=1).encode())

    def faults(self) -> dict[str, int | None]:
        """What goes wrong, and how often still; None without end."""
        try:
            lines = (self.folder / "faults").read_text().splitlines()
        except FileNotFoundError:
            return {}
        found = (line.split() for line in lines if line.strip())
        return {words[0]: int(words[1]) if len(words) > 1 else None for words in found}

    def let_go_wrong(self, faults: dict[str, int | None]) -> None:
        """These and no others. Raises ValueError for a name that is no fault."""
        if unknown := faults.keys() - FAULTS:
            raise ValueError(f"the stand-in has no faults {sorted(unknown)}")
        lines = [name if times is None else f"{name} {times}" for name, times in faults.items()]
        _replace(self.folder / "faults", "\n".join(lines).encode())

    def has(self, name: str) -> bool:
        """Whether this would go wrong."""
        return self.faults().get(name, 0) != 0

    def strikes(self, name: str) -> bool:
        """Whether this goes wrong now; it is counted."""
        faults = self.faults()
        left = faults.get(name, 0)
        if left == 0:
            return False
        if left is not None:
            self.let_go_wrong({**faults, name: left - 1})
        return True


def _replace(path: Path, data: bytes) -> None:
    """After a power cut too."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
