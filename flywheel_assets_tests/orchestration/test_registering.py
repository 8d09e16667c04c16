"""The register in a real instance: it shows what is public, and its checks fail for whom and what they name."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.orchestration.registering import CARRIED_OUT, CLEAN, OWNED, register_events
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.withdrawing import carry_out, withdrawal_of
from flywheel_assets_tests.orchestration.bench import Bench, bench, key
from flywheel_assets_tests.promotion.people import decided, key_of, with_people

CLOCK = BuildKey.parse(key(14402201001))


@pytest.fixture
def clocks(tmp_path: Path) -> Iterator[Bench]:
    """A published build of tide-clock."""
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.flywheel = replace(opened.flywheel, catalogue=with_people(needed=0))
        opened.settle()
        yield opened


def report(opened: Bench) -> dict[str, tuple[bool, str]]:
    """What the sensor reports now, stored in the instance: each check, and what it says."""
    events = register_events(opened.flywheel, opened.instance)
    for event in events:
        opened.instance.report_runless_asset_event(event)
    checks = [event for event in events if isinstance(event, dg.AssetCheckEvaluation)]
    return {check.check_name: (check.passed, check.description or "") for check in checks}


def test_it_is_reported_once_and_again_when_it_changed(clocks: Bench) -> None:
    assert {name: passed for name, (passed, _) in report(clocks).items()} == {
        OWNED: True,
        CLEAN: True,
        CARRIED_OUT: True,
    }
    assert report(clocks) == {}
    decide(clocks.flywheel, withdrawal_of(clocks.flywheel, "tide-clock", CLOCK, "It sinks ships."), key_of("alva"))
    passed, says = report(clocks)[CARRIED_OUT]
    assert not passed
    assert "flywheel withdraw --pending" in says
    carry_out(clocks.flywheel)
    assert report(clocks)[CARRIED_OUT][0]


def test_an_owner_who_left_the_catalogue_fails_the_check(clocks: Bench) -> None:
    report(clocks)
    catalogue = clocks.flywheel.catalogue
    entry = catalogue.outputs["tide-clock"]
    other = next(name for name in catalogue.owners if name != entry.owner)
    outputs = {**catalogue.outputs, "tide-clock": entry.model_copy(update={"owner": other})}
    clocks.flywheel = replace(clocks.flywheel, catalogue=catalogue.model_copy(update={"outputs": outputs}))
    passed, says = report(clocks)[OWNED]
    assert not passed
    assert f"tide-clock {CLOCK}" in says


def test_a_quarantined_signer_fails_the_check_that_nothing_public_is_distrusted(clocks: Bench) -> None:
    decided(clocks.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    passed, says = report(clocks)[CLEAN]
    assert not passed
    assert "the signer tinyland-nix, quarantined by bo" in says
