"""whole_body_matches_digest and closure_is_complete."""

import pytest

from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets_tests.gate.cases import (
    CANNOT,
    GLIBC,
    KINDS,
    PASSED,
    PERMANENTLY,
    TEMPORARILY,
    Bench,
    changed,
    good,
    store_path,
)

BODY, CLOSURE = "whole_body_matches_digest", "closure_is_complete"
RULES = [BODY, CLOSURE]
OTHER = str(Sha256.of(b"something else"))
# One reading of each kind of good build whose body the receipt, or a manifest that was read, speaks for.
SPOKEN_FOR = {"nix": 0, "oci": 3, "bazel": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_every_body_of_a_good_build_was_read_and_matches(kind: str, rule: str) -> None:
    assert good(kind).says(rule) == (PASSED, "holds")


@pytest.mark.parametrize("rule", RULES)
def test_an_unauthenticated_receipt_gives_nothing_to_compare_with(rule: str) -> None:
    assert good().with_signatures(Signatures()).says(rule) == (CANNOT, "no-authentic-receipt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_known_of_a_body_before_it_is_read(kind: str, rule: str) -> None:
    assert good(kind).with_bundle(inspections=()).says(rule) == (CANNOT, "body-not-read")


@pytest.mark.parametrize("found", [(), tuple(changed(r, {"state": ReadState.ABSENT}) for r in good().readings)])
def test_an_inspection_that_read_no_body_shows_none(found: tuple[Reading, ...]) -> None:
    bench = good().with_readings(*found)
    assert bench.says(BODY) == (TEMPORARILY, "body-not-read")
    assert bench.says(CLOSURE) == (TEMPORARILY, "member-missing")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ReadState.EMPTY, (TEMPORARILY, "body-empty")),
        (ReadState.TRUNCATED, (TEMPORARILY, "body-truncated")),
        (ReadState.UNDECODABLE, (TEMPORARILY, "body-undecodable")),
        (ReadState.MALFORMED, (TEMPORARILY, "index-malformed")),
        (ReadState.TOO_LARGE, (PERMANENTLY, "body-too-large")),
        (ReadState.UNREADABLE, (CANNOT, "cache-unreadable")),
        (ReadState.UNAUTHORISED, (CANNOT, "cache-unauthorised")),
        (ReadState.RATE_LIMITED, (CANNOT, "cache-rate-limited")),
    ],
)
def test_a_body_that_could_not_be_read_whole_is_named_for_why(
    kind: str, state: ReadState, expected: tuple[object, str]
) -> None:
    assert good(kind).with_reading(SPOKEN_FOR[kind], state=state, digest="", size=0).says(BODY) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{"digest": OTHER}, {"size": 12345}])
def test_a_body_of_another_digest_or_size_differs(kind: str, change: dict[str, object]) -> None:
    bench = good(kind).with_reading(SPOKEN_FOR[kind], **change)
    assert bench.says(BODY) == (PERMANENTLY, "body-differs")


@pytest.mark.parametrize("kind", ["nix", "bazel"])
def test_an_inspection_cannot_bring_its_own_expectations(kind: str) -> None:
    changes = {"digest": OTHER, "expected_digest": OTHER, "size": 1, "expected_size": 1}
    assert good(kind).with_reading(SPOKEN_FOR[kind], **changes).says(BODY) == (PERMANENTLY, "body-differs")


def test_a_body_over_the_size_of_its_receipt_differs_though_it_was_not_read_to_its_end() -> None:
    bench = good().with_reading(0, state=ReadState.TOO_LARGE, digest="", size=10_000)
    assert bench.says(BODY) == (PERMANENTLY, "body-differs")


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_entry_that_contradicts_the_receipt_differs(kind: str) -> None:
    bench = good(kind).with_reading(0, index_problems=("NarSize 1 and not 2",))
    assert bench.says(BODY) == (PERMANENTLY, "index-differs")


