"""What blocks a build and the smallest change that unblocks it: for every reason that the gate gives."""

from datetime import timedelta

import pytest

from flywheel_assets.catalog.models import Audience
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.promotion.blockers import Blocker, Ends, blockers_of, case_of, passes_at, passes_until
from flywheel_assets.promotion.steps import Step, steps_of
from flywheel_assets_tests.gate.cases import NOW, Bench, good
from flywheel_assets_tests.gate.decided import after, approval, asking, decided, excepting
from flywheel_assets_tests.gate.every_reason import builds
from flywheel_assets_tests.gate.reasons import REASONS
from flywheel_assets_tests.gate.test_authority import DECIDED, DOCUMENTED, competing

DAY = timedelta(days=1)
EVERY = [
    pytest.param(bench, id=f"{rule}: {what}")
    for rule, cases in builds().items()
    for what, bench in cases
    if not bench.verdict().publishable
]


def blockers(bench: Bench) -> tuple[Blocker, ...]:
    verdict = bench.verdict()
    return blockers_of(case_of(bench.bundle, bench.catalogue, verdict), verdict)


def steps(bench: Bench) -> tuple[Step, ...]:
    verdict = bench.verdict()
    case = case_of(bench.bundle, bench.catalogue, verdict)
    return steps_of(case, blockers_of(case, verdict))


def ends(bench: Bench) -> dict[str, Ends]:
    return {blocker.reason: blocker.ends for blocker in blockers(bench)}


def with_builds() -> dict[str, Bench]:
    return {f"{rule}: {what}": bench for rule, cases in builds().items() for what, bench in cases}


@pytest.mark.parametrize("bench", EVERY)
def test_every_rejected_build_has_a_blocker_and_says_who_acts_or_that_nobody_need(bench: Bench) -> None:
    found = blockers(bench)
    assert found, "a build that does not pass is blocked by something"
    acting = [b for b in found if b.ends in {Ends.BY_AN_ACT, Ends.WITH_ANOTHER_BUILD}]
    if acting and not any(blocker.ends is Ends.AS_MEANT for blocker in found):
        assert steps(bench)
    for each in steps(bench):
        assert all(each.who)
        assert each.what
        assert not each.what.lower().startswith(("no action", "see ", "wait", "it goes"))
        assert 0 < each.needed <= len(each.who)


def test_the_table_of_builds_reaches_every_reason_of_the_gate() -> None:
    reached = {blocker.reason for bench in with_builds().values() for blocker in blockers(bench)}
    assert set(REASONS) - reached == {"holds", "no-authentic-receipt", "no-rules"}


def test_what_only_follows_from_a_missing_receipt_is_no_blocker_of_its_own() -> None:
    (only,) = blockers(with_builds()["not_held: everything"].with_bundle(decisions=(), receipts=()))
    assert only.reason == "receipt-missing"


@pytest.mark.parametrize(
    ("build", "reason", "wanted"),
    [
        ("output_is_not_transient: alias", "alias", Ends.AS_MEANT),
        ("output_is_not_transient: a pull request", "pull-request", Ends.AS_MEANT),
        ("use_is_intended: acceleration", "acceleration-only", Ends.AS_MEANT),
        ("source_order_is_kept: older", "older-than-channel", Ends.AS_MEANT),
        ("source_can_be_reidentified: dirty", "tree-dirty", Ends.WITH_ANOTHER_BUILD),
        ("toolchain_bootstrap_was_proven: unproven", "bootstrap-unproven", Ends.WITH_ANOTHER_BUILD),
        ("not_withdrawn: withdrawn", "withdrawn", Ends.WITH_ANOTHER_BUILD),
        ("whole_body_matches_digest: empty", "body-empty", Ends.BY_AN_ACT),
        ("whole_body_matches_digest: not read", "body-not-read", Ends.BY_ITSELF),
        ("rebuild_agrees: alone", "second-builder-missing", Ends.BY_AN_ACT),
        ("validation_is_green: missing", "validation-missing", Ends.BY_ITSELF),
        ("durable_surface_exists: a flake without a tag", "no-version-tag", Ends.AS_MEANT),
        ("forge_vouches_for_the_run: a run that failed", "platform-run-failed", Ends.WITH_ANOTHER_BUILD),
        ("forge_vouches_for_the_run: jobs elsewhere", "job-unnamed", Ends.WITH_ANOTHER_BUILD),
        ("forge_vouches_for_the_run: an unusual event", "event-not-catalogued", Ends.BY_AN_ACT),
        ("not_held: everything", "held", Ends.BY_AN_ACT),
        ("not_held: an output", "held", Ends.BY_ITSELF),
        ("receipt_is_authentic: the future", "receipt-from-the-future", Ends.BY_ITSELF),
    ],
)
def test_each_blocker_says_how_it_ends(build: str, reason: str, wanted: Ends) -> None:
    assert ends(with_builds()[build])[reason] is wanted


# Time


def test_a_hold_that_ends_passes_on_its_own_at_its_end_and_not_a_second_before() -> None:
    bench = after(good(), decided(Act.HOLD, "alice", expires_at=NOW + DAY, output=good().output))
    case = case_of(bench.bundle, bench.catalogue, bench.verdict())
    assert passes_at(case, blockers(bench)) == NOW + DAY
    assert not steps(bench), "time does it"


