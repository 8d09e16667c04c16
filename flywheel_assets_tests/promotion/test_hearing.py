"""What people stopped stays stopped when they leave the catalogue, and what they let pass does not."""

from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import decide, hear, signed_decision, standing
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS, HEARD
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.proposing import revocation_of
from flywheel_assets.promotion.replaying import Outcome, replay
from flywheel_assets.promotion.weighing import decisions_on
from flywheel_assets_tests.promotion.installation import CLOCK, Memory, in_memory
from flywheel_assets_tests.promotion.people import NAMES, approve, decided, entered, key_of, person, with_people


@pytest.fixture
def memory() -> Memory:
    """A build of tide-clock, which one of three people must approve, and bo has."""
    made = in_memory("14402201001", catalogue=with_people(needed=1))
    take_in(made.flywheel)
    approve(made.flywheel, "bo", "tide-clock", CLOCK)
    return made


def among(catalogue: Catalogue, **people: Any) -> Catalogue:
    """The catalogue with these people changed; None is one who left."""
    known = {name: each for name, each in ({**catalogue.people, **people}).items() if each is not None}
    asked = [name for name in NAMES if name in known and Act.APPROVE in known[name].may]
    return with_people(needed=1, by=asked).model_copy(update={"people": known})


def after(memory: Memory, **people: Any) -> Flywheel:
    """Another process, under the catalogue of later."""
    return memory.but(catalogue=among(memory.flywheel.catalogue, **people))


def stopped_by(flywheel: Flywheel) -> dict[str, str]:
    """What does not pass, but for what is no matter of decisions, with its message."""
    found = judge(flywheel, "tide-clock", CLOCK).verdict.findings
    rules = {"not_held", "not_withdrawn", "approvals_are_given"}
    return {each.rule: each.message for each in found if each.rule in rules and each.verdict is not VerdictClass.PASSED}


def heard(memory: Memory) -> list[str]:
    return [entry.subject for entry in memory.evidence.entries(DECISIONS) if entry.kind == HEARD]


GONE = {
    "left": None,
    "may no more": person("cleo", may=["meet"]),
    "another key": person("cleo", keys=[key_of("dina").public_key]),
}


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize(
    ("act", "rule"), [(Act.HOLD, "not_held"), (Act.WITHDRAW, "not_withdrawn"), (Act.QUARANTINE, "not_withdrawn")]
)
def test_what_stops_a_build_outlasts_its_signer_and_still_says_who(
    memory: Memory, act: Act, rule: str, how: str
) -> None:
    assert stopped_by(memory.flywheel) == {}
    receipt = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt
    scope: dict[Act, dict[str, Any]] = {
        Act.HOLD: {"output": "tide-clock"},
        Act.WITHDRAW: {"output": "tide-clock", "digest": Sha256.from_hex(receipt.artifact.digest.hex)},
        Act.QUARANTINE: {"repository": receipt.run.source.repository, "run": CLOCK.run},
    }
    decided(memory.flywheel, "cleo", act, **scope[act])
    before = stopped_by(memory.flywheel)
    assert before.keys() == {rule}
    assert "by cleo" in before[rule]
    later = after(memory, cleo=GONE[how])
    assert stopped_by(later) == before
    assert {(row.who, row.counts) for row in decisions_on(later)} == {("bo", "yes"), ("cleo", "yes")}


def test_a_hold_of_somebody_who_left_is_taken_back_by_whoever_may_hold_now(memory: Memory) -> None:
    hold = decided(memory.flywheel, "cleo", Act.HOLD)
    later = after(memory, cleo=None, bo=person("bo", may=["approve"]))
    (held,) = [each for each in judge(later, "tide-clock", CLOCK).verdict.findings if each.rule == "not_held"]
    assert held.actor == "Alva (alva@example.org)"
    decide(later, revocation_of(later, hold.short_id, "They left."), key_of("alva"))
    assert stopped_by(later) == {}


def test_a_revoked_approval_stays_revoked_when_who_revoked_it_left(memory: Memory) -> None:
    (approval,) = standing(memory.flywheel).all
    memory.clock.move(seconds=1)
    decided(memory.flywheel, "cleo", Act.REVOKE, decision=approval.decision.id)
    later = after(memory, cleo=None)
    assert stopped_by(later) == {"approvals_are_given": "0 of 1 approvals are given"}
    assert [row.counts for row in decisions_on(later)] == ["no: cleo revoked it: It must be so.", "yes"]


def test_an_approval_does_not_outlast_its_signer(memory: Memory) -> None:
    assert heard(memory) == []
    assert stopped_by(after(memory, bo=None)) == {"approvals_are_given": "0 of 1 approvals are given"}


