"""The register in a real instance: it shows what is public, and its checks fail for whom and what they name."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.gate.case import person
from flywheel_assets.orchestration.keys import Stage
from flywheel_assets.orchestration.registering import CARRIED_OUT, CLEAN, OWNED, register_events
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import Entry, register
from flywheel_assets.promotion.report import State
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.withdrawing import withdrawal_of
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
    events, _ = register_events(opened.flywheel, opened.instance)
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
    told = report(clocks)
    assert not told[CARRIED_OUT][0]
    assert "flywheel withdraw --pending" in told[CARRIED_OUT][1]
    assert not told[CLEAN][0], "what is withdrawn is public until it is gone"
    carry_out(clocks.flywheel)
    assert {name: passed for name, (passed, _) in report(clocks).items()} == dict.fromkeys(
        (OWNED, CLEAN, CARRIED_OUT), True
    )


def test_the_page_of_a_withdrawn_artifact_says_so_once_and_takes_back_how_to_verify_it(clocks: Bench) -> None:
    decide(clocks.flywheel, withdrawal_of(clocks.flywheel, "tide-clock", CLOCK, "It sinks ships."), key_of("alva"))
    report(clocks)
    carry_out(clocks.flywheel)
    for _ in range(2):
        report(clocks)
    shown = clocks.observed(Stage.PUBLISHED_ARTIFACT, "tide-clock", str(CLOCK))
    assert [each.metadata["state"].value for each in shown] == ["withdrawn", "to be withdrawn"]
    assert "It sinks ships" in (shown[0].description or "")
    assert [each.metadata["who_acts"].value for each in shown] == ["nobody", "a release engineer"]
    assert "does not hold any more" in str(shown[0].metadata["verify"].value)


def test_a_withdrawn_release_is_shown_as_to_be_yanked_by_whoever_owns_the_surface_until_it_is_gone(
    tmp_path: Path,
) -> None:
    with bench(tmp_path, "14402201401-depth-charts") as opened:
        opened.flywheel = replace(opened.flywheel, catalogue=with_people(needed=0))
        opened.settle()
        charts = BuildKey.parse(key(14402201401))
        withdrawal = withdrawal_of(opened.flywheel, "depth-charts", charts, "It sinks ships.")
        decide(opened.flywheel, withdrawal, key_of("alva"))
        carry_out(opened.flywheel)
        opened.settle()
        told, catalogue = report(opened), opened.flywheel.catalogue
        newest = opened.observed(Stage.PUBLISHED_ARTIFACT, "depth-charts", str(charts))[0].metadata
        who = person(catalogue, catalogue.surfaces["flakehub"].owner)
        assert (newest["state"].value, newest["who_acts"].value) == ("to be yanked", who)
        assert not told[CLEAN][0]
        assert f"{who} must yank 0.1.1+rev-" in told[CLEAN][1]
        opened.workflow.yank()
        carry_out(opened.flywheel)
        opened.day = 1
        opened.follow()
        assert report(opened)[CLEAN][0]
        newest = opened.observed(Stage.PUBLISHED_ARTIFACT, "depth-charts", str(charts))[0].metadata
        assert newest["state"].value == "withdrawn"
        assert opened.follow() == [], "its workflow says nothing more"


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
    assert "the signer tinyland-nix, quarantined on " in says


def test_what_was_published_by_hand_and_withdrawn_is_not_tried_in_a_run(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.flywheel = replace(opened.flywheel, catalogue=with_people(needed=0))
        take_in(opened.flywheel)
        promote(opened.flywheel, "tide-clock", CLOCK)
        decide(opened.flywheel, withdrawal_of(opened.flywheel, "tide-clock", CLOCK, "It sinks ships."), key_of("alva"))
        carry_out(opened.flywheel)
        assert all(done.success for done in opened.settle())
        assert opened.materialized(Stage.PUBLISHED_ARTIFACT, "tide-clock") == set()
        classification = opened.checks(Stage.VALIDATED_ARTIFACT, "tide-clock", str(CLOCK))["classification"]
        assert classification[0] == "FAILED"
        assert opened.row("tide-clock", str(CLOCK)).state is State.WITHDRAWN
        assert report(opened)[CARRIED_OUT][0]


def test_it_is_gone_through_only_when_something_came_that_it_can_depend_on(
    clocks: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone_through: list[int] = []

    def counted(flywheel: Flywheel) -> list[Entry]:
        gone_through.append(1)
        return register(flywheel)

    monkeypatch.setattr("flywheel_assets.orchestration.registering.register", counted)
    _, seen = register_events(clocks.flywheel, clocks.instance)
    judge(clocks.flywheel, "tide-clock", CLOCK, reread=True)
    assert register_events(clocks.flywheel, clocks.instance, seen) == ([], seen), "a reading is nothing to it"
    assert len(gone_through) == 1
    decided(clocks.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    events, seen = register_events(clocks.flywheel, clocks.instance, seen)
    assert events
    catalogue = clocks.flywheel.catalogue.model_copy(update={"name": "another"})
    _, other = register_events(replace(clocks.flywheel, catalogue=catalogue), clocks.instance, seen)
    assert (len(gone_through), other != seen) == (3, True)


def test_what_cannot_be_told_fails_every_check_once_and_passes_again_once_it_is_restored(
    clocks: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(clocks)

    def fails(_: Flywheel) -> list[Entry]:
        raise EvidenceCorruptError("A blob was altered.")

    with monkeypatch.context() as altered:
        altered.setattr("flywheel_assets.orchestration.registering.register", fails)
        events, seen = register_events(clocks.flywheel, clocks.instance, "before")
        failed = [event for event in events if isinstance(event, dg.AssetCheckEvaluation)]
        assert [(each.check_name, each.passed) for each in failed] == [
            (OWNED, False),
            (CLEAN, False),
            (CARRIED_OUT, False),
        ]
        assert all("A blob was altered" in (each.description or "") for each in failed)
        assert register_events(clocks.flywheel, clocks.instance, seen) == ([], seen)
    events, _ = register_events(clocks.flywheel, clocks.instance, seen)
    assert all(event.passed for event in events if isinstance(event, dg.AssetCheckEvaluation))
    assert events
