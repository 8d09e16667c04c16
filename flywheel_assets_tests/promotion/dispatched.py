"""The sample's flake on fakes: a build that a workflow publishes, and the workflow."""

from dataclasses import dataclass
from typing import Any

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.promotion.dispatches import DISPATCH, dispatches
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.following import follow
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import PUBLICATION
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.recording import Promoted
from flywheel_assets.promotion.report import Row, report
from flywheel_assets.promotion.shown_releases import LOOKS
from flywheel_assets_tests.fakes import FakeSurface, FakeWorkflow
from flywheel_assets_tests.promotion.installation import (
    CHARTS,
    Memory,
    a_signer,
    in_memory,
    resigned,
    sample_catalogue,
    trusting,
)

CHARTS_OUTPUT = "depth-charts"
RECEIPT = "14402201401-depth-charts.json"


class NeverEndsError(Exception):
    """However often it was gone on with."""


@dataclass(frozen=True)
class Flake:
    """A flywheel on fakes, whose one build is published by a workflow."""

    memory: Memory
    workflow: FakeWorkflow

    @property
    def flywheel(self) -> Flywheel:
        """As a new process would open it."""
        return self.memory.but(workflows={"flakehub": self.workflow})

    @property
    def carrier(self) -> FakeSurface:
        """The cache that carries the binaries."""
        return self.memory.surfaces["durable-nix"]

    def promote(self, *, anew: bool = True) -> Promoted | Dispatch:
        return promote(self.flywheel, CHARTS_OUTPUT, CHARTS, anew=anew)

    def follow(self) -> DispatchState:
        """One look of the sensor."""
        found = follow(self.flywheel, CHARTS_OUTPUT, CHARTS)
        assert found is not None
        return found.state

    def an_hour_in_vain(self) -> DispatchState:
        """The sensor's looks of an hour, of those that count; the clock is moved."""
        for _ in range(LOOKS):
            self.memory.clock.move(minutes=10)
            state = self.follow()
        return state

    def to_the_end(self) -> Promoted:
        """All that sensor and runs do from here on."""
        for _ in range(9):
            done = self.promote(anew=False)
            if isinstance(done, Promoted):
                return done
            self.memory.clock.move(seconds=60)
        raise NeverEndsError

    def states(self) -> list[str]:
        """All that is on record, in its order."""
        return [each.state.value for each in dispatches(self.flywheel, CHARTS_OUTPUT, CHARTS)]

    def last(self) -> Dispatch:
        return dispatches(self.flywheel, CHARTS_OUTPUT, CHARTS)[-1]

    def records(self) -> int:
        return self._kinds().count(PUBLICATION)

    def entries(self) -> int:
        return self._kinds().count(DISPATCH)

    def row(self) -> Row:
        (found,) = [row for row in report(self.flywheel) if row.output == CHARTS_OUTPUT]
        return found

    def _kinds(self) -> list[str]:
        return [entry.kind for entry in self.memory.evidence.entries(f"output-{CHARTS_OUTPUT}")]


def a_flake(*, catalogue: Catalogue | None = None, **workflow: Any) -> Flake:
    """The sample's flake, taken in."""
    memory = in_memory(RECEIPT, catalogue=catalogue)
    take_in(memory.flywheel)
    return Flake(memory, FakeWorkflow(**workflow))


def with_twin(**workflow: Any) -> tuple[Flake, BuildKey]:
    """The same, and another run that built the same of the same revision."""
    signer, twin = a_signer("builder"), CHARTS.model_copy(update={"run": "14402201399"})
    memory = in_memory(RECEIPT, catalogue=trusting("tinyland-nix", signer))

    def of_twin(statement: dict[str, Any]) -> None:
        predicate = statement["predicate"]
        predicate["buildDefinition"]["internalParameters"]["run"]["id"] = twin.run
        predicate["runDetails"]["metadata"]["invocationId"] = "https://ci.example/runs/14402201399"

    document = memory.inbox.documents[RECEIPT]
    memory.inbox.documents[RECEIPT] = resigned(document, signer, lambda statement: statement)
    memory.inbox.documents["14402201399-depth-charts.json"] = resigned(document, signer, of_twin)
    take_in(memory.flywheel)
    judge(memory.flywheel, CHARTS_OUTPUT, twin)
    return Flake(memory, FakeWorkflow(**workflow)), twin


def with_target(**changes: Any) -> Catalogue:
    """The sample's catalogue with the flake's target changed."""
    catalogue = sample_catalogue()
    output = catalogue.outputs[CHARTS_OUTPUT]
    assert output.publication is not None
    target = output.publication.model_copy(update=changes)
    outputs = {**catalogue.outputs, CHARTS_OUTPUT: output.model_copy(update={"publication": target})}
    return catalogue.model_copy(update={"outputs": outputs})
