"""Decisions come in once, from whoever sends them, and each build is given those that bear on it and no others."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from flywheel_assets.domain.decisions import Act, Decision, Scope, decision_statement
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.errors import EvidenceRolledBackError
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.promotion.assembling import assemble, basis_of
from flywheel_assets.promotion.deciding import decide, signed_decision, standing
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS
from flywheel_assets.promotion.intake import dead_letters, take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.letters import letters, retry
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    OLDER,
    Memory,
    in_memory,
    sample_catalogue,
)
from flywheel_assets_tests.promotion.people import NAMES, approve, decided, entered, key_of, person, with_people

DOCUMENTS = ("14402201001", "14402201006", "14402201201", "14402201701")
HELD = Scope(output="tide-clock")


@pytest.fixture
def memory() -> Memory:
    """Four builds, of which tide-clock's need two of three people; all taken in."""
    made = in_memory(*DOCUMENTS, catalogue=with_people())
    take_in(made.flywheel)
    return made


def reasons(flywheel: Flywheel, output: str = "tide-clock", build: object = CLOCK) -> dict[str, str]:
    bundle = assemble(flywheel, output, build)  # type: ignore[arg-type]
    verdict = evaluate(bundle, flywheel.catalogue, flywheel.clock())
    return {finding.rule: finding.reason for finding in verdict.findings if finding.verdict is not VerdictClass.PASSED}


def a_hold(flywheel: Flywheel) -> Decision:
    return Decision(act=Act.HOLD, scope=HELD, reason="Wait.", made_at=flywheel.clock())


# Coming in


def test_a_decision_comes_by_the_inbox_or_directly_and_is_in_evidence_once(memory: Memory) -> None:
    document = signed_decision(a_hold(memory.flywheel), key_of("alva"))
    memory.inbox.documents |= {"hold.json": document, "again.json": document}
    taken = take_in(memory.flywheel)
    assert (taken.decisions, taken.total) == (1, 1)
    assert take_in(memory.but()).total == 0
    (entry,) = entered(memory.flywheel)
    assert (entry.kind, entry.subject) == ("hold", "tide-clock")
    assert memory.evidence.get(entry.evidence) == document
    assert reasons(memory.flywheel)["not_held"] == "held"
    decide(memory.flywheel, a_hold(memory.flywheel), key_of("alva"))  # Ed25519 signs the same bytes again
    assert entered(memory.flywheel) == [entry]


@pytest.mark.parametrize("form", ["bare", "no signatures"])
def test_a_decision_that_nobody_signed_is_a_dead_letter_and_stops_nothing(memory: Memory, form: str) -> None:
    statement = decision_statement(a_hold(memory.flywheel))
    signed = json.loads(signed_decision(a_hold(memory.flywheel), key_of("alva")))
    bare = statement if form == "bare" else json.dumps({**signed, "signatures": []}).encode()
    before = basis_of(memory.flywheel, assemble(memory.flywheel, "tide-clock", CLOCK))
    memory.inbox.documents["hold.json"] = bare
    assert take_in(memory.flywheel).dead_letters == 1
    (letter,) = letters(memory.flywheel)
    assert (letter.field, letter.problem.partition(".")[0]) == ("signatures", "nobody signed this decision")
    assert not retry(memory.flywheel, letter.number).read
    assert memory.evidence.entries(DECISIONS) == ()
    assert basis_of(memory.flywheel, assemble(memory.flywheel, "tide-clock", CLOCK)) == before


def test_a_decision_with_another_subject_than_its_scope_is_a_dead_letter(memory: Memory) -> None:
    statement = json.loads(decision_statement(a_hold(memory.flywheel)))
    statement["subject"][0]["name"] = "harbor-map-image"
    document = key_of("alva").sign(json.dumps(statement).encode(), "application/vnd.in-toto+json")
    memory.inbox.documents["hold.json"] = document
    assert take_in(memory.flywheel).dead_letters == 1
    assert "subject" in dead_letters(memory.flywheel)[0].subject


def test_a_letter_that_is_a_decision_after_all_says_so(memory: Memory) -> None:
    memory.inbox.problems["hold.json"] = "was not read."
    take_in(memory.flywheel)
    (letter,) = letters(memory.flywheel)
    memory.inbox.problems.clear()
    memory.inbox.documents["hold.json"] = signed_decision(a_hold(memory.flywheel), key_of("alva"))
    assert "a decision" in retry(memory.flywheel, letter.number).says
    assert reasons(memory.flywheel)["not_held"] == "held"


# Whose counts


