"""not_withdrawn and not_held: what people took back, called compromised, or stopped."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuildKey, Dependency
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import NarHash, Sha256
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.gate.quarantines import stops
from flywheel_assets_tests.gate.cases import (
    CANNOT,
    KEY,
    KINDS,
    NOW,
    OTHER_KEY,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    TOOL,
    WAITING,
    Bench,
    a_run,
    attested,
    changed,
    good,
    store_path,
)
from flywheel_assets_tests.gate.decided import DAY, after, decided, revocation, withdrawal

WITHDRAWN, HELD = "not_withdrawn", "not_held"


def quarantine(*signers: str, **scope: Any) -> Any:
    return decided(Act.QUARANTINE, *signers, reason="A secret leaked.", **scope)


def hold(*signers: str, **scope: Any) -> Any:
    return decided(Act.HOLD, *signers, reason="We look into it.", **scope)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [WITHDRAWN, HELD])
def test_a_build_on_which_nobody_decided_stands(kind: str, rule: str) -> None:
    assert good(kind).says(rule) == (PASSED, "holds")


def test_nothing_is_said_of_what_an_unauthenticated_receipt_was_built_from() -> None:
    bench = after(good(), withdrawal(good(), "alice")).with_signatures(Signatures())
    assert bench.says(WITHDRAWN) == (CANNOT, "no-authentic-receipt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_withdrawn_digest_is_rejected_for_good_and_says_by_whom_and_why(kind: str) -> None:
    bench = after(good(kind), withdrawal(good(kind), "alice", reason="It leaks."))
    found = bench.finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "withdrawn")
    assert found.message == "it was withdrawn on 2026-10-02 by alice: It leaks"
    assert found.remedy == "Build another revision: a withdrawn digest never passes again."
    assert found.actor == "Tools maintainers (team:tools)"


def test_a_digest_that_was_withdrawn_under_another_output_is_withdrawn() -> None:
    taken = decided(Act.WITHDRAW, "alice", output="library", digest=Sha256(str(good().receipt.artifact.digest)))
    assert after(good(), taken).says(WITHDRAWN) == (PERMANENTLY, "withdrawn")


def test_another_withdrawn_digest_bears_on_nothing() -> None:
    bench = after(good(), withdrawal(good(), "alice", digest=Sha256.of(b"another")))
    assert bench.says(WITHDRAWN) == (PASSED, "holds")


def test_a_withdrawal_cannot_be_taken_back() -> None:
    taken = withdrawal(good(), "alice")
    assert after(good(), taken, revocation(taken, "alice")).says(WITHDRAWN) == (PERMANENTLY, "withdrawn")


def test_a_withdrawn_member_of_its_closure_is_named() -> None:
    library = NarHash.of(b"library")
    bench = after(good().with_bundle(dependencies=()), withdrawal(good(), "alice", digest=library))
    found = bench.finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "built-from-withdrawn")
    assert found.message.startswith(f"sha256:{library.hex}, which is in it, was withdrawn on 2026-10-02 by alice")


_DEEP = ClosureMember(path=store_path("deep"), nar_hash=NarHash.of(b"deep"), nar_size=9, references=())
DEEP = NixClosure(root=_DEEP.path, deriver=None, members=(_DEEP,))


def through_an_image(*, named: bool = True, signer: str = "nixer") -> Bench:
    """An image that is built from the tool, which is built from a library that is in neither's own content."""
    tool, bench = good().receipt, good("oci")
    deep = Receipt(output="library", run=a_run("nixer", OTHER_KEY), artifact=DEEP)
    uses = (Dependency(output="library", store_path=DEEP.root, digest=Sha256(str(DEEP.digest))),)
    tool = changed(tool, {"run": changed(tool.run, {"dependencies": uses if named else ()})})
    made_of = (Dependency(output="tool", store_path=TOOL, digest=Sha256(str(tool.artifact.digest))),)
    bench = bench.with_run(dependencies=made_of)
    return bench.with_bundle(dependencies=(attested(deep, signer), attested(tool, "nixer")))


def test_what_is_built_from_something_withdrawn_is_rejected_through_every_step() -> None:
    taken = withdrawal(good(), "alice", digest=DEEP.digest)
    found = after(through_an_image(), taken).finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "built-from-withdrawn")
    assert (
        found.message
        == f"library ({OTHER_KEY}), which it is built from, was withdrawn on 2026-10-02 by alice: It has to be"
    )
    tool = withdrawal(good(), "alice")
    assert after(through_an_image(), tool).says(WITHDRAWN) == (PERMANENTLY, "built-from-withdrawn")


