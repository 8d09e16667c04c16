"""The sample's flywheel with a forge that ran its builds, for tests of the intake of runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.forges.gitlab import GitlabRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.catalog.models import Catalogue, ForgeSource, RunSteps, SourceKind
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_RUN
from flywheel_assets.promotion.runs import RunsTaken, take_in_runs
from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.forge import Forge, ForgeRun, Github, Gitlab, served
from flywheel_assets_tests.promotion.installation import (
    Memory,
    a_signer,
    in_memory,
    resigned,
    sample_catalogue,
    statement_of,
    trusting,
)

OUTPUT, KEY = "tide-clock", "tinyland-nix"
REPOSITORY = sample_catalogue().outputs[OUTPUT].repository
STEPS = RunSteps(
    workflows=(".github/workflows/build.yml",),
    bootstrap=("Run vendor/install-nix@*",),
    validations={"nix build": "Run nix build*", "nix flake check": "Run nix flake check*"},
)
GREEN = {"Run vendor/install-nix@v3": "success", "Run nix build .#x": "success", "Run nix flake check": "success"}
_TEMPLATE = (SAMPLE / "inbox" / "14402201001-tide-clock.json").read_bytes()


@cache
def _told() -> dict[str, Any]:
    return statement_of(_TEMPLATE)


@cache
def catalogue(kind: SourceKind) -> Catalogue:
    """The sample's, with a forge, and a builder that is trusted with nothing that it says of itself."""
    made = trusting(KEY, a_signer("builder"))
    source = ForgeSource(
        kind=kind,
        url="https://api.forge.example",
        repositories=(REPOSITORY,),
        steps=STEPS,
        receipt_artifacts="receipt*",
    )
    builder = made.builders[KEY].model_copy(update={"trusted_claims": ()})
    return made.model_copy(update={"sources": {"forge": source}, "builders": {**made.builders, KEY: builder}})


def receipt_of(run: ForgeRun, attempt: int = 1, change: Callable[[dict[str, Any]], object] | None = None) -> bytes:
    """The receipt that a job of the run signs."""

    def tell(statement: dict[str, Any]) -> None:
        named = statement["predicate"]["buildDefinition"]["internalParameters"]["run"]
        named.update(id=str(run.id), attempt=attempt)
        start, end = (time.isoformat() for time in run.times[min(attempt, len(run.times)) - 1])
        statement["predicate"]["runDetails"]["metadata"].update(startedOn=start, finishedOn=end)
        for told in statement["predicate"]["runDetails"]["byproducts"]:
            if told["name"] == "bootstrap":
                told["annotations"]["finished_at"] = start
        if change is not None:
            change(statement)

    return resigned(_TEMPLATE, a_signer("builder"), tell)


@dataclass
class ForgedRuns:
    """A flywheel whose forge is a state that the test changes. ``tick`` is what a sensor does."""

    forge: Forge
    memory: Memory
    flywheel: Flywheel
    cursor: str = ""
    ticks: list[RunsTaken] = field(default_factory=list)

    def build(self, **fields: Any) -> ForgeRun:
        """A run that says of itself what its receipts say."""
        told = _told()["predicate"]["buildDefinition"]
        known = {
            "sha": told["resolvedDependencies"][0]["digest"]["gitCommit"],
            "actor": told["internalParameters"]["trigger"]["actor"],
            "label": KEY,
            "steps": dict(GREEN),
        }
        return self.forge.start(**(known | fields))

    def leave_receipt(self, run: ForgeRun, attempt: int = 1) -> None:
        self.forge.leave(run, f"receipt-{attempt}", tide=receipt_of(run, attempt))

    def tick(self, enough: Callable[[], bool] = lambda: False, *, moved: float = 30) -> RunsTaken:
        """A tick after some seconds. The cursor is kept only when the tick ends, as Dagster does it."""
        self.forge.clock.move(seconds=moved)
        found = take_in_runs(self.flywheel, self.cursor, enough)
        assert json.loads(found.cursor)
        self.cursor = found.cursor
        self.ticks.append(found)
        return found

    def restart(self) -> None:
        """As a new process: it remembers what it has written down and nothing else."""
        self.flywheel = replace(self.flywheel, opened={}, seen=set())

    def recorded(self) -> list[str]:
        """Every record of a run, as ``run.attempt``."""
        chains = [c for log, c in self.memory.evidence.chains.items() if log.startswith("platform-")]
        return [e.subject.split(" ")[1] for chain in chains for e in chain if e.kind == PLATFORM_RUN]

    def builds(self) -> list[BuildKey]:
        """Every receipt that is in evidence as a build."""
        chain = self.memory.evidence.chains.get(output_log(OUTPUT), [])
        return [BuildKey.parse(entry.subject) for entry in chain if entry.kind == RECEIPT]

    def document(self, digest: EvidenceDigest) -> bytes:
        return self.memory.evidence.get(digest)


@contextmanager
def forged(kind: SourceKind = SourceKind.GITHUB) -> Iterator[ForgedRuns]:
    """Nothing ran yet."""
    known = catalogue(kind)
    memory = in_memory("nothing", catalogue=known)
    is_github = kind is SourceKind.GITHUB
    forge = (Github if is_github else Gitlab)(memory.clock, REPOSITORY)
    with served(forge) as server:
        asking = Asking(HttpClient(server.url))
        source = (GithubRuns if is_github else GitlabRuns)(asking, "receipt*")
        flywheel = replace(memory.flywheel, runs={"forge": source})
        yield ForgedRuns(forge, memory, flywheel)