def test_strangers_change_neither_verdict_nor_basis(memory: Memory) -> None:
    approve(memory.flywheel, "alva", "tide-clock", CLOCK)
    before = assemble(memory.flywheel, "tide-clock", CLOCK)
    (own,) = (memory.evidence.get(entry.evidence) for entry in entered(memory.flywheel))
    strange = signed_decision(a_hold(memory.flywheel), key_of("stranger"))
    payload, kind = b64decode(json.loads(own)["payload"]), json.loads(own)["payloadType"]
    beside = json.loads(own)
    beside["signatures"] += json.loads(key_of("stranger").sign(payload, kind))["signatures"]
    spaced = json.dumps(json.loads(own), indent=1).encode()
    others = key_of("stranger").sign(payload, kind)
    borrowed = {**json.loads(strange), "signatures": json.loads(own)["signatures"]}  # alva's, under another statement
    for number, document in enumerate(
        (strange, json.dumps(beside).encode(), spaced, others, json.dumps(borrowed).encode())
    ):
        memory.inbox.documents[f"stranger-{number}.json"] = document
    memory.clock.move(hours=1)
    assert take_in(memory.flywheel).decisions == 5
    for flywheel in (memory.flywheel, memory.but()):
        assert assemble(flywheel, "tide-clock", CLOCK) == before


def test_somebody_who_joins_the_catalogue_is_heard_from_then_on(memory: Memory) -> None:
    decide(memory.flywheel, a_hold(memory.flywheel), key_of("dina"))
    assert "not_held" not in reasons(memory.flywheel)
    people = {**memory.flywheel.catalogue.people, "dina": person("dina")}
    joined = memory.flywheel.catalogue.model_copy(update={"people": people})
    assert reasons(memory.but(catalogue=joined, standing=memory.flywheel.standing))["not_held"] == "held"
    assert "not_held" not in reasons(memory.flywheel)


def test_a_persons_every_key_is_theirs_openssh_ones_too(memory: Memory) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    public = load_pem_public_key(key_of("spare").public_key.encode())
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    two = person("alva", keys=[key_of("alva").public_key, f"{line} alva@laptop"])
    catalogue = memory.flywheel.catalogue.model_copy(
        update={"people": {**memory.flywheel.catalogue.people, "alva": two}}
    )
    flywheel = memory.but(catalogue=catalogue)
    approve(flywheel, "alva", "tide-clock", CLOCK)
    approve(flywheel, "spare", "tide-clock", CLOCK)
    assert reasons(flywheel)["approvals_are_given"] == "approval-missing", "two keys are one person"
    approve(flywheel, "bo", "tide-clock", CLOCK)
    assert "approvals_are_given" not in reasons(flywheel)


# What bears on what


@pytest.mark.parametrize(
    ("act", "scope", "stopped"),
    [
        (Act.HOLD, {}, {"tide-clock", "tide-clock-image", "harbor-map-image"}),
        (Act.HOLD, {"output": "tide-clock"}, {"tide-clock"}),
        (Act.HOLD, {"builder": "tinyland-nix"}, {"tide-clock", "tide-clock-image"}),
        (Act.QUARANTINE, {"key": "tinyland-nix"}, {"tide-clock", "tide-clock-image"}),
        (Act.QUARANTINE, {"repository": "REPOSITORY", "run": CLOCK.run}, {"tide-clock", "tide-clock-image"}),
        (Act.WITHDRAW, {"output": "tide-clock", "digest": "DIGEST"}, {"tide-clock", "tide-clock-image"}),
    ],
)
def test_each_build_is_given_what_bears_on_it_or_on_what_it_is_built_from(
    memory: Memory, act: Act, scope: dict[str, str], stopped: set[str]
) -> None:
    receipt = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt
    known = {"DIGEST": f"sha256:{receipt.artifact.digest.hex}", "REPOSITORY": receipt.run.source.repository}
    said = {name: known.get(value, value) for name, value in scope.items()}
    now = memory.flywheel.clock()
    decision = Decision(act=act, scope=Scope.model_validate(said), reason="It must be so.", made_at=now)
    decide(memory.flywheel, decision, key_of("bo"))
    found = set()
    for output, build in (("tide-clock", CLOCK), ("tide-clock-image", CLOCK_IMAGE), ("harbor-map-image", MAP)):
        bundle = assemble(memory.flywheel, output, build)
        if [each.decision for each in bundle.decisions] == [decision]:
            found.add(output)
            assert {"not_held", "not_withdrawn"} & reasons(memory.flywheel, output, build).keys()
    assert found == stopped


