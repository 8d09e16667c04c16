"""What people are about to sign is complete and bounded, and what would not count is told to them before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from flywheel_assets.catalog.models import AuthorityChange, AuthorityGate, Catalogue, Product
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import EvidenceCorruptError, UsageError
from flywheel_assets.gate.approvals import approvals_are_given
from flywheel_assets.gate.decisions import declaration_of
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.proposing import (
    approval_of,
    case_of,
    count_of,
    decided,
    meeting_of,
    revocation_of,
    told_of,
    why_not_theirs,
)
from flywheel_assets.promotion.weighing import decisions_on, same_decision, weighed
from flywheel_assets_tests.promotion import people
from flywheel_assets_tests.promotion.installation import CHARTS, CLOCK, MAP, OLDER, Memory, in_memory, key
from flywheel_assets_tests.promotion.people import approve, entered, key_of, person, with_people

CHANGED = AuthorityChange(
    to="tide-clock-image",
    gates=(AuthorityGate(condition="Consumers were told.", decided_by=("alva",)), AuthorityGate(condition="Scanned.")),
)


@pytest.fixture
def memory() -> Memory:
    made = in_memory("14402201001", "14402201006", "14402201701", catalogue=with_people())
    take_in(made.flywheel)
    return made


def changing(catalogue: Catalogue) -> Catalogue:
    product = Product(authority="tide-clock", statement="The clock.", change=CHANGED)
    return catalogue.model_copy(update={"products": {**catalogue.products, "clock": product}})


def test_an_approval_is_bound_to_all_that_the_gate_compares_and_is_told_in_full(memory: Memory) -> None:
    case = case_of(memory.flywheel, "tide-clock", CLOCK)
    made = approval_of(case, "Tried.", None)
    artifact = case.receipt.artifact
    assert made.scope == Scope(
        output="tide-clock",
        digest=Sha256.from_hex(artifact.digest.hex),
        resource=f"nix:durable-nix{artifact.name}",
        urls=(memory.flywheel.catalogue.surfaces["durable-nix"].url,),
        authority="tide-clock",
    )
    assert made.expires_at == memory.clock() + timedelta(days=7)
    longest = approval_of(case, "Tried.", timedelta(days=14))
    assert longest.expires_at == memory.clock() + timedelta(days=14)
    with pytest.raises(UsageError, match="last 14 days at most"):
        approval_of(case, "Tried.", timedelta(days=14, seconds=1))
    told = told_of(case, made)
    assert told["started by"] == "ines-arvidsson (push)"
    assert str(case.receipt.run.source.revision) in told["source"]
    assert told["goes to"] == f"durable-nix as nix:durable-nix{artifact.name}"
    approve(memory.flywheel, "alva", "tide-clock", CLOCK)
    assert count_of(memory.flywheel, "tide-clock", CLOCK) == "1 of 2 approvals are given, by alva."


def test_an_approval_of_a_release_of_a_flake_is_of_no_other_flake_or_cache() -> None:
    memory = in_memory("14402201401", catalogue=with_people("depth-charts"))
    take_in(memory.flywheel)
    made = approve(memory.flywheel, "alva", "depth-charts", CHARTS)
    assert made.scope.resource == "flakehub:flakehub/stand-in.invalid/harbor-tools?binaries=durable-nix"
    told = told_of(case_of(memory.flywheel, "depth-charts", CHARTS), made)
    assert told["goes to"] == f"flakehub as {made.scope.resource}"
    given = ["1 of 2 approvals are given, by alva", "0 of 2 approvals are given", "0 of 2 approvals are given"]
    for change, expected in zip(({}, {"name": "other/tools"}, {"binaries": "elsewhere"}), given, strict=True):
        catalogue = memory.flywheel.catalogue
        entry = catalogue.outputs["depth-charts"]
        assert entry.publication
        assert entry.publication.flake
        target = entry.publication.model_copy(update={"flake": entry.publication.flake.model_copy(update=change)})
        outputs = {**catalogue.outputs, "depth-charts": entry.model_copy(update={"publication": target})}
        changed = memory.but(catalogue=catalogue.model_copy(update={"outputs": outputs}))
        assert approvals_are_given(case_of(changed, "depth-charts", CHARTS)).message.startswith(expected)


@pytest.mark.parametrize(("output", "build"), [("nothing", CLOCK), ("tide-clock", key("7"))])
def test_there_must_be_something_to_approve(memory: Memory, output: str, build: BuildKey) -> None:
    with pytest.raises(UsageError):
        case_of(memory.flywheel, output, build)


def test_what_the_catalogue_does_not_ask_for_is_not_approved_unless_something_is_accepted(memory: Memory) -> None:
    case = case_of(memory.flywheel, "harbor-map-image", MAP)
    with pytest.raises(UsageError, match="asks for no approval"):
        approval_of(case, "Tried.", None)
    made = approval_of(case, "Tried.", None, ("older-than-channel",))
    assert made.scope.accepts == ("older-than-channel",)
    assert count_of(memory.flywheel, "harbor-map-image", MAP, made.scope.accepts) == (
        "older-than-channel is accepted, by too few yet."
    )
    decide(memory.flywheel, made, key_of("bo"))
    assert count_of(memory.flywheel, "harbor-map-image", MAP, made.scope.accepts) == "older-than-channel is accepted."


def test_what_somebody_decided_already_is_known_as_theirs_as_long_as_it_counts(memory: Memory) -> None:
    flywheel = memory.flywheel
    again = approval_of(case_of(flywheel, "tide-clock", CLOCK), "Once more.", None)
    assert same_decision(flywheel, again, ("alva",)) is None
    made = approve(flywheel, "alva", "tide-clock", CLOCK)
    found = same_decision(flywheel, again, ("alva", "bo"))
    assert found is not None
    assert found.decision.id == made.id
    assert same_decision(flywheel, again, ("bo",)) is None
    people.decided(flywheel, "bo", Act.REVOKE, decision=made.id)
    assert same_decision(flywheel, again, ("alva",)) is None


def test_tags_and_the_url_are_told_as_they_are_signed(memory: Memory) -> None:
    case = case_of(memory.flywheel, "harbor-map-image", MAP)
    target = case.output.publication
    assert target is not None
    tagged = target.model_copy(update={"tags": ("run-{revision}", "two"), "moving_tags": ("edge",)})
    case = replace(case, output=case.output.model_copy(update={"publication": tagged}))
    made = approval_of(case, "Tried.", None, ("older-than-channel",))
    assert (made.scope.tags, made.scope.moving_tags) == (("run-{revision}", "two"), ("edge",))
    told = told_of(case, made)
    assert (told["which is at"], told["tagged"], told["moves"]) == ("file:surfaces/ghcr", "run-{revision}, two", "edge")


def test_nobody_approves_what_could_not_be_read(memory: Memory) -> None:
    approve(memory.flywheel, "alva", "tide-clock", CLOCK)
    (entry,) = entered(memory.flywheel)
    del memory.evidence.blobs[entry.evidence]
    with pytest.raises(EvidenceCorruptError):
        case_of(memory.but(), "tide-clock", CLOCK)
    with pytest.raises(EvidenceCorruptError):
        decisions_on(memory.but())


def test_a_reason_that_is_no_line_is_a_sentence(memory: Memory) -> None:
    for reason in ("", "two\nlines", "hidden\u202etext"):
        with pytest.raises(UsageError, match="reason"):
            decided(Act.HOLD, Scope(), reason, memory.clock())


def test_whose_key_and_whose_act_it_is_is_told_before_anything_is_signed(memory: Memory) -> None:
    flywheel, now = memory.flywheel, memory.clock()
    case = case_of(flywheel, "tide-clock", CLOCK)
    approval, hold = approval_of(case, "Tried.", None), decided(Act.HOLD, Scope(), "Stop.", now)
    assert why_not_theirs(flywheel, ("alva",), approval, case) == ""
    assert "Nobody in the catalogue" in why_not_theirs(flywheel, (), hold)
    known = flywheel.catalogue.people
    changed = {
        **known,
        "alva": person("alva", may=["hold"]),
        "bo": person("bo", valid_until=now),
        "cleo": person("cleo", forge_names=["Ines-Arvidsson"]),
        "dina": person("dina"),
    }
    narrower = memory.but(catalogue=flywheel.catalogue.model_copy(update={"people": changed}))
    case = case_of(narrower, "tide-clock", CLOCK)
    assert "alva may not approve" in why_not_theirs(narrower, ("alva",), approval, case)
    assert "bo may not approve" in why_not_theirs(narrower, ("bo",), approval, case)
    assert "cleo started a run of it" in why_not_theirs(narrower, ("cleo",), approval, case)
    assert "asks alva, bo, cleo to approve" in why_not_theirs(narrower, ("dina",), approval, case)
    decide(narrower, approval, key_of("dina"))
    revocation = revocation_of(narrower, approval.id.hex[:8], "No.")
    assert "alva may not approve" in why_not_theirs(narrower, ("alva",), revocation), "who may decide it may revoke it"
    assert why_not_theirs(narrower, ("cleo",), revocation) == ""


def test_a_gate_is_met_by_its_number_or_its_words(memory: Memory) -> None:
    catalogue, now = changing(memory.flywheel.catalogue), memory.clock()
    declared = declaration_of(catalogue.products["clock"])
    wanted = Scope(product="clock", output="tide-clock-image", condition="Consumers were told.", change=declared)
    assert meeting_of(catalogue, "clock", "1", "By mail.", now).scope == wanted
    assert meeting_of(catalogue, "clock", "Consumers were told.", "By mail.", now).scope == wanted
    with pytest.raises(UsageError, match=r"1\. Consumers were told\."):
        meeting_of(catalogue, "clock", "3", "By mail.", now)
    with pytest.raises(UsageError, match="declares no change"):
        meeting_of(catalogue, "nothing", "1", "By mail.", now)


def test_a_met_gate_reaches_the_outputs_of_its_product_and_only_from_whom_the_catalogue_asks() -> None:
    catalogue = changing(with_people())
    entry = catalogue.outputs["tide-clock"].model_copy(update={"product": "clock"})
    catalogue = catalogue.model_copy(update={"outputs": {**catalogue.outputs, "tide-clock": entry}})
    memory = in_memory("14402201001", "14402201701", catalogue=catalogue)
    take_in(memory.flywheel)
    first, second = (meeting_of(catalogue, "clock", number, "By mail.", memory.clock()) for number in ("1", "2"))
    assert why_not_theirs(memory.flywheel, ("alva",), first) == ""
    assert "asks alva whether that is met, not bo" in why_not_theirs(memory.flywheel, ("bo",), first)
    assert "not met by a decision" in why_not_theirs(memory.flywheel, ("alva",), second)
    decide(memory.flywheel, first, key_of("alva"))
    assert [each.decision for each in assemble(memory.flywheel, "tide-clock", CLOCK).decisions] == [first]
    assert assemble(memory.flywheel, "harbor-map-image", MAP).decisions == ()


def test_words_that_would_act_on_a_terminal_are_shown_as_they_are_written(memory: Memory) -> None:
    scope = Scope(product="clock", output="tide-clock", condition="\x1b[2Jgone\nnext")
    decide(memory.flywheel, decided(Act.MEET, scope, "Mail.", memory.clock()), key_of("alva"))
    (row,) = decisions_on(memory.flywheel)
    (entry,) = entered(memory.flywheel)
    for shown in (row.what, entry.subject):
        assert "\x1b" not in shown
        assert "\n" not in shown


def test_what_is_final_is_not_revoked(memory: Memory) -> None:
    digest = Sha256.of(b"it")
    withdrawal = Decision(
        act=Act.WITHDRAW, scope=Scope(output="tide-clock", digest=digest), reason="Leaks.", made_at=memory.clock()
    )
    decide(memory.flywheel, withdrawal, key_of("bo"))
    with pytest.raises(UsageError, match="Nobody can take back what withdraws"):
        revocation_of(memory.flywheel, str(withdrawal.id), "Sorry.")
    for named in ("", "sha256:", "0", "f" * 64):
        with pytest.raises(UsageError):
            revocation_of(memory.flywheel, named, "Sorry.")


def test_a_decision_is_revoked_by_its_whole_id_as_by_the_first_digits_that_are_shown(memory: Memory) -> None:
    hold = people.decided(memory.flywheel, "cleo", Act.HOLD)
    for named in (str(hold.id), hold.id.hex, hold.short_id, hold.short_id[:8]):
        assert revocation_of(memory.flywheel, named, "Over.").scope.decision == hold.id


# What is listed


def test_each_decision_is_listed_with_whether_it_counts_and_why_not(memory: Memory) -> None:
    flywheel = memory.flywheel
    approve(flywheel, "alva", "tide-clock", CLOCK)
    memory.clock.move(minutes=1)
    approve(flywheel, "bo", "tide-clock", CLOCK, days=1)
    memory.clock.move(minutes=1)
    hold = people.decided(flywheel, "cleo", Act.HOLD)
    memory.clock.move(days=2)
    people.decided(flywheel, "alva", Act.REVOKE, decision=hold.id)
    memory.clock.move(minutes=1)
    people.decided(flywheel, "bo", Act.HOLD, output="harbor-map-image")
    people.decided(flywheel, "stranger", Act.HOLD, output="tide-clock")
    rows = decisions_on(flywheel)
    assert [(row.who, row.decision.act.value, row.build, row.counts.partition(" on ")[0]) for row in rows] == [
        ("alva", "approve", str(CLOCK), "yes"),
        ("bo", "approve", str(CLOCK), "no: it expired"),
        ("cleo", "hold", "", "no: alva revoked it: It must be so."),
        ("alva", "revoke", "", "yes"),
        ("bo", "hold", "", "yes"),
    ]
    of_clock = decisions_on(flywheel, "tide-clock")
    assert [row.decision for row in of_clock] == [row.decision for row in rows[:4]]
    bundle = assemble(flywheel, "tide-clock", CLOCK)
    assert [row.counts for row in weighed(bundle, flywheel.catalogue, memory.clock())] == [r.counts for r in of_clock]


def test_of_an_image_what_reaches_it_through_what_it_is_built_from_is_listed_too() -> None:
    memory = in_memory("14402201001", "14402201201", catalogue=with_people())
    take_in(memory.flywheel)
    run = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.run
    people.decided(memory.flywheel, "bo", Act.QUARANTINE, repository=run.source.repository, run=run.key.run)
    assert [row.decision.act for row in decisions_on(memory.flywheel, "tide-clock-image")] == [Act.QUARANTINE]
    assert decisions_on(memory.flywheel, "harbor-map-image") == []


def test_an_approval_says_which_build_it_counts_for_and_why_not_for_others(memory: Memory) -> None:
    approve(memory.flywheel, "alva", "tide-clock", OLDER, "older-than-channel")
    entry = memory.flywheel.catalogue.outputs["tide-clock"]
    assert entry.publication
    moved = entry.publication.model_copy(update={"surface": "elsewhere"})
    changed = {**memory.flywheel.catalogue.outputs, "tide-clock": entry.model_copy(update={"publication": moved})}
    elsewhere = memory.but(catalogue=memory.flywheel.catalogue.model_copy(update={"outputs": changed}))
    (here,), (there,) = decisions_on(memory.flywheel), decisions_on(elsewhere)
    assert (here.build, here.counts) == (str(OLDER), "yes")
    assert there.counts == "no: it is of another artifact, surface, name or authority"
