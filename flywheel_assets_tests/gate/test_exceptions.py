"""Exceptions: one rule's one reason, for one output or artifact, until a stated time, and nothing behind it."""

from datetime import timedelta

import pytest

from flywheel_assets.catalog.exceptable import EXCEPTABLE
from flywheel_assets.catalog.models import Claim
from flywheel_assets.domain.builds import Trigger, TriggerEvent
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.gate.evaluate import RULES, evaluate
from flywheel_assets_tests.gate.cases import (
    FINISHED,
    NOW,
    PASSED,
    PERMANENTLY,
    TEMPORARILY,
    WAITING,
    Bench,
    changed,
    good,
)
from flywheel_assets_tests.gate.decided import DAY, after, decided, excepting, withdrawal
from flywheel_assets_tests.gate.reasons import REASONS
from flywheel_assets_tests.gate.test_properties import BREAKS, FAILED, Change, claims_but, with_test

GREEN, SOURCE, TRANSIENT = "validation_is_green", "source_can_be_reidentified", "output_is_not_transient"
BOOTSTRAP = "toolchain_bootstrap_was_proven"
BROKEN: dict[tuple[str, str], Change] = {
    (BOOTSTRAP, "bootstrap-unproven"): lambda b: b.with_run(bootstrap=None),
    (BOOTSTRAP, "bootstrap-claim-untrusted"): claims_but(Claim.BOOTSTRAP),
    (GREEN, "validation-failed"): lambda b: with_test(b, FAILED, "smoke", "platform"),
    (GREEN, "validation-missing"): lambda b: b.with_bundle(tests=()),
    (GREEN, "validation-claim-untrusted"): claims_but(Claim.VALIDATION),
    (SOURCE, "inputs-not-locked"): lambda b: b.with_run(locked_inputs=()),
    (SOURCE, "source-claim-untrusted"): claims_but(Claim.SOURCE),
    ("rebuild_agrees", "second-builder-missing"): lambda b: b.with_bundle(witnesses=()),
    ("use_is_intended", "consumption-undocumented"): lambda b: b.with_output(consumption=None),
    (TRANSIENT, "other-ref"): lambda b: b.with_source(ref="refs/heads/topic"),
    (TRANSIENT, "trigger-claim-untrusted"): claims_but(Claim.TRIGGER),
    ("ownership_is_documented", "cleanness-undocumented"): lambda b: b.with_output(clean_because=None),
}
PAIRS = pytest.mark.parametrize(("rule", "reason"), sorted(BROKEN), ids=lambda value: value)


def test_every_exceptable_reason_is_one_of_its_rule_and_is_tried_here() -> None:
    pairs = {(rule, reason) for rule, reasons in EXCEPTABLE.items() for reason in reasons}
    assert pairs == set(BROKEN)
    assert {rule for rule, _ in pairs} <= {rule.__name__ for rule in RULES}
    assert all(rule in REASONS[reason].rules.split(", ") for rule, reason in pairs)


@PAIRS
def test_an_exception_alone_makes_a_pass_that_names_it_its_owner_and_its_end(rule: str, reason: str) -> None:
    bench = BROKEN[rule, reason](good())
    before = bench.finding(rule)
    assert (before.verdict is PASSED, before.reason, before.exception) == (False, reason, "")
    excepted = excepting(bench, rule, reason)
    found = excepted.finding(rule)
    assert (found.verdict, found.reason, found.exception) == (PASSED, reason, "for-now")
    assert found.phase is before.phase
    assert found.message == (
        f"excepted by Tools maintainers (team:tools) until 2026-10-03 08:00 UTC, It is mended soon: {before.message}"
    )
    assert excepted.verdict().publishable


@PAIRS
def test_an_exception_stops_working_at_its_time(rule: str, reason: str) -> None:
    bench = BROKEN[rule, reason](good())
    for until, counts in ((NOW - DAY, False), (NOW, False), (NOW + timedelta(seconds=1), True)):
        assert (excepting(bench, rule, reason, until=until).finding(rule).verdict is PASSED) is counts


