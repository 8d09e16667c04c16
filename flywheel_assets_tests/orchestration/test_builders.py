"""Phase 0 in the UI: what each builder label is, its last bootstrap proof, and the two checks that can fail."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.catalog.models import BuilderLevel
from flywheel_assets.orchestration.builders import BOOTSTRAP, BOUNDARY, builder_events
from flywheel_assets.orchestration.keys import INTAKE, builder_key
from flywheel_assets.orchestration.sensors import watch_builders
from flywheel_assets_tests.orchestration.bench import Bench, bench, deliver

NIX = "tinyland-nix"
LEVELS = ("linux-xr-docker", BuilderLevel.ADDITIVE_CANARY)


def on_page(opened: Bench, label: str = NIX) -> dict[str, object]:
    records = opened.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=builder_key(label)), limit=1)
    newest = records.records[0].asset_materialization
    assert newest
    return {name: value.value for name, value in newest.metadata.items()}


def check(opened: Bench, name: str, label: str = NIX) -> tuple[str, str]:
    found = opened.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(builder_key(label), name)]
    )
    (record,) = found.values()
    assert record.evaluation
    return record.status.value, record.evaluation.description or ""


def watch(opened: Bench) -> int:
    result = opened.ask(watch_builders)
    opened.report_events(result)
    return len(result.asset_events)


def with_level(opened: Bench, label: str, level: BuilderLevel) -> Bench:
    """The catalogue says otherwise of a label, without what loading would demand."""
    builders = opened.flywheel.catalogue.builders
    changed = builders[label].model_copy(update={"level": level})
    catalogue = opened.flywheel.catalogue.model_copy(update={"builders": {**builders, label: changed}})
    return replace(opened, flywheel=replace(opened.flywheel, catalogue=catalogue), _definitions={})


@pytest.fixture
def proven(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.settle()
        watch(opened)
        yield opened


def test_a_page_shows_level_owner_boundary_last_proof_and_last_build(proven: Bench) -> None:
    page = on_page(proven)
    assert page["level"] == "first-class"
    assert "team:tinyland-platform" in str(page["owner"])
    assert str(page["publication_boundary"]).startswith("Makes reproducible Nix builds")
    assert page["last_bootstrap_proof"] == "nix 2.24.10 by determinate-nix-action"
    assert page["last_bootstrap_in"] == page["last_build"] == "tide-clock 14402201001.1.x86_64-linux"
    assert str(page["last_bootstrap_run"]).startswith("https://")
    assert check(proven, BOOTSTRAP)[0] == "SUCCEEDED"
    assert check(proven, BOUNDARY)[0] == "SUCCEEDED"


def test_what_is_shown_already_is_not_reported_again(proven: Bench) -> None:
    assert watch(proven) == 0
    deliver(proven.settings.home, "14402201003-tide-clock")
    proven.settle()
    assert watch(proven) > 0
    assert watch(proven) == 0


def test_a_lane_that_ran_without_a_proof_fails_its_check_and_the_last_proof_stays(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201004-tide-clock") as opened:
        opened.settle()
        watch(opened)
        status, says = check(opened, BOOTSTRAP)
        assert status == "FAILED"
        assert "tide-clock 14402201004.1.x86_64-linux" in says
        assert "bootstrap-unproven" in says
        assert on_page(opened)["last_build"] == "tide-clock 14402201004.1.x86_64-linux"
        assert on_page(opened)["last_bootstrap_in"] == "tide-clock 14402201001.1.x86_64-linux"


def test_a_build_that_a_stranger_signed_says_nothing_of_a_builder(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201008-tide-clock", "14402201007-tide-clock") as opened:
        opened.settle()
        watch(opened)
        assert on_page(opened)["last_build"] == "tide-clock 14402201001.1.x86_64-linux"


def test_a_lane_that_was_never_seen_is_said_to_be_so_and_passes_no_check_of_its_bootstrap(tmp_path: Path) -> None:
    with bench(tmp_path, "none of them") as opened:
        watch(opened)
        assert on_page(opened)["last_bootstrap_proof"] == "(none seen)"
        checks = [dg.AssetCheckKey(builder_key(NIX), BOOTSTRAP)]
        assert opened.instance.event_log_storage.get_latest_asset_check_execution_by_key(checks) == {}
        assert check(opened, BOOTSTRAP, "tinyland-docker")[0] == "SUCCEEDED", "its lanes bring their toolchain"


def test_a_promotion_to_first_class_without_a_boundary_fails_and_is_on_record(proven: Bench) -> None:
    label, before = LEVELS
    assert check(proven, BOUNDARY, label)[0] == "SUCCEEDED"
    promoted = with_level(proven, label, BuilderLevel.FIRST_CLASS)
    watch(promoted)
    status, says = check(promoted, BOUNDARY, label)
    assert status == "FAILED"
    assert says.startswith(f"{label} was promoted from {before.value} to first-class, and no publication boundary")
    assert on_page(promoted, label)["level_before"] == before.value
    watch(with_level(promoted, label, before))
    assert check(proven, BOUNDARY, label)[0] == "SUCCEEDED"
    recorded = [entry for entry in proven.flywheel.evidence.entries("builders") if entry.subject == label]
    assert len(recorded) == 3, "each level with its time, the one that came back too"


def test_a_check_run_by_hand_says_the_same(proven: Bench) -> None:
    chosen = dg.AssetSelection.checks(dg.AssetCheckKey(builder_key(NIX), BOOTSTRAP))
    by_hand = dg.Definitions(jobs=[dg.define_asset_job("by_hand", chosen)])
    job = dg.Definitions.merge(proven.definitions, by_hand).resolve_job_def("by_hand")
    (evaluation,) = job.execute_in_process(instance=proven.instance).get_asset_check_evaluations()
    assert (evaluation.passed, evaluation.description) == (True, check(proven, BOOTSTRAP)[1])


def test_damaged_evidence_is_told_and_shows_nothing_new(proven: Bench) -> None:
    (entry, *_) = (proven.settings.home / "evidence" / "logs" / "builders").iterdir()
    entry.write_bytes(b"{}")
    events = proven.ask(watch_builders).asset_events
    assert not [event for event in events if event.asset_key == builder_key(NIX)]
    checks = [event for event in events if isinstance(event, dg.AssetCheckEvaluation) and event.asset_key == INTAKE]
    assert [check.passed for check in checks if "log builders" in (check.description or "")] == [False]


def test_facts_come_before_the_checks_on_them(tmp_path: Path) -> None:
    with bench(tmp_path, "none of them") as opened:
        events = builder_events(opened.flywheel, opened.instance)
        kinds = [type(event).__name__ for event in events if event.asset_key == builder_key(NIX)]
        assert kinds == ["AssetMaterialization", "AssetCheckEvaluation"]
