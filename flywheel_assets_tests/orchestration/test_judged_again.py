"""Judged again: what new evidence, a changed catalogue or the clock can have changed, and nothing else."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.catalog.models import GateException
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.orchestration.turns import UNTIL
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import VERDICT, last_verdict
from flywheel_assets_tests.orchestration.bench import Bench, bench, deliver
from flywheel_assets_tests.promotion.installation import CLOCK
from flywheel_assets_tests.promotion.people import approve, decided, with_people

DELIVERIES = (
    "14402201001-tide-clock",
    "14402201003-tide-clock",
    "14402201101-chart-plotter",
    "14402201301-sounding-line",
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Bench]:
    """Four builds of three outputs, all judged; one of tide-clock's waits for somebody to approve it."""
    with bench(tmp_path, *DELIVERIES) as made:
        made.flywheel = replace(made.flywheel, catalogue=with_people(needed=1))
        made.settle()
        yield made


def judgements(opened: Bench) -> Counter[str]:
    """How often each build was evaluated with another result than before."""
    found: Counter[str] = Counter()
    for output in opened.flywheel.catalogue.outputs:
        entries = opened.flywheel.evidence.entries(output_log(output))
        found.update(f"{output} {entry.subject}" for entry in entries if entry.kind == VERDICT)
    return found


def evaluated_since(opened: Bench, before: Counter[str]) -> dict[str, int]:
    opened.settle()
    return dict(judgements(opened) - before)


def reasons(opened: Bench) -> set[str]:
    found = last_verdict(opened.flywheel, "tide-clock", CLOCK)
    assert found
    return {finding.reason for finding in found.verdict.findings} - {"holds"}


def change_output(opened: Bench, name: str, **changes: Any) -> None:
    catalogue = opened.flywheel.catalogue
    output = catalogue.outputs[name].model_copy(update=changes)
    changed = catalogue.model_copy(update={"outputs": {**catalogue.outputs, name: output}})
    opened.flywheel = replace(opened.flywheel, catalogue=changed)
    opened._definitions.clear()  # as a restart does


def test_nothing_is_judged_again_while_nothing_changes(opened: Bench) -> None:
    before, cursor = judgements(opened), opened.cursors.copy()
    opened.day = 300
    assert evaluated_since(opened, before) == {}
    followed = "follow_publications"  # whose cursor is the day of its last round
    assert {**opened.cursors, followed: ""} == {**cursor, followed: ""}


def test_an_approval_that_arrives_and_one_that_ends_wake_the_build_that_it_is_about(opened: Bench) -> None:
    about = f"tide-clock {CLOCK}"
    assert reasons(opened) == {"approval-missing"}
    before = judgements(opened)
    approve(opened.flywheel, "alva", "tide-clock", CLOCK, days=5)
    assert evaluated_since(opened, before) == {about: 1}
    assert reasons(opened) == set()
    assert UNTIL in str(opened.cursors["pick_up_builds"])
    before, opened.day = judgements(opened), 4
    assert evaluated_since(opened, before) == {}
    opened.day = 6
    assert evaluated_since(opened, before) == {about: 1}
    assert reasons(opened)
    opened.day = 60
    assert evaluated_since(opened, before) == {about: 1}


def test_a_hold_wakes_its_output_when_it_comes_and_when_it_ends(opened: Bench) -> None:
    before = judgements(opened)
    decided(opened.flywheel, "bo", Act.HOLD, timedelta(days=2), output="sounding-line")
    (woken,) = evaluated_since(opened, before)
    assert woken.startswith("sounding-line ")
    opened.day = 3
    assert evaluated_since(opened, before) == {woken: 2}


def test_what_a_stranger_decides_wakes_nothing(opened: Bench) -> None:
    before = judgements(opened)
    decided(opened.flywheel, "mallory", Act.HOLD, output="sounding-line")
    assert evaluated_since(opened, before) == {}


def test_a_changed_catalogue_wakes_the_outputs_whose_part_of_it_changed(opened: Bench) -> None:
    before = judgements(opened)
    change_output(opened, "chart-plotter", consumption="From the durable cache.")
    (woken,) = evaluated_since(opened, before)
    assert woken.startswith("chart-plotter ")
    change_output(opened, "ci-toolchain", consumption="Not at all.")
    assert evaluated_since(opened, before) == {woken: 1}


def test_a_second_opinion_wakes_the_builds_of_its_source_and_no_other(opened: Bench) -> None:
    deliver(opened.settings.home, "14402201105-chart-plotter")
    opened.settle()
    before = judgements(opened)
    deliver(
        opened.settings.home, "14402201106-chart-plotter"
    )  # another builder, who got something else from the same source
    woken = evaluated_since(opened, before)
    assert set(woken) == {f"chart-plotter {run}.1.x86_64-linux" for run in (14402201105, 14402201106)}


def test_an_exception_that_ends_wakes_its_output_at_that_moment_and_no_other(opened: Bench) -> None:
    catalogue, name = opened.flywheel.catalogue, "sounding-line"
    excepted = GateException(
        rule="validation_is_green",
        reason="validation-missing",
        validations=("fuzzing",),
        output=name,
        owner=catalogue.outputs[name].owner,
        because="Its fuzzer is being moved.",
        until=opened.flywheel.clock() + timedelta(days=2),
    )
    opened.flywheel = replace(
        opened.flywheel, catalogue=catalogue.model_copy(update={"exceptions": {"fuzzing": excepted}})
    )
    change_output(opened, name, validations=("fuzzing",))
    opened.settle()
    before, opened.day = judgements(opened), 1
    assert evaluated_since(opened, before) == {}
    opened.day = 3
    (woken,) = evaluated_since(opened, before)
    assert woken.startswith(f"{name} ")
    newest = last_verdict(opened.flywheel, name, BuildKey.parse(woken.removeprefix(f"{name} ")))
    assert newest
    assert newest.verdict.worst.reason == "validation-missing"


def test_the_daily_reconciliation_judges_nothing_anew_where_nothing_changed(opened: Bench) -> None:
    opened.reconcile()  # the first only starts the count
    before, opened.day = judgements(opened), 1
    while opened.cursors["reconcile_daily"] != opened.pipeline.flywheel.clock().date().isoformat():
        opened.reconcile()
    assert evaluated_since(opened, before) == {}
