"""What a withdrawal changes for other builds: those that followed the withdrawn source, and those that are older."""

from dataclasses import replace

import pytest

from flywheel_assets.catalog.models import Catalogue, Product
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import PUBLICATION, publications, record
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets_tests.promotion.installation import CLOCK, CLOCK_IMAGE, OLDER, Memory, in_memory
from flywheel_assets_tests.promotion.people import decided, with_people
from flywheel_assets_tests.promotion.test_withdrawing import withdraw

NEWER = BuildKey.parse("14402209999.1.x86_64-linux")


def both_ways() -> Catalogue:
    """The clock goes out as a closure, which is the canonical source, and as an image, which is not made of it."""
    catalogue = with_people(needed=0)
    product = Product(authority="tide-clock", statement="Both.", also=("tide-clock-image",), canonical="tide-clock")
    outputs = dict(catalogue.outputs)
    for name in ("tide-clock", "tide-clock-image"):
        outputs[name] = outputs[name].model_copy(update={"product": "clock"})
    products = {**catalogue.products, "clock": product}
    return catalogue.model_copy(update={"outputs": outputs, "products": products})


def of_image(memory: Memory) -> Finding:
    verdict = judge(memory.flywheel, "tide-clock-image", CLOCK_IMAGE).verdict
    return next(finding for finding in verdict.findings if finding.rule == "release_authority_holds")


@pytest.fixture
def memory() -> Memory:
    """The clock is published."""
    found = in_memory("144022010", "14402201201", catalogue=both_ways())
    take_in(found.flywheel)
    assert of_image(found).reason == "canonical-unpublished"
    promote(found.flywheel, "tide-clock", CLOCK)
    assert of_image(found).reason == "holds"
    return found


def test_a_canonical_source_that_was_withdrawn_lets_nothing_else_out_and_that_is_judged_anew(memory: Memory) -> None:
    withdraw(memory.flywheel)
    assert of_image(memory).reason == "canonical-unpublished", "the decision is enough"
    carry_out(memory.flywheel)
    assert of_image(memory).reason == "canonical-unpublished"


def test_a_canonical_source_in_quarantine_lets_nothing_else_out_until_that_is_revoked(memory: Memory) -> None:
    repository = memory.flywheel.catalogue.outputs["tide-clock"].repository
    quarantine = decided(memory.flywheel, "bo", Act.QUARANTINE, repository=repository, run=CLOCK.run)
    assert of_image(memory).reason == "canonical-unpublished"
    decided(memory.flywheel, "bo", Act.REVOKE, decision=quarantine.id)
    assert of_image(memory).reason == "holds"


@pytest.mark.parametrize("what", ["receipts", "inspections"])
def test_a_canonical_source_about_which_evidence_is_damaged_lets_nothing_else_out(memory: Memory, what: str) -> None:
    damaged = getattr(assemble(memory.flywheel, "tide-clock", CLOCK), what)[0]
    memory.evidence.blobs[damaged.evidence] = b"{}"
    fresh = replace(memory, flywheel=memory.but())
    assert judge(fresh.flywheel, "tide-clock-image", CLOCK_IMAGE).verdict.worst.reason == "evidence-damaged"


def test_going_back_behind_what_was_withdrawn_is_for_people_to_decide_and_says_so(memory: Memory) -> None:
    judge(memory.flywheel, "tide-clock", OLDER)
    (before,) = explain_builds(memory.flywheel, "tide-clock", OLDER)
    assert before.row.reason == "older-than-channel"
    assert "is published" in before.row.message
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    judge(memory.flywheel, "tide-clock", OLDER)
    (after,) = explain_builds(memory.flywheel, "tide-clock", OLDER)
    assert after.row.reason == "older-than-channel", "nothing older goes out by itself"
    assert f"{CLOCK} of 2026-04-14 was published, and withdrawn since" in after.row.message
    assert [step.what for step in after.steps] == [
        f"run `flywheel approve tide-clock {OLDER} --accept older-than-channel`"
    ]
    assert before.call is not after.call


def test_going_back_behind_what_was_withdrawn_is_nobodys_turn_while_something_newer_stands(memory: Memory) -> None:
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    (made,) = publications(memory.flywheel, "tide-clock")
    newer = {"build": NEWER, "artifact_digest": Sha256.of(b"newer")}
    record(memory.flywheel, "tide-clock", NEWER, PUBLICATION, made.model_copy(update=newer))
    head = assemble(memory.flywheel, "tide-clock", OLDER).channel
    assert head is not None
    assert (head.build, head.withdrawn) == (NEWER, False)
