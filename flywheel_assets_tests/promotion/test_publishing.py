"""Publishing: in order, once, and only what the gate lets out at the very moment it goes out."""

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.domain.errors import (
    EvidenceError,
    EvidenceMissingError,
    InvalidInputError,
    NameTakenError,
    PromotionRefusedError,
    PublicationError,
    ReadBackError,
    SurfaceNotImplementedError,
    UsageError,
)
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import PUBLICATION, publications
from flywheel_assets.promotion.publishing import plan_promotion, promote
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets_tests.fakes import FakeEvidence, FakeSurface, members_of, nothing
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    OLDER,
    PUBLISHED,
    Memory,
    a_signer,
    in_memory,
    judged,
    key,
    promote_at_once,
    resigned,
    statement_of,
    trusting,
)

STEPS = ["plan", "copy", "attach", "reveal", "read_back"]
RECEIPT = "14402201001-tide-clock.json"


@pytest.fixture
def memory() -> Memory:
    made = in_memory()
    take_in(made.flywheel)
    return made


@pytest.fixture
def nix(memory: Memory) -> FakeSurface:
    return memory.surfaces["durable-nix"]


def records(memory: Memory, output: str = "tide-clock") -> int:
    return [entry.kind for entry in memory.evidence.entries(f"output-{output}")].count(PUBLICATION)


def at(step: str, action: Callable[[], object]) -> Callable[[str], None]:
    """A hook that acts once, before a step."""
    done: list[bool] = []

    def hook(name: str) -> None:
        if name == step and not done:
            done.append(True)
            action()

    return hook


def test_the_steps_come_in_their_order_and_the_record_is_the_last(memory: Memory, nix: FakeSurface) -> None:
    said: list[str] = []
    nix.before = said.append
    memory.evidence.before = said.append
    promote(memory.flywheel, "tide-clock", CLOCK)
    wanted = {"claim", *STEPS, f"append {PUBLICATION}"}
    assert [step for step in said if step in wanted] == ["claim", *STEPS, f"append {PUBLICATION}"]
    assert said.index("slot") > said.index("copy"), "nothing is signed for what could not be copied"
    assert [proof.name for proof in nix.demanded] == ["provenance", "vsa"], "all that was attached must read back"


def test_a_promotion_records_what_was_published_with_who_answers_for_it(memory: Memory, nix: FakeSurface) -> None:
    done = promote_at_once(memory.flywheel, "tide-clock", CLOCK)
    assert publications(memory.flywheel, "tide-clock")[0].model_dump_json() == done.publication.model_dump_json()
    found = done.publication
    assert (found.surface, found.way, found.build) == ("durable-nix", "copies", CLOCK)
    assert found.bytes_read_back == sum(
        size
        for _, size in members_of(assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact).values()
    )
    assert found.ownership.publication_path_owner == "Harbor tools maintainers (sample) (team:harbor-tools)"
    assert found.ownership.clean_because.startswith("Built from this repository's own source")
    assert len(done.copied) == 2
    provenance, vsa = (memory.evidence.get(digest) for digest in found.proofs)
    assert provenance == memory.inbox.documents[RECEIPT], "as the builder signed it"
    assert (provenance, vsa) == tuple(held.data for held in next(iter(nix.attached.values())).values())
    checked = memory.flywheel.verifier.check(vsa, "vsa", {"release": a_signer("release").public_key})
    summary = ReadSummary(checked.payload, "vsa")
    assert checked.keys == ("release",)
    assert summary.levels[-2:] == ["FLYWHEEL_VALIDATED", "FLYWHEEL_PROMOTED"]
    assert summary.resource.startswith("nix:durable-nix/nix/store/")


def test_promoting_again_changes_nothing(memory: Memory, nix: FakeSurface) -> None:
    first = promote_at_once(memory.flywheel, "tide-clock", CLOCK)
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    memory.clock.move(days=3)
    again = promote_at_once(memory.but(), "tide-clock", CLOCK)
    assert again.publication.model_dump_json() == first.publication.model_dump_json()
    assert again.copied == ()
    assert memory.evidence.chains == chains
    assert len(memory.evidence.slots) == 1


class KilledError(BaseException):
    """The process dies here."""


def kill() -> None:
    raise KilledError


