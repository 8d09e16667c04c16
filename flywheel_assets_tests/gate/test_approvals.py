"""approvals_are_given: enough distinct people, for this artifact there, in time, and none who started it."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.catalog.models import FlakeTarget, Product
from flywheel_assets.domain.builds import Trigger, TriggerEvent
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.gate.approvals import why_not_approving
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import why_not_counted
from flywheel_assets_tests.gate.cases import APPROVAL, CANNOT, NOW, PASSED, Bench, changed, good, witness_of
from flywheel_assets_tests.gate.decided import DAY, MADE, after, approval, asking, decided, revocation, withdrawal
from flywheel_assets_tests.gate.test_platform import record, with_forge
from flywheel_assets_tests.gate.test_properties import newer

GIVEN, ORDER = "approvals_are_given", "source_order_is_kept"
MISSING = (APPROVAL, "approval-missing")
SECOND = timedelta(seconds=1)


def why(bench: Bench, attested: Any) -> str:
    case = Case(bench.bundle, bench.catalogue, bench.catalogue.outputs[bench.output], NOW)
    return why_not_counted(case, attested)


def test_nothing_needs_an_approval_unless_the_catalogue_asks_for_it() -> None:
    assert good().says(GIVEN) == (PASSED, "holds")
    assert good("bazel").says(GIVEN) == (PASSED, "holds")
    assert asking(good()).with_signatures(Signatures()).says(GIVEN) == (CANNOT, "no-authentic-receipt")


@pytest.mark.parametrize("kind", ["nix", "oci"])
def test_as_many_people_as_the_catalogue_asks_for_let_it_pass(kind: str) -> None:
    bench = asking(good(kind), needed=2)
    assert bench.says(GIVEN) == MISSING
    one = after(bench, approval(bench, "bob"))
    assert one.says(GIVEN) == MISSING
    two = after(one, approval(bench, "alice"))
    assert two.says(GIVEN) == (PASSED, "holds")
    assert two.finding(GIVEN).message == "2 of 2 approvals are given, by alice, bob"
    assert two.verdict().publishable


def test_what_is_missing_says_how_many_of_whom_and_what_they_run() -> None:
    bench = asking(good(), needed=2)
    none, one = bench.finding(GIVEN), after(bench, approval(bench, "bob")).finding(GIVEN)
    assert none.message == "0 of 2 approvals are given"
    assert none.remedy == f"2 of alice, bob, carol must run `flywheel approve tool {bench.bundle.build}`."
    assert none.actor == "Alice (alice@example.org), Bob (bob@example.org), Carol (carol@example.org)"
    assert one.message == "1 of 2 approvals are given, by bob"
    assert one.remedy.startswith("1 of alice, carol must run")
    assert one.actor == "Alice (alice@example.org), Carol (carol@example.org)"
    pair = asking(good(), needed=2, by=("alice", "bob")).finding(GIVEN)
    assert pair.remedy.startswith("alice and bob must run")


def test_two_signatures_in_one_document_are_two_people_and_two_documents_of_one_are_one() -> None:
    bench = asking(good(), needed=2)
    assert after(bench, approval(bench, "alice", "bob")).says(GIVEN) == (PASSED, "holds")
    twice = after(bench, approval(bench, "alice"), approval(bench, "alice", reason="Once more."))
    assert twice.says(GIVEN) == MISSING
    assert after(asking(good(), 2, ("alice", "alice", "bob")), approval(bench, "alice")).says(GIVEN) == MISSING


def test_an_approval_is_of_one_surface_and_of_the_name_that_the_artifact_has_there() -> None:
    name = good("oci").receipt.artifact.name
    flake = FlakeTarget(name="org/tool", versions="rolling", workflow="publish.yml", binaries="durable-nix")
    resources: dict[str, dict[str, Any]] = {
        f"oci:registry/{name}": {"surface": "registry"},
        f"oci:durable-nix/{name}": {"surface": "durable-nix"},
        "oci:registry/org/renamed": {"surface": "registry", "repository": "org/renamed"},
        "flakehub:flakehub/org/tool?binaries=durable-nix": {"surface": "flakehub", "flake": flake},
    }
    for resource, changes in resources.items():
        bench = asking(retargeted(good("oci"), **{"repository": None, **changes}))
        said = {each: after(bench, approval(bench, "bob", resource=each)).says(GIVEN) for each in resources}
        assert said == {each: (PASSED, "holds") if each == resource else MISSING for each in resources}


def test_an_approval_is_of_the_tags_the_moving_tags_and_the_url_that_were_signed() -> None:
    plain = good("oci").catalogue.outputs["image"].publication
    assert plain is not None
    target = changed(plain, {"tags": ("v-{revision}",), "moving_tags": ("edge",)})
    bench = asking(good("oci").with_output(publication=target))
    given = approval(bench, "alice")
    assert after(bench, given).says(GIVEN) == (PASSED, "holds")
    url = bench.catalogue.surfaces["registry"].url
    since = "changed since it was signed, from"
    for other, sentence in (
        (
            retargeted(bench, tags=("v-{revision}", "release")),
            f"what it is tagged {since} v-{{revision}} to v-{{revision}}, release",
        ),
        (retargeted(bench, moving_tags=()), f"its moving tags {since} edge to none"),
        (bench.with_entry("surfaces", "registry", url="file:new"), f"the surface's URL {since} {url} to file:new"),
        (
            retargeted(bench, tags=(), moving_tags=("stable",)),
            f"what it is tagged {since} v-{{revision}} to none; its moving tags {since} edge to stable",
        ),
    ):
        assert after(other, given).says(GIVEN) == MISSING
        assert not_approving(other, given) == sentence


def retargeted(bench: Bench, **changes: Any) -> Bench:
    target = bench.catalogue.outputs[bench.output].publication
    assert target is not None
    return bench.with_output(publication=changed(target, changes))


def test_all_tags_of_then_and_of_now_are_told() -> None:
    bench = asking(retargeted(good("oci"), tags=("a", "b")))
    other = retargeted(bench, tags=("c", "d"))
    told = "what it is tagged changed since it was signed, from a, b to c, d"
    assert not_approving(other, approval(bench, "alice")) == told
    none = approval(retargeted(bench, tags=()), "alice")
    assert not_approving(bench, none) == "what it is tagged changed since it was signed, from none to a, b"


def test_an_approval_of_a_flake_is_of_the_cache_that_carried_its_closure() -> None:
    flake = FlakeTarget(name="org/tool", versions="rolling", workflow="publish.yml", binaries="durable-nix")
    bench = asking(retargeted(good(), surface="flakehub", flake=flake))
    given = approval(bench, "alice")
    assert after(bench, given).says(GIVEN) == (PASSED, "holds")
    moved = bench.with_entry("surfaces", "durable-nix", url="file:elsewhere")
    assert after(moved, given).says(GIVEN) == MISSING


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"versions": "tag"}, "tag, publish.yml@main"),
        ({"workflow": "another.yml"}, "rolling, another.yml@main"),
        ({"ref": "next"}, "rolling, publish.yml@next"),
    ],
    ids=["versions", "workflow", "branch"],
)
def test_an_approval_of_a_flake_is_of_its_versions_and_of_the_workflow_that_releases_it(
    change: dict[str, Any], now: str
) -> None:
    flake = FlakeTarget(name="org/tool", versions="rolling", workflow="publish.yml", binaries="durable-nix")
    bench = asking(retargeted(good(), surface="flakehub", flake=flake))
    given = approval(bench, "alice")
    other = retargeted(bench, flake=changed(flake, change))
    assert after(other, given).says(GIVEN) == MISSING
    assert not_approving(other, given) == (
        "which version it is released under, by which workflow, changed since it was signed, "
        f"from rolling, publish.yml@main to {now}"
    )


def test_an_approval_of_before_approvals_were_bound_to_urls_counts_for_nothing_and_is_read() -> None:
    bench = asking(good())
    given = approval(bench, "alice", urls=())
    assert after(bench, given).says(GIVEN) == MISSING
    why = "it was signed before approvals named the surface's URL: approve it again"
    assert not_approving(bench, given) == why
    found = after(bench, given).finding(GIVEN)
    assert found.message == f"0 of 1 approvals are given; what alice signed does not count: {why}"


def test_an_approval_that_the_catalogue_outran_is_told_where_it_is_missing_and_that_of_another_build_is_not() -> None:
    bench = asking(good(), 2)
    given, other = approval(bench, "alice"), approval(bench, "bob", digest=Sha256.of(b"another"))
    moved = after(bench.with_entry("surfaces", "durable-nix", url="file:elsewhere"), given, other)
    assert moved.finding(GIVEN).message == (
        "0 of 2 approvals are given; what alice signed does not count: "
        "the surface's URL changed since it was signed, from file:durable to file:elsewhere"
    )


def test_only_people_whom_the_output_names_and_who_may_approve_count() -> None:
    bench = asking(good(), by=("alice", "bob"))
    assert after(bench, approval(bench, "carol")).says(GIVEN) == MISSING
    assert after(bench, approval(bench)).says(GIVEN) == MISSING
    assert after(bench, approval(bench, "nobody")).says(GIVEN) == MISSING
    holder = bench.with_entry("people", "alice", may=(Act.HOLD,))
    assert after(holder, approval(bench, "alice")).says(GIVEN) == MISSING


@pytest.mark.parametrize(
    "changes",
    [
        {"output": "image"},
        {"digest": Sha256.of(b"another")},
        {"resource": "nix:elsewhere/nix/store/x"},
        {"authority": "image"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_approval_is_of_one_output_digest_place_and_authority(changes: dict[str, Any]) -> None:
    bench = asking(good())
    assert after(bench, approval(bench, "alice", **changes)).says(GIVEN) == MISSING


def test_an_approval_under_another_authority_is_of_nothing_once_that_changes() -> None:
    bench = asking(good().with_part("products", {"tool": Product(authority="image", statement="The image.")}))
    assert after(bench, approval(bench, "alice")).says(GIVEN) == MISSING
    assert after(bench, approval(bench, "alice", authority="image")).says(GIVEN) == (PASSED, "holds")
    alone = asking(good("oci"))
    assert alone.catalogue.outputs["image"].product is None
    assert after(alone, approval(alone, "alice", authority="tool")).says(GIVEN) == MISSING


def test_an_approval_is_of_one_repository_of_a_registry() -> None:
    bench = asking(good("oci"))
    given = approval(bench, "alice")
    moved = retargeted(bench, repository="example/another")
    assert after(bench, given).says(GIVEN) == (PASSED, "holds")
    assert after(moved, given).says(GIVEN) == MISSING


def test_an_approval_accepts_nothing_for_what_is_published_nowhere() -> None:
    bench = newer(good())
    given = approval(bench, "alice", accepts=("older-than-channel",))
    assert after(bench.with_output(publication=None), given).says(ORDER) == (APPROVAL, "older-than-channel")


def test_nobody_approves_what_they_started() -> None:
    started = Trigger(event=TriggerEvent.PUSH, actor="Alice-On-The-Forge")
    bench = asking(good().with_run(trigger=started), by=("alice", "bob"))
    found = after(bench, approval(bench, "alice")).finding(GIVEN)
    assert (found.verdict, found.reason) == MISSING
    assert found.message == "0 of 1 approvals are given; alice started a run of it, and nobody approves that"
    assert found.remedy.startswith("bob must run")
    assert after(bench, approval(bench, "bob")).says(GIVEN) == (PASSED, "holds")


def test_nobody_approves_what_the_forge_says_that_they_started() -> None:
    bench = asking(with_forge(good(), record(actors=("someone", "Alice-on-the-forge"))))
    assert after(bench, approval(bench, "alice")).says(GIVEN) == MISSING
    assert after(bench, approval(bench, "bob")).says(GIVEN) == (PASSED, "holds")


def test_nobody_approves_what_they_got_by_another_run() -> None:
    bench = asking(good())
    said = Trigger(event=TriggerEvent.PUSH, actor="alice-on-the-forge")
    (witness,) = bench.bundle.witnesses
    assert witness.receipt.artifact == bench.receipt.artifact
    run = changed(witness.receipt.run, {"trigger": said})
    hers = changed(witness, {"receipt": changed(witness.receipt, {"run": run})})
    again = bench.with_bundle(witnesses=(hers,))
    assert after(again, approval(bench, "alice")).says(GIVEN) == MISSING
    assert after(again, approval(bench, "bob")).says(GIVEN) == (PASSED, "holds")
    apart = changed(hers.receipt, {"artifact": witness_of(bench, b"other").receipt.artifact})
    of_other = bench.with_bundle(witnesses=(changed(hers, {"receipt": apart}),))
    assert after(of_other, approval(bench, "alice")).says(GIVEN) == (PASSED, "holds")
    forged = bench.with_bundle(witnesses=(changed(hers, {"signatures": Signatures()}),))
    assert after(forged, approval(bench, "alice")).says(GIVEN) == (PASSED, "holds")


def test_when_too_few_are_left_who_may_approve_the_catalogue_must_name_more() -> None:
    started = Trigger(event=TriggerEvent.PUSH, actor="alice-on-the-forge")
    bench = asking(good().with_run(trigger=started), needed=2, by=("alice", "bob"))
    found = bench.finding(GIVEN)
    assert (found.verdict, found.reason) == (APPROVAL, "too-few-may-approve")
    assert found.actor == "Tools maintainers (team:tools), in the catalogue"
    gone = asking(good(), by=("bob",)).with_entry("people", "bob", valid_until=NOW)
    assert gone.says(GIVEN) == (APPROVAL, "too-few-may-approve")
    going = asking(good(), by=("bob",)).with_entry("people", "bob", valid_until=NOW + SECOND)
    assert going.says(GIVEN) == MISSING


@pytest.mark.parametrize(("left", "counts"), [(SECOND, True), (timedelta(0), False), (-SECOND, False)])
def test_an_approval_counts_until_its_end_and_no_longer(left: timedelta, counts: bool) -> None:
    bench = asking(good())
    given = approval(bench, "alice", expires_at=NOW + left)
    assert (after(bench, given).says(GIVEN) == (PASSED, "holds")) is counts
    assert why(after(bench, given), given) == ("" if counts else f"it expired on {NOW + left:%Y-%m-%d %H:%M} UTC")


@pytest.mark.parametrize(("left", "counts"), [(SECOND, True), (timedelta(0), False)])
def test_an_approval_lasts_no_longer_than_the_catalogue_lets_it(left: timedelta, counts: bool) -> None:
    bench = asking(good(), last_days=3)
    made = NOW - 3 * DAY + left
    given = approval(bench, "alice", made_at=made, expires_at=NOW + 30 * DAY)
    assert (after(bench, given).says(GIVEN) == (PASSED, "holds")) is counts


def test_an_approval_that_is_dated_later_than_it_arrived_counts_for_nothing() -> None:
    bench = asking(good(), last_days=1)
    late = NOW + 300 * DAY
    given = approval(bench, "alice", made_at=late, arrived_at=NOW - DAY, expires_at=late + DAY)
    assert after(bench, given).says(GIVEN) == MISSING
    assert why(bench, given) == "it is dated 2027-07-29 08:00 UTC, later than it arrived"
    skewed = approval(bench, "alice", made_at=MADE + timedelta(minutes=10), arrived_at=MADE)
    assert after(bench, skewed).says(GIVEN) == (PASSED, "holds")


def test_the_days_of_an_approval_run_from_when_it_was_made_and_not_from_when_it_was_delivered_again() -> None:
    bench = asking(good(), last_days=3)
    made = NOW - 3 * DAY
    given = approval(bench, "alice", made_at=made, arrived_at=NOW - DAY, expires_at=NOW + 30 * DAY)
    assert after(bench, given).says(GIVEN) == MISSING
    assert why(after(bench, given), given) == f"it expired on {NOW:%Y-%m-%d %H:%M} UTC"


def test_a_hold_that_is_dated_later_than_it_arrived_holds_all_the_same() -> None:
    said = decided(Act.HOLD, "alice", made_at=NOW + DAY, arrived_at=NOW - DAY)
    assert after(good(), said).says("not_held")[1] == "held"


def test_what_arrives_after_a_persons_time_does_not_count_whatever_time_it_gives_itself() -> None:
    bench = asking(good()).with_entry("people", "alice", valid_until=MADE + SECOND)
    assert after(bench, approval(bench, "alice")).says(GIVEN) == (PASSED, "holds")
    given = approval(bench, "alice", arrived_at=MADE + SECOND)
    assert after(bench, given).says(GIVEN) == MISSING
    assert why(bench, given) == "none of alice might approve when it arrived"


def test_a_revoked_approval_does_not_count_and_says_who_took_it_back() -> None:
    bench = asking(good())
    given = approval(bench, "alice")
    back = after(bench, given, revocation(given, "bob", "nobody"))
    assert back.says(GIVEN) == MISSING
    assert why(back, given) == "bob revoked it: It was wrong."
    again = approval(bench, "alice", reason="Now it is right.")
    assert after(back, again).says(GIVEN) == (PASSED, "holds")


def test_of_several_who_revoke_the_first_is_named() -> None:
    bench = asking(good())
    given = approval(bench, "alice")
    late, early = revocation(given, "bob", arrived_at=NOW), revocation(given, "carol")
    assert why(after(bench, given, late, early), given).startswith("carol revoked it")
    both = revocation(given, "bob", "carol", reason="Both.")
    assert why(after(bench, given, both), given) == "bob, carol revoked it: Both."
    unknown = approval(bench, "nobody", "else")
    assert why(bench, unknown) == "none of nobody, else might approve when it arrived"
    assert why(bench, approval(bench)) == "none of its signers might approve when it arrived"
    twice = revocation(given, "nobody", "else")
    assert why(after(bench, given), twice) == "none of nobody, else might approve when it arrived"


def test_a_revoked_approval_in_another_envelope_is_revoked_and_another_revocation_touches_it_not() -> None:
    bench = asking(good())
    given = approval(bench, "alice")
    wrapped = changed(given, {"evidence": EvidenceDigest.of(b"another envelope"), "arrived_at": NOW})
    assert after(bench, given, wrapped, revocation(given, "bob")).says(GIVEN) == MISSING
    other = revocation(approval(bench, "alice", reason="Another."), "bob")
    assert after(bench, given, other).says(GIVEN) == (PASSED, "holds")


def test_only_who_may_approve_takes_an_approval_back_and_that_is_not_taken_back() -> None:
    bench = asking(good()).with_entry("people", "carol", may=(Act.HOLD, Act.WITHDRAW))
    given = approval(bench, "alice")
    assert after(bench, given, revocation(given, "carol")).says(GIVEN) == (PASSED, "holds")
    assert after(bench, given, revocation(given)).says(GIVEN) == (PASSED, "holds")
    back = revocation(given, "bob")
    assert after(bench, given, back, revocation(back, "bob")).says(GIVEN) == MISSING


def test_a_revocation_says_why_it_takes_nothing_back() -> None:
    bench = asking(good()).with_entry("people", "carol", may=(Act.HOLD,))
    given, taken = approval(bench, "alice"), withdrawal(bench, "alice")
    there = after(bench, given, taken)
    assert why(there, revocation(given, "bob")) == ""
    assert why(there, revocation(given, "carol")) == "none of carol might approve when it arrived"
    assert why(there, revocation(given)) == "none of its signers might approve when it arrived"
    assert why(there, revocation(taken, "alice")) == "a decision to withdraw cannot be taken back"
    assert why(bench, revocation(given, "bob")) == "what it takes back is not in evidence here"


def not_approving(bench: Bench, attested: Any) -> str:
    return why_not_approving(Case(bench.bundle, bench.catalogue, bench.catalogue.outputs[bench.output], NOW), attested)


def test_an_approval_says_why_it_does_not_count_for_this_build() -> None:
    bench = asking(good(), by=("alice", "bob"))
    given = approval(bench, "alice")
    assert not_approving(bench, given) == ""
    assert not_approving(good(), given) == ""
    assert not_approving(bench, approval(bench)) == "none of its signers might approve when it arrived"
    other = "it is of another artifact, surface, name or authority"
    assert not_approving(bench, approval(bench, "alice", digest=Sha256.of(b"another"))) == other
    assert not_approving(bench.with_signatures(Signatures()), given) == other
    assert not_approving(bench.with_output(publication=None), given) == other
    assert not_approving(bench, approval(bench, "carol")) == "the catalogue does not ask carol"
    two = approval(asking(good()), "bob", "carol")
    assert not_approving(asking(good(), by=("alice",)), two) == "the catalogue does not ask bob and carol"
    started = bench.with_run(trigger=Trigger(event=TriggerEvent.PUSH, actor="alice-on-the-forge"))
    assert not_approving(started, given) == "alice started a run of it"
    assert not_approving(started, approval(bench, "alice", "bob")) == ""
    # With who is not asked, and has not started it, the one who has is still no approver.
    assert not_approving(started, approval(bench, "alice", "carol")) == "alice started a run of it"
    again = started.with_entry("people", "bob", forge_names=("Alice-on-the-forge",))
    assert not_approving(again, approval(bench, "alice", "bob")) == "alice and bob started a run of it"


def test_going_back_needs_an_approval_that_accepts_it() -> None:
    bench = newer(good())
    assert after(bench, approval(bench, "alice")).says(ORDER) == (APPROVAL, "older-than-channel")
    other = approval(bench, "alice", accepts=("something-else",))
    assert after(bench, other).says(ORDER) == (APPROVAL, "older-than-channel")
    accepted = approval(bench, "alice", accepts=("older-than-channel",))
    assert after(bench, accepted).says(ORDER) == (PASSED, "holds")
    assert after(bench, accepted, revocation(accepted, "bob")).says(ORDER) == (APPROVAL, "older-than-channel")


def test_going_back_needs_as_many_who_accept_it_as_the_catalogue_asks_for() -> None:
    bench = asking(newer(good()), needed=2, by=("alice", "bob"))
    accepts = ("older-than-channel",)
    half = after(bench, approval(bench, "alice", accepts=accepts), approval(bench, "bob"))
    assert half.says(GIVEN) == (PASSED, "holds")
    assert half.says(ORDER) == (APPROVAL, "older-than-channel")
    stranger = after(half, approval(bench, "carol", accepts=accepts))
    assert stranger.says(ORDER) == (APPROVAL, "older-than-channel")
    assert after(half, approval(bench, "bob", accepts=accepts)).says(ORDER) == (PASSED, "holds")


def test_nobody_accepts_going_back_to_what_they_started() -> None:
    bench = newer(good().with_run(trigger=Trigger(event=TriggerEvent.PUSH, actor="alice-on-the-forge")))
    accepted = approval(bench, "alice", accepts=("older-than-channel",))
    assert after(bench, accepted).says(ORDER) == (APPROVAL, "older-than-channel")
