"""What lies in a closure undeclared: a decision about who made it reaches the closure too."""

from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import EvidenceDigest, NarHash
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.replaying import Outcome, replay
from flywheel_assets_tests.gate.cases import REPOSITORY, a_run, store_path
from flywheel_assets_tests.promotion.installation import Memory, a_signer
from flywheel_assets_tests.promotion.people import decided, person
from flywheel_assets_tests.promotion.rebuilds import DEFINITION, OUTPUT, PATH, catalogue, rebuilding, receipt
from flywheel_assets_tests.promotion.test_withdrawing_by_record import without

TOOL, BUILD = "tool", BuildKey(run="700", attempt=1, system="x86_64-linux")


def known() -> Catalogue:
    """The library, and a tool of the same flake that nobody says is built from it."""
    made = catalogue(builders_that_must_agree=1)
    tool = made.outputs[OUTPUT].model_copy(update={"definition": DEFINITION.replace(OUTPUT, TOOL)})
    return made.model_copy(update={"outputs": {**made.outputs, TOOL: tool}, "people": {"bo": person("bo")}})


def tool_with(library: bytes) -> bytes:
    """The receipt of nixer-two for a tool whose closure holds these bytes of a library."""
    root = store_path("tool-1.0")
    members = (
        ClosureMember(path=root, nar_hash=NarHash.of(b"tool"), nar_size=40, references=(PATH,)),
        ClosureMember(path=PATH, nar_hash=NarHash.of(library), nar_size=100, references=()),
    )
    run = a_run("nixer-two", BUILD, definition=DEFINITION.replace(OUTPUT, TOOL))
    made = Receipt(output=TOOL, run=run, artifact=NixClosure(root=root, deriver=None, members=members))
    return a_signer("nixer-two").sign(receipt_statement(made), PAYLOAD_TYPE)


def reasons(memory: Memory) -> set[str]:
    return {found.reason for found in judge(memory.flywheel, TOOL, BUILD).verdict.findings}


SCOPES = [
    pytest.param(Act.QUARANTINE, {"key": "nixer"}, "built-from-quarantined", id="its signer"),
    pytest.param(Act.QUARANTINE, {"repository": REPOSITORY, "run": "100"}, "built-from-quarantined", id="its run"),
    pytest.param(Act.HOLD, {"builder": "nixer"}, "held", id="its builder"),
]


@pytest.mark.parametrize(("act", "scope", "reason"), SCOPES)
def test_a_decision_about_a_maker_reaches_what_holds_its_output(act: Act, scope: dict[str, Any], reason: str) -> None:
    memory = rebuilding(receipt(b"library"), tool_with(b"library"), known=known())
    assert reason not in reasons(memory)
    said = decided(memory.flywheel, "bo", act, **scope)
    assert reason in reasons(memory)
    assert {each.outcome for each in replay(memory.flywheel, TOOL, BUILD)} == {Outcome.REPRODUCED}
    decided(memory.flywheel, "bo", Act.REVOKE, decision=said.id)
    assert reason not in reasons(memory)


@pytest.mark.parametrize(("act", "scope", "reason"), SCOPES)
def test_it_reaches_what_holds_an_output_that_left_the_catalogue(act: Act, scope: dict[str, Any], reason: str) -> None:
    memory = rebuilding(receipt(b"library"), tool_with(b"library"), known=known())
    left = without(memory.flywheel, OUTPUT)
    assert reason not in {found.reason for found in judge(left, TOOL, BUILD).verdict.findings}
    decided(left, "bo", act, **scope)
    assert reason in {found.reason for found in judge(left, TOOL, BUILD).verdict.findings}
    assert {each.outcome for each in replay(left, TOOL, BUILD)} == {Outcome.REPRODUCED}


@pytest.mark.parametrize(("act", "scope", "reason"), SCOPES)
def test_other_bytes_under_the_same_path_are_not_its_output(act: Act, scope: dict[str, Any], reason: str) -> None:
    memory = rebuilding(receipt(b"library"), tool_with(b"another library"), known=known())
    decided(memory.flywheel, "bo", act, **scope)
    assert reason not in reasons(memory)


def test_where_nobody_stops_a_maker_now_other_outputs_are_not_read() -> None:
    memory = rebuilding(receipt(b"library"), tool_with(b"library"), known=known())
    decided(memory.flywheel, "bo", Act.HOLD, output=OUTPUT)
    over = decided(memory.flywheel, "bo", Act.QUARANTINE, key="nixer")
    decided(memory.flywheel, "bo", Act.REVOKE, decision=over.id)
    for entry in memory.evidence.chains[f"output-{OUTPUT}"]:
        del memory.evidence.blobs[entry.evidence]
    assert assemble(memory.flywheel, TOOL, BUILD).damaged == ()
    decided(memory.flywheel, "bo", Act.QUARANTINE, repository=REPOSITORY, run="100")
    assert assemble(memory.but(), TOOL, BUILD).damaged, "what cannot be read may be of the compromised signer"


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ({"repository": REPOSITORY, "run": "100"}, 1),
        ({"repository": REPOSITORY, "run": "77"}, 0),
        ({"key": "nixer"}, 3),
    ],
)
def test_of_other_outputs_only_the_receipts_of_a_stopped_run_are_opened(
    monkeypatch: pytest.MonkeyPatch, scope: dict[str, Any], opened: int
) -> None:
    others = [receipt(b"library", run=run) for run in ("100", "101", "102")]
    memory = rebuilding(*others, tool_with(b"library"), known=known())
    decided(memory.flywheel, "bo", Act.QUARANTINE, **scope)
    library = {entry.evidence for entry in memory.evidence.chains[f"output-{OUTPUT}"]}
    read, get = set[EvidenceDigest](), memory.evidence.get

    def counted(digest: EvidenceDigest) -> bytes:
        read.add(digest)
        return get(digest)

    monkeypatch.setattr(memory.evidence, "get", counted)
    assemble(memory.but(), TOOL, BUILD)
    assert len(read & library) == opened
