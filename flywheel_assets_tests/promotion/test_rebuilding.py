"""Second opinions of the installation's own: asked for where one lacks, given once, and weighed like any other."""

import json
from dataclasses import replace

import pytest

from flywheel_assets.domain.builds import BuildKey, Trigger, TriggerEvent
from flywheel_assets.domain.errors import EvidenceError, UnreadableError, UsageError
from flywheel_assets.domain.statements import canonical
from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.rebuilding import rebuild, to_ask_for, wanting
from flywheel_assets_tests.gate.cases import REPOSITORY, changed, store_path
from flywheel_assets_tests.promotion.installation import Memory, a_signer, trusting
from flywheel_assets_tests.promotion.rebuilds import (
    DEFINITION,
    FIRST,
    OUTPUT,
    REVISION,
    FakeRebuilder,
    catalogue,
    deliver,
    rebuilding,
    receipt,
)

AGAIN = BuildKey(run=f"rebuild-{REVISION}", attempt=1, system="x86_64-linux")


@pytest.fixture
def rebuilder() -> FakeRebuilder:
    return FakeRebuilder()


@pytest.fixture
def memory(rebuilder: FakeRebuilder) -> Memory:
    """One build that lacks a second opinion, judged."""
    made = rebuilding(receipt(), rebuilder=rebuilder)
    assert finding(made).reason == "second-builder-missing"
    return made


def finding(memory: Memory, build: BuildKey = FIRST) -> Finding:
    found = judge(memory.flywheel, OUTPUT, build).verdict
    return next(f for f in found.findings if f.rule == "rebuild_agrees")


def test_a_build_that_comes_out_the_same_has_its_second_opinion(memory: Memory, rebuilder: FakeRebuilder) -> None:
    opinion = rebuild(memory.flywheel, OUTPUT, FIRST)
    assert (opinion.build, opinion.agrees, opinion.comparisons) == (AGAIN, True, ())
    assert rebuilder.asked == [(REPOSITORY, str(REVISION), DEFINITION)]
    assert (finding(memory).verdict.value, finding(memory).reason) == ("passed", "holds")
    assert finding(memory, AGAIN).reason == "second-opinion"


def test_a_build_that_comes_out_otherwise_is_rejected_for_good_and_says_which_files(
    memory: Memory, rebuilder: FakeRebuilder
) -> None:
    rebuilder.content = b"otherwise"
    assert not rebuild(memory.flywheel, OUTPUT, FIRST).agrees
    for build in (FIRST, AGAIN):
        assert finding(memory, build).reason == "builders-disagree"
        assert "2 of 3 files differ: bin/a (content, 9 → 9 bytes), bin/b" in finding(memory, build).message
    (first, _) = explain_builds(memory.flywheel, OUTPUT)
    assert any("2 of 3 files differ" in found.message for found in first.failed)
    deliver(memory, receipt(b"otherwise", run="300", revision="b" * 40))
    later = BuildKey(run="300", attempt=1, system="x86_64-linux")
    assert finding(memory, later).reason == "digest-disputed"
    assert "2 of 3 files differ" in finding(memory, later).message


def test_what_was_built_again_is_never_promoted_itself(memory: Memory) -> None:
    """It knows ref and trigger from another receipt alone, and signs them with an isolated key."""
    rebuild(memory.flywheel, OUTPUT, FIRST)
    verdict = judge(memory.flywheel, OUTPUT, AGAIN).verdict
    assert not verdict.validated
    assert not verdict.publishable
    judged = judge(memory.flywheel, OUTPUT, AGAIN)
    assert judged.recorded.vsa is None, "nothing is said against the artifact"


def test_a_proposal_is_not_built_again(rebuilder: FakeRebuilder) -> None:
    for trigger in (
        Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone"),
        Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True),
    ):
        memory = rebuilding(receipt(trigger=trigger), rebuilder=rebuilder)
        with pytest.raises(UsageError, match="No authentic receipt"):
            rebuild(memory.flywheel, OUTPUT, FIRST)
    assert rebuilder.asked == []


def test_another_derivation_is_neither_an_opinion_nor_a_disagreement(memory: Memory, rebuilder: FakeRebuilder) -> None:
    rebuilder.path = store_path("library-2.0")
    with pytest.raises(UnreadableError, match="another derivation"):
        rebuild(memory.flywheel, OUTPUT, FIRST)
    assert builds_of(memory.flywheel, OUTPUT) == [FIRST]
    assert finding(memory).reason == "second-builder-missing"