def test_a_withdrawn_member_of_what_it_is_built_from_is_named() -> None:
    library = withdrawal(good(), "alice", digest=NarHash.of(b"library"))
    found = after(through_an_image(), library).finding(WITHDRAWN)
    assert found.reason == "built-from-withdrawn"
    assert f"which is in tool ({KEY}), was withdrawn" in found.message


def test_what_nothing_names_is_not_what_it_is_built_from() -> None:
    taken = withdrawal(good(), "alice", digest=DEEP.digest)
    assert after(through_an_image(named=False), taken).says(WITHDRAWN) == (PASSED, "holds")


def test_a_withdrawn_digest_is_what_it_is_built_from_though_nobody_trusted_signed_the_receipt_of_that() -> None:
    found = after(through_an_image(signer="platform-gone"), withdrawal(good(), "alice", digest=DEEP.digest)).finding(
        WITHDRAWN
    )
    assert (found.verdict, found.reason) == (PERMANENTLY, "built-from-withdrawn")
    assert found.message.startswith(
        f"library (sha256:{DEEP.digest.hex}), which it is built from, was withdrawn on 2026-10-02"
    )


def test_its_own_withdrawal_is_told_before_that_of_what_it_is_built_from() -> None:
    first = withdrawal(good(), "alice", digest=NarHash.of(b"library"), arrived_at=NOW - 2 * DAY)
    bench = after(good(), first, withdrawal(good(), "alice"))
    assert bench.says(WITHDRAWN) == (PERMANENTLY, "built-from-withdrawn")
    both = after(through_an_image(), withdrawal(good(), "alice", digest=DEEP.digest), withdrawal(good("oci"), "alice"))
    assert both.says(WITHDRAWN) == (PERMANENTLY, "withdrawn")


def test_what_a_compromised_signer_signed_is_rejected_until_that_is_revoked() -> None:
    said = quarantine("bob", key="nixer")
    found = after(good(), said).finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "quarantined")
    assert found.message == "it came from the signer nixer, quarantined on 2026-10-02 by bob: A secret leaked"
    assert found.remedy == "Build it again with a signer and a run that nobody doubts."
    assert after(good(), said, revocation(said, "carol")).says(WITHDRAWN) == (PASSED, "holds")


def test_what_a_compromised_run_made_is_rejected() -> None:
    found = after(good(), quarantine("bob", repository=REPOSITORY, run="100")).finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "quarantined")
    assert found.message.startswith("it came from run 100, quarantined on 2026-10-02 by bob")


@pytest.mark.parametrize(
    "scope",
    [
        {"key": "docker"},
        {"repository": REPOSITORY, "run": "300"},
        {"repository": "https://github.com/example/elsewhere", "run": "100"},
    ],
)
def test_a_quarantine_of_something_else_bears_on_nothing(scope: dict[str, str]) -> None:
    assert after(good(), quarantine("bob", **scope)).says(WITHDRAWN) == (PASSED, "holds")


def test_what_came_of_something_compromised_is_rejected_through_every_step() -> None:
    found = after(through_an_image(), quarantine("bob", key="nixer")).finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "built-from-quarantined")
    assert found.message.startswith(f"tool ({KEY}), which it is built from, came from the signer nixer")
    of_run = after(through_an_image(), quarantine("bob", repository=REPOSITORY, run="200")).finding(WITHDRAWN)
    assert of_run.message.startswith(f"library ({OTHER_KEY}), which it is built from, came from run 200")


def test_a_compromised_witness_and_a_compromised_test_support_nothing() -> None:
    assert after(good(), quarantine("bob", key="nixer-two")).says("rebuild_agrees") == (
        WAITING,
        "second-builder-missing",
    )
    assert after(good("oci"), quarantine("bob", key="platform")).says("validation_is_green") == (
        WAITING,
        "validation-missing",
    )


def renamed(bench: Bench, name: str, to: str) -> Bench:
    """The catalogue calls a key otherwise."""
    keys = bench.catalogue.keys
    return bench.with_part("keys", {**{n: key for n, key in keys.items() if n != name}, to: keys[name]})


def test_a_compromised_key_is_found_under_any_name_and_another_one_under_its_name_is_not_it() -> None:
    said = quarantine("bob", key="nixer", fingerprint=good().catalogue.keys["nixer"].fingerprint)
    bench = renamed(good(), "nixer", "nixer-of-old")
    bench = bench.with_signatures(Signatures(keys=("nixer-of-old",)))
    assert after(bench, said).says(WITHDRAWN) == (PERMANENTLY, "quarantined")
    fresh = good().catalogue.keys["platform"].public_key
    successor = bench.with_part("keys", {**bench.catalogue.keys, "nixer": good().catalogue.keys["nixer"]})
    successor = successor.with_entry("keys", "nixer", public_key=fresh).with_signatures(Signatures(keys=("nixer",)))
    assert after(successor, said).says(WITHDRAWN) == (PASSED, "holds")


