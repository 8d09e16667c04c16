"""What the UI says would unblock a build."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.orchestration.metadata import verdict_metadata
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets_tests.promotion.installation import CLOCK, DIRTY, Memory, in_memory
from flywheel_assets_tests.promotion.people import approve, decided, with_people


@pytest.fixture
def memory() -> Memory:
    found = in_memory("144022010", catalogue=with_people())
    take_in(found.flywheel)
    return found


def shown(memory: Memory, build: Any) -> dict[str, Any]:
    judgement = judge(memory.flywheel, "tide-clock", build)
    return dict(verdict_metadata(judgement, "https://github.com/example/example"))


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
