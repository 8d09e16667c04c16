"""Withdrawal: decided first, then taken off the surface or marked, then recorded."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import PromotionRefusedError, ReadBackError, UnreadableError
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.excuses import Call
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import REVEALING, publications, withdrawals
from flywheel_assets.promotion.needing import kept_for_others
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import Standing, register
from flywheel_assets.promotion.report import report
from flywheel_assets.promotion.still_public import where_it_is
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.verification import verify_reference
from flywheel_assets.promotion.withdrawing import quarantined, withdrawal_of
from flywheel_assets.promotion.yanking import told
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel, published_reader
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    MAP,
    PUBLISHED,
    Memory,
    in_memory,
    published,
    resigned,
    trusting,
)
from flywheel_assets_tests.promotion.people import NOTHING, decided, key_of, with_people

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
    (done,) = carry_out(memory.flywheel).done
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
    assert carry_out(memory.but()) == NOTHING
    assert memory.surfaces["durable-nix"].steps == steps


def test_without_a_decision_that_counts_nothing_is_taken_away() -> None:
    memory = all_published()
    decide(
        memory.flywheel, withdrawal_of(memory.flywheel, "tide-clock", CLOCK, "I do not like it."), key_of("stranger")
    )
    assert carry_out(memory.flywheel) == NOTHING
    assert memory.surfaces["durable-nix"].names


def test_what_is_cut_off_on_the_surface_is_gone_on_with_and_never_recorded_as_done() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    surface = memory.surfaces["durable-nix"]

    def fails(step: str) -> None:
        if step == "withdraw":
            raise UnreadableError("The server went away.")

    surface.before = fails
    done, failed = carry_out(memory.flywheel)
    assert done == []
    assert failed[0].endswith(": not withdrawn yet: The server went away.")
    assert withdrawals(memory.flywheel, "tide-clock") == []
    with pytest.raises(PromotionRefusedError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    surface.before = lambda _: None
    assert len(carry_out(memory.but()).done) == 1
    assert not surface.names


def cut_off_after_showing() -> Memory:
    """The clock is shown, and nothing of it is on record: reading it back failed, and nobody promoted again."""
    memory = in_memory(catalogue=people())
    take_in(memory.flywheel)

    def fails(step: str) -> None:
        if step == "read_back":
            raise UnreadableError("The server went away.")

    surface = memory.surfaces["durable-nix"]
    surface.before = fails
    with pytest.raises(UnreadableError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    surface.before = lambda _: None
    assert surface.names
    assert publications(memory.flywheel, "tide-clock") == []
    return memory


def test_what_was_shown_and_is_not_on_record_is_known_as_public_and_can_be_withdrawn() -> None:
    memory = cut_off_after_showing()
    flywheel = memory.but()
    (entry,) = register(flywheel)
    assert (entry.output, entry.state) == ("tide-clock", Standing.SHOWN)
    scope = withdrawal_of(flywheel, "tide-clock", CLOCK, "It sinks ships.").scope
    assert where_it_is(flywheel, scope) == [f"public at {entry.reference}, and taken off durable-nix"]
    assert kept_for_others(flywheel, ())[0], "others take nothing away that it needs"
    withdraw(flywheel)
    (done,) = carry_out(flywheel).done
    assert done.mark
    assert not memory.surfaces["durable-nix"].names
    assert [each.state for each in register(flywheel)] == [Standing.WITHDRAWN]
    assert carry_out(flywheel) == NOTHING


def test_what_the_last_word_stopped_was_not_shown_and_is_nowhere_called_public() -> None:
    memory = in_memory(catalogue=people())
    take_in(memory.flywheel)

    def holds(step: str) -> None:
        if step == "reveal":
            decided(memory.but(), "bo", Act.HOLD, output="tide-clock")

    memory.surfaces["durable-nix"].before = holds
    with pytest.raises(PromotionRefusedError, match="held"):
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert not memory.surfaces["durable-nix"].names
    assert register(memory.but()) == []


def test_what_was_cut_off_and_promoted_again_is_listed_once() -> None:
    memory = cut_off_after_showing()
    promote(memory.but(), "tide-clock", CLOCK)
    promote(memory.but(), "tide-clock", CLOCK)
    assert [each.state for each in register(memory.but())] == [Standing.PUBLISHED]
    assert [each.kind for each in memory.evidence.entries("output-tide-clock")].count(REVEALING) == 1


def test_where_nothing_may_be_deleted_it_is_marked_and_says_who_yanks() -> None:
    memory = all_published()
    memory.surfaces["durable-nix"].lets_nobody_delete = True
    withdraw(memory.flywheel)
    (done,) = carry_out(memory.flywheel).done
    assert done.mark
    assert done.yanked_by
    assert f"{done.yanked_by} must yank it" in next(told([done]))
    assert carry_out(memory.flywheel) == NOTHING, "it is tried again, and nothing new came of that"
    memory.surfaces["durable-nix"].names.clear()
    (yanked,) = carry_out(memory.flywheel).done
    assert yanked.yanked_by == "", "somebody yanked it: that is seen and recorded"
    assert carry_out(memory.flywheel) == NOTHING


def test_what_a_workflow_publishes_is_recorded_with_who_yanks_it_and_not_touched(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    withdraw(flywheel, "runner-dashboard-image")
    before = published_files(tmp_path)
    assert before
    (done,) = carry_out(flywheel).done
    assert done.mark is None
    assert done.yanked_by
    assert "must yank it" in next(told([done]))
    assert published_files(tmp_path) == before
    assert carry_out(flywheel) == NOTHING, "it is told once, and stays in the register"


def published_files(home: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted((home / "home" / "surfaces").rglob("*")) if p.is_file()}


def test_an_image_built_from_what_is_withdrawn_is_listed_and_taken_away_by_people_alone() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    found = quarantined(memory.flywheel)
    assert [(each.publication.build, each.doubt and each.doubt.reason) for each in found] == [
        (CLOCK_IMAGE, "built-from-withdrawn")
    ]
    assert memory.surfaces["ghcr"].names
    assert carry_out(memory.flywheel) == NOTHING


def test_a_quarantined_signer_marks_all_that_it_signed() -> None:
    memory = all_published()
    assert quarantined(memory.flywheel) == []
    decided(memory.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    found = {each.publication.output: each.doubt.reason for each in quarantined(memory.flywheel) if each.doubt}
    assert found["tide-clock"] == "quarantined"
    assert "harbor-map-image" not in found
    assert memory.surfaces["durable-nix"].names


def built_on_another_builder() -> Memory:
    """The clock of tinyland-nix is public, and its image was made of it on tinyland-docker."""
    memory = in_memory("14402201001", "14402201201", catalogue=trusting("tinyland-docker", key_of("docker"), people()))

    def elsewhere(statement: dict[str, Any]) -> None:
        statement["predicate"]["runDetails"]["builder"]["id"] = "urn:flywheel-assets:builder:tinyland-docker"

    name = "14402201201-tide-clock-image.json"
    memory.inbox.documents[name] = resigned(memory.inbox.documents[name], key_of("docker"), elsewhere)
    take_in(memory.flywheel)
    promote(memory.flywheel, "tide-clock", CLOCK)
    return memory


def test_a_quarantined_signer_is_found_under_another_name_and_in_what_was_built_from_its_outputs() -> None:
    memory = built_on_another_builder()
    promote(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    known = memory.flywheel.catalogue
    said = decided(memory.flywheel, "bo", Act.QUARANTINE, key="x", fingerprint=known.keys["tinyland-nix"].fingerprint)
    keys = {name if name != "tinyland-nix" else "retired": key for name, key in known.keys.items()}
    renamed = memory.but(catalogue=known.model_copy(update={"keys": keys}))
    for flywheel in (memory.flywheel, renamed):
        found = {each.publication.output: each.doubt.reason for each in quarantined(flywheel) if each.doubt}
        assert found == {"tide-clock": "quarantined", "tide-clock-image": "built-from-quarantined"}
    decided(memory.flywheel, "bo", Act.REVOKE, decision=said.id)
    assert quarantined(renamed) == []


def test_a_hold_of_a_builder_stops_the_image_that_was_built_from_its_output_and_one_of_the_output_does_not() -> None:
    memory = built_on_another_builder()
    decided(memory.flywheel, "bo", Act.HOLD, output="tide-clock")
    assert judge(memory.flywheel, "tide-clock-image", CLOCK_IMAGE).verdict.publishable
    decided(memory.flywheel, "bo", Act.HOLD, builder="tinyland-nix")
    with pytest.raises(PromotionRefusedError, match="held: what tinyland-nix builds, as tide-clock"):
        promote(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)


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
    (done,) = carry_out(flywheel).done
    assert done.unpublished.removed
    assert done.yanked_by == ""
    with pytest.raises(ReadBackError, match="is withdrawn: the publisher's summary"):
        verify_reference(surface, verifier, key, reference, silent)


def test_what_its_workflow_took_back_is_seen_gone(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    withdraw(flywheel, "runner-dashboard-image")
    carry_out(flywheel)
    (publication,) = publications(flywheel, "runner-dashboard-image")
    folder = Path(publication.reference.removeprefix("oci:").partition("@")[0])
    shutil.rmtree(tmp_path / "home" / folder.relative_to(published().home))
    (gone,) = carry_out(flywheel).done
    assert gone.yanked_by == ""
    assert next(told([gone])).endswith(": gone, as was seen now.")
    assert carry_out(flywheel) == NOTHING


def test_what_is_public_and_in_quarantine_is_to_be_taken_back_by_whoever_may() -> None:
    memory = all_published()
    decided(memory.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    (excuse,) = explain_builds(memory.flywheel, "tide-clock", CLOCK)
    taking_back = excuse.steps[0]
    assert taking_back.what.startswith(f"run `flywheel withdraw tide-clock {CLOCK}`")
    assert all("@example.org" in who for who in taking_back.who)
    assert excuse.call is Call.SOMEBODY
    (image,) = explain_builds(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    assert image.steps[0].what.startswith("run `flywheel withdraw tide-clock-image")
    assert image.call is Call.SOMEBODY
    judge(memory.flywheel, "tide-clock", CLOCK)
    row = next(row for row in report(memory.flywheel) if row.output == "tide-clock")
    assert "still public at " in row.message
    assert f"`flywheel withdraw tide-clock {CLOCK}`" in row.remedy
