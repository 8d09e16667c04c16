"""A pytest plugin: tests that need a real part say so, and never vanish where it is missing.

`@pytest.mark.peer("nix")` names what a test needs. Where that is missing the test is not run, and the
run ends with a list of all such tests and the reasons; in CI (`CI=true`) it fails with the reason.
The fixture `peer_path` answers where a part is. What is there was written down by `make peers`; for
a part that is not in its list, PATH decides.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

SECTION = "not run: real part missing"
PeerPath = Callable[[str], Path]


class MissingPeerError(Exception):
    """A real part is not on this machine; the message is the reason."""


class Peers:
    """Where the real parts are."""

    def __init__(self, report: Path) -> None:
        self._report = report

    def path(self, name: str) -> Path:
        """The part's program; raises MissingPeerError with the reason if there is none."""
        entry = self._entries().get(name)
        if entry is None:
            found = shutil.which(name)
            if found is None:
                raise MissingPeerError(f"{name} is not on PATH (`make peers` may install it).")
            return Path(found)
        if "missing" in entry:
            raise MissingPeerError(f"{entry['missing']} (`make peers` looks again.)")
        path = Path(entry["path"])
        if not os.access(path, os.X_OK):
            raise MissingPeerError(f"{name} is no longer at {path} (`make peers` looks again).")
        return path

    def reasons(self, item: pytest.Item) -> list[str]:
        """Why the parts that the test is marked with are missing; empty if all are there."""
        reasons = []
        for mark in item.iter_markers("peer"):
            if not mark.args or mark.kwargs or not all(isinstance(name, str) for name in mark.args):
                raise pytest.UsageError(f"{item.nodeid}: mark it with the names of parts, as in peer('nix').")
            for name in mark.args:
                try:
                    self.path(name)
                except MissingPeerError as missing:
                    reasons.append(str(missing))
        return list(dict.fromkeys(reasons))

    def _entries(self) -> dict[str, dict[str, str]]:
        try:
            entries: dict[str, dict[str, str]] = json.loads(self._report.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return entries


PEERS = pytest.StashKey[Peers]()
NOT_RUN = pytest.StashKey[dict[str, str]]()


class NotRun(pytest.Item):
    """Stands in for a test whose real part is missing, so that none of its fixtures is set up."""

    def __init__(self, *, reason: str, original: pytest.Item, **keywords: object) -> None:
        super().__init__(**keywords)  # type: ignore[arg-type]  # pytest's own, passed on by from_parent
        self._reason = reason
        self._original = original

    def runtest(self) -> NoReturn:
        """Fail in CI, and be skipped elsewhere."""
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SECTION}: {self._reason}", pytrace=False)
        pytest.skip(self._reason)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """The place of the test itself."""
        return self._original.reportinfo()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark, and read what `make peers` found."""
    config.addinivalue_line("markers", "peer(name, ...): needs these real parts (`make peers` installs them)")
    config.stash[PEERS] = Peers(config.rootpath / ".venv" / "peers.json")
    config.stash[NOT_RUN] = {}


# Last, for -k and -m select by what only the test itself carries.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Replace each test whose part is missing."""
    for index, item in enumerate(items):
        reasons = config.stash[PEERS].reasons(item)
        if reasons:
            reason = " ".join(reasons)
            config.stash[NOT_RUN][item.nodeid] = reason
            items[index] = NotRun.from_parent(item.parent or item.session, name=item.name, reason=reason, original=item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was not run: a test that cannot run must be seen."""
    if not config.stash[NOT_RUN]:
        return
    terminalreporter.section(SECTION)
    for nodeid, reason in config.stash[NOT_RUN].items():
        terminalreporter.line(f"{nodeid}: {reason}")


@pytest.fixture(scope="session")
def peer_path(pytestconfig: pytest.Config) -> PeerPath:
    """Where a real part is, by its name; for tests that are marked with it."""

    def path(name: str) -> Path:
        try:
            return pytestconfig.stash[PEERS].path(name)
        except MissingPeerError as missing:
            pytest.fail(f"{missing} A test that needs it is to be marked with @pytest.mark.peer({name!r}).")

    return path