@pytest.mark.parametrize("output", ["tide-clock", "harbor-map-image"])
def test_death_before_each_step_and_a_repetition_make_one_publication(output: str) -> None:
    deaths = 0
    while True:
        memory = in_memory()
        take_in(memory.flywheel)
        build, calls = PUBLISHED[output], iter(range(deaths))

        def die(step: str, calls: object = calls) -> None:
            if next(calls, None) is None:  # type: ignore[call-overload]  # an iterator, as the default above
                raise KilledError

        fakes: list[FakeEvidence | FakeSurface] = [memory.evidence, *memory.surfaces.values()]
        for hooked in fakes:
            hooked.before = die
        try:
            promote(memory.flywheel, output, build)
        except KilledError:
            deaths += 1
        else:
            break
        for hooked in fakes:
            hooked.before = nothing
        assert records(memory, output) == 0, "nothing is called published that was not read back"
        memory.clock.move(hours=1)
        promote(memory.but(), output, build)
        assert records(memory, output) == 1
        signed = {"signature", "signature-bundle", "vsa"} if output == "harbor-map-image" else {"vsa"}
        assert len(memory.evidence.slots) == len(signed)
        (attached,) = [held for surface in memory.surfaces.values() for held in surface.attached.values()]
        assert set(attached) == {"provenance", *signed}
    assert deaths > 10


def test_nothing_is_recorded_when_it_does_not_read_back(memory: Memory, nix: FakeSurface) -> None:
    root = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    other = "sha256:" + "0" * 64
    nix.before = at("read_back", lambda: nix.bodies.update({root.name: other}))
    with pytest.raises(ReadBackError) as refused:
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert root.name in str(refused.value)
    assert other in str(refused.value)
    assert str(root.digest) in str(refused.value)
    assert records(memory) == 0
    nix.before = at("read_back", nix.bodies.clear)
    with pytest.raises(ReadBackError, match="does not read back as approved: absent"):
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert records(memory) == 0
    nix.before = lambda step: None
    promote(memory.flywheel, "tide-clock", CLOCK)
    assert records(memory) == 1


def test_a_name_that_is_taken_is_refused_in_the_plan_before_anything_is_written(
    memory: Memory, nix: FakeSurface
) -> None:
    root = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    nix.names[root.name] = "0" * 64
    with pytest.raises(NameTakenError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    with pytest.raises(NameTakenError):
        plan_promotion(memory.flywheel, "tide-clock", CLOCK)
    assert nix.steps == ["plan", "plan"]
    assert (nix.bodies, nix.attached, memory.evidence.slots) == ({}, {}, {})
    assert records(memory) == 0


def test_a_claim_that_was_lost_reveals_nothing(memory: Memory, nix: FakeSurface) -> None:
    memory.evidence.lost_claims.add("durable-nix tide-clock")
    with pytest.raises(EvidenceMissingError, match="The claim on durable-nix"):
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert nix.names == {}
    assert records(memory) == 0


def test_promotions_at_once_make_one_summary_and_one_record(memory: Memory, nix: FakeSurface) -> None:
    barrier = threading.Barrier(4)

    def act(_number: int) -> str:
        barrier.wait()
        return promote_at_once(memory.but(), "tide-clock", CLOCK).publication.model_dump_json()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(act, range(4)))) == 1
    assert records(memory) == 1
    assert len(memory.evidence.slots) == 1


def test_promotions_at_once_on_folders_make_one_summary_and_one_record_each(tmp_path: Path) -> None:
    place = judged(tmp_path / "home")
    builds = [("tide-clock", CLOCK), ("harbor-map-image", MAP), ("tide-clock-image", CLOCK_IMAGE)] * 2
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda each: promote_at_once(place.open(), *each).publication.model_dump_json(), builds))
    assert len(set(found)) == 3
    flywheel = place.open()
    for output, _ in builds:
        assert len(publications(flywheel, output)) == 1
    assert len(place.files("evidence", "slots")) == 1 + 2 * 3, "a summary each, and two signatures of each image"
    assert len([name for name in place.files("surfaces") if name.endswith("vsa.dsse.json")]) == 1