def test_nobody_is_heard_who_might_not_decide_it(memory: Memory) -> None:
    decided(memory.flywheel, "stranger", Act.HOLD)
    narrow = after(memory, cleo=person("cleo", may=["withdraw"]), alva=person("alva", valid_until=memory.clock()))
    for name in ("cleo", "alva"):
        decided(narrow, name, Act.HOLD)
    assert heard(memory) == []
    assert stopped_by(narrow) == {}
    assert stopped_by(after(memory, cleo=None, alva=None)) == {}


def test_who_was_heard_is_said_once_with_what_they_might_decide(memory: Memory) -> None:
    hold = decided(memory.flywheel, "cleo", Act.HOLD)
    decide(memory.flywheel, hold, key_of("cleo"))
    decided(memory.flywheel, "cleo", Act.REVOKE, decision=hold.id)
    for _ in range(2):
        judge(memory.but(), "tide-clock", CLOCK)
        hear(memory.but())
    assert heard(memory) == ["cleo hold", "cleo approve hold meet quarantine"]


def test_what_counted_only_later_stays_in_force_from_then_on(memory: Memory) -> None:
    decided(memory.flywheel, "dina", Act.HOLD)
    assert stopped_by(memory.flywheel) == {}
    joined = after(memory, dina=person("dina"))
    hear(joined)
    assert heard(memory) == ["dina hold"]
    assert "by dina" in stopped_by(memory.but())["not_held"]


def test_a_verdict_under_a_catalogue_that_is_only_tried_puts_nobody_down(memory: Memory) -> None:
    decided(memory.flywheel, "dina", Act.HOLD)
    assert "by dina" in stopped_by(after(memory, dina=person("dina")))["not_held"]
    assert heard(memory) == []
    assert stopped_by(memory.but()) == {}


def test_who_is_known_late_takes_a_hold_back_while_they_are_known_and_an_approval_for_good(memory: Memory) -> None:
    (approval,) = standing(memory.flywheel).all
    hold = decided(memory.flywheel, "cleo", Act.HOLD)
    for each in (hold, approval.decision):
        decided(memory.flywheel, "dina", Act.REVOKE, decision=each.id)
    assert stopped_by(memory.flywheel).keys() == {"not_held"}
    joined = after(memory, dina=person("dina"))
    hear(joined)
    assert stopped_by(joined).keys() == {"approvals_are_given"}
    assert heard(memory) == ["cleo hold", "dina approve meet", "dina approve meet"], "of each document"
    assert stopped_by(memory.but()).keys() == {"not_held", "approvals_are_given"}


def test_a_crash_between_who_was_heard_and_the_decision_loses_neither(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Decision(act=Act.HOLD, scope=Scope(), reason="Wait.", made_at=memory.clock())
    memory.inbox.documents["hold.json"] = signed_decision(hold, key_of("cleo"))
    append = memory.evidence.append

    def killed(log: str, kind: str, subject: str, evidence: Any) -> Any:
        if kind == Act.HOLD:
            raise KeyboardInterrupt
        return append(log, kind, subject, evidence)

    with monkeypatch.context() as patched:
        patched.setattr(memory.evidence, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            take_in(memory.flywheel)
    assert heard(memory) == ["cleo hold"], "and never the other way round: it could be in force and end with its signer"
    assert stopped_by(memory.but()) == {}
    later = after(memory, cleo=None)
    assert take_in(later).decisions == 1
    assert "by cleo" in stopped_by(later)["not_held"]
    assert [entry.kind for entry in entered(memory.flywheel)] == ["approve", "hold"]


def test_an_entry_that_does_not_say_who_was_heard_stops_everything(memory: Memory) -> None:
    decided(memory.flywheel, "cleo", Act.HOLD)
    (hold,) = [entry for entry in entered(memory.flywheel) if entry.kind == Act.HOLD]
    memory.evidence.append(DECISIONS, HEARD, "cleo dance", hold.evidence)
    bundle = assemble(memory.but(), "tide-clock", CLOCK)
    assert bundle.damaged == ("Entry 4 of decisions does not say who was heard.",)


def test_verdicts_of_before_and_after_somebody_left_are_replayed(memory: Memory) -> None:
    stopped_by(memory.flywheel)
    decided(memory.flywheel, "cleo", Act.HOLD)
    stopped_by(memory.flywheel)
    later = after(memory, cleo=None)
    stopped_by(later)
    found = replay(after(memory, cleo=None, alva=None), "tide-clock", CLOCK)
    assert [(each.outcome, each.says) for each in found] == [(Outcome.REPRODUCED, "")] * 3