@pytest.mark.parametrize("kind", KINDS)
def test_a_contradiction_is_not_undone_by_a_better_reading(kind: str) -> None:
    bench = good(kind)
    worse = bench.with_reading(SPOKEN_FOR[kind], digest=OTHER)
    assert worse.then_inspected(*bench.readings).says(BODY) == (PERMANENTLY, "body-differs")
    added = bench.with_reading(0, added_references=(store_path("extra"),))
    assert added.then_inspected(*bench.readings).says(CLOSURE) == (PERMANENTLY, "reference-not-in-receipt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_passes_is_undone_by_a_better_reading_and_done_by_a_worse(kind: str) -> None:
    bench = good(kind)
    broken = bench.with_reading(SPOKEN_FOR[kind], state=ReadState.EMPTY, digest="", size=0)
    assert broken.then_inspected(*bench.readings).says(BODY) == (PASSED, "holds")
    assert bench.then_inspected(*broken.readings).says(BODY) == (TEMPORARILY, "body-empty")


def test_a_reference_that_only_the_index_knows_is_not_in_the_receipt() -> None:
    bench = good().with_reading(0, added_references=(store_path("extra"),))
    assert bench.says(CLOSURE) == (PERMANENTLY, "reference-not-in-receipt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_the_cache_does_not_have_is_missing(kind: str) -> None:
    bench = good(kind).with_reading(SPOKEN_FOR[kind], state=ReadState.ABSENT, digest="", size=0)
    assert bench.says(CLOSURE) == (TEMPORARILY, "member-missing")


@pytest.mark.parametrize("state", [ReadState.UNREADABLE, ReadState.UNAUTHORISED, ReadState.RATE_LIMITED])
def test_an_image_whose_registry_does_not_answer_is_not_called_missing(state: ReadState) -> None:
    index = good("oci").readings[0].model_copy(update={"state": state, "digest": "", "size": 0})
    bench = good("oci").with_readings(index)
    assert bench.says(CLOSURE) == (PASSED, "holds")
    assert "1 could not be read" in bench.finding(CLOSURE).message
    assert bench.verdict().verdict is CANNOT


def without(bench: Bench, member: str) -> Bench:
    """The inspection without the readings of ``member``."""
    return bench.with_readings(*(reading for reading in bench.readings if member not in reading.member))


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        ("nix", "-tool-1.0"),
        ("nix", "-library-1.0"),
        ("nix", "-glibc-2.40"),
        ("oci", "manifest index"),
        ("oci", "manifest linux/arm64"),
        ("bazel", "cas lint/z-empty.txt"),
    ],
)
def test_a_member_that_nobody_read_is_missing(kind: str, member: str) -> None:
    assert without(good(kind), member).says(CLOSURE) == (TEMPORARILY, "member-missing")


def test_a_platform_that_was_read_as_something_else_is_missing() -> None:
    bench = good("oci").with_reading(2, digest=OTHER, expected_digest=OTHER)
    assert bench.says(CLOSURE) == (TEMPORARILY, "member-missing")


def test_an_upstream_path_that_no_trusted_key_signed_is_not_vouched_for() -> None:
    number = [reading.member for reading in good().readings].index(GLIBC)
    bench = good().with_reading(number, vouched_by="")
    assert bench.says(CLOSURE) == (PERMANENTLY, "member-not-vouched-for")


@pytest.mark.parametrize(("kind", "number"), [("nix", 2), ("oci", 3)])
def test_a_body_that_nothing_was_expected_of_is_not_vouched_for(kind: str, number: int) -> None:
    bench = good(kind).with_reading(number, expected_digest="", expected_size=None)
    assert bench.says(CLOSURE) == (PERMANENTLY, "member-not-vouched-for")


@pytest.mark.parametrize("kind", ["nix", "bazel"])
def test_a_body_that_the_receipt_does_not_list_is_not_vouched_for(kind: str) -> None:
    extra = Reading(member="cas extra", state=ReadState.READ, expected_digest=OTHER, digest=OTHER)
    bench = good(kind).with_readings(*good(kind).readings, extra)
    assert bench.says(CLOSURE) == (PERMANENTLY, "member-not-vouched-for")


def test_an_empty_file_that_reads_back_as_something_else_differs() -> None:
    assert good("bazel").with_reading(2, digest=OTHER).says(BODY) == (PERMANENTLY, "body-differs")
    more = good("bazel").with_reading(2, state=ReadState.TOO_LARGE, digest="", size=1)
    assert more.says(BODY) == (PERMANENTLY, "body-differs")


def test_a_body_that_is_too_large_at_its_own_size_is_not_said_to_differ() -> None:
    bench = good().with_reading(0, state=ReadState.TOO_LARGE, digest="", size=good().readings[0].size)
    assert bench.says(BODY) == (PERMANENTLY, "body-too-large")