def test_a_body_that_cannot_be_read_is_named(memory: Memory, rebuilder: FakeRebuilder) -> None:
    rebuilder.content, rebuilder.unreadable = b"otherwise", UnreadableError("The cache is down")
    rebuild(memory.flywheel, OUTPUT, FIRST)
    assert finding(memory).message.endswith("which files differ is not known: The cache is down")


def test_it_is_built_once_however_often_it_is_asked_for(memory: Memory, rebuilder: FakeRebuilder) -> None:
    first = rebuild(memory.flywheel, OUTPUT, FIRST)
    memory.clock.move(days=1)
    assert rebuild(memory.flywheel, OUTPUT, FIRST) == first
    assert len(rebuilder.asked) == 1
    assert builds_of(memory.flywheel, OUTPUT) == [FIRST, AGAIN]


@pytest.mark.parametrize("step", ["put", "append comparison", "slot", "append receipt"])
def test_a_crash_at_any_step_leaves_one_receipt_and_one_comparison(
    memory: Memory, rebuilder: FakeRebuilder, step: str
) -> None:
    rebuilder.content = b"otherwise"

    def killed(at: str) -> None:
        if at == step:
            raise EvidenceError("killed")

    memory.evidence.before = killed
    with pytest.raises(EvidenceError):
        rebuild(memory.flywheel, OUTPUT, FIRST)
    memory.evidence.before = lambda _step: None
    memory.clock.move(hours=1)
    rebuild(memory.flywheel, OUTPUT, FIRST)
    assert builds_of(memory.flywheel, OUTPUT) == [FIRST, AGAIN]
    assert finding(memory, AGAIN).reason == "builders-disagree"
    receipts = [
        e for e in memory.evidence.entries(f"output-{OUTPUT}") if e.subject == str(AGAIN) and e.kind == "receipt"
    ]
    assert len(receipts) == 1


def test_two_that_build_at_once_leave_one_receipt(memory: Memory, rebuilder: FakeRebuilder) -> None:
    other = replace(memory.flywheel, rebuilder=FakeRebuilder())

    def meanwhile() -> None:
        rebuilder.before = lambda: None
        memory.clock.move(minutes=1)
        rebuild(other, OUTPUT, FIRST)

    rebuilder.before = meanwhile
    rebuild(memory.flywheel, OUTPUT, FIRST)
    judged = judge(memory.flywheel, OUTPUT, AGAIN)
    assert len(judged.bundle.receipts) == 1
    assert finding(memory).reason == "holds"


def test_a_build_that_fails_leaves_nothing(memory: Memory, rebuilder: FakeRebuilder) -> None:
    rebuilder.broken = UnreadableError("nix build ended with status 1.")
    with pytest.raises(UnreadableError):
        rebuild(memory.flywheel, OUTPUT, FIRST)
    assert builds_of(memory.flywheel, OUTPUT) == [FIRST]


def test_a_receipt_never_says_what_is_fetched_or_built(rebuilder: FakeRebuilder) -> None:
    """Anybody can leave one that names a repository or an attribute of their own."""
    elsewhere = changed(catalogue().outputs[OUTPUT], {"definition": "packages.x86_64-linux.other"})
    known = catalogue().model_copy(update={"outputs": {OUTPUT: elsewhere}})
    memory = rebuilding(receipt(), known=known, rebuilder=rebuilder)
    with pytest.raises(UsageError, match="No authentic receipt"):
        rebuild(memory.flywheel, OUTPUT, FIRST)
    assert rebuilder.asked == []


def test_an_unsigned_receipt_has_nothing_built(rebuilder: FakeRebuilder) -> None:
    stranger = rebuilding(receipt(), known=catalogue(), rebuilder=rebuilder)
    keyless = replace(stranger.flywheel, catalogue=catalogue().model_copy(update={"keys": {}}))
    with pytest.raises(UsageError, match="No authentic receipt"):
        rebuild(keyless, OUTPUT, FIRST)
    with pytest.raises(UsageError, match="knows no output"):
        rebuild(keyless, "../elsewhere", FIRST)
    assert rebuilder.asked == []


