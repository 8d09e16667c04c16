"""Runs of cache_entry and validated_artifact: what Dagster shows of each build afterwards."""

from pathlib import Path

import dagster as dg
import pytest

from flywheel_assets.orchestration.keys import JUDGES_TAG, REREAD_TAG, asset_key
from flywheel_assets.orchestration.metadata import publication_metadata
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets_tests.orchestration.bench import ENTRY, JUDGED, PUBLISHED, VALIDATED, Bench, bench, deliver, key
from flywheel_assets_tests.promotion.installation import publication_of, published, sample_catalogue

GOOD, PULL_REQUEST, DIRTY = key(14402201001), key(14402201002), key(14402201003)
LAST = key(14402201008)
PASSED, FAILED = ("SUCCEEDED", True), ("FAILED", True)


def failure(result: dg.ExecuteInProcessResult) -> dg.Failure | str:
    """What a person reads on the page of a failed run."""
    for event in result.all_events:
        if event.is_step_failure:
            told = event.step_failure_data.user_failure_data
            return str(told.description) if told else str(event.step_failure_data.error)
    raise AssertionError("no step failed")


def test_a_good_build_is_materialized_at_both_stages_and_passes_every_check(tide_clocks: Bench) -> None:
    assert tide_clocks.materialize("tide-clock", GOOD, *JUDGED).success
    assert tide_clocks.materialized(ENTRY, "tide-clock") == {GOOD}
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == {GOOD}
    found = {**tide_clocks.checks(ENTRY, "tide-clock", GOOD), **tide_clocks.checks(VALIDATED, "tide-clock", GOOD)}
    assert found == dict.fromkeys(
        ["bootstrap", "build", "integrity", "validation", "classification", "publication", "ownership"], PASSED
    )


def test_a_rejected_build_is_a_green_run_a_failed_check_and_no_validated_artifact(tide_clocks: Bench) -> None:
    assert tide_clocks.materialize("tide-clock", PULL_REQUEST, *JUDGED).success
    assert tide_clocks.materialized(ENTRY, "tide-clock") == {PULL_REQUEST}
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == set()
    assert tide_clocks.checks(VALIDATED, "tide-clock", PULL_REQUEST)["classification"] == FAILED


def test_a_rejected_build_is_observed_with_its_verdict_and_where_it_came_from(tide_clocks: Bench) -> None:
    tide_clocks.materialize("tide-clock", PULL_REQUEST, *JUDGED)
    (seen,) = tide_clocks.observed(VALIDATED, "tide-clock", PULL_REQUEST)
    assert seen.metadata["verdict"].value == "rejected permanently"
    assert seen.metadata["reason"].value == "pull-request"
    assert "To change it" in str(seen.metadata["why"].value)
    assert str(seen.metadata["source"].value).startswith("https://github.com/tinyland-inc/harbor-tools/commit/")
    assert str(seen.metadata["run"].value).endswith("/runs/14402201002/attempts/1")


def test_what_is_shown_has_keys_short_enough_for_lists_and_numbers_that_can_be_plotted(tide_clocks: Bench) -> None:
    tide_clocks.materialize("tide-clock", GOOD, *JUDGED)
    tide_clocks.materialize("tide-clock", GOOD, PUBLISHED)
    numbers = {"build_seconds", "bytes_hashed", "read_seconds", "member_count", "bytes_read_back", "copied_members"}
    for stage in (*JUDGED, PUBLISHED):
        shown = tide_clocks.latest(stage, "tide-clock", GOOD).metadata
        assert max(map(len, shown)) <= 20
        for name in numbers & set(shown):
            assert isinstance(shown[name], dg.IntMetadataValue | dg.FloatMetadataValue)
        numbers -= set(shown)
    assert not numbers


def test_a_publication_says_where_it_came_from_and_how_to_verify_it(tide_clocks: Bench) -> None:
    tide_clocks.materialize("tide-clock", GOOD, PUBLISHED)
    shown = tide_clocks.latest(PUBLISHED, "tide-clock", GOOD).metadata
    assert "/commit/" in str(shown["source"].value)
    assert str(shown["run"].value).endswith("/runs/14402201001/attempts/1")
    assert shown["builder"].value == "tinyland-nix"
    assert "flywheel verify" in str(shown["verify"].value)
    assert "harbor-tools" in str(shown["publication_path"].value)


