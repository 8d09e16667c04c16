"""The ownership register: everything that was published, and where the statement of its owners holds no more."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import Standing, as_html, as_markdown, register, restate
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.withdrawing import withdrawal_of
from flywheel_assets_tests.promotion.installation import CLOCK, Memory, in_memory, without_output
from flywheel_assets_tests.promotion.people import key_of, with_people


def published() -> Memory:
    memory = in_memory("14402201001", catalogue=with_people(needed=0))
    take_in(memory.flywheel)
    promote(memory.flywheel, "tide-clock", CLOCK)
    return memory


def changed(catalogue: Catalogue, **fields: Any) -> Catalogue:
    """With other words about tide-clock."""
    entry = catalogue.outputs["tide-clock"].model_copy(update=fields)
    return catalogue.model_copy(update={"outputs": {**catalogue.outputs, "tide-clock": entry}})


def with_another_owner(flywheel: Flywheel) -> Flywheel:
    catalogue = flywheel.catalogue
    other = next(name for name in catalogue.owners if name != catalogue.outputs["tide-clock"].owner)
    return replace(flywheel, catalogue=changed(catalogue, owner=other), standing={})


def test_it_lists_who_answers_why_since_when_and_by_which_proofs() -> None:
    memory = published()
    (entry,) = register(memory.flywheel)
    assert (entry.output, entry.build, entry.state) == ("tide-clock", str(CLOCK), Standing.PUBLISHED)
    assert entry.builder_path_owner
    assert entry.publication_path_owner
    assert entry.clean_because
    assert entry.since.startswith("20")
    assert len(entry.proofs) == 2
    assert (entry.doubt, entry.problem) == ("", "")


def test_an_owner_who_changed_is_a_problem_until_it_is_stated_anew() -> None:
    flywheel = with_another_owner(published().flywheel)
    assert "the publication-path owner was stated as" in register(flywheel)[0].problem
    (made,) = restate(flywheel, "tide-clock")
    (entry,) = register(flywheel)
    assert entry.problem == ""
    assert entry.publication_path_owner == made.ownership.publication_path_owner
    assert restate(flywheel, "tide-clock") == []


def test_a_new_statement_is_no_word_for_the_change_after_it() -> None:
    memory = published()
    flywheel = with_another_owner(memory.flywheel)
    restate(flywheel, "tide-clock")
    assert register(memory.flywheel)[0].problem


def test_a_builder_that_left_the_catalogue_cannot_be_stated_away() -> None:
    flywheel = published().flywheel
    catalogue = flywheel.catalogue.model_copy(update={"builders": {}})
    gone = replace(flywheel, catalogue=catalogue, standing={})
    assert "left the catalogue" in register(gone)[0].problem
    with pytest.raises(UsageError, match="left the catalogue"):
        restate(gone, "tide-clock")


def test_what_is_public_of_an_output_that_left_the_catalogue_is_still_listed() -> None:
    gone = replace(published().flywheel, catalogue=without_output("tide-clock"), standing={})
    (entry,) = register(gone)
    assert entry.output == "tide-clock"
    assert "its output left the catalogue" in entry.problem


def test_what_is_withdrawn_says_so_and_needs_no_owner_any_more() -> None:
    flywheel = published().flywheel
    decide(flywheel, withdrawal_of(flywheel, "tide-clock", CLOCK, "It sinks ships."), key_of("alva"))
    assert register(flywheel)[0].state is Standing.WITHDRAWING
    carry_out(flywheel)
    (entry,) = register(with_another_owner(flywheel))
    assert (entry.state, entry.problem) == (Standing.WITHDRAWN, "")
    assert "It sinks ships" in entry.doubt


def test_no_word_of_others_becomes_markup_on_its_pages() -> None:
    flywheel = published().flywheel
    (entry,) = register(flywheel)
    evil = entry.model_copy(update={"clean_because": "<script>x</script> | [a](b)\nnew"})
    assert "<script>" not in as_html(flywheel, [evil])
    line = as_markdown(flywheel, [evil]).splitlines()[-1]
    assert line.endswith(" |")
    assert "\\<script\\>x\\</script\\> \\| \\[a\\](b) new" in line
