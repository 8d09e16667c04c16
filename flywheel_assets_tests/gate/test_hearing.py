"""Whose decisions outlast them: what stops something by whoever was heard once, what lets it pass by nobody's."""

import pytest

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.evidence import AttestedDecision, Heard
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import deciders, why_not_counted
from flywheel_assets_tests.gate.cases import NOW, PASSED, WAITING, Bench, changed, good
from flywheel_assets_tests.gate.decided import after, approval, asking, decided, revocation, withdrawal

HELD = "not_held"


def heard(attested: AttestedDecision, name: str, *acts: Act) -> AttestedDecision:
    """The same by somebody whom the catalogue does not know any more."""
    return changed(attested, {"heard": (*attested.heard, Heard(name=name, acts=acts))})


def test_a_hold_of_somebody_who_left_holds_under_their_name_and_others_can_take_it_back() -> None:
    said = heard(decided(Act.HOLD, reason="Wait"), "dora", Act.HOLD)
    found = after(good(), said).finding(HELD)
    assert (found.verdict, found.reason) == (WAITING, "held")
    assert found.message == "everything is held by dora: Wait"
    assert found.actor == "Alice (alice@example.org) or Bob (bob@example.org) or Carol (carol@example.org)"
    assert after(good(), said, revocation(said, "bob")).says(HELD) == (PASSED, "holds")


def test_when_nobody_is_left_who_may_hold_the_owner_must_name_somebody() -> None:
    said = heard(decided(Act.HOLD), "dora", Act.HOLD)
    assert (
        after(good().with_part("people", {}), said).finding(HELD).actor
        == "Tools maintainers (team:tools), in the catalogue"
    )


def test_of_who_left_and_who_is_there_both_are_named_and_who_is_there_acts() -> None:
    said = heard(decided(Act.HOLD, "bob"), "dora", Act.HOLD)
    found = after(good(), said).finding(HELD)
    assert found.message.startswith("everything is held by bob and dora")
    assert found.actor.startswith("Bob (bob@example.org) or ")
    assert "dora" not in found.actor
    assert said.signers == ("bob", "dora")


def test_who_was_heard_for_something_else_was_not_heard_for_it() -> None:
    said = heard(decided(Act.HOLD), "dora", Act.WITHDRAW)
    assert after(good(), said).says(HELD) == (PASSED, "holds")


def test_a_withdrawal_outlasts_its_signer() -> None:
    bench = good()
    assert after(bench, heard(withdrawal(bench), "dora", Act.WITHDRAW)).says("not_withdrawn")[1] == "withdrawn"


@pytest.mark.parametrize(("acts", "counts"), [((Act.APPROVE, Act.HOLD), True), ((Act.HOLD,), False)])
def test_a_revocation_outlasts_its_signer_of_what_they_might_revoke(acts: tuple[Act, ...], counts: bool) -> None:
    bench = asking(good())
    given = approval(bench, "alice")
    back = heard(revocation(given), "dora", *acts)
    there = after(bench, given, back)
    assert (there.says("approvals_are_given") == (PASSED, "holds")) is not counts
    assert why(there, given) == ("dora revoked it: It was wrong." if counts else "")
    assert why(there, back) == ("" if counts else "none of dora might approve when it arrived")


@pytest.mark.parametrize("act", [Act.APPROVE, Act.MEET])
def test_what_lets_something_pass_is_nobodys_who_is_not_in_the_catalogue(act: Act) -> None:
    bench = asking(good())
    given = heard(approval(bench), "dora", act) if act is Act.APPROVE else _met(bench, act)
    assert deciders(bench.catalogue, given, act) == ()
    assert why(bench, given) == f"none of dora might {act.value} when it arrived"


def _met(bench: Bench, act: Act) -> AttestedDecision:
    return heard(decided(act, product="tool", output=bench.output, condition="It is so."), "dora", act)


def why(bench: Bench, attested: AttestedDecision) -> str:
    return why_not_counted(Case(bench.bundle, bench.catalogue, bench.catalogue.outputs[bench.output], NOW), attested)