def test_a_publication_that_was_only_observed_names_its_signers_and_no_command_that_must_fail(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201902-runner-dashboard-image", "14402201902-trivy-scan") as opened:
        assert all(run.success for run in opened.settle())
        shown = opened.latest(PUBLISHED, "runner-dashboard-image", key(14402201902, "linux-amd64")).metadata
        signers = opened.flywheel.output("runner-dashboard-image").publication.signers  # type: ignore[union-attr]
        assert "verify" not in shown
        assert ("signed_by" in shown) is bool(signers)


def test_what_an_observed_publication_says_of_its_signers() -> None:
    observed = publication_of("runner-dashboard-image")
    output = sample_catalogue().outputs["runner-dashboard-image"]
    assert output.publication
    signed = output.publication.model_copy(update={"signers": ("ours-keyless", "ours-by-key")})
    receipt = assemble(published().open(), observed.output, observed.build).receipts[0].receipt
    for target, expected in ((signed, {"signed_by": "ours-keyless, ours-by-key"}), (output.publication, {})):
        shown = publication_metadata(observed, (), receipt, output.model_copy(update={"publication": target}))
        assert {name: shown[name].value for name in ("signed_by", "verify") if name in shown} == expected


def test_a_flake_is_verified_with_the_cache_that_carries_it_and_each_proof_is_named_once() -> None:
    one = publication_of("tide-clock")
    output, proof = sample_catalogue().outputs["tide-clock"], one.proofs[0]
    twice = one.model_copy(update={"proofs": (proof, proof), "way": "triggers"})
    receipt = assemble(published().open(), one.output, one.build).receipts[0].receipt
    shown = publication_metadata(twice, (), receipt, output, "file:///cache")
    assert str(shown["verify"].value).endswith(" --cache file:///cache`")
    assert shown["proofs"].value == [str(proof)]


def test_a_publication_that_failed_says_why_with_its_type_and_no_chain_of_causes(tide_clocks: Bench) -> None:
    tide_clocks.take_name("tide-clock", GOOD)
    result = tide_clocks.materialize("tide-clock", GOOD, PUBLISHED)
    (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failed.user_failure_data
    assert failed.user_failure_data.metadata["error"].value == "NameTakenError"
    assert failed.error
    assert failed.error.cause is None
    refused = tide_clocks.materialize("tide-clock", DIRTY, PUBLISHED)
    (failed,) = [event.step_failure_data for event in refused.all_events if event.is_step_failure]
    assert failed.user_failure_data
    assert failed.user_failure_data.metadata["reason"].value == "tree-dirty"
    assert failed.error
    assert failed.error.cause is None


def test_a_range_is_judged_build_by_build(tide_clocks: Bench) -> None:
    assert tide_clocks.materialize("tide-clock", (GOOD, LAST), *JUDGED).success
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == {GOOD, key(14402201006)}
    assert tide_clocks.materialized(ENTRY, "tide-clock") == {key(14402201000 + number) for number in range(1, 7)}
    for build in (GOOD, PULL_REQUEST, DIRTY, LAST):
        assert len(tide_clocks.observed(VALIDATED, "tide-clock", build)) == 1
    assert tide_clocks.checks(VALIDATED, "tide-clock", GOOD)["classification"] == PASSED
    assert tide_clocks.checks(VALIDATED, "tide-clock", PULL_REQUEST)["classification"] == FAILED
    assert tide_clocks.checks(ENTRY, "tide-clock", PULL_REQUEST)["integrity"] == PASSED
    assert tide_clocks.checks(ENTRY, "tide-clock", LAST)["integrity"] == FAILED


def test_one_stage_alone_can_be_asked_for(tide_clocks: Bench) -> None:
    assert tide_clocks.materialize("tide-clock", GOOD, ENTRY).success
    assert tide_clocks.materialized(ENTRY, "tide-clock") == {GOOD}
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == set()
    assert tide_clocks.checks(VALIDATED, "tide-clock", GOOD) == {}
    assert tide_clocks.materialize("tide-clock", GOOD, VALIDATED).success
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == {GOOD}


def test_checks_that_were_deselected_are_not_evaluated(tide_clocks: Bench) -> None:
    assert tide_clocks.materialize("tide-clock", GOOD, *JUDGED, checks=[]).success
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == {GOOD}
    assert tide_clocks.checks(VALIDATED, "tide-clock", GOOD) == {}


def test_checks_alone_can_be_executed_and_make_nothing(tide_clocks: Bench) -> None:
    check = dg.AssetCheckKey(asset_key(VALIDATED, "tide-clock"), "classification")
    assert tide_clocks.materialize("tide-clock", PULL_REQUEST, checks=[check]).success
    assert tide_clocks.checks(VALIDATED, "tide-clock", PULL_REQUEST) == {"classification": FAILED}
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == set()


def test_a_build_that_passed_and_is_rejected_later_shows_a_failed_check_that_is_current(tide_clocks: Bench) -> None:
    older = key(14402201006)
    tide_clocks.materialize("tide-clock", older, *JUDGED)
    assert tide_clocks.checks(VALIDATED, "tide-clock", older)["publication"] == PASSED
    tide_clocks.materialize("tide-clock", GOOD, PUBLISHED)
    tide_clocks.materialize("tide-clock", older, *JUDGED)
    assert tide_clocks.checks(VALIDATED, "tide-clock", older)["publication"] == FAILED


def test_a_build_that_cannot_be_judged_fails_its_run_and_is_named(tide_clocks: Bench) -> None:
    tide_clocks.materialize("tide-clock", DIRTY, *JUDGED)
    tide_clocks.damage_verdict("tide-clock", DIRTY)
    result = tide_clocks.materialize("tide-clock", DIRTY, VALIDATED)
    assert not result.success
    assert DIRTY in str(failure(result))


def test_the_other_builds_of_a_range_are_judged_though_one_cannot_be(tide_clocks: Bench) -> None:
    tide_clocks.materialize("tide-clock", PULL_REQUEST, *JUDGED)
    tide_clocks.damage_verdict("tide-clock", PULL_REQUEST)
    result = tide_clocks.materialize("tide-clock", (GOOD, DIRTY), *JUDGED)
    assert not result.success
    assert PULL_REQUEST in str(failure(result))
    assert GOOD not in str(failure(result))
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == {GOOD}
    assert len(tide_clocks.observed(VALIDATED, "tide-clock", DIRTY)) == 1


def test_a_range_that_holds_a_build_nobody_knows_judges_the_others_and_fails_with_its_name(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.tick()
        opened.know("tide-clock", key(999), "no build at all")
        deliver(tmp_path, "14402201003-tide-clock")
        late = opened.ask()
        opened.add_partitions(late)
        result = opened.materialize("tide-clock", (GOOD, DIRTY), *JUDGED)
        assert not result.success
        assert key(999) in str(failure(result))
        assert "no build at all" in str(failure(result))
        assert opened.checks(VALIDATED, "tide-clock", DIRTY)["classification"] == FAILED


def test_a_range_that_the_sensor_asks_for_passes_over_keys_that_anybody_made_up(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.tick()
        opened.know("tide-clock", key(999), "no build at all")
        deliver(tmp_path, "14402201003-tide-clock")
        opened.add_partitions(opened.ask())
        assert opened.materialize("tide-clock", (GOOD, DIRTY), *JUDGED, tags={JUDGES_TAG: "tide-clock"}).success
        assert opened.checks(VALIDATED, "tide-clock", DIRTY)["classification"] == FAILED


@pytest.mark.parametrize("made_up", [key(999), "no build at all", "../../etc/passwd", "1.1.x86_64-linux\n"])
@pytest.mark.parametrize("stages", [JUDGED, (PUBLISHED,)])
def test_a_partition_that_anybody_added_fails_with_a_sentence_and_publishes_nothing(
    tide_clocks: Bench, made_up: str, stages: tuple[object, ...]
) -> None:
    before = tide_clocks.surfaces()
    tide_clocks.know("tide-clock", made_up)
    result = tide_clocks.materialize("tide-clock", made_up, *stages)  # type: ignore[arg-type]
    assert not result.success
    assert "Traceback" not in str(failure(result))
    assert ("No build" in str(failure(result))) or ("is not a build" in str(failure(result)))
    assert tide_clocks.materialized(VALIDATED, "tide-clock") == set()
    assert tide_clocks.surfaces() == before


def test_a_reread_asked_for_over_a_range_reads_what_could_not_be_served_and_nothing_else(tide_clocks: Bench) -> None:
    tide_clocks.nar_of("tide-clock", GOOD).write_bytes(b"")
    tide_clocks.materialize("tide-clock", (GOOD, LAST), *JUDGED)
    tags = {JUDGES_TAG: "tide-clock", REREAD_TAG: "true"}
    assert tide_clocks.materialize("tide-clock", (GOOD, LAST), *JUDGED, tags=tags).success
    unproven = key(14402201004)  # rejected temporarily, and read whole
    assert len(tide_clocks.observed(VALIDATED, "tide-clock", GOOD)) == 2
    assert len(tide_clocks.observed(VALIDATED, "tide-clock", unproven)) == 1
