"""Many builds of one source: each is judged on what the others say, at a cost that does not grow with their number."""

from collections.abc import Callable
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue, SourceKind
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.assembling import assemble, basis_of, remember_receipts
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log, take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import VERDICT, builds_of, last_verdict
from flywheel_assets.promotion.reading import indexed, one_reading
from flywheel_assets_tests.promotion.forged import forged, receipt_of
from flywheel_assets_tests.promotion.installation import Memory, a_signer, in_memory, key, resigned, trusting

OUTPUT, ONE = "tide-clock", "14402201001-tide-clock.json"
SIGNER = a_signer("builder")


@pytest.fixture
def memory() -> Memory:
    return in_memory("nothing", catalogue=trusting("tinyland-nix", SIGNER))


def deliver(memory: Memory, run: int, attempt: int = 1, change: Callable[[Any], object] | None = None) -> BuildKey:
    """A receipt of one and the same source."""

    def tell(statement: dict[str, Any]) -> None:
        statement["predicate"]["buildDefinition"]["internalParameters"]["run"].update(id=str(run), attempt=attempt)
        if change is not None:
            change(statement)

    (document,) = in_memory(ONE).inbox.documents.values()
    memory.inbox.documents[f"{run}-{attempt}.json"] = resigned(document, SIGNER, tell)
    take_in(memory.flywheel)
    return key(f"{run}.{attempt}.x86_64-linux")


def differs(statement: dict[str, Any]) -> None:
    root = statement["subject"][0]["name"]
    for named in (*statement["subject"], *statement["predicate"]["runDetails"]["byproducts"]):
        if named["name"] == root:
            named["digest"]["sha256"] = "0" * 64


def witnesses(flywheel: Flywheel, build: BuildKey) -> list[str]:
    return [f"{w.receipt.run.key.run}.{w.receipt.run.key.attempt}" for w in assemble(flywheel, OUTPUT, build).witnesses]


def basis(memory: Memory, build: BuildKey) -> EvidenceDigest:
    return basis_of(memory.flywheel, assemble(memory.flywheel, OUTPUT, build))


def test_of_builds_that_say_the_same_the_first_speaks_for_all_and_one_more_changes_no_basis(memory: Memory) -> None:
    first, second, third = (deliver(memory, run) for run in (1, 2, 3))
    assert witnesses(memory.flywheel, first) == ["2.1"]
    assert witnesses(memory.flywheel, second) == witnesses(memory.flywheel, third) == ["1.1"]
    before = [basis(memory, build) for build in (first, second, third)]
    deliver(memory, 4)
    assert [basis(memory, build) for build in (first, second, third)] == before


def test_one_that_says_otherwise_is_heard_however_many_agree(memory: Memory) -> None:
    builds = [deliver(memory, run) for run in (1, 2, 3)]
    judge(memory.flywheel, OUTPUT, builds[0])
    other = deliver(memory, 4, change=differs)
    for build in (*builds, other):
        verdict = judge(memory.flywheel, OUTPUT, build).verdict
        assert (verdict.verdict, verdict.worst.reason) == (VerdictClass.REJECTED_PERMANENTLY, "builders-disagree")


def test_every_other_attempt_of_the_same_run_is_heard_beside_another_run(memory: Memory) -> None:
    build = deliver(memory, 1)
    deliver(memory, 1, attempt=2)
    deliver(memory, 2)
    deliver(memory, 1, attempt=3, change=differs)
    assert witnesses(memory.flywheel, build) == ["1.2", "2.1", "1.3"]


def test_of_those_that_say_the_same_one_that_the_forge_confirms_is_heard_and_one_it_contradicts_is_not() -> None:
    with forged(SourceKind.GITHUB) as flow:
        runs = [flow.build() for _ in range(4)]
        change: dict[str, Any] = {"actor": "mallory"}
        liar = flow.build(**change)
        for run in (liar, *runs):
            flow.memory.inbox.documents[f"{run.id}.json"] = receipt_of(run)
            take_in(flow.flywheel)
        mine = key(f"{runs[3].id}.1.x86_64-linux")
        assert witnesses(flow.flywheel, mine) == [f"{liar.id}.1"], "nobody was asked yet"
        for run in (liar, runs[1], runs[2]):
            flow.forge.end(run)
        flow.tick()
        assert witnesses(flow.flywheel, mine) == [f"{runs[0].id}.1", f"{runs[1].id}.1"]


