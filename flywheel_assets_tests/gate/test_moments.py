"""The moments at which a verdict can change: each kind is there, and nothing else is."""

from datetime import datetime, timedelta

from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.moments import moments
from flywheel_assets_tests.gate.cases import FINISHED, NOW, Bench, good
from flywheel_assets_tests.gate.decided import DAY, after, approval, asking, decided, excepting


def findings(bench: Bench, now: datetime) -> tuple[Finding, ...]:
    return evaluate(bench.bundle, bench.catalogue, now).findings


def test_each_kind_of_moment_is_one_at_which_a_verdict_changes() -> None:
    asked = asking(good(), 1, ("alice", "bob"), last_days=2)
    given = approval(asked, "alice", expires_at=NOW + 5 * DAY)
    changing: dict[str, tuple[Bench, datetime]] = {
        "the end of a run": (good().with_run(finished_at=NOW + DAY), NOW + DAY - timedelta(minutes=10)),
        "of an exception": (
            excepting(good().with_bundle(tests=()), "validation_is_green", "validation-missing"),
            NOW + DAY,
        ),
        "of a hold": (after(good(), decided(Act.HOLD, "carol", expires_at=NOW + DAY)), NOW + DAY),
        "of an approval": (after(asked, given), given.decision.made_at + 2 * DAY),
        "of a person's time": (asked.with_entry("people", "alice", valid_until=NOW + DAY), NOW + DAY),
    }
    for what, (bench, moment) in changing.items():
        assert moment in moments(bench.bundle, bench.catalogue), what
        before, then = findings(bench, moment - timedelta(microseconds=1)), findings(bench, moment)
        assert before != then, what


def test_what_cannot_change_a_verdict_is_no_moment() -> None:
    bench = excepting(good(), "validation_is_green", "validation-missing", output="image")
    bench = bench.with_entry("people", "carol", valid_until=NOW + DAY)
    assert moments(bench.bundle, bench.catalogue) == (FINISHED - timedelta(minutes=10),)
    assert moments(good("bazel").bundle, good("bazel").catalogue) == (FINISHED - timedelta(minutes=10),)
