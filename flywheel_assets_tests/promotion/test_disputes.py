"""What builders disagreed about once is rejected for good, whoever builds it again and whatever is lost meanwhile."""

from dataclasses import replace

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.disputes import DISAGREEMENT, DISAGREEMENTS
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import VERDICT
from flywheel_assets_tests.promotion.installation import Memory
from flywheel_assets_tests.promotion.people import decided, person
from flywheel_assets_tests.promotion.rebuilds import FIRST, OUTPUT, catalogue, deliver, rebuilding, receipt


def reason(memory: Memory, run: str) -> tuple[str, str]:
    build = BuildKey(run=run, attempt=1, system="x86_64-linux")
    found = judge(memory.flywheel, OUTPUT, build).verdict
    return next((f.verdict.value, f.reason) for f in found.findings if f.rule == "rebuild_agrees")


@pytest.fixture
def memory() -> Memory:
    """Two builders that disagree about one revision, both judged."""
    made = rebuilding(receipt(b"one"), receipt(b"other", run="200", builder="nixer-two"))
    assert reason(made, "100") == reason(made, "200") == ("rejected permanently", "builders-disagree")
    return made


def test_either_content_is_rejected_under_a_later_revision(memory: Memory) -> None:
    deliver(memory, receipt(b"one", run="300", revision="b" * 40), receipt(b"other", run="400", revision="c" * 40))
    deliver(memory, receipt(b"third", run="500", revision="d" * 40))
    assert reason(memory, "300") == ("rejected permanently", "digest-disputed")
    assert reason(memory, "400") == ("rejected permanently", "digest-disputed")
    assert reason(memory, "500") == ("waiting", "second-builder-missing")


NEXT = "next-name"


def renamed(known: Catalogue) -> Catalogue:
    """The catalogue of later, in which the second builder's key has another name."""
    keys = {name if name != "nixer-two" else NEXT: key for name, key in known.keys.items()}
    return known.model_copy(update={"keys": keys})


@pytest.mark.parametrize("later", ["the same catalogue", "the key is renamed", "the key left"])
def test_the_honest_side_passes_again_while_the_other_one_is_in_quarantine(memory: Memory, later: str) -> None:
    known = memory.flywheel.catalogue.model_copy(update={"people": {"bo": person("bo")}})
    without = {name: key for name, key in known.keys.items() if name != "nixer-two"}
    flywheel = {
        "the same catalogue": known,
        "the key is renamed": renamed(known),
        "the key left": known.model_copy(update={"keys": without}),
    }
    deliver(memory, receipt(b"one", run="300", revision="b" * 40), receipt(b"other", run="400", revision="c" * 40))
    now = replace(memory, flywheel=memory.but(catalogue=flywheel[later]))
    assert reason(now, "300") == ("rejected permanently", "digest-disputed")
    fingerprint = known.keys["nixer-two"].fingerprint
    said = decided(now.flywheel, "bo", Act.QUARANTINE, key="nixer-two", fingerprint=fingerprint)
    assert reason(now, "300") == reason(now, "100") == ("waiting", "second-builder-missing")
    assert reason(now, "400") == ("rejected permanently", "digest-disputed")
    decided(now.flywheel, "bo", Act.REVOKE, decision=said.id)
    assert reason(now, "300") == ("rejected permanently", "digest-disputed")


def test_a_disagreement_is_recorded_once_and_judged_once(memory: Memory) -> None:
    before = list(memory.evidence.chains[DISAGREEMENTS])
    assert len(before) == 2, "one entry for each of the two digests"
    assert len({entry.evidence for entry in before}) == 1
    assert reason(memory, "100")[1] == reason(memory, "200")[1] == "builders-disagree"
    assert memory.evidence.chains[DISAGREEMENTS] == before
    verdicts = [e.subject for e in memory.evidence.entries(f"output-{OUTPUT}") if e.kind == VERDICT]
    assert len(verdicts) == len(set(verdicts)) == 2


def test_a_crash_between_its_entries_loses_none() -> None:
    for allowed in (0, 1):
        memory = rebuilding(receipt(b"one"), receipt(b"other", run="200", builder="nixer-two"))
        left = iter([True] * allowed)

        def before(step: str, left: "object" = left) -> None:
            if step == f"append {DISAGREEMENT}" and not next(left, False):  # type: ignore[call-overload]
                raise EvidenceError("killed")

        memory.evidence.before = before
        with pytest.raises(EvidenceError):
            judge(memory.flywheel, OUTPUT, FIRST)
        memory.evidence.before = lambda _step: None
        assert reason(memory, "100")[1] == "builders-disagree"
        assert len(memory.evidence.chains[DISAGREEMENTS]) == 2


def test_a_record_that_is_gone_leaves_the_build_undetermined(memory: Memory) -> None:
    deliver(memory, receipt(b"one", run="300", revision="b" * 40))
    del memory.evidence.blobs[memory.evidence.chains[DISAGREEMENTS][0].evidence]
    build = BuildKey(run="300", attempt=1, system="x86_64-linux")
    assert assemble(memory.flywheel, OUTPUT, build).damaged
    found = judge(memory.flywheel, OUTPUT, build).verdict
    assert "evidence-damaged" in {finding.reason for finding in found.findings}
    assert not found.publishable


def test_a_stranger_and_a_proposal_dispute_nothing() -> None:
    from flywheel_assets.domain.builds import Trigger, TriggerEvent

    proposal = Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")
    memory = rebuilding(
        receipt(b"one"),
        receipt(b"other", run="200", builder="nixer-two", trigger=proposal),
        known=catalogue(builders_that_must_agree=1),
    )
    judge(memory.flywheel, OUTPUT, BuildKey(run="200", attempt=1, system="x86_64-linux"))
    assert reason(memory, "100") == ("passed", "holds")
    assert DISAGREEMENTS not in memory.evidence.chains