def test_a_receipt_that_no_trusted_signer_signed_is_no_witness(memory: Memory) -> None:
    build = deliver(memory, 1)
    deliver(memory, 2)
    stranger = memory.but(catalogue=trusting("tinyland-nix", a_signer("another")))
    assert witnesses(memory.flywheel, build) == ["2.1"]
    assert witnesses(stranger, build) == []
    shared = memory.but(catalogue=stranger.catalogue, gists=memory.flywheel.gists)
    assert witnesses(shared, build) == [], "what is remembered under another catalogue counts for nothing"


def test_a_pass_reads_a_log_once_and_knows_what_it_added_itself(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = [deliver(memory, run) for run in (1, 2, 3)]
    reads: list[str] = []
    entries = memory.evidence.entries
    one_pass = one_reading(memory.flywheel)
    assert one_reading(one_pass) is one_pass

    def counted(log: str) -> tuple[LogEntry, ...]:
        reads.append(log)
        return entries(log)

    monkeypatch.setattr(memory.evidence, "entries", counted)
    monkeypatch.setattr(memory.evidence, "append", lambda *entry: _appended(memory, *entry))
    for build in builds:
        judge(one_pass, OUTPUT, build)
    assert reads.count(output_log(OUTPUT)) == 1
    assert last_verdict(one_pass, OUTPUT, builds[0]) == last_verdict(memory.flywheel, OUTPUT, builds[0])


def _appended(memory: Memory, log: str, kind: str, subject: str, evidence: EvidenceDigest) -> object:
    """As the folder's store, which does not read the whole log for it."""
    made = in_memory("nothing").evidence
    made.chains[log] = memory.evidence.chains.setdefault(log, [])
    return made.append(log, kind, subject, evidence)


def test_a_process_that_has_just_started_opens_receipts_in_several_goes_and_each_once(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in range(5):
        deliver(memory, run)
    started, reads = memory.but(), list[EvidenceDigest]()
    get = memory.evidence.get

    def counted(digest: EvidenceDigest) -> bytes:
        reads.append(digest)
        return get(digest)

    monkeypatch.setattr(memory.evidence, "get", counted)
    goes = []
    for _ in range(4):
        room = iter([False, False])
        goes.append((remember_receipts(started, OUTPUT, lambda room=room: next(room, True)), len(reads)))  # type: ignore[misc]
    assert goes == [(False, 3), (True, 5), (True, 5), (True, 5)]
    assert len(set(reads)) == len(reads)


def test_it_opens_those_of_everything_that_goes_into_an_output(memory: Memory) -> None:
    deliver(memory, 1)
    chain = built_from(built_from(memory.flywheel.catalogue, "chart-plotter", OUTPUT), "sounding-line", "chart-plotter")
    started = memory.but(catalogue=chain)
    assert remember_receipts(started, "sounding-line", lambda: False)
    assert len(started.gists) == 1


def built_from(catalogue: Catalogue, output: str, other: str) -> Catalogue:
    made = catalogue.outputs[output].model_copy(update={"built_from": (other,)})
    return catalogue.model_copy(update={"outputs": {**catalogue.outputs, output: made}})


def test_of_the_canonical_source_no_receipt_is_opened_for_its_publications(memory: Memory) -> None:
    deliver(memory, 1)
    catalogue = memory.flywheel.catalogue
    product = next(iter(catalogue.products.values())).model_copy(update={"canonical": OUTPUT})
    other = catalogue.outputs["sounding-line"].model_copy(update={"product": "soundings"})
    asking = catalogue.model_copy(
        update={"products": {"soundings": product}, "outputs": {**catalogue.outputs, "sounding-line": other}}
    )
    flywheel = memory.but(catalogue=asking)
    assert assemble(flywheel, "sounding-line", key("1")).damaged == ()
    assert not flywheel.gists


def test_a_pass_finds_what_somebody_else_added_before_its_own_entry(memory: Memory) -> None:
    first = deliver(memory, 1)
    one_pass = one_reading(memory.flywheel)
    assert builds_of(one_pass, OUTPUT) == [first]
    second = deliver(memory, 2)
    assert builds_of(one_pass, OUTPUT) == [first], "it reads once"
    judge(one_pass, OUTPUT, first)
    assert builds_of(one_pass, OUTPUT) == [first, second]
    log = indexed(one_pass, output_log(OUTPUT))
    assert [entry.subject for entry in log.of(VERDICT)] == [str(first)]
    assert len(log.about(RECEIPT, str(second))) == 1
