"""Decisions under Dagster: the last approval publishes by itself, a hold is seen, what they bear on is judged again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.orchestration.keys import Stage
from flywheel_assets.orchestration.metadata import explained
from flywheel_assets.promotion.deciding import signed_decision
from flywheel_assets.promotion.flywheel import under
from flywheel_assets.promotion.hearing import DECISIONS, HEARD
from flywheel_assets.promotion.proposing import approval_of, case_of
from flywheel_assets_tests.orchestration.bench import PUBLISHED, VALIDATED, Bench, bench, key
from flywheel_assets_tests.orchestration.test_drain import drained
from flywheel_assets_tests.promotion.people import approve, decided, entered, key_of, person, with_people

CLOCK, SOUNDING = key(14402201001), key(14402201301)
BUILD = BuildKey.parse(CLOCK)


@pytest.fixture
def clocks(tmp_path: Path) -> Iterator[Bench]:
    """A build each of two outputs, judged; tide-clock's, which would go out by itself, needs two approvals."""
    with bench(tmp_path, "14402201001-tide-clock", "14402201301-sounding-line") as opened:
        opened.flywheel = replace(opened.flywheel, catalogue=with_people())
        opened.settle()
        yield opened


def judged_by(runs: list[dg.ExecuteInProcessResult]) -> set[str]:
    """The partitions that these runs observed, by asset."""
    return {
        f"{event.asset_key.path[-1]} {event.partition}"
        for run in runs
        for event in (e.asset_observation_data.asset_observation for e in run.all_events if e.is_asset_observation)
    }


def metadata(opened: Bench) -> dict[str, object]:
    """The newest verdict that the UI shows of tide-clock's build."""
    newest = opened.observed(VALIDATED, "tide-clock", CLOCK)[0]
    return {name: value.value for name, value in newest.metadata.items()}


def shown(opened: Bench) -> list[dict[str, object]]:
    newest = opened.observed(VALIDATED, "tide-clock", CLOCK)[0].metadata.get("decisions")
    records = newest.records if isinstance(newest, dg.TableMetadataValue) else []
    return sorted((dict(record.data) for record in records), key=lambda row: str(row["who"]))


def deliver(opened: Bench, decision: Decision, name: str) -> None:
    """Into the inbox, as somebody without access to the installation does it."""
    path = opened.settings.home / "sample" / "inbox" / f"{decision.act.value}-{name}.json"
    path.write_bytes(signed_decision(decision, key_of(name)))


def test_it_waits_for_approvals_goes_out_with_the_last_one_and_shows_who_gave_them(clocks: Bench) -> None:
    assert metadata(clocks)["reason"] == "approval-missing"
    assert clocks.checks(VALIDATED, "tide-clock", CLOCK)["publication"] == ("FAILED", True)
    approve(clocks.flywheel, "alva", "tide-clock", BUILD)
    runs = clocks.settle()
    assert judged_by(runs) == {f"tide-clock {CLOCK}"}
    assert clocks.materialized(PUBLISHED, "tide-clock") == set()
    approval = approval_of(case_of(clocks.flywheel, "tide-clock", BUILD), "Tried.", None)
    deliver(clocks, approval, "bo")
    assert all(run.success for run in clocks.settle())
    assert clocks.materialized(PUBLISHED, "tide-clock") == {CLOCK}
    assert clocks.checks(VALIDATED, "tide-clock", CLOCK)["publication"] == ("SUCCEEDED", True)
    rows = shown(clocks)
    assert [(row["who"], row["decided"], row["counts"]) for row in rows] == [
        ("alva", "approve", "yes"),
        ("bo", "approve", "yes"),
    ]
    assert rows[1]["reason"] == "Tried."
    assert str(rows[1]["until"]).startswith(f"{approval.expires_at:%Y-%m-%d %H:%M}")
    assert not clocks.ask().run_requests, "and then there is nothing to do"


def test_a_tick_that_is_killed_after_it_took_the_last_approval_in_loses_nothing(clocks: Bench) -> None:
    approve(clocks.flywheel, "alva", "tide-clock", BUILD)
    deliver(clocks, approval_of(case_of(clocks.flywheel, "tide-clock", BUILD), "Tried.", None), "bo")
    killed = clocks.ask()
    assert killed.run_requests
    assert len(entered(clocks.flywheel)) == 2
    clocks.flywheel = replace(clocks.flywheel, seen=set(), standing={}, opened={})
    clocks.settle()
    assert clocks.materialized(PUBLISHED, "tide-clock") == {CLOCK}
    assert clocks.events(Stage.PUBLISHED_ARTIFACT, "tide-clock") == [CLOCK]


