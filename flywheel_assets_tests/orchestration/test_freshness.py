"""The lag: how long the oldest build has waited, whoever is to blame, in numbers and as a check."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration.freshness import KEEPS_UP, intake_events
from flywheel_assets.orchestration.keys import INTAKE
from flywheel_assets.orchestration.sensors import watch_builders
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.lag import LATE
from flywheel_assets.promotion.letters import dismiss, letters
from flywheel_assets_tests.orchestration.bench import Bench, bench, deliver


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "14402201001-tide-clock") as made:
        yield made


def later(opened: Bench, **by: float) -> Flywheel:
    return replace(opened.flywheel, clock=lambda: opened.flywheel.clock() + timedelta(**by))


def shown(opened: Bench, **by: float) -> tuple[bool, str, dict[str, object]]:
    """What the next tick would report; it is reported."""
    events = intake_events(later(opened, **by), opened.instance)
    for event in events:
        opened.instance.report_runless_asset_event(event)
    facts, evaluation = events
    assert isinstance(facts, dg.AssetMaterialization)
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert (evaluation.asset_key, evaluation.check_name) == (INTAKE, KEEPS_UP)
    return evaluation.passed, evaluation.description or "", {n: v.value for n, v in facts.metadata.items()}


def test_nothing_waits_when_everything_is_judged_and_that_is_said_once(opened: Bench) -> None:
    opened.settle()
    passed, says, facts = shown(opened)
    assert (passed, says) == (True, "Everything that arrived was taken in and judged.")
    assert (facts["lag_seconds"], facts["builds_waiting"]) == (0.0, 0)
    assert intake_events(later(opened, hours=5), opened.instance) == []


def test_a_build_that_is_not_judged_for_too_long_fails_the_check(opened: Bench) -> None:
    take_in(opened.flywheel)
    passed, says, facts = shown(opened, minutes=10)
    assert passed
    assert facts["oldest_build"] == "tide-clock 14402201001.1.x86_64-linux"
    passed, says, facts = shown(opened, minutes=61)
    assert not passed
    assert says.startswith("tide-clock 14402201001.1.x86_64-linux has waited for 1:01")
    assert 3600 < float(str(facts["lag_seconds"])) < 3720


def test_a_delivery_that_nobody_takes_in_is_seen_and_ages_from_when_it_was_first_seen(opened: Bench) -> None:
    """As when the other sensor is switched off."""
    passed, says, facts = shown(opened)
    assert passed
    assert facts["undelivered"] == "14402201001-tide-clock.json"
    passed, says, facts = shown(opened, hours=2)
    assert not passed
    assert "the delivery 14402201001-tide-clock.json has waited for 2:00" in says


def test_an_inbox_that_cannot_be_read_fails_the_check_at_once(opened: Bench) -> None:
    opened.settle()
    inbox = opened.settings.home / "sample" / "inbox"
    inbox.rename(inbox.with_name("elsewhere"))
    passed, says, _ = shown(opened)
    assert not passed
    assert says.startswith("Nothing can be taken in. The inbox")


def test_damaged_evidence_fails_the_check_and_mended_evidence_passes_it_again(opened: Bench) -> None:
    opened.settle()
    (entry, *_) = (opened.settings.home / "evidence" / "logs" / "output-tide-clock").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(b"{}")
    passed, says, _ = shown(opened)
    assert not passed
    assert "evidence log output-tide-clock" in says
    entry.write_bytes(whole)
    assert shown(opened)[0]


def on_the_page(opened: Bench) -> tuple[str, str]:
    """What the instance says of the check, as the UI asks it."""
    name = dg.AssetCheckKey(INTAKE, KEEPS_UP)
    record = opened.instance.event_log_storage.get_latest_asset_check_execution_by_key([name])[name]
    assert record.evaluation
    return record.status.value, record.evaluation.description or ""


def watched(opened: Bench, **by: float) -> tuple[str, str]:
    """The same after a tick of the sensor that watches, so much later."""
    at = replace(opened, flywheel=later(opened, **by), _definitions={})
    at.report_events(at.ask(watch_builders))
    return on_the_page(opened)


@pytest.mark.parametrize("is_taken_in", [True, False])
def test_in_the_instance_the_check_goes_red_over_a_build_that_waits_and_green_once_it_is_judged(
    opened: Bench, *, is_taken_in: bool
) -> None:
    """Whether its run does not start, or the sensor that takes deliveries in stands still."""
    if is_taken_in:
        take_in(opened.flywheel)
    assert watched(opened)[0] == "SUCCEEDED"
    assert watched(opened, minutes=59)[0] == "SUCCEEDED"
    status, says = watched(opened, minutes=62)
    assert status == "FAILED"
    assert "has waited for 1:0" in says
    newest = opened.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=INTAKE), limit=1).records[0]
    assert newest.asset_materialization
    assert float(str(newest.asset_materialization.metadata["lag_seconds"].value)) > LATE.total_seconds()
    opened.settle()
    assert watched(opened, minutes=63) == ("SUCCEEDED", "Everything that arrived was taken in and judged.")


def test_letters_are_counted(opened: Bench) -> None:
    deliver(opened.settings.home, "truncated-receipt", "14402202001-mystery-box")
    take_in(opened.flywheel)
    opened.settle()
    passed, says, facts = shown(opened)
    assert (facts["unreadable"], facts["unknown_outputs"]) == (1, 1)
    assert not passed, "not all that arrived was taken in and judged while letters are open"
    assert "2 letters: 1 unreadable, 1 of outputs that the catalogue does not know" in says
    for letter in letters(opened.flywheel):
        dismiss(opened.flywheel, letter.number, "A test.", "ines")
    assert shown(opened)[:2] == (True, "Everything that arrived was taken in and judged.")


def test_a_damaged_log_of_builders_fails_the_check(opened: Bench) -> None:
    opened.settle()
    opened.report_events(opened.ask(watch_builders))
    (entry, *_) = (opened.settings.home / "evidence" / "logs" / "builders").iterdir()
    entry.write_bytes(b"{}")
    assert watched(opened)[0] == "FAILED"
