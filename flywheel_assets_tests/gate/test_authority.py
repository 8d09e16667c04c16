"""release_authority_holds: the declared authority, the gates of a change of it, and dual publication."""

from typing import Any

import pytest

from flywheel_assets.catalog.models import AuthorityChange, AuthorityGate, Product
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.evidence import ChannelHead, Signatures
from flywheel_assets.domain.verdicts import About
from flywheel_assets_tests.gate.cases import (
    OTHER_KEY,
    PASSED,
    PERMANENTLY,
    STARTED,
    TEMPORARILY,
    WAITING,
    Bench,
    changed,
    good,
)
from flywheel_assets_tests.gate.decided import after, approval, asking, decided, revocation

AUTHORITY = "release_authority_holds"
UNMET = (WAITING, "authority-gates-unmet")
DOCUMENTED = AuthorityGate(condition="It is documented.", met_by="docs/consumption.md")
DECIDED = AuthorityGate(condition="The maintainers agree.", decided_by=("alice", "bob"))
GREEN = AuthorityGate(condition="It builds and smokes.", validations=("nix build", "smoke"))
OPEN = AuthorityGate(condition="Nobody says how.")


def competing(*gates: AuthorityGate, to: str = "tool") -> Bench:
    """The tool, of a product whose authority is the image; with gates, a change to the tool is declared."""
    change = AuthorityChange(to=to, gates=gates) if gates else None
    product = Product(authority="image", statement="Image path only.", change=change)
    return good().with_part("products", {"tool": product})


def met(*signers: str, **changes: Any) -> Any:
    scope = {"product": "tool", "output": "tool", "condition": DECIDED.condition}
    return decided(Act.MEET, *signers, **(scope | changes))


@pytest.mark.parametrize("kind", ["nix", "oci", "bazel"])
def test_the_declared_authority_and_what_competes_with_nothing_hold(kind: str) -> None:
    assert good(kind).says(AUTHORITY) == (PASSED, "holds")
    assert good(kind).with_output(product=None).says(AUTHORITY) == (PASSED, "holds")


def test_an_output_beside_the_declared_authority_is_not_the_authority() -> None:
    found = competing().finding(AUTHORITY)
    assert (found.verdict, found.reason, found.about) == (PERMANENTLY, "not-the-authority", About.POLICY)
    assert found.message == "tool is released through image. Image path only"
    assert found.actor == "Tools maintainers (team:tools)"


def test_a_change_of_authority_to_another_output_helps_nothing() -> None:
    assert competing(DOCUMENTED, to="library").says(AUTHORITY) == (PERMANENTLY, "not-the-authority")


def test_a_gate_without_any_evidence_named_is_never_met() -> None:
    found = competing(DOCUMENTED, OPEN).finding(AUTHORITY)
    assert (found.verdict, found.reason, found.about) == (*UNMET, About.POLICY)
    assert found.message == (
        "a change of authority to it is declared, and 1 of its 2 gates is not met: "
        "Nobody says how (nothing shows that it is met)"
    )
    assert found.remedy == "Name its evidence under `met_by`"
    assert found.actor == "Tools maintainers (team:tools)"


def test_a_change_of_authority_with_every_gate_met_holds() -> None:
    bench = competing(DOCUMENTED, DECIDED, GREEN)
    assert after(bench, met("alice")).says(AUTHORITY) == (PASSED, "holds")


def test_every_gate_that_is_not_met_is_told_with_what_it_lacks_and_who_can_meet_it() -> None:
    found = competing(DOCUMENTED, DECIDED, GREEN, OPEN).with_bundle(tests=()).finding(AUTHORITY)
    assert found.message == (
        "a change of authority to it is declared, and 3 of its 4 gates are not met: "
        "The maintainers agree (none of alice, bob has signed that it is met); "
        "It builds and smokes (smoke did not pass for this build); Nobody says how (nothing shows that it is met)"
    )
    assert found.remedy == (
        "Sign it: `flywheel meet tool 'The maintainers agree.'`; Let nix build, smoke pass; "
        "Name its evidence under `met_by`"
    )
    assert found.actor == "Alice (alice@example.org) or Bob (bob@example.org), Tools maintainers (team:tools)"


def test_validations_of_a_gate_count_only_as_validation_is_green_counts_them() -> None:
    assert competing(GREEN).says(AUTHORITY) == (PASSED, "holds")
    assert competing(GREEN).with_builder(trusted_claims=()).says(AUTHORITY) == UNMET
    nobodys = competing(GREEN).with_signatures(Signatures()).finding(AUTHORITY)
    assert (nobodys.verdict, nobodys.reason) == UNMET
    assert "nix build, smoke did not pass" in nobodys.message


