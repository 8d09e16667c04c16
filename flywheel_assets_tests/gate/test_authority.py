"""release_authority_holds: the declared authority, the gates of a change of it, and dual publication."""

from typing import Any

import pytest

from flywheel_assets.catalog.models import AuthorityChange, AuthorityGate, Product
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.evidence import ChannelHead, Signatures
from flywheel_assets.domain.verdicts import About, VerdictClass
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import declaration_of, why_not_counted
from flywheel_assets_tests.gate.cases import (
    NOW,
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


def competing(*gates: AuthorityGate, to: str = "tool", canonical: str | None = "image") -> Bench:
    """The tool, of a product whose authority is the image; with gates, a change to the tool is declared.

    The image of its revision is published, and is the source of both unless said otherwise.
    """
    change = AuthorityChange(to=to, gates=gates) if gates else None
    product = Product(
        authority="image", statement="Image path only.", change=change, canonical=canonical if gates else None
    )
    return published(good().with_part("products", {"tool": product}))


def met(bench: Bench, *signers: str, **changes: Any) -> Any:
    """That the people's gate is met, of the change as the bench's catalogue declares it."""
    declared = declaration_of(bench.catalogue.products["tool"])
    scope: dict[str, Any] = {"product": "tool", "output": "tool", "condition": DECIDED.condition, "change": declared}
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
    assert after(bench, met(bench, "alice")).says(AUTHORITY) == (PASSED, "holds")


def test_every_gate_that_is_not_met_is_told_with_what_it_lacks_and_who_can_meet_it() -> None:
    found = competing(DOCUMENTED, DECIDED, GREEN, OPEN).with_bundle(tests=()).finding(AUTHORITY)
    assert found.message == (
        "a change of authority to it is declared, and 3 of its 4 gates are not met: "
        "The maintainers agree (none of alice, bob has signed that it is met); "
        "It builds and smokes (smoke did not pass for this build); Nobody says how (nothing shows that it is met)"
    )
    assert found.remedy == (
        "Sign it: `flywheel meet tool 'The maintainers agree.'`; Let smoke pass; Name its evidence under `met_by`"
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
    assert after(competing(both), met(competing(both), "alice")).says(AUTHORITY) == (PASSED, "holds")
    untested = competing(both).with_bundle(tests=())
    assert after(untested, met(untested, "alice")).says(AUTHORITY) == UNMET


def test_a_gate_that_lacks_a_validation_and_a_signature_says_both_and_nothing_of_what_it_has() -> None:
    both = changed(GREEN, {"decided_by": ("alice", "bob"), "validations": ("nix build", "fuzzing")})
    found = competing(both, DOCUMENTED).finding(AUTHORITY)
    assert found.message.endswith(
        "1 of its 2 gates is not met: It builds and smokes (fuzzing did not pass for this build, and "
        "none of alice, bob has signed that it is met)"
    )
    assert found.remedy == "Let fuzzing pass; Sign it: `flywheel meet tool 'It builds and smokes.'`"
    assert found.actor == "Tools maintainers (team:tools), Alice (alice@example.org) or Bob (bob@example.org)"


@pytest.mark.parametrize(
    ("signers", "changes"),
    [
        (("carol",), {}),
        ((), {}),
        (("alice",), {"condition": "The maintainers agree"}),
        (("alice",), {"output": "image"}),
        (("alice",), {"product": "another"}),
        (("alice",), {"change": Sha256.of(b"another declaration")}),
        (("alice",), {"change": None}),
    ],
    ids=["another", "nobody", "condition", "output", "product", "declaration", "no-declaration"],
)
def test_a_gate_is_met_by_its_own_people_for_its_own_product_output_condition_and_declaration(
    signers: tuple[str, ...], changes: dict[str, Any]
) -> None:
    bench = competing(DECIDED)
    assert after(bench, met(bench, *signers, **changes)).says(AUTHORITY) == UNMET


MORE = AuthorityGate(condition="It is signed.", decided_by=("carol",))


@pytest.mark.parametrize(
    ("gates", "authority"),
    [
        ((DECIDED, MORE), "image"),
        ((changed(DECIDED, {"decided_by": ("alice",)}), DOCUMENTED), "image"),
        ((DECIDED, DOCUMENTED), "library"),
    ],
    ids=["other gates", "other people", "another authority"],
)
def test_a_gate_that_was_met_is_not_when_another_change_in_the_same_words_is_declared(
    gates: tuple[AuthorityGate, ...], authority: str
) -> None:
    bench = competing(DECIDED, DOCUMENTED)
    said = met(bench, "alice")
    assert after(bench, said).says(AUTHORITY) == (PASSED, "holds")
    change = AuthorityChange(to="tool", gates=gates)
    product = Product(authority=authority, statement="Another time.", change=change)
    again = bench.with_part("products", {"tool": product})
    assert after(again, said).says(AUTHORITY) == UNMET
    assert "has signed that it is met as the change is declared now" in after(again, said).finding(AUTHORITY).message
    case = Case(again.bundle, again.catalogue, again.catalogue.outputs["tool"], NOW)
    assert why_not_counted(case, said) == (
        "it is of another declaration of the change of authority than the catalogue's"
    )


def test_what_is_signed_of_a_declaration_stays_the_same_digest() -> None:
    declared = competing(DECIDED, GREEN, DOCUMENTED).catalogue.products["tool"]
    assert declaration_of(declared) == Sha256("sha256:166252c7edee4562bdc8c4bcefa40ae5df355f6e444530ff081ba00e630075b7")
    assert declaration_of(changed(declared, {"statement": "In other words."})) == declaration_of(declared)


def test_what_was_signed_of_a_change_that_is_declared_no_more_counts_for_nothing() -> None:
    said = met(competing(DECIDED), "alice")
    bench = competing()
    case = Case(bench.bundle, bench.catalogue, bench.catalogue.outputs["tool"], NOW)
    assert "another declaration" in why_not_counted(case, said)
    unknown = changed(
        said, {"decision": changed(said.decision, {"scope": changed(said.decision.scope, {"product": "x"})})}
    )
    assert "another declaration" in why_not_counted(case, unknown)


def test_what_was_signed_before_it_named_a_declaration_is_told_to_be_met_again() -> None:
    bench = competing(DECIDED)
    case = Case(bench.bundle, bench.catalogue, bench.catalogue.outputs["tool"], NOW)
    assert why_not_counted(case, met(bench, "alice", change=None)) == (
        "it was signed before it named the declaration of the change of authority: meet it again"
    )


def test_naming_the_document_of_one_gate_leaves_what_was_signed_of_another() -> None:
    bench = competing(DECIDED, OPEN)
    said = met(bench, "alice")
    named = competing(DECIDED, changed(OPEN, {"met_by": "docs/how.md"}))
    assert after(named, said).says(AUTHORITY) == (PASSED, "holds")


def test_a_gate_that_was_met_is_unmet_again_once_that_is_revoked() -> None:
    said = met(competing(DECIDED), "bob")
    assert after(competing(DECIDED), said).says(AUTHORITY) == (PASSED, "holds")
    assert after(competing(DECIDED), said, revocation(said, "carol")).says(AUTHORITY) == UNMET


def test_people_who_may_not_meet_a_gate_meet_none() -> None:
    bench = competing(DECIDED).with_entry("people", "alice", may=(Act.APPROVE,))
    assert after(bench, met(bench, "alice")).says(AUTHORITY) == UNMET


@pytest.mark.parametrize(
    ("gates", "canonical", "image", "wanted"),
    [
        ((DOCUMENTED,), "image", "a" * 40, (PASSED, "holds")),
        ((DOCUMENTED,), "image", "b" * 40, (WAITING, "canonical-unpublished")),
        ((DOCUMENTED,), "image", "", (WAITING, "canonical-unpublished")),
        ((DOCUMENTED,), None, "a" * 40, (TEMPORARILY, "canonical-undeclared")),
        ((DOCUMENTED,), None, "", (TEMPORARILY, "canonical-undeclared")),
        ((DOCUMENTED, OPEN), None, "a" * 40, UNMET),
        ((DOCUMENTED, OPEN), "image", "a" * 40, UNMET),
    ],
    ids=["both", "another revision", "no image yet", "undeclared", "undeclared and no image", "a gate", "a gate alone"],
)
def test_two_outputs_of_a_product_go_out_during_a_change_only_from_one_declared_source(
    gates: tuple[AuthorityGate, ...], canonical: str | None, image: str, wanted: tuple[VerdictClass, str]
) -> None:
    bench = competing(*gates, canonical=canonical)
    bench = published(bench, image) if image else bench.with_bundle(canonical=None)
    assert bench.says(AUTHORITY) == wanted
    image_itself = bench.with_entry("outputs", "image", product="tool").with_bundle(output="image")
    assert image_itself.says(AUTHORITY) == (PASSED, "holds"), "it goes on as before"


def test_a_change_without_a_canonical_source_says_what_is_to_be_declared_and_by_whom() -> None:
    found = competing(DOCUMENTED, canonical=None).finding(AUTHORITY)
    assert found.message == "tool goes out through 2 outputs, and none is the canonical source"
    assert found.remedy.endswith("under `canonical` in the catalogue; or end the publication of image.")
    assert (found.about, found.actor) == (About.POLICY, "Tools maintainers (team:tools)")


@pytest.mark.parametrize("also", [(), ("library",)], ids=["alone", "beside a third"])
def test_where_what_a_change_moves_from_is_published_no_more_only_the_others_need_a_source(
    also: tuple[str, ...],
) -> None:
    bench = competing(DOCUMENTED, canonical=None).with_entry("outputs", "image", publication=None)
    product = changed(bench.catalogue.products["tool"], {"also": also})
    wanted = (TEMPORARILY, "canonical-undeclared") if also else (PASSED, "holds")
    assert bench.with_part("products", {"tool": product}).says(AUTHORITY) == wanted


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