def test_a_compromised_key_is_found_where_it_signed_for_another_builder() -> None:
    key = good().catalogue.keys["nixer-two"]
    bench = good().with_entry("keys", "nixer", public_key=key.public_key)
    said = quarantine("bob", key="nixer-two", fingerprint=key.fingerprint)
    assert after(bench, said).says(WITHDRAWN) == (PERMANENTLY, "quarantined")


def test_a_compromised_key_supports_no_test_under_any_name() -> None:
    said = quarantine("bob", key="elsewhere", fingerprint=good().catalogue.keys["platform"].fingerprint)
    assert after(good("oci"), said).says("validation_is_green") == (WAITING, "validation-missing")


def test_a_key_that_an_earlier_catalogue_had_in_a_form_that_is_read_no_more_is_its_text() -> None:
    """Verdicts under that catalogue are replayed."""
    bench = good().with_entry("keys", "nixer", public_key="of old")
    assert bench.says(WITHDRAWN) == (PASSED, "holds")
    said = quarantine("bob", key="nixer", fingerprint=bench.catalogue.keys["nixer"].fingerprint)
    assert after(bench, said).says(WITHDRAWN) == (PERMANENTLY, "quarantined")


def test_a_keyless_signer_is_its_identity_under_any_name() -> None:
    keyless = {"public_key": None, "issuer": "https://issuer.example", "identity": "https://ci.example/publish"}
    bench = good().with_entry("keys", "nixer", **keyless)
    said = quarantine("bob", key="elsewhere", fingerprint=bench.catalogue.keys["nixer"].fingerprint)
    assert after(bench, said).says(WITHDRAWN) == (PERMANENTLY, "quarantined")
    other = bench.with_entry("keys", "nixer", identity="https://ci.example/build")
    assert after(other, said).says(WITHDRAWN) == (PASSED, "holds")


@pytest.mark.parametrize(
    ("scope", "what"), [({"output": "tool"}, "tool"), ({"builder": "nixer"}, "what nixer builds"), ({}, "everything")]
)
def test_a_hold_stops_its_output_its_builder_or_everything(scope: dict[str, str], what: str) -> None:
    said = hold("carol", **scope)
    found = after(good(), said).finding(HELD)
    assert (found.verdict, found.reason) == (WAITING, "held")
    assert found.message == f"{what} is held by carol: We look into it"
    assert found.remedy == f"It goes on after `flywheel revoke {said.decision.short_id}`."
    assert found.actor == "Carol (carol@example.org) or Alice (alice@example.org) or Bob (bob@example.org)"


def test_whose_time_is_over_or_who_may_not_is_not_named_as_who_can_take_a_hold_back() -> None:
    bench = after(good(), hold("carol")).with_entry("people", "alice", valid_until=NOW)
    found = bench.with_entry("people", "bob", may=(Act.APPROVE,)).finding(HELD)
    assert found.actor == "Carol (carol@example.org)"


def test_a_hold_of_a_builder_stops_what_is_built_from_its_outputs_through_every_step() -> None:
    said = hold("carol", builder="nixer")
    found = after(through_an_image(), said).finding(HELD)
    assert (found.verdict, found.reason) == (WAITING, "held")
    assert found.message.startswith(f"what nixer builds, as tool ({KEY}), which it is built from, is held by carol")
    unsigned = through_an_image()
    strangers = tuple(changed(each, {"signatures": Signatures()}) for each in unsigned.bundle.dependencies)
    assert after(unsigned.with_bundle(dependencies=strangers), said).says(HELD) == (PASSED, "holds")


@pytest.mark.parametrize("scope", [{"key": "nixer-two"}, {"repository": REPOSITORY, "run": "300"}])
def test_what_holds_something_compromised_in_its_closure_is_rejected_though_nobody_declared_it(
    scope: dict[str, str],
) -> None:
    bench = undeclared()
    found = after(bench, quarantine("bob", **scope)).finding(WITHDRAWN)
    assert (found.verdict, found.reason) == (PERMANENTLY, "built-from-quarantined")
    assert found.message.startswith("library (300.1.x86_64-linux), which it is built from, came from")
    assert after(bench, hold("carol", builder="nixer-two")).says(HELD) == (WAITING, "held")
    another = bench.with_receipt(artifact=closure_with(b"another library"))
    assert after(another, quarantine("bob", **scope)).says(WITHDRAWN) == (PASSED, "holds")


def test_who_else_built_the_very_bytes_of_a_build_is_not_what_it_came_from() -> None:
    bench = undeclared()
    (part,) = bench.bundle.dependencies
    alike = changed(part.receipt, {"artifact": bench.receipt.artifact})
    bench = bench.with_bundle(dependencies=(attested(alike, "nixer-two"),))
    assert after(bench, quarantine("bob", key="nixer-two")).says(WITHDRAWN) == (PASSED, "holds")