def test_a_gate_with_validations_and_people_needs_both_and_a_document_replaces_neither() -> None:
    both = changed(GREEN, {"decided_by": ("alice",), "condition": DECIDED.condition, "met_by": "a note"})
    assert competing(both).says(AUTHORITY) == UNMET
    assert after(competing(both), met("alice")).says(AUTHORITY) == (PASSED, "holds")
    assert after(competing(both).with_bundle(tests=()), met("alice")).says(AUTHORITY) == UNMET


@pytest.mark.parametrize(
    "decision",
    [
        met("carol"),
        met(),
        met("alice", condition="The maintainers agree"),
        met("alice", output="image"),
        met("alice", product="another"),
    ],
    ids=["by-another", "unsigned", "another-condition", "another-output", "another-product"],
)
def test_a_gate_is_met_by_its_own_people_for_its_own_product_output_and_condition(decision: Any) -> None:
    assert after(competing(DECIDED), decision).says(AUTHORITY) == UNMET


def test_a_gate_that_was_met_is_unmet_again_once_that_is_revoked() -> None:
    said = met("bob")
    assert after(competing(DECIDED), said).says(AUTHORITY) == (PASSED, "holds")
    assert after(competing(DECIDED), said, revocation(said, "carol")).says(AUTHORITY) == UNMET


def test_people_who_may_not_meet_a_gate_meet_none() -> None:
    bench = competing(DECIDED).with_entry("people", "alice", may=(Act.APPROVE,))
    assert after(bench, met("alice")).says(AUTHORITY) == UNMET


def dual(canonical: str | None, authority: str = "image") -> Bench:
    """The tool beside the image; whichever is not the authority is published too."""
    also = {"image": "tool", "tool": "image"}[authority]
    product = Product(authority=authority, statement="Both.", also=(also,), canonical=canonical)
    return good().with_part("products", {"tool": product})


def published(bench: Bench, revision: str = "a" * 40) -> Bench:
    """After a build of the canonical source was published."""
    return bench.with_bundle(
        canonical=ChannelHead(build=OTHER_KEY, revision=GitRevision(revision), committed_at=STARTED)
    )


def test_dual_publication_needs_a_declared_canonical_source() -> None:
    for bench in (dual(None), dual(None, authority="tool"), published(dual(None))):
        found = bench.finding(AUTHORITY)
        assert (found.verdict, found.reason, found.about) == (TEMPORARILY, "canonical-undeclared", About.POLICY)
        assert found.message == "tool goes out through 2 outputs, and none is the canonical source"


@pytest.mark.parametrize("authority", ["image", "tool"])
def test_what_is_published_beside_the_canonical_source_waits_for_the_same_revision(authority: str) -> None:
    bench = dual("image", authority)
    found = bench.finding(AUTHORITY)
    assert (found.verdict, found.reason, found.about) == (WAITING, "canonical-unpublished", About.ARTIFACT)
    assert found.message == "image is the canonical source, and no build of it from this revision is published"
    assert found.actor == "Tools maintainers (team:tools)"
    assert published(bench, "b" * 40).says(AUTHORITY) == (WAITING, "canonical-unpublished")
    assert published(bench).says(AUTHORITY) == (PASSED, "holds")
    stranger = published(bench).with_signatures(Signatures())
    assert stranger.says(AUTHORITY) == (WAITING, "canonical-unpublished")


def test_the_canonical_source_itself_waits_for_nothing() -> None:
    for authority in ("image", "tool"):
        assert dual("tool", authority).says(AUTHORITY) == (PASSED, "holds")


def test_a_pass_says_on_what_it_stands() -> None:
    assert good().finding(AUTHORITY).message == "the declared authority of tool"
    assert published(dual("image")).finding(AUTHORITY).message == "published beside image, by declaration, from image"
    assert competing(DOCUMENTED).finding(AUTHORITY).message == "every gate of the change of authority of tool is met"


def test_an_approval_given_before_a_change_of_authority_is_of_nothing_after_it() -> None:
    before = asking(competing(DOCUMENTED))
    given = approval(before, "alice", authority="image")
    assert after(before, given).says("approvals_are_given") == (PASSED, "holds")
    now = before.with_part("products", {"tool": Product(authority="tool", statement="The derivation.")})
    assert after(now, given).says("approvals_are_given")[1] == "approval-missing"