def test_what_also_needs_an_act_does_not_pass_on_its_own() -> None:
    bench = asking(after(good(), decided(Act.HOLD, "alice", expires_at=NOW + DAY, output=good().output)))
    case = case_of(bench.bundle, bench.catalogue, bench.verdict())
    assert passes_at(case, blockers(bench)) is None
    assert [each.what for each in steps(bench)] == [f"run `flywheel approve {bench.output} {bench.bundle.build}`"]


def test_a_build_that_passes_by_an_exception_says_when_that_ends() -> None:
    bench = excepting(good().with_output(clean_because=None), "ownership_is_documented", "cleanness-undocumented")
    verdict = bench.verdict()
    assert verdict.publishable
    assert passes_until(case_of(bench.bundle, bench.catalogue, verdict), verdict) == NOW + DAY
    assert passes_until(case_of(good().bundle, good().catalogue, good().verdict()), good().verdict()) is None


# The smallest change, proved by the gate


@pytest.mark.parametrize(("needed", "given"), [(1, ()), (2, ()), (2, ("alice",)), (3, ("carol",))])
def test_the_approvals_that_it_asks_for_are_enough_and_one_fewer_is_not(needed: int, given: tuple[str, ...]) -> None:
    bench = asking(good(), needed)
    bench = after(bench, *(approval(bench, name) for name in given))
    (only,) = steps(bench)
    names = [who.partition(" (")[0].lower() for who in only.who]
    assert set(names) == {"alice", "bob", "carol"} - set(given)
    assert only.needed == needed - len(given)
    assert not after(bench, *(approval(bench, name) for name in names[: only.needed - 1])).verdict().publishable
    assert after(bench, *(approval(bench, name) for name in names[: only.needed])).verdict().publishable


def test_one_act_of_one_person_reads_so() -> None:
    (only,) = steps(asking(good(), 1, ("alice", "bob")))
    assert only.people == "Alice (alice@example.org) or Bob (bob@example.org)"


def test_an_approval_that_accepts_the_order_is_asked_for_once() -> None:
    older = asking(with_builds()["source_order_is_kept: older"], 1)
    (only,) = steps(older)
    assert only.what.endswith("--accept older-than-channel`")
    name = only.who[0].partition(" (")[0].lower()
    assert after(older, approval(older, name, accepts=("older-than-channel",))).verdict().publishable


def test_a_hold_is_taken_back_by_the_decision_that_the_step_names() -> None:
    (only,) = steps(with_builds()["not_held: everything"])
    (hold,) = with_builds()["not_held: everything"].bundle.decisions
    assert only.what == f"run `flywheel revoke {hold.decision.id.hex[:12]}`"


def test_each_unmet_gate_of_a_change_of_authority_is_a_step_of_whoever_can_meet_it() -> None:
    found = steps(with_builds()["release_authority_holds: gates of every kind"])
    assert [each.what.split()[0] for each in found] == ["sign", "let", "name"]
    assert found[0].who == ("Alice (alice@example.org)", "Bob (bob@example.org)")


def test_what_is_to_be_the_authority_and_has_no_surface_is_not_meant_to_stay_so() -> None:
    bench = competing(DECIDED, DOCUMENTED).with_output(publication=None)
    assert ends(bench) == {"authority-gates-unmet": Ends.BY_AN_ACT, "no-durable-surface": Ends.BY_AN_ACT}
    assert [each.what for each in steps(bench)] == [
        "name a surface under `publication`, or declare no change of release authority to it (in the catalogue)",
        "sign it: `flywheel meet tool 'The maintainers agree.'`",
    ]
    assert ends(good("bazel"))["no-durable-surface"] is Ends.AS_MEANT


def test_of_a_builder_that_nobody_knows_only_adding_it_is_a_step() -> None:
    (only,) = steps(with_builds()["builder_is_known: an unknown label"])
    assert only.what.startswith("add ")


def test_nothing_is_asked_of_a_build_that_only_another_one_mends() -> None:
    bench = asking(with_builds()["source_can_be_reidentified: unlocked"])
    assert [blocker.reason for blocker in blockers(bench)] == ["inputs-not-locked"], "no approval would help"
    assert [each.what for each in steps(bench)] == [
        "build again, with `--lock flake.lock`; a flake without inputs has none: `--lock flake.nix` says all"
    ]


def test_swapped_content_is_looked_into_even_where_the_build_is_not_meant_to_go_out() -> None:
    bench = with_builds()["closure_is_complete: an added reference"].with_output(audience=Audience.INTERNAL)
    found = steps(bench)
    assert VerdictClass.REJECTED_PERMANENTLY in {blocker.verdict for blocker in blockers(bench)}
    assert [each.what for each in found] == ["find out who pushed to the cache, then build again under a new run"]


def test_provenance_that_contradicts_a_receipt_is_looked_into_all_the_same() -> None:
    bench = with_builds()["forge_vouches_for_the_run: another revision in its provenance"]
    meant = bench.with_output(audience=Audience.INTERNAL)
    assert Ends.AS_MEANT in ends(meant).values()
    assert steps(meant) == steps(bench) != ()
