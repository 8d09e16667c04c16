"""What the UI says would unblock a build."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.orchestration.metadata import verdict_metadata
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.explaining import excuse_of
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.orchestration.bench import bench
from flywheel_assets_tests.promotion.installation import CLOCK, DIRTY, OLDER, Memory, in_memory
from flywheel_assets_tests.promotion.people import approve, decided, key_of, with_people


@pytest.fixture
def memory() -> Memory:
    found = in_memory("144022010", catalogue=with_people())
    take_in(found.flywheel)
    return found


def shown(memory: Memory, build: Any) -> dict[str, Any]:
    judgement = judge(memory.flywheel, "tide-clock", build)
    excuse = excuse_of(memory.flywheel, "tide-clock", build, {})
    return dict(verdict_metadata(judgement, excuse, "https://github.com/example/example"))


def table(value: Any) -> list[dict[str, Any]]:
    return [dict(record.data) for record in value.value.records]


def test_the_smallest_change_names_who_needs_to_do_what(memory: Memory) -> None:
    (dirty,) = table(shown(memory, DIRTY)["smallest_change"])
    assert "(team:" in dirty["who"]
    assert dirty["needs_to"] == "build again from a clean checkout with locked inputs"
    (approvals,) = table(shown(memory, CLOCK)["smallest_change"])
    assert approvals["who"].startswith("2 of Alva")
    assert approvals["needs_to"] == f"run `flywheel approve tide-clock {CLOCK}`"


def test_what_time_does_is_told_with_its_time_and_asks_nobody(memory: Memory) -> None:
    for name in ("alva", "bo"):
        approval = approve(memory.flywheel, name, "tide-clock", CLOCK)
    passing = shown(memory, CLOCK)
    assert "smallest_change" not in passing
    assert passing["passes_until"].value == approval.expires_at.timestamp() if approval.expires_at else False
    hold = decided(memory.flywheel, "cleo", Act.HOLD, timedelta(days=1), output="tide-clock")
    held = shown(memory, CLOCK)
    assert "smallest_change" not in held
    assert hold.expires_at
    assert held["passes_on"].value == hold.expires_at.timestamp()
    assert table(held["how_it_ends"]) == [
        {"reason": "held", "ends": "by itself", "on": f"{hold.expires_at:%Y-%m-%d %H:%M} UTC"}
    ]


def test_where_nobody_must_act_the_ui_asks_nobody_as_the_command_does(memory: Memory) -> None:
    for name in ("alva", "bo"):
        approve(memory.flywheel, name, "tide-clock", CLOCK)
    promote(memory.flywheel, "tide-clock", CLOCK)
    found = shown(memory, OLDER)
    assert found["whose_turn"].value.startswith("No action needed: its source is of ")
    assert "If going back is wanted, " in found["whose_turn"].value
    assert "smallest_change" not in found
    (accepting,) = table(found["only_if_wanted_otherwise"])
    assert "--accept older-than-channel" in accepting["needs_to"]


def test_one_backtick_of_a_person_opens_no_code(memory: Memory) -> None:
    hold = Decision(act=Act.HOLD, scope=Scope(output="tide-clock"), reason="See `x", made_at=memory.flywheel.clock())
    decide(memory.flywheel, hold, key_of("cleo"))
    said = shown(memory, CLOCK)["why"].value
    assert "See \\`x" in said
    assert "\\`flywheel revoke" not in said


def test_the_check_that_fails_says_what_would_unblock_it(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201003-tide-clock") as opened:
        opened.settle()
        records = [
            evaluation
            for run in opened.instance.get_runs()
            for record in opened.instance.all_logs(run.run_id)
            if record.is_dagster_event and (evaluation := record.get_dagster_event().event_specific_data)
            if isinstance(evaluation, dg.AssetCheckEvaluation)
        ]
    failed = [each for each in records if not each.passed]
    assert failed
    for each in failed:
        assert str(each.metadata["whose_turn"].value).endswith("build again from a clean checkout with locked inputs.")
        assert "smallest_change" in each.metadata
    assert all("whose_turn" not in each.metadata for each in records if each.passed)
