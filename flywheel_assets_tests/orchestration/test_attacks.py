"""Whoever reaches the unauthenticated webserver can do all of this. None of it may put a byte on a surface."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration.keys import JUDGES_TAG, PUBLISHES_TAG, Stage, asset_key
from flywheel_assets_tests.orchestration.bench import (
    ENTRY,
    JUDGED,
    PUBLISHED,
    VALIDATED,
    Bench,
    bench,
    deliver,
    key,
)

PULL_REQUEST = key(14402201002)
REJECTED = [
    *(("tide-clock", key(14402201000 + number)) for number in range(2, 9)),
    *(("chart-plotter", key(14402201100 + number)) for number in range(1, 7)),
]


@pytest.fixture
def attacked(everything: Bench) -> Iterator[Bench]:
    """The settled sample; afterwards every file on every surface is what it was."""
    before = everything.surfaces()
    yield everything
    assert everything.surfaces() == before


def forge(attacked: Bench, output: str, build: str) -> None:
    attacked.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key(VALIDATED, output),
            partition=build,
            metadata={"verdict": "passed", "reason": "every-rule-holds"},
            tags={"dagster/data_version": f"sha256:{'0' * 64}"},
        )
    )
    for check in attacked.definitions.resolve_asset_graph().asset_check_keys:
        if check.asset_key.path[-1] == output:
            attacked.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=check.asset_key, check_name=check.name, passed=True, partition=build)
            )


def refusal(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, dg.MetadataValue]]:
    """What the page of the refused run says."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told, "a refusal is a dg.Failure with its reasons, and no crash"
    return str(told.description), dict(told.metadata)


@pytest.mark.parametrize(("output", "build"), REJECTED)
def test_a_rejected_build_is_refused_when_it_is_materialized_by_hand(attacked: Bench, output: str, build: str) -> None:
    result = attacked.materialize(output, build, PUBLISHED)
    assert not result.success
    text, shown = refusal(result)
    assert text.startswith("Not published.")
    assert shown["verdict"].value == attacked.row(output, build).verdict
    assert shown["reason"].value == attacked.row(output, build).reason
    assert shown["who_acts"].value
    assert "@" in str(shown["owner"].value) or str(shown["owner"].value).startswith("team:")
    assert build not in attacked.materialized(PUBLISHED, output)


def test_a_forged_materialization_and_forged_checks_let_nothing_out(attacked: Bench) -> None:
    forge(attacked, "tide-clock", PULL_REQUEST)
    assert PULL_REQUEST in attacked.materialized(VALIDATED, "tide-clock"), "the forgery is in place"
    assert attacked.checks(VALIDATED, "tide-clock", PULL_REQUEST)["classification"][0] == "SUCCEEDED"
    assert not attacked.materialize("tide-clock", PULL_REQUEST, PUBLISHED).success
    assert not [run for run in attacked.tick() if run.success]
    assert PULL_REQUEST not in attacked.materialized(PUBLISHED, "tide-clock")


def test_a_forged_materialization_of_the_published_artifact_is_no_publication(attacked: Bench) -> None:
    attacked.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key(PUBLISHED, "chart-plotter"), partition=key(14402201102))
    )
    assert attacked.row("chart-plotter", key(14402201102)).state.value == "rejected"
    assert attacked.row("chart-plotter", key(14402201102)).published_at == ""


def test_the_stages_in_one_run_stop_at_a_rejected_build(attacked: Bench) -> None:
    attacked.materialize("tide-clock", key(14402201003), *JUDGED, PUBLISHED)
    assert key(14402201003) not in attacked.materialized(PUBLISHED, "tide-clock")


@pytest.mark.parametrize(
    "config",
    [
        {"resources": {"pipeline": {"config": {"home": "/tmp/mine"}}}},
        {"resources": {"pipeline": {"config": "flywheel_assets.orchestration.resources.Pipeline"}}},
        {"ops": {"publish_tide_clock": {"config": {"force": True}}}},
    ],
)
def test_run_config_cannot_swap_the_catalogue_the_keys_or_the_surfaces(
    attacked: Bench, config: dict[str, object]
) -> None:
    try:
        result = attacked.materialize("tide-clock", PULL_REQUEST, PUBLISHED, config=config)
    except dg.DagsterInvalidConfigError:
        return
    assert not result.success
    assert refusal(result)[0].startswith("Not published.")


def test_no_resource_has_a_field_that_run_config_could_set(attacked: Bench) -> None:
    assert not any(
        isinstance(given, dg.ConfigurableResource) for given in (attacked.definitions.resources or {}).values()
    )


