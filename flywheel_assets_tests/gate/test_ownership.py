"""ownership_is_documented, and the statement that a publication's record holds."""

import pytest

from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets_tests.gate.cases import CANNOT, KINDS, PASSED, TEMPORARILY, good

RULE = "ownership_is_documented"


@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_have_an_owner_and_a_reason(kind: str) -> None:
    assert good(kind).says(RULE) == (PASSED, "holds")


def test_an_unauthenticated_receipt_names_no_builder_path() -> None:
    assert good().with_signatures(Signatures()).says(RULE) == (CANNOT, "no-authentic-receipt")


def test_a_builder_that_is_not_catalogued_has_no_owner() -> None:
    assert good().without_entry("builders", "nixer").says(RULE) == (TEMPORARILY, "builder-path-unowned")


def test_an_output_that_does_not_say_why_it_is_clean_is_undocumented() -> None:
    assert good().with_output(clean_because=None).says(RULE) == (TEMPORARILY, "cleanness-undocumented")


def test_the_record_names_both_owners_and_the_reason() -> None:
    bench = good()
    stated = ownership_of(bench.catalogue, bench.catalogue.outputs["tool"], "nixer")
    assert stated.builder_path_owner == stated.publication_path_owner == "Tools maintainers (team:tools)"
    assert stated.clean_because == "It is built from its own source."