@PAIRS
def test_an_exception_of_another_output_digest_rule_or_reason_changes_nothing(rule: str, reason: str) -> None:
    bench = BROKEN[rule, reason](good())
    before = bench.finding(rule)
    assert excepting(bench, rule, reason, output="image").finding(rule) == before
    assert excepting(bench, rule, reason, digest=f"sha256:{Sha256.of(b'another').hex}").finding(rule) == before
    assert excepting(bench, "builder_is_known", reason).finding(rule) == before
    assert excepting(bench, rule, "holds").finding(rule) == before
    mine = f"sha256:{bench.receipt.artifact.digest.hex}"
    assert excepting(bench, rule, reason, digest=mine).finding(rule).verdict is PASSED


@PAIRS
def test_what_needs_no_exception_is_a_plain_pass(rule: str, reason: str) -> None:
    assert excepting(good(), rule, reason).finding(rule) == good().finding(rule)


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
@pytest.mark.parametrize("broken", sorted(BREAKS))
def test_no_exception_reaches_a_reason_that_is_not_exceptable(rule: str, broken: str) -> None:
    bench = BREAKS[broken](good())
    found = bench.finding(rule)
    if found.verdict is not PASSED and found.reason not in EXCEPTABLE.get(rule, ()):
        assert excepting(bench, rule, found.reason).verdict().findings == bench.verdict().findings


def _outside(bench: Bench) -> Bench:
    made = bench.run.bootstrap
    assert made is not None
    late = made.model_copy(update={"finished_at": FINISHED + DAY})
    return claims_but(Claim.BOOTSTRAP)(bench.with_run(bootstrap=late))