def test_evidence_that_came_while_it_waited_for_the_claim_is_noticed(memory: Memory, nix: FakeSurface) -> None:
    failed = resigned(
        memory.inbox.documents[RECEIPT],
        a_signer("tinyland-nix"),
        lambda statement: statement["predicate"]["runDetails"]["metadata"].update(invocationId="https://x.example/2"),
    )
    flywheel = memory.but(catalogue=trusting("tinyland-nix", a_signer("tinyland-nix")))
    memory.inbox.documents = {
        name: resigned(document, a_signer("tinyland-nix"), lambda statement: statement)
        for name, document in memory.inbox.documents.items()
        if name == RECEIPT
    }
    take_in(flywheel)
    assert judge(flywheel, "tide-clock", CLOCK).verdict.publishable

    def arrives() -> None:
        memory.inbox.documents["second.json"] = failed
        take_in(flywheel)

    memory.evidence.before = at("claim", arrives)
    with pytest.raises(PromotionRefusedError, match="receipts-conflict") as refused:
        promote(flywheel, "tide-clock", CLOCK)
    assert refused.value.verdict.worst.reason == "receipts-conflict"
    assert nix.steps == []
    assert records(memory) == 0


def test_a_newer_build_that_was_published_while_it_waited_is_noticed(memory: Memory, nix: FakeSurface) -> None:
    memory.evidence.before = at("claim", lambda: promote(memory.but(), "tide-clock", CLOCK))
    with pytest.raises(PromotionRefusedError, match="needs approval, older-than-channel"):
        promote(memory.flywheel, "tide-clock", OLDER)
    assert records(memory) == 1


@pytest.mark.parametrize(
    ("output", "build", "reason"),
    [
        ("tide-clock", "14402201002", "pull-request"),
        ("tide-clock", "14402201007", "receipt-unsigned"),
        ("chart-plotter", "14402201105", "builders-disagree"),
        ("ci-toolchain", "14402201501", "acceleration-only"),
        ("runner-dashboard", "14402201901", "not-the-authority"),
    ],
)
def test_what_the_gate_refuses_reaches_no_surface(memory: Memory, output: str, build: str, reason: str) -> None:
    for action in (promote, plan_promotion):
        with pytest.raises(PromotionRefusedError) as refused:
            action(memory.flywheel, output, key(build))
        assert refused.value.verdict.worst.reason == reason
        assert f"{output} {key(build)}: " in str(refused.value)
        assert f", {reason}: " in str(refused.value)
    assert [surface.steps for surface in memory.surfaces.values()] == [[], []]


def test_what_is_unknown_or_has_no_surface_is_a_usage_error_or_a_surface_that_is_not_served(memory: Memory) -> None:
    with pytest.raises(UsageError, match="knows no output 'nothing'"):
        promote(memory.flywheel, "nothing", CLOCK)
    with pytest.raises(UsageError, match="is in evidence"):
        promote(memory.flywheel, "tide-clock", key("7"))
    with pytest.raises(SurfaceNotImplementedError, match=r"^durable-nix is declared in the catalogue and cannot be"):
        promote(memory.but(surfaces={}), "tide-clock", CLOCK)


def test_a_dry_run_writes_nothing_on_the_surface(memory: Memory, nix: FakeSurface) -> None:
    plan = plan_promotion(memory.flywheel, "tide-clock", CLOCK)
    assert len(plan.missing) == 2
    assert nix.steps == ["plan"]
    assert (records(memory), memory.evidence.slots) == (0, {})


def test_a_dry_run_leaves_real_surfaces_as_they_are(tmp_path: Path) -> None:
    place = judged(tmp_path / "home")
    before, folders = place.files("surfaces"), sorted(place.home.joinpath("surfaces").rglob("*"))
    for output, build in PUBLISHED.items():
        assert plan_promotion(place.open(), output, build).reference
    assert place.files("surfaces") == before
    assert sorted(place.home.joinpath("surfaces").rglob("*")) == folders


def test_tags_name_the_revision_and_moving_ones_are_declared(memory: Memory) -> None:
    promote(memory.flywheel, "harbor-map-image", MAP)
    revision = str(assemble(memory.flywheel, "harbor-map-image", MAP).receipts[0].receipt.run.source.revision)
    assert sorted(memory.surfaces["ghcr"].names) == ["main", f"sha-{revision[:12]}"]


# The summary's slot