@pytest.mark.parametrize("tag", [JUDGES_TAG, PUBLISHES_TAG, "dagster/sensor_name", "dagster/run_key"])
def test_tags_that_pretend_to_be_the_sensors_open_nothing(attacked: Bench, tag: str) -> None:
    tags = {tag: f"tide-clock {PULL_REQUEST} 000000000000"}
    assert not attacked.materialize("tide-clock", PULL_REQUEST, PUBLISHED, tags=tags).success
    attacked.materialize("tide-clock", PULL_REQUEST, *JUDGED, tags=tags)
    assert attacked.row("tide-clock", PULL_REQUEST).state.value == "rejected"


def test_a_range_over_all_builds_of_the_last_stage_is_not_taken(attacked: Bench) -> None:
    ends = (key(14402201001), key(14402201008))
    result = attacked.materialize("tide-clock", ends, PUBLISHED)
    assert not result.success
    assert attacked.materialized(PUBLISHED, "tide-clock") == {key(14402201001)}


def test_a_build_of_one_output_cannot_be_published_as_another(attacked: Bench) -> None:
    attacked.know("sounding-line", PULL_REQUEST)
    result = attacked.materialize("sounding-line", PULL_REQUEST, PUBLISHED)
    assert not result.success
    assert f"No build {PULL_REQUEST} of sounding-line" in refusal(result)[0]


def test_publishing_again_what_is_published_changes_nothing(attacked: Bench) -> None:
    assert attacked.materialize("tide-clock", key(14402201001), PUBLISHED).success


def test_what_a_builder_wrote_into_its_cache_after_it_was_judged_does_not_go_out(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201301-sounding-line") as opened:
        opened.settle()
        assert opened.row("sounding-line", key(14402201301)).reason == "promotion-on-demand"
        nar = opened.nar_of("sounding-line", key(14402201301))
        nar.write_bytes(nar.read_bytes()[:-4] + b"evil")
        assert not opened.materialize("sounding-line", key(14402201301), PUBLISHED).success
        assert opened.row("sounding-line", key(14402201301)).published_at == ""
        published = opened.settings.home / "surfaces" / "durable-nix"
        assert not list(published.glob("*.narinfo")), "nothing that a consumer finds by name"


def test_the_entry_of_a_cache_is_shown_for_a_rejected_build_only_when_its_body_is_whole(attacked: Bench) -> None:
    assert key(14402201101) not in attacked.materialized(ENTRY, "chart-plotter")
    assert key(14402201105) in attacked.materialized(ENTRY, "chart-plotter")


def test_a_forged_publication_holds_no_good_build_back(one: Bench) -> None:
    good = key(14402201001)
    one.tick()
    one.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key(PUBLISHED, "tide-clock"), partition=good, metadata={"reference": "forged"})
    )
    one.settle()
    assert one.row("tide-clock", good).state == "published"
    assert one.latest(PUBLISHED, "tide-clock", good).metadata["reference"].value != "forged"


def test_a_strangers_origin_gives_way_to_the_authentic_one(tmp_path: Path) -> None:
    good = key(14402201001)
    with bench(tmp_path, "14402201001-tide-clock") as late:
        inbox = tmp_path / "sample" / "inbox"
        document = json.loads((inbox / "14402201001-tide-clock.json").read_bytes())
        statement = json.loads(base64.b64decode(document["payload"]))
        statement["predicate"]["runDetails"]["metadata"]["invocationId"] = "https://evil.example/run"
        (inbox / "14402201001-tide-clock.json").unlink()
        (inbox / "forged.json").write_text(json.dumps(statement))
        late.tick()
        shown = late.latest(Stage.BUILDER_RUN, "tide-clock", good).metadata
        assert (shown["authentic"].value, shown["run"].value) == (False, "https://evil.example/run")
        assert isinstance(shown["run"], dg.TextMetadataValue), "a stranger's URL is no link"
        deliver(tmp_path, "14402201001-tide-clock")
        late.settle()
        shown = late.latest(Stage.BUILDER_RUN, "tide-clock", good).metadata
        assert shown["authentic"].value is True
        assert "evil" not in str(shown["run"].value)
        assert late.row("tide-clock", good).state == "published"


@pytest.mark.parametrize("alias", ["14402201301.01.x86_64-linux", "14402201301.\u0661.x86_64-linux"])
def test_another_spelling_of_a_build_publishes_nothing(attacked: Bench, alias: str) -> None:
    attacked.know("sounding-line", alias)
    assert not attacked.materialize("sounding-line", alias, PUBLISHED).success


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        yield opened