HIDDEN: list[tuple[str, str, VerdictClass, str, Change]] = [
    (BOOTSTRAP, "bootstrap-claim-untrusted", PERMANENTLY, "bootstrap-outside-run", _outside),
    (GREEN, "validation-failed", WAITING, "validation-missing",
     lambda b: with_test(b.with_bundle(tests=()), FAILED, "nix build", "platform")),
    (GREEN, "validation-failed", TEMPORARILY, "validation-claim-untrusted",
     lambda b: with_test(claims_but(Claim.VALIDATION)(b), FAILED, "smoke", "platform")),
    (GREEN, "validation-claim-untrusted", WAITING, "validation-missing",
     lambda b: claims_but(Claim.VALIDATION)(b).with_bundle(tests=())),
    (SOURCE, "inputs-not-locked", TEMPORARILY, "source-claim-untrusted",
     lambda b: claims_but(Claim.SOURCE)(b.with_run(locked_inputs=()))),
    (SOURCE, "source-claim-untrusted", PERMANENTLY, "other-definition",
     lambda b: claims_but(Claim.SOURCE)(b.with_run(definition="packages.x86_64-linux.other"))),
    (SOURCE, "inputs-not-locked", PERMANENTLY, "dependency-unnamed",
     lambda b: b.with_run(locked_inputs=(), dependencies=())),
    (TRANSIENT, "other-ref", TEMPORARILY, "trigger-claim-untrusted",
     lambda b: claims_but(Claim.TRIGGER)(b.with_source(ref="refs/heads/topic"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "excepted", "verdict", "behind", "change"), HIDDEN, ids=lambda v: "" if callable(v) else str(v)
)
def test_an_exception_hides_nothing_that_stands_behind_what_it_excepts(
    rule: str, excepted: str, verdict: VerdictClass, behind: str, change: Change
) -> None:
    bench = change(good())
    assert bench.finding(rule).reason == excepted
    assert excepting(bench, rule, excepted).says(rule) == (verdict, behind)


def test_several_exceptions_of_one_rule_are_all_named() -> None:
    bench = claims_but(Claim.SOURCE)(good().with_run(locked_inputs=()))
    both = excepting(excepting(bench, SOURCE, "inputs-not-locked", "one"), SOURCE, "source-claim-untrusted", "two")
    found = both.finding(SOURCE)
    assert (found.verdict, found.reason, found.exception) == (PASSED, "inputs-not-locked", "one, two")
    assert found.message.count("excepted by Tools maintainers (team:tools) until") == 2
    assert "names no locked input; excepted" in found.message


@pytest.mark.parametrize("what", [(GREEN, "validation-missing"), ("use_is_intended", "consumption-undocumented")])
def test_of_two_exceptions_for_the_same_the_one_that_lasts_longest_is_named(what: tuple[str, str]) -> None:
    bench = BROKEN[what](good())
    for names in (("a", "b"), ("b", "a")):
        long = excepting(bench, *what, names[0], until=NOW + 2 * DAY)
        both = excepting(long, *what, names[1])
        assert both.finding(what[0]).exception == names[0]
    alike = excepting(excepting(bench, *what, "a"), *what, "b")
    assert alike.finding(what[0]).exception == "b"


def _both_failed(bench: Bench) -> Bench:
    return with_test(with_test(bench, FAILED, "nix build", "platform"), FAILED, "smoke", "platform")


def _both_claimed(bench: Bench) -> Bench:
    claims = tuple(changed(bench.run.validations[0], {"name": name}) for name in ("nix build", "smoke"))
    return claims_but(Claim.VALIDATION)(bench.with_run(validations=claims)).with_bundle(tests=())


OF_VALIDATIONS: dict[str, Change] = {
    "validation-failed": _both_failed,
    "validation-missing": lambda b: b.with_run(validations=()).with_bundle(tests=()),
    "validation-claim-untrusted": _both_claimed,
}


@pytest.mark.parametrize("reason", OF_VALIDATIONS)
def test_an_exception_covers_the_validations_that_it_names_and_each_must_be_covered(reason: str) -> None:
    bench = OF_VALIDATIONS[reason](good())
    before = bench.finding(GREEN)
    assert (before.verdict is PASSED, before.reason) == (False, reason)
    for named in (("nix build",), ("smoke",), ("fuzzing",)):
        assert excepting(bench, GREEN, reason, validations=named).finding(GREEN) == before
    both = excepting(bench, GREEN, reason, "one", validations=("smoke",))
    both = excepting(both, GREEN, reason, "two", validations=("nix build", "fuzzing"), because="It is moved.")
    found = both.finding(GREEN)
    assert (found.verdict, found.exception) == (PASSED, "two, one")
    who = "Tools maintainers (team:tools) until 2026-10-03 08:00 UTC"
    assert found.message == f"excepted by {who}, It is moved and by {who}, It is mended soon: {before.message}"
    ended = both.with_entry("exceptions", "two", until=NOW)
    assert ended.finding(GREEN) == before


def test_an_exception_for_what_is_missing_reaches_nothing_that_the_catalogue_asks_for_later() -> None:
    bench = excepting(good().with_bundle(tests=()), GREEN, "validation-missing", validations=("smoke",))
    assert bench.passes
    assert bench.with_output(validations=("nix build", "smoke", "fuzzing")).says(GREEN) == (
        WAITING,
        "validation-missing",
    )


def test_no_exception_helps_against_a_withdrawal_a_hold_damage_or_a_stranger() -> None:
    bench = good()
    for rule, reason in BROKEN:
        bench = excepting(bench, rule, reason, f"for-{reason}")
    assert bench.passes
    assert not after(bench, withdrawal(bench, "alice")).verdict().publishable
    assert not after(bench, decided(Act.HOLD, "alice")).verdict().publishable
    for broken in ("damage", "unsigned", "signed by a stranger", "a body that differs, seen last", "nothing read"):
        assert not BREAKS[broken](bench).passes


def test_a_fork_or_a_pull_request_is_never_excepted() -> None:
    for trigger in (
        Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone"),
        Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True),
    ):
        bench = good().with_run(trigger=trigger)
        for reason in sorted(EXCEPTABLE[TRANSIENT]):
            bench = excepting(bench, TRANSIENT, reason, reason)
        assert bench.finding(TRANSIENT).verdict is PERMANENTLY


def test_an_exception_of_a_digest_says_nothing_of_a_build_that_nobody_vouches_for() -> None:
    bench = good().with_output(consumption=None)
    mine = f"sha256:{bench.receipt.artifact.digest.hex}"
    bench = excepting(bench, "use_is_intended", "consumption-undocumented", digest=mine)
    assert bench.finding("use_is_intended").verdict is PASSED
    assert BREAKS["unsigned"](bench).says("use_is_intended") == (TEMPORARILY, "consumption-undocumented")
    assert evaluate(bench.bundle, bench.catalogue, NOW + DAY).publishable is False
