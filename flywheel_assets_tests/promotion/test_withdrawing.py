"""Withdrawal: decided first, then taken off the surface or marked, then recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import PromotionRefusedError, ReadBackError, UnreadableError
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.ledger import publications, withdrawals
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets.promotion.verification import verify_reference
from flywheel_assets.promotion.withdrawing import all_public, carry_out, quarantined, told, withdrawal_of
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel, published_reader
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    PUBLISHED,
    Memory,
    in_memory,
    published,
)
from flywheel_assets_tests.promotion.people import decided, key_of, with_people

IN_MEMORY = ("tide-clock", "harbor-map-image", "tide-clock-image")


def people() -> Catalogue:
    return with_people(needed=0)


def all_published() -> Memory:
    """Everything that may be public, is."""
    memory = in_memory(catalogue=people())
    take_in(memory.flywheel)
    for output in IN_MEMORY:
        promote(memory.flywheel, output, PUBLISHED[output])
    return memory


def on_folders(tmp_path: Path) -> Flywheel:
    """Everything in the sample is public, that of the observed workflow too."""
    opened = open_flywheel(Settings(published().copy(tmp_path / "home").home, SAMPLE_CATALOGUE))
    return replace(opened, catalogue=with_people(needed=0, catalogue=opened.catalogue))


def withdraw(flywheel: Flywheel, output: str = "tide-clock") -> None:
    decide(flywheel, withdrawal_of(flywheel, output, PUBLISHED[output], "It sinks ships."), key_of("alva"))


def test_what_is_withdrawn_leaves_its_surface_is_marked_recorded_and_never_passes_again() -> None:
    memory = all_published()
    surface = memory.surfaces["durable-nix"]
    assert surface.names
    withdraw(memory.flywheel)
    (done,) = carry_out(memory.flywheel)
    assert not surface.names
    assert (done.output, done.build, done.yanked_by) == ("tide-clock", CLOCK, "")
    assert withdrawals(memory.flywheel, "tide-clock") == [done]
    assert "withdrawn" in next(told([done]))
    mark = memory.flywheel.verifier.check(
        memory.evidence.get(done.mark or done.decision), "mark", {"release": memory.flywheel.release_signer.public_key}
    )
    summary = ReadSummary(mark.payload, "mark")
    assert (mark.keys, summary.result, summary.levels) == (("release",), "FAILED", [])
    with pytest.raises(PromotionRefusedError, match="sinks ships"):
        promote(memory.but(), "tide-clock", CLOCK)
    assert not surface.names


def test_withdrawing_again_does_nothing() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    steps = list(memory.surfaces["durable-nix"].steps)
    assert carry_out(memory.but()) == []
    assert memory.surfaces["durable-nix"].steps == steps


def test_without_a_decision_that_counts_nothing_is_taken_away() -> None:
    memory = all_published()
    decide(
        memory.flywheel, withdrawal_of(memory.flywheel, "tide-clock", CLOCK, "I do not like it."), key_of("stranger")
    )
    assert carry_out(memory.flywheel) == []
    assert memory.surfaces["durable-nix"].names


def test_what_is_cut_off_on_the_surface_is_gone_on_with_and_never_recorded_as_done() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    surface = memory.surfaces["durable-nix"]

    def fails(step: str) -> None:
        if step == "withdraw":
            raise UnreadableError("The server went away.")

    surface.before = fails
    with pytest.raises(UnreadableError):
        carry_out(memory.flywheel)
    assert withdrawals(memory.flywheel, "tide-clock") == []
    with pytest.raises(PromotionRefusedError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    surface.before = lambda _: None
    assert len(carry_out(memory.but())) == 1
    assert not surface.names


def test_where_nothing_may_be_deleted_it_is_marked_and_says_who_yanks() -> None:
    memory = all_published()
    memory.surfaces["durable-nix"].lets_nobody_delete = True
    withdraw(memory.flywheel)
    (done,) = carry_out(memory.flywheel)
    assert done.mark
    assert done.yanked_by
    assert f"{done.yanked_by} must yank it" in next(told([done]))
    assert carry_out(memory.flywheel) == [], "it is tried again, and nothing new came of that"
    memory.surfaces["durable-nix"].names.clear()
    (yanked,) = carry_out(memory.flywheel)
    assert yanked.yanked_by == "", "somebody yanked it: that is seen and recorded"
    assert carry_out(memory.flywheel) == []


def test_what_a_workflow_publishes_is_recorded_with_who_yanks_it_and_not_touched(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    withdraw(flywheel, "runner-dashboard-image")
    before = published_files(tmp_path)
    assert before
    (done,) = carry_out(flywheel)
    assert done.mark is None
    assert done.yanked_by
    assert "must yank it" in next(told([done]))
    assert published_files(tmp_path) == before
    assert carry_out(flywheel) == [], "it is told once, and stays in the register"


def published_files(home: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted((home / "home" / "surfaces").rglob("*")) if p.is_file()}


def test_the_references_of_all_else_that_is_public_are_kept() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    every = {each.publication.reference for each in all_public(memory.flywheel)}
    mine = publications(memory.flywheel, "tide-clock")[0].reference
    assert memory.surfaces["durable-nix"].others == every - {mine}


def test_an_image_built_from_what_is_withdrawn_is_listed_and_taken_away_by_people_alone() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    found = quarantined(memory.flywheel)
    assert [(each.publication.build, each.doubt and each.doubt.reason) for each in found] == [
        (CLOCK_IMAGE, "built-from-withdrawn")
    ]
    assert memory.surfaces["ghcr"].names
    assert carry_out(memory.flywheel) == []


def test_a_quarantined_signer_marks_all_that_it_signed() -> None:
    memory = all_published()
    assert quarantined(memory.flywheel) == []
    decided(memory.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    found = {each.publication.output: each.doubt.reason for each in quarantined(memory.flywheel) if each.doubt}
    assert found["tide-clock"] == "quarantined"
    assert "harbor-map-image" not in found
    assert memory.surfaces["durable-nix"].names


def test_a_quarantined_run_marks_the_image_that_was_built_from_what_it_made() -> None:
    memory = all_published()
    repository = memory.flywheel.catalogue.outputs["tide-clock"].repository
    decided(memory.flywheel, "bo", Act.QUARANTINE, repository=repository, run=CLOCK.run)
    found = {each.publication.output: each.doubt.reason for each in quarantined(memory.flywheel) if each.doubt}
    assert found == {"tide-clock": "quarantined", "tide-clock-image": "built-from-quarantined"}


def test_a_quarantined_run_marks_what_it_built_and_nothing_else() -> None:
    memory = all_published()
    repository = memory.flywheel.catalogue.outputs["harbor-map-image"].repository
    decided(memory.flywheel, "bo", Act.QUARANTINE, repository=repository, run=MAP.run)
    assert {each.publication.build for each in quarantined(memory.flywheel)} == {MAP}


@pytest.mark.parametrize("output", ["tide-clock", "harbor-map-image"])
def test_on_a_real_surface_consumers_find_it_no_more_and_verify_refuses_what_is_marked(
    tmp_path: Path, output: str
) -> None:
    flywheel = on_folders(tmp_path)
    (publication,) = publications(flywheel, output)
    reference = publication.reference.replace(str(published().home), str(tmp_path / "home"))
    surface, verifier = published_reader(reference, (), None)
    key = flywheel.release_signer.public_key
    verify_reference(surface, verifier, key, reference, silent)
    withdraw(flywheel, output)
    (done,) = carry_out(flywheel)
    assert done.unpublished.removed
    assert done.yanked_by == ""
    with pytest.raises(ReadBackError, match="is withdrawn: the publisher's summary"):
        verify_reference(surface, verifier, key, reference, silent)
