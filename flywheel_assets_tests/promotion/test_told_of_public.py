"""What is said of builds that are public already, or that people let out by hand: no more is asked than helps."""

from dataclasses import replace
from datetime import timedelta

from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.excuses import Call, headline
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.report import Row, State, report
from flywheel_assets_tests.promotion.installation import CLOCK, DIRTY, Memory, in_memory, judge_all
from flywheel_assets_tests.promotion.people import approve, decided, key_of, with_people


def row_of(flywheel: Flywheel) -> Row:
    return next(row for row in report(flywheel) if row.build == str(CLOCK))


def asked_for_nothing() -> Memory:
    memory = in_memory("144022010", catalogue=with_people(needed=0))
    take_in(memory.flywheel)
    return memory


def test_a_rule_that_came_later_asks_nothing_of_what_is_public() -> None:
    memory = asked_for_nothing()
    promote(memory.flywheel, "tide-clock", CLOCK)
    stricter = replace(memory.flywheel, catalogue=with_people(needed=2), standing={})
    for judged in (False, True):
        if judged:
            judge(stricter, "tide-clock", CLOCK)
        (excuse,) = explain_builds(stricter, "tide-clock", CLOCK)
        assert excuse.call is Call.DONE
        assert headline(excuse).startswith("No action needed: it is published at ")
        assert "To go out again it would wait: 0 of 2 approvals are given" in headline(excuse)
    row = row_of(stricter)
    assert (row.state, row.remedy) == (State.PUBLISHED, "No action needed: what is public stays so.")
    assert row.message.startswith("it is published, and ")


def test_nobody_is_asked_to_approve_what_is_rejected_as_long_as_that_cannot_help() -> None:
    memory = in_memory("144022010", catalogue=with_people(needed=2))
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    (dirty,) = explain_builds(memory.flywheel, "tide-clock", DIRTY)
    assert "approval-missing" not in {blocker.reason for blocker in dirty.blockers}
    assert all("flywheel approve" not in step.what for step in dirty.steps)
    (good,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    assert {blocker.reason for blocker in good.blockers} == {"approval-missing"}


def test_of_a_hold_that_was_revoked_nothing_more_is_said() -> None:
    memory = asked_for_nothing()
    hold = decided(memory.flywheel, "cleo", Act.HOLD, timedelta(days=1), output="tide-clock")
    judge(memory.flywheel, "tide-clock", CLOCK)
    assert row_of(memory.flywheel).reason == "held"
    revocation = Decision(
        act=Act.REVOKE, scope=Scope(decision=hold.id), reason="It is well.", made_at=memory.flywheel.clock()
    )
    decide(memory.flywheel, revocation, key_of("cleo"))
    (excuse,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    assert "held" not in excuse.row.model_dump_json()
    assert excuse.row.reason == "every-rule-holds"
    assert headline(excuse) == (
        "No action needed: every rule holds by now: the next run judges it again, and publishes it."
    )


def test_one_reason_that_gave_way_to_another_is_told_as_that() -> None:
    memory = in_memory("144022010", catalogue=with_people(needed=2))
    take_in(memory.flywheel)
    judge(memory.flywheel, "tide-clock", CLOCK)
    assert row_of(memory.flywheel).reason == "approval-missing"
    for name in ("alva", "bo"):
        approve(memory.flywheel, name, "tide-clock", CLOCK)
    decided(memory.flywheel, "cleo", Act.HOLD, output="tide-clock")
    (excuse,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    assert excuse.row.reason == "held"
    assert "is held by cleo" in excuse.row.message


def test_what_is_promoted_on_demand_and_passes_by_now_waits_for_a_person() -> None:
    catalogue = with_people(needed=1)
    entry = catalogue.outputs["tide-clock"]
    assert entry.publication
    target = entry.publication.model_copy(update={"promotion": "on-demand"})
    outputs = {**catalogue.outputs, "tide-clock": entry.model_copy(update={"publication": target})}
    memory = in_memory("144022010", catalogue=catalogue.model_copy(update={"outputs": outputs}))
    take_in(memory.flywheel)
    judge(memory.flywheel, "tide-clock", CLOCK)
    approve(memory.flywheel, "alva", "tide-clock", CLOCK)
    (excuse,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    assert excuse.call is Call.SOMEBODY
    assert headline(excuse).startswith(f"A release engineer needs to run `flywheel promote tide-clock {CLOCK}`")