def test_what_bears_on_another_build_of_what_it_is_built_from_does_not_bear_on_it(memory: Memory) -> None:
    older = assemble(memory.flywheel, "tide-clock", OLDER).receipts[0].receipt
    decided(memory.flywheel, "bo", Act.WITHDRAW, output="tide-clock", digest=Sha256.from_hex(older.artifact.digest.hex))
    for _ in range(2):  # the second time by what the process remembers
        bundle = assemble(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
        assert [attested.receipt.run.key for attested in bundle.dependencies] == [CLOCK]
        assert bundle.decisions == ()
    assert reasons(memory.flywheel, "tide-clock", OLDER)["not_withdrawn"] == "withdrawn"


def test_a_revocation_comes_with_what_it_takes_back(memory: Memory) -> None:
    hold = decided(memory.flywheel, "alva", Act.HOLD, output="tide-clock")
    memory.clock.move(seconds=1)
    decided(memory.flywheel, "bo", Act.REVOKE, decision=hold.id)
    found = assemble(memory.flywheel, "tide-clock", CLOCK).decisions
    assert [each.decision.act for each in found] == [Act.HOLD, Act.REVOKE]
    assert "not_held" not in reasons(memory.flywheel)
    assert assemble(memory.flywheel, "harbor-map-image", MAP).decisions == ()


# When evidence fails


def test_a_decision_that_is_gone_stops_everything_until_it_is_restored(memory: Memory) -> None:
    hold = decided(memory.flywheel, "alva", Act.HOLD, output="harbor-map-image")
    (entry,) = entered(memory.flywheel)
    document = memory.evidence.blobs.pop(entry.evidence)
    flywheel = memory.but()
    assert assemble(flywheel, "tide-clock", CLOCK).damaged == (
        f"The evidence {entry.evidence} is gone from the store.",
    )
    assert not judge(flywheel, "tide-clock", CLOCK).verdict.publishable
    memory.evidence.blobs[entry.evidence] = b"altered"
    assert "altered" in assemble(flywheel, "tide-clock", CLOCK).damaged[0]
    memory.evidence.blobs[entry.evidence] = document
    assert assemble(flywheel, "tide-clock", CLOCK).damaged == ()
    assert [each.decision for each in standing(flywheel).all] == [hold]


def test_a_log_that_was_cut_stops_everything(memory: Memory) -> None:
    decided(memory.flywheel, "alva", Act.HOLD, output="tide-clock")
    memory.evidence.chains[DECISIONS].clear()
    assert "was cut or rewritten" in assemble(memory.flywheel, "harbor-map-image", MAP).damaged[0]
    with pytest.raises(EvidenceRolledBackError):
        standing(memory.flywheel)


# Size


def test_a_thousand_decisions_are_read_once_and_cost_a_build_nothing(memory: Memory) -> None:
    now = memory.flywheel.clock()
    for number in range(1000):
        digest = Sha256.of(str(number).encode())
        scope = Scope(output="tide-clock", digest=digest)
        decision = Decision(act=Act.WITHDRAW, scope=scope, reason="Old.", made_at=now)
        document = signed_decision(decision, key_of(NAMES[number % 3]))
        memory.inbox.documents[f"decision-{number}.json"] = document
    while take_in(memory.flywheel).more:
        pass
    read: list[EvidenceDigest] = []
    get = memory.evidence.get

    def counted(digest: EvidenceDigest) -> bytes:
        read.append(digest)
        return get(digest)

    memory.evidence.get = counted  # type: ignore[method-assign]
    assert assemble(memory.flywheel, "harbor-map-image", MAP).decisions == ()
    first = len(read)
    started = perf_counter()
    for _ in range(100):
        assemble(memory.flywheel, "harbor-map-image", MAP)
    assert len(read) - first < 100 * 5, "decisions are not read again"
    assert perf_counter() - started < 2
    decided(memory.flywheel, "alva", Act.HOLD, output="tide-clock")
    read.clear()
    assemble(memory.flywheel, "tide-clock", CLOCK)
    assert len(read) < 10, "only the new one is read"
    assert len(standing(memory.flywheel).all) == 1001


def test_dates_in_any_zone_are_one_time() -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    decision = Decision(act=Act.HOLD, scope=HELD, reason="Wait.", made_at=at, expires_at=at + timedelta(hours=1))
    memory = in_memory("none", catalogue=with_people(catalogue=sample_catalogue()))
    decide(memory.flywheel, decision, key_of("alva"))
    (found,) = standing(memory.flywheel).all
    assert found.decision == decision
