"""A pattern for receipts that fits no artifact is told once for its source, and not of runs that are merely old."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from flywheel_assets_tests.forge import ForgeRun
from flywheel_assets_tests.promotion.forged import ForgedRuns, forged, receipt_of


@pytest.fixture
def flow() -> Iterator[ForgedRuns]:
    with forged() as found:
        yield found


def end_with(flow: ForgedRuns, *artifacts: str, conclusion: str = "success", **fields: str) -> ForgeRun:
    run = flow.build(**fields)
    for name in artifacts:
        flow.forge.leave(run, name, tide=receipt_of(run))
    flow.forge.end(run, conclusion)
    return run


def test_a_pattern_that_fits_nothing_is_told_once_for_its_source_until_it_fits(flow: ForgedRuns) -> None:
    end_with(flow, "logs", "flywheel-receipts")
    (said,) = flow.tick().problems
    assert said == (
        "1 run that left artifacts has none called receipt*, so no receipt was read of the source forge: "
        "correct sources.forge.receipt_artifacts, or the name under which the workflow uploads receipts."
    )
    end_with(flow, "logs")
    (said,) = flow.tick(moved=4000).problems
    assert said.startswith("2 runs that left artifacts have none called receipt*")
    assert flow.tick().problems == [said], "a tick that sees nothing new tells it still"
    end_with(flow, "logs", "receipt")
    assert flow.tick().problems == []
    end_with(flow, "logs")
    assert flow.tick(moved=4000).problems == []


def test_what_could_have_left_no_receipt_says_nothing_of_the_pattern(flow: ForgedRuns) -> None:
    end_with(flow)
    end_with(flow, "logs", conclusion="failure")
    end_with(flow, "logs", event="pull_request")
    end_with(flow, "coverage", workflow=".github/workflows/lint.yml")
    end_with(flow, "logs").artifacts[0].is_expired = True
    assert (flow.tick().problems, len(flow.recorded())) == ([], 5)


def test_another_pattern_is_looked_at_from_the_beginning(flow: ForgedRuns) -> None:
    end_with(flow, "receipt")
    assert flow.tick().problems == []
    source = flow.flywheel.catalogue.sources["forge"].model_copy(update={"receipt_artifacts": "reciept*"})
    catalogue = flow.flywheel.catalogue.model_copy(update={"sources": {"forge": source}})
    flow.flywheel = replace(flow.flywheel, catalogue=catalogue)
    (said,) = flow.tick().problems
    assert "none called reciept*" in said


def test_where_runs_were_read_before_this_was_looked_at_nothing_is_told(flow: ForgedRuns) -> None:
    end_with(flow, "receipt")
    flow.tick()
    flow.cursor = flow.cursor.replace('"fitted":true,', "")
    end_with(flow, "logs")
    assert flow.tick().problems == []