@pytest.mark.parametrize("harm", ["garbage", "other key", "another artifact", "not promoted"])
def test_a_summary_that_is_not_ours_about_this_artifact_is_never_published(memory: Memory, harm: str) -> None:
    promote(memory.flywheel, "harbor-map-image", MAP)
    promote(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    first, second = [name for name in memory.evidence.slots if name.startswith("vsa ")]
    assert "harbor-map" in first
    good = memory.evidence.slots[first]
    memory.evidence.slots[first] = {
        "garbage": b"{}",
        "other key": resigned(good, a_signer("stranger"), lambda statement: statement),
        "another artifact": memory.evidence.slots[second],
        "not promoted": resigned(
            good,
            a_signer("release"),
            lambda statement: statement["predicate"].update(verificationResult="FAILED", verifiedLevels=[]),
        ),
    }[harm]
    surface = memory.surfaces["ghcr"]
    surface.attached.clear()
    revealed = surface.steps.count("reveal")
    with pytest.raises((PublicationError, EvidenceError, InvalidInputError)):
        promote(memory.but(), "harbor-map-image", MAP)
    assert surface.attached == {}
    assert surface.steps.count("reveal") == revealed


def test_an_image_finds_its_own_provenance_among_that_of_what_it_is_made_of() -> None:
    """The summary names both, in the order of their digests, which is chance: tried both ways."""
    orders = set()
    for number in range(12):
        memory = in_memory("14402201001", "14402201201")
        signer = a_signer("tinyland-nix")
        flywheel = memory.but(catalogue=trusting("tinyland-nix", signer))

        def renumber(statement: dict[str, Any], number: int = number) -> None:
            statement["predicate"]["runDetails"]["metadata"]["invocationId"] = f"https://x.example/{number}"

        memory.inbox.documents = {
            name: resigned(document, signer, renumber) for name, document in memory.inbox.documents.items()
        }
        take_in(flywheel)
        bundle = assemble(flywheel, "tide-clock-image", CLOCK_IMAGE)
        orders.add(bundle.receipts[0].evidence < bundle.dependencies[0].evidence)
        done = promote_at_once(flywheel, "tide-clock-image", CLOCK_IMAGE)
        assert (
            memory.evidence.get(done.publication.proofs[0])
            == memory.inbox.documents["14402201201-tide-clock-image.json"]
        )
    assert orders == {True, False}


def test_a_strangers_receipt_of_the_same_artifact_never_becomes_its_provenance(memory: Memory) -> None:
    """Unsigned look-alikes from other runs are witnesses in evidence; twelve of them, against chance."""
    document = json.loads(memory.inbox.documents[RECEIPT])
    for number in range(12):
        statement = json.loads(base64.b64decode(document["payload"]))
        statement["predicate"]["buildDefinition"]["internalParameters"]["run"]["id"] = f"999{number}"
        payload = base64.b64encode(json.dumps(statement).encode()).decode()
        memory.inbox.documents[f"forged-{number}.json"] = json.dumps(
            {"payload": payload, "payloadType": document["payloadType"], "signatures": []}
        ).encode()
    take_in(memory.flywheel)
    assert assemble(memory.flywheel, "tide-clock", CLOCK).witnesses == ()
    done = promote_at_once(memory.flywheel, "tide-clock", CLOCK)
    provenance, vsa = (memory.evidence.get(digest) for digest in done.publication.proofs)
    assert provenance == memory.inbox.documents[RECEIPT]
    named = {item["digest"]["sha256"] for item in statement_of(vsa)["predicate"]["inputAttestations"]}
    assert named == {
        assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].evidence.hex,
        assemble(memory.flywheel, "tide-clock", CLOCK).inspections[0].evidence.hex,
    }


# Two runs


def test_two_runs_of_one_artifact_share_its_summary_and_have_a_record_each(memory: Memory, nix: FakeSurface) -> None:
    signer = a_signer("tinyland-nix")
    flywheel = memory.but(catalogue=trusting("tinyland-nix", signer))
    document = memory.inbox.documents[RECEIPT]

    def second(statement: dict[str, Any]) -> None:
        statement["predicate"]["buildDefinition"]["internalParameters"]["run"]["id"] = "14402209999"

    memory.inbox.documents = {
        "1.json": resigned(document, signer, lambda statement: statement),
        "2.json": resigned(document, signer, second),
    }
    take_in(flywheel)
    one = promote_at_once(flywheel, "tide-clock", CLOCK).publication
    memory.clock.move(hours=1)
    two = promote_at_once(flywheel, "tide-clock", key("14402209999")).publication
    assert one.proofs == two.proofs
    assert records(memory) == 2
    assert len(memory.evidence.slots) == 1
    assert len(nix.attached) == 1
