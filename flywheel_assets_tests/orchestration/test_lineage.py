"""The shape of the lineage: what a person finds in the UI before anything has run."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.definitions import build_definitions
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.orchestration.assets import lineage
from flywheel_assets.orchestration.keys import GROUPS, INTAKE, REGISTER, Stage, asset_key, builder_key
from flywheel_assets.orchestration.metadata import explained
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings

PIPELINE = Pipeline(Settings(Path("/nowhere"), SAMPLE_CATALOGUE))
CATALOGUE: Catalogue = PIPELINE.catalogue


@cache
def definitions() -> dg.Definitions:
    return build_definitions(PIPELINE)


def specs(output: str) -> dict[Stage, dg.AssetSpec]:
    assets = lineage(CATALOGUE, output)
    found = [spec for asset in assets for spec in (asset.specs if isinstance(asset, dg.AssetsDefinition) else [asset])]
    return {Stage(spec.key.path[0]): spec for spec in found}


def all_specs() -> Iterator[tuple[str, Stage, dg.AssetSpec]]:
    for output in CATALOGUE.outputs:
        for stage, spec in specs(output).items():
            yield output, stage, spec


def test_the_definitions_load_without_making_keys_or_folders() -> None:
    dg.Definitions.validate_loadable(definitions())
    assert not Path("/nowhere").exists()


def test_each_output_has_its_lineage_and_no_other() -> None:
    graph = definitions().resolve_asset_graph()
    pages = {INTAKE, REGISTER, *(builder_key(label) for label in CATALOGUE.builders)}
    assert graph.get_all_asset_keys() - pages == {asset_key(stage, output) for output, stage, _ in all_specs()}


def test_what_is_published_goes_through_four_stages_one_after_the_other() -> None:
    found = specs("tide-clock")
    assert list(found) == list(Stage)
    for earlier, later in zip(list(Stage), list(Stage)[1:], strict=False):
        assert [dep.asset_key for dep in found[later].deps] == [asset_key(earlier, "tide-clock")]


@pytest.mark.parametrize("output", ["ci-toolchain", "lint-results", "default", "check-statix", "shell-ci"])
def test_what_is_for_ci_only_ends_at_its_cache_entry(output: str) -> None:
    assert list(specs(output)) == [Stage.BUILDER_RUN, Stage.CACHE_ENTRY]


def test_what_has_no_surface_ends_when_it_is_validated() -> None:
    assert list(specs("runner-dashboard"))[-1] is Stage.VALIDATED_ARTIFACT


def test_an_image_is_drawn_from_the_derivation_that_is_in_it() -> None:
    deps = [dep.asset_key for dep in specs("tide-clock-image")[Stage.BUILDER_RUN].deps]
    assert deps == [asset_key(Stage.CACHE_ENTRY, "tide-clock")]


def test_every_asset_says_what_it_is_whose_it_is_and_to_which_output_it_belongs() -> None:
    for output, stage, spec in all_specs():
        assert spec.group_name == GROUPS[stage]
        assert spec.tags["output"] == output
        assert spec.tags["audience"] == CATALOGUE.outputs[output].audience.value
        assert CATALOGUE.outputs[output].type.value in spec.kinds
        assert spec.owners


def test_a_cache_entry_belongs_to_who_runs_the_cache_and_all_else_to_who_owns_the_output() -> None:
    found = specs("tide-clock")
    assert list(found[Stage.CACHE_ENTRY].owners) == ["team:tinyland-platform"]
    assert list(found[Stage.PUBLISHED_ARTIFACT].owners) == ["team:harbor-tools"]


def test_groups_sort_in_the_order_of_the_stages() -> None:
    assert sorted(GROUPS.values()) == list(GROUPS.values())


def test_the_first_line_of_a_description_is_plain_text_for_lists() -> None:
    for _, _, spec in all_specs():
        first = str(spec.description).splitlines()[0]
        assert first.endswith(".")
        assert not set(first) & set("*`[]|#<>_")


def test_a_description_links_to_the_lineage_of_its_output_and_to_the_checks_that_say_why_not() -> None:
    text = str(specs("tide-clock")[Stage.PUBLISHED_ARTIFACT].description)
    assert "(/asset-groups~tag%3A%22output%22%3D%22tide-clock%22/)" in text
    assert "(/assets/validated_artifact/tide-clock?view=checks)" in text
    only_in_the_cache = str(specs("ci-toolchain")[Stage.CACHE_ENTRY].description)
    assert "(/assets/cache_entry/ci-toolchain?view=checks)" in only_in_the_cache
    assert "validated_artifact" not in only_in_the_cache


def test_a_description_says_through_what_a_product_is_released() -> None:
    text = str(specs("runner-dashboard")[Stage.VALIDATED_ARTIFACT].description)
    assert CATALOGUE.products["runner-dashboard"].statement.split(".", maxsplit=1)[0] in text


def test_each_phase_is_one_check_of_each_build() -> None:
    checks = definitions().resolve_asset_graph().asset_check_keys
    shown = {check.name: check.asset_key for check in checks if check.asset_key.path[-1] == "tide-clock"}
    assert set(shown) == {phase.value for phase in Phase}
    assert shown["integrity"] == asset_key(Stage.CACHE_ENTRY, "tide-clock")
    assert shown["classification"] == asset_key(Stage.VALIDATED_ARTIFACT, "tide-clock")


def test_what_is_no_candidate_shows_on_its_cache_entry_why_it_is_none() -> None:
    checks = definitions().resolve_asset_graph().asset_check_keys
    shown = {check.name for check in checks if check.asset_key == asset_key(Stage.CACHE_ENTRY, "ci-toolchain")}
    assert shown == {"bootstrap", "build", "integrity", "classification"}


def finding(rule: str, message: str, verdict: VerdictClass = VerdictClass.REJECTED_PERMANENTLY) -> Finding:
    return Finding(
        rule=rule, phase=Phase.BUILD, verdict=verdict, reason="a-reason", message=message, remedy="Mend it.", actor="us"
    )


def test_an_explanation_names_together_the_rules_that_say_the_same() -> None:
    text = explained([finding("first", "it is so"), finding("second", "it is so"), finding("third", "not so")])
    assert text.count("it is so.") == 1
    assert "(first, second)" in text
    assert "To change it: Mend it." in text
    assert "Who acts: us" in text


def test_an_explanation_leaves_no_markup_in_what_a_receipt_may_have_written() -> None:
    hostile = "built by [you](https://evil.example) ![x](https://evil.example/x.png) <img src=x> **bold** a|b"
    text = explained([finding("first", hostile)])
    assert "[you]" not in text
    assert "![x]" not in text
    assert "\\<img" in text
    assert "\\*\\*bold" in text


def test_an_explanation_shortens_digests_and_ends_each_sentence_once() -> None:
    text = explained([finding("first", f"it reads back as sha256:{'ab' * 32}"), finding("second", "See it.")])
    assert "sha256:abababababab…" in text
    assert "…." not in text
    assert ".." not in text


def test_an_explanation_of_what_passed_names_the_rules() -> None:
    passed = finding("first", "holds", VerdictClass.PASSED)
    assert explained([passed]) == "Every rule holds: first."