def test_a_hold_stops_it_is_shown_with_who_and_why_and_goes_by_itself(clocks: Bench) -> None:
    approve(clocks.flywheel, "alva", "tide-clock", BUILD)
    now = clocks.flywheel.clock()
    hold = Decision(act=Act.HOLD, scope=Scope(output="tide-clock"), reason="The fair is on.", made_at=now)
    deliver(clocks, hold, "cleo")
    approve(clocks.flywheel, "bo", "tide-clock", BUILD)
    runs = clocks.settle()
    assert judged_by(runs) == {f"tide-clock {CLOCK}"}, "the other output is not judged again"
    assert metadata(clocks)["reason"] == "held"
    assert "The fair is on." in str(metadata(clocks)["why"])
    assert clocks.materialized(PUBLISHED, "tide-clock") == set()
    decided(clocks.flywheel, "alva", Act.REVOKE, decision=hold.id)
    clocks.settle()
    assert clocks.materialized(PUBLISHED, "tide-clock") == {CLOCK}
    assert {(row["decided"], row["counts"]) for row in shown(clocks)} >= {
        ("hold", "no: alva revoked it: It must be so."),
        ("revoke", "yes"),
    }


def test_a_tick_puts_down_whom_the_catalogue_hears_by_now(clocks: Bench) -> None:
    decided(clocks.flywheel, "dina", Act.HOLD)
    known = clocks.flywheel.catalogue
    joined = known.model_copy(update={"people": {**known.people, "dina": person("dina")}})
    clocks.flywheel = replace(clocks.flywheel, catalogue=joined)
    clocks.ask()
    clocks.flywheel = replace(clocks.flywheel, catalogue=known, standing={})
    clocks.settle()
    assert "everything is held by dina" in str(metadata(clocks)["why"])


def test_a_decision_about_another_output_has_no_build_judged_again(clocks: Bench) -> None:
    decided(clocks.flywheel, "alva", Act.HOLD, output="harbor-map-image")
    assert judged_by(clocks.settle()) == set()


def test_a_hold_of_everything_is_seen_at_every_build(clocks: Bench) -> None:
    decided(clocks.flywheel, "alva", Act.HOLD)
    assert judged_by(clocks.settle()) == {f"tide-clock {CLOCK}", f"sounding-line {SOUNDING}"}


def test_an_approval_from_a_stranger_is_taken_in_and_changes_nothing(clocks: Bench) -> None:
    approval = approval_of(case_of(clocks.flywheel, "tide-clock", BUILD), "Mine.", None)
    deliver(clocks, approval, "stranger")
    assert judged_by(clocks.settle()) == set()
    assert len(entered(clocks.flywheel)) == 1
    assert shown(clocks) == []


def test_a_person_cannot_promote_by_hand_what_is_held(clocks: Bench) -> None:
    decided(clocks.flywheel, "alva", Act.HOLD, output="sounding-line")
    clocks.settle()
    refused = clocks.materialize("sounding-line", SOUNDING, PUBLISHED)
    assert not refused.success
    assert clocks.materialized(PUBLISHED, "sounding-line") == set()


def test_what_passes_by_an_exception_alone_is_told_apart_from_what_holds() -> None:
    def finding(rule: str, verdict: VerdictClass, exception: str = "") -> Finding:
        return Finding(
            rule=rule, phase=Phase.VALIDATION, verdict=verdict, reason="why", message="says", exception=exception
        )

    holds, excepted = finding("a", VerdictClass.PASSED), finding("b", VerdictClass.PASSED, "mine")
    fails = finding("c", VerdictClass.WAITING)
    assert explained([holds]) == "Every rule holds: a."
    assert explained([holds, excepted]) == "Every other rule holds: a.\n\n**excepted**: why (b)  \nsays."
    assert explained([excepted]) == "**excepted**: why (b)  \nsays."
    assert explained([fails, holds, excepted]).startswith("**waiting**: why (c)")
    assert explained([fails, holds, excepted]).endswith("**excepted**: why (b)  \nsays.")
    assert explained([]) == "No rule."


def heard(opened: Bench) -> list[str]:
    return [each.subject for each in opened.flywheel.evidence.entries(DECISIONS) if each.kind == HEARD]


@pytest.mark.parametrize("run", [Bench.tick, drained], ids=["a tick", "flywheel run"])
def test_whom_the_catalogue_came_to_know_is_put_down(clocks: Bench, run: Callable[[Bench], object]) -> None:
    decided(clocks.flywheel, "dina", Act.HOLD, output="sounding-line")
    run(clocks)
    assert heard(clocks) == []
    catalogue = clocks.flywheel.catalogue
    people = {**catalogue.people, "dina": person("dina")}
    clocks.flywheel = under(clocks.flywheel, catalogue.model_copy(update={"people": people}))
    run(clocks)
    assert heard(clocks) == ["dina hold"]