@pytest.mark.parametrize(
    ("act", "scope", "expected"),
    [
        (Act.HOLD, {"builder": "nixer"}, True),
        (Act.HOLD, {"builder": "nixer-two"}, False),
        (Act.QUARANTINE, {"key": "nixer"}, True),
        (Act.QUARANTINE, {"key": "nixer-two"}, False),
        (Act.QUARANTINE, {"key": "x", "fingerprint": good().catalogue.keys["nixer"].fingerprint}, True),
        (Act.QUARANTINE, {"key": "nixer", "fingerprint": good().catalogue.keys["docker"].fingerprint}, False),
        (Act.QUARANTINE, {"repository": REPOSITORY, "run": KEY.run}, True),
        (Act.QUARANTINE, {"repository": REPOSITORY, "run": OTHER_KEY.run}, False),
    ],
)
def test_a_decision_about_a_maker_stops_what_that_maker_made(act: Act, scope: dict[str, Any], expected: bool) -> None:
    assert stops(good().catalogue, decided(act, "bob", **scope).decision, good().bundle.receipts[0]) is expected


def closure_with(library: bytes) -> NixClosure:
    made = good().receipt.artifact
    assert isinstance(made, NixClosure)
    digest = NarHash.of(library)
    members = (m if m.path == made.root else changed(m, {"nar_hash": digest}) for m in made.members)
    return changed(made, {"members": tuple(members)})


def undeclared() -> Bench:
    """A build whose closure holds a library of nixer-two, which neither catalogue nor receipt says."""
    bench = good().with_run(dependencies=()).with_output(built_from=())
    (library,) = good().bundle.dependencies
    run = changed(library.receipt.run, {"key": BuildKey.parse("300.1.x86_64-linux"), "builder": "nixer-two"})
    return bench.with_bundle(dependencies=(attested(changed(library.receipt, {"run": run}), "nixer-two"),))


def test_a_hold_of_an_output_stops_that_output_alone() -> None:
    assert after(through_an_image(), hold("carol", output="tool")).says(HELD) == (PASSED, "holds")


@pytest.mark.parametrize("scope", [{"output": "image"}, {"builder": "nixer-two"}])
def test_a_hold_of_something_else_stops_nothing(scope: dict[str, str]) -> None:
    assert after(good(), hold("carol", **scope)).says(HELD) == (PASSED, "holds")


def test_a_hold_ends_at_its_time_and_says_when() -> None:
    waiting = after(good(), hold("carol", expires_at=NOW + DAY)).finding(HELD)
    assert waiting.message == "everything is held by carol until 2026-10-03 08:00 UTC: We look into it"
    assert waiting.remedy.endswith("`, or on its own at 2026-10-03 08:00 UTC.")
    assert after(good(), hold("carol", expires_at=NOW)).says(HELD) == (PASSED, "holds")
    assert after(good(), hold("carol", expires_at=NOW + timedelta(seconds=1))).says(HELD) == (WAITING, "held")


def test_of_several_holds_the_one_that_lasts_longest_is_told_and_all_can_be_revoked() -> None:
    short, ever, long = (hold("carol", expires_at=e) for e in (NOW + DAY, None, NOW + 2 * DAY))
    found = after(good(), short, ever, long).finding(HELD)
    assert found.message == "everything is held by carol: We look into it; and 2 more"
    assert all(each.decision.short_id in found.remedy for each in (short, ever, long))
    two = after(good(), short, hold("bob", output="tool", expires_at=NOW + 3 * DAY)).finding(HELD)
    assert two.message == "tool is held by bob until 2026-10-05 08:00 UTC: We look into it; and 1 more"
    assert two.actor == "Bob (bob@example.org) or Carol (carol@example.org) or Alice (alice@example.org)"


def test_a_hold_acts_on_a_build_that_nobody_vouches_for_too() -> None:
    assert after(good().with_signatures(Signatures()), hold("carol")).says(HELD) == (WAITING, "held")


def test_a_hold_of_a_builder_is_not_borne_by_a_strangers_receipt() -> None:
    bench = good().with_run(builder="nixer-two").with_signatures(Signatures())
    assert after(bench, hold("carol", builder="nixer-two")).says(HELD) == (PASSED, "holds")


def test_a_hold_and_a_withdrawal_are_those_of_the_people_who_may() -> None:
    bench = good().with_entry("people", "bob", may=(Act.APPROVE,))
    for decision, rule in ((hold("bob"), HELD), (withdrawal(good(), "bob"), WITHDRAWN)):
        assert after(bench, decision).says(rule) == (PASSED, "holds")
    assert after(bench, hold("bob", "carol")).finding(HELD).message.startswith("everything is held by carol:")