def unsigned(document: bytes) -> bytes:
    return canonical({**json.loads(document), "signatures": []})


def in_its_name(builder: str = "nixer") -> bytes:
    """A receipt under the name of the build that the rebuilder would make."""
    return receipt(run=AGAIN.run, builder=builder)


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(unsigned(in_its_name()), id="unsigned"),
        pytest.param(unsigned(in_its_name("rebuilder")), id="unsigned, in the rebuilder's name"),
        pytest.param(in_its_name("stranger"), id="of a builder that nobody knows"),
        pytest.param(in_its_name("nixer"), id="of the builder that built first"),
    ],
)
def test_a_receipt_that_only_bears_the_name_of_a_rebuild_is_no_second_opinion(
    memory: Memory, rebuilder: FakeRebuilder, planted: bytes
) -> None:
    deliver(memory, planted)
    assert AGAIN in builds_of(memory.flywheel, OUTPUT)
    assert to_ask_for(memory.flywheel) == [(OUTPUT, FIRST)]
    with pytest.raises(UsageError, match=r"No authentic receipt|and rebuilder did not build it"):
        rebuild(memory.flywheel, OUTPUT, AGAIN)
    assert rebuild(memory.flywheel, OUTPUT, FIRST).agrees
    assert len(rebuilder.asked) == 1
    assert finding(memory).reason == "holds"
    assert to_ask_for(memory.flywheel) == []


def test_what_was_built_again_before_the_rebuilder_got_another_key_is_built_once_more(
    memory: Memory, rebuilder: FakeRebuilder
) -> None:
    rebuild(memory.flywheel, OUTPUT, FIRST)
    rebuilder.signer = a_signer("the rebuilder's next key")
    renewed = memory.but(catalogue=trusting("rebuilder", rebuilder.signer, memory.flywheel.catalogue))
    rebuild(renewed, OUTPUT, FIRST)
    rebuild(renewed, OUTPUT, FIRST)
    assert len(rebuilder.asked) == 2
    assert finding(replace(memory, flywheel=renewed)).reason == "holds"


# What is asked for


def test_what_lacks_a_second_opinion_is_asked_for_until_it_has_one(memory: Memory) -> None:
    assert to_ask_for(memory.flywheel) == [(OUTPUT, FIRST)]
    rebuild(memory.flywheel, OUTPUT, FIRST)
    assert to_ask_for(memory.flywheel) == []
    for build in (FIRST, AGAIN):
        judge(memory.flywheel, OUTPUT, build)
    assert list(wanting(memory.flywheel)) == []


def test_without_a_rebuilder_it_is_wanted_and_nobody_is_asked() -> None:
    memory = rebuilding(receipt(), known=catalogue(rebuilds=False))
    assert finding(memory).remedy.startswith("A rebuild is wanted, and nothing here makes one")
    assert list(wanting(memory.flywheel)) == [(OUTPUT, FIRST)]
    assert to_ask_for(memory.flywheel) == []
    with pytest.raises(UsageError, match="names no `rebuilder`"):
        rebuild(memory.flywheel, OUTPUT, FIRST)


def test_what_can_never_pass_is_not_built_again() -> None:
    memory = rebuilding(receipt(locked_inputs=()))
    judge(memory.flywheel, OUTPUT, FIRST)
    assert list(wanting(memory.flywheel)) == []


def test_the_newest_are_asked_for_and_no_more_than_a_day_may_have() -> None:
    known = catalogue()
    assert known.rebuilder
    few = known.model_copy(update={"rebuilder": known.rebuilder.model_copy(update={"a_day": 2})})
    receipts = [receipt(bytes([n]), run=str(100 + n), revision=f"{n:040x}") for n in range(4)]
    memory = rebuilding(*receipts, known=few, rebuilder=FakeRebuilder())
    for build in builds_of(memory.flywheel, OUTPUT):
        judge(memory.flywheel, OUTPUT, build)
    assert [build.run for _, build in to_ask_for(memory.flywheel)] == ["103", "102"]
    other = few.model_copy(update={"rebuilder": known.rebuilder.model_copy(update={"systems": ("aarch64-linux",)})})
    assert to_ask_for(replace(memory.flywheel, catalogue=other)) == []
