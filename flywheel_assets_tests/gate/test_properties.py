"""What holds of the gate whatever the evidence: it fails closed, is pure, and nobody unsigned moves it.

Monotone: with less of what supports a build, or with it spoilt, a rejection never becomes a pass. Forges and
comparisons are in `test_heard_properties`, decisions and exceptions in `test_deciding_properties`.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.catalog.models import Audience, Claim, Purpose, Role
from flywheel_assets.domain.builds import Trigger, TriggerEvent, ValidationResult
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.evidence import AttestedReceipt, ChannelHead, EvidenceBundle, Origin, Signatures
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets_tests.gate.cases import (
    KINDS,
    OTHER_KEY,
    PERMANENTLY,
    REPOSITORY,
    STARTED,
    Bench,
    artifact,
    attested,
    attested_test,
    changed,
    good,
    store_path,
    witness_of,
)

Change = Callable[[Bench], Bench]
OTHER = str(Sha256.of(b"something else"))
ELSEWHERE = "https://github.com/example/elsewhere"
FORK = Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True)
FAILED, STRANGER = ValidationResult.FAILED, Signatures(unknown=("f" * 64,))


def with_test(bench: Bench, result: ValidationResult, name: str, *keys: str) -> Bench:
    test = attested_test(bench.receipt.artifact.digest, name, result, Signatures(keys=keys))
    return bench.with_bundle(tests=(*bench.bundle.tests, test))


def _witness(bench: Bench) -> Bench:
    return bench.with_bundle(witnesses=(*bench.bundle.witnesses, witness_of(bench, b"other")))


def _conflict(bench: Bench) -> Bench:
    other = attested(changed(bench.receipt, {"artifact": artifact(bench.kind, b"other")}), bench.builder)
    return bench.with_bundle(receipts=(*bench.bundle.receipts, other))


def _from_elsewhere(*keys: str) -> Signatures:
    """Keyless signatures by a workflow that was called from another repository."""
    return Signatures(keys=keys, origin=Origin(ELSEWHERE, "a" * 40))


def _in_another_run(*keys: str) -> Signatures:
    """Keyless signatures by a later run of the same source."""
    origin = Origin(REPOSITORY, "a" * 40, invocation=f"{REPOSITORY}/actions/runs/9/attempts/1")
    return Signatures(keys=keys, origin=origin)


def newer(bench: Bench) -> Bench:
    head = ChannelHead(build=OTHER_KEY, revision=GitRevision("b" * 40), committed_at=STARTED)
    return bench.with_bundle(channel=head)


def _bad_before(bench: Bench, **change: object) -> Bench:
    """A contradicting inspection, and a good one after it."""
    number = {"nix": 0, "oci": 3, "bazel": 1}[bench.kind]
    return bench.with_reading(number, **change).then_inspected(*bench.readings)


def _bad_after(bench: Bench, **change: object) -> Bench:
    number = {"nix": 0, "oci": 3, "bazel": 1}[bench.kind]
    return bench.then_inspected(*bench.with_reading(number, **change).readings)


AGAINST: dict[str, Change] = {
    "a failing test by the platform": lambda b: with_test(b, FAILED, "scan", "platform"),
    "a failing test by the builder": lambda b: with_test(b, FAILED, "smoke", b.builder),
    "a body that differs, seen before": lambda b: _bad_before(b, digest=OTHER),
    "a body that differs, seen last": lambda b: _bad_after(b, digest=OTHER),
    "a body of another size": lambda b: _bad_before(b, size=7_777),
    "an index that differs": lambda b: _bad_before(b, index_problems=("NarSize",)),
    "a reference that nobody signed": lambda b: _bad_before(b, added_references=(store_path("extra"),)),
    "a witness that disagrees": _witness,
    "a receipt that conflicts": _conflict,
}
BREAKS: dict[str, Change] = AGAINST | {
    "unsigned": lambda b: b.with_signatures(Signatures()),
    "signed by a stranger": lambda b: b.with_signatures(STRANGER),
    "signed by a run of another source": lambda b: b.with_signatures(_from_elsewhere(b.builder)),
    "signed in another run": lambda b: b.with_signatures(_in_another_run(b.builder)),
    "signed by a signer of images": lambda b: b.with_entry("keys", b.builder, for_=(Purpose.IMAGES,)),
    "a body that is empty last": lambda b: _bad_after(b, state=ReadState.EMPTY, digest="", size=0),
    "a member that is absent last": lambda b: _bad_after(b, state=ReadState.ABSENT, digest="", size=0),
    "nothing read": lambda b: b.with_bundle(inspections=()),
    "no test": lambda b: b.with_bundle(tests=()),
    "a dirty tree": lambda b: b.with_source(dirty=True),
    "another repository": lambda b: b.with_output(repository=ELSEWHERE),
    "a fork": lambda b: b.with_run(trigger=FORK),
    "no definition": lambda b: b.with_run(definition=None),
    "no claims": lambda b: b.with_builder(trusted_claims=()),
    "an unknown builder": lambda b: b.without_entry("builders", b.builder),
    "a check": lambda b: b.with_output(role=Role.CHECK),
    "for acceleration": lambda b: b.with_output(audience=Audience.ACCELERATION),
    "undocumented": lambda b: b.with_output(clean_because=None),
    "three builders wanted": lambda b: b.with_output(builders_that_must_agree=3),
    "damage": lambda b: b.with_bundle(damaged=("Evidence is gone.",)),
}


NOBODYS_WORD = {
    "unsigned",
    "signed by a stranger",
    "signed by a run of another source",
    "signed in another run",
    "signed by a signer of images",
}


def _supports(bench: Bench, field: str) -> bool:
    """Whether the first piece is one that supports. What is against the artifact stands behind those."""
    supporting = {piece.evidence for piece in getattr(good(bench.kind).bundle, field)}
    return field == "receipts" or any(p.evidence in supporting for p in getattr(bench.bundle, field)[:1])


def _drop(field: str) -> Change:
    def apply(bench: Bench) -> Bench:
        kept = getattr(bench.bundle, field)[1:]
        return bench.with_bundle(**{field: kept}) if field == "inspections" or _supports(bench, field) else bench

    return apply


def _resign(field: str, signatures: Signatures) -> Change:
    def apply(bench: Bench) -> Bench:
        pieces = getattr(bench.bundle, field)
        signed = tuple(changed(piece, {"signatures": signatures}) for piece in pieces[:1])
        return bench.with_bundle(**{field: signed + pieces[1:]}) if _supports(bench, field) else bench

    return apply


def _in_good_inspections(change: Callable[[Bench, int], Bench]) -> Callable[[int], Change]:
    """Change one reading of the last inspection when that inspection shows good readings only."""

    def chosen(number: int) -> Change:
        def apply(bench: Bench) -> Bench:
            if not bench.bundle.inspections or bench.readings != good(bench.kind).readings:
                return bench
            return change(bench, number % len(bench.readings))

        return apply

    return chosen


def _without_reading(bench: Bench, number: int) -> Bench:
    return bench.with_readings(*bench.readings[:number], *bench.readings[number + 1 :])


def _without_good_inspections(bench: Bench) -> Bench:
    kept = [r for r in bench.bundle.inspections if r.inspection.readings != good(bench.kind).readings]
    return bench.with_bundle(inspections=tuple(kept))


NUMBERS = st.integers(0, 9)
HURTS: st.SearchStrategy[Change] = st.one_of(
    st.sampled_from(["receipts", "witnesses", "dependencies", "tests"]).map(_drop),
    st.builds(
        _resign,
        st.sampled_from(["receipts", "witnesses", "dependencies", "tests"]),
        st.sampled_from([Signatures(), STRANGER, Signatures(invalid=("nixer",))]),
    ),
    st.just(_without_good_inspections),
    NUMBERS.map(_in_good_inspections(_without_reading)),
    NUMBERS.map(_in_good_inspections(lambda b, n: b.with_reading(n, digest=OTHER))),
    NUMBERS.map(_in_good_inspections(lambda b, n: b.with_reading(n, size=b.readings[n].size + 1))),
    NUMBERS.map(_in_good_inspections(lambda b, n: b.with_reading(n, added_references=(store_path("x"),)))),
    NUMBERS.map(_in_good_inspections(lambda b, n: b.with_reading(n, vouched_by=""))),
    st.sampled_from(list(ReadState)).flatmap(
        lambda state: NUMBERS.map(_in_good_inspections(lambda b, n: b.with_reading(n, state=state)))
    ),
    st.sampled_from(["validations", "dependencies", "locked_inputs"]).map(
        lambda field: lambda b: b.with_run(**{field: ()}) if b.bundle.receipts else b
    ),
    st.just(lambda b: b.with_run(bootstrap=None) if b.bundle.receipts else b),
    st.just(lambda b: b.with_source(committed_at=None) if b.bundle.receipts else b),
    st.just(lambda b: b.with_builder(trusted_claims=()) if b.builder in b.catalogue.builders else b),
    st.just(lambda b: b.with_part("keys", {n: k for n, k in b.catalogue.keys.items() if n != b.builder})),
    st.just(lambda b: b.with_part("keys", {})),
    st.just(lambda b: b.with_part("builders", {})),
)
BENCHES = st.sampled_from(KINDS).map(good)


@given(st.sampled_from(["nix", "oci"]).map(good), st.lists(HURTS, max_size=3))
def test_losing_evidence_never_lets_an_older_source_be_published(bench: Bench, hurts: list[Change]) -> None:
    bench = newer(bench)
    for hurt in hurts:
        bench = hurt(bench)
    assert not bench.verdict().publishable


@given(BENCHES, st.sampled_from(sorted(BREAKS)), st.lists(HURTS, min_size=1, max_size=4))
def test_losing_or_spoiling_evidence_never_turns_a_rejection_into_a_pass(
    bench: Bench, broken: str, hurts: list[Change]
) -> None:
    bench = BREAKS[broken](bench)
    assert not bench.passes
    for hurt in hurts:
        bench = hurt(bench)
    assert not bench.passes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("broken", sorted(BREAKS))
def test_each_single_fault_is_enough_to_reject(kind: str, broken: str) -> None:
    assert good(kind).passes
    assert not BREAKS[broken](good(kind)).passes


def claims_but(claim: Claim) -> Change:
    return lambda b: b.with_builder(trusted_claims=tuple(c for c in Claim if c is not claim))


def _without_key(name: str) -> Change:
    return lambda b: b.without_entry("keys", name)


def _reading(number: int) -> Change:
    return lambda b: _without_reading(b, number)


REQUIRED: list[tuple[str, str, Change]] = [
    *((kind, f"{field}", _drop(field)) for kind in KINDS for field in ("receipts", "tests", "inspections")),
    *((kind, f"signed {field}", _resign(field, Signatures())) for kind in KINDS for field in ("receipts", "tests")),
    *(("nix", field, _drop(field)) for field in ("witnesses", "dependencies")),
    *(("nix", f"signed {field}", _resign(field, Signatures())) for field in ("witnesses", "dependencies")),
    *((kind, "validations", lambda b: b.with_run(validations=())) for kind in KINDS),
    *((kind, "definition", lambda b: b.with_run(definition=None)) for kind in KINDS),
    ("nix", "bootstrap", lambda b: b.with_run(bootstrap=None)),
    ("nix", "named dependency", lambda b: b.with_run(dependencies=())),
    ("nix", "locked inputs", lambda b: b.with_run(locked_inputs=())),
    *(("nix", f"reading {number}", _reading(number)) for number in range(3)),
    # The fourth reading of an image is a layer, and the first of Bazel the action's own entry: see the report.
    *(("oci", f"reading {number}", _reading(number)) for number in range(3)),
    *(("bazel", f"reading {number}", _reading(number)) for number in (1, 2)),
    *(("nix", f"claim {claim}", claims_but(claim)) for claim in Claim),
    *((kind, f"claim {c}", claims_but(c)) for kind in ("oci", "bazel") for c in Claim if c is not Claim.BOOTSTRAP),
    *(("nix", f"key {name}", _without_key(name)) for name in ("nixer", "nixer-two", "platform")),
    *((kind, f"key {name}", _without_key(name)) for kind in ("oci", "bazel") for name in ("docker", "platform")),
    *((kind, "builder", lambda b: b.without_entry("builders", b.builder)) for kind in KINDS),
    *((kind, "consumption", lambda b: b.with_output(consumption=None)) for kind in KINDS),
    *((kind, "reason why it is clean", lambda b: b.with_output(clean_because=None)) for kind in KINDS),
]


@pytest.mark.parametrize(("kind", "piece", "drop"), REQUIRED, ids=[f"{kind}-{piece}" for kind, piece, _ in REQUIRED])
def test_a_good_build_does_not_pass_without_any_one_required_piece(kind: str, piece: str, drop: Change) -> None:
    assert good(kind).passes, piece
    assert not drop(good(kind)).passes


@given(st.data(), st.sampled_from(sorted(BREAKS)) | st.none())
def test_the_order_of_evidence_changes_neither_verdict_nor_reason(data: st.DataObject, broken: str | None) -> None:
    bench = data.draw(BENCHES)
    if broken:
        bench = BREAKS[broken](bench)
    again = (*bench.bundle.receipts, attested(bench.receipt, "platform")) if broken != "unsigned" else ()
    bench = bench.with_bundle(receipts=again or bench.bundle.receipts)
    found = bench.verdict()
    orders = {
        field: tuple(data.draw(st.permutations(getattr(bench.bundle, field))))
        for field in ("receipts", "witnesses", "dependencies", "tests")
    }
    orders["inspections"] = tuple(
        bench.inspected(*data.draw(st.permutations(recorded.inspection.readings)))
        for recorded in bench.bundle.inspections
    )
    other = bench.with_bundle(**orders).verdict()
    assert (other.verdict, other.worst.reason) == (found.verdict, found.worst.reason)
    if broken != "a receipt that conflicts":  # there the other rules speak of whichever came first
        answers = [(f.rule, f.verdict, f.reason) for f in found.findings]
        assert [(f.rule, f.verdict, f.reason) for f in other.findings] == answers


@given(BENCHES, st.sampled_from(sorted(BREAKS)) | st.none())
def test_the_same_evidence_gives_the_same_bytes(bench: Bench, broken: str | None) -> None:
    bench = BREAKS[broken](bench) if broken else bench
    copy = EvidenceBundle.model_validate_json(bench.bundle.model_dump_json())
    first = bench.verdict().model_dump_json()
    assert bench.verdict().model_dump_json() == first
    assert replace(bench, bundle=copy).verdict().model_dump_json() == first


@given(BENCHES, st.lists(st.sampled_from(sorted(AGAINST)), min_size=1, max_size=3), st.booleans())
def test_evidence_against_the_artifact_always_rejects_permanently(
    bench: Bench, against: list[str], first: bool
) -> None:
    for name in against:
        bench = AGAINST[name](bench)
    if first:
        bench = bench.with_bundle(tests=bench.bundle.tests[::-1], witnesses=bench.bundle.witnesses[::-1])
    assert bench.verdict().verdict is PERMANENTLY
    assert not bench.passes


UNTRUSTED = st.sampled_from(
    [
        Signatures(),
        STRANGER,
        Signatures(invalid=("nixer", "docker", "platform")),
        Signatures(keys=("a-key-that-is-gone",)),
        Signatures(unknown=("f" * 64,), invalid=("platform",)),
    ]
)
ELSEWHERES = st.just(_from_elsewhere("nixer", "docker", "platform"))


@st.composite
def untrusted_receipts(draw: st.DrawFn, bench: Bench) -> AttestedReceipt:
    """Whatever a stranger may say of this run or another."""
    run = changed(
        bench.run,
        {
            "key": draw(st.sampled_from([bench.run.key, OTHER_KEY])),
            "builder": draw(st.sampled_from(["nixer", "nixer-two", "docker", "unheard-of"])),
            "trigger": draw(st.sampled_from([bench.run.trigger, FORK])),
            "source": changed(bench.run.source, {"dirty": draw(st.booleans())}),
            "bootstrap": draw(st.sampled_from([bench.run.bootstrap, None])),
        },
    )
    made = artifact(draw(st.sampled_from(KINDS)), draw(st.sampled_from([None, b"other"])))
    receipt = changed(bench.receipt, {"run": run, "artifact": made})
    return changed(attested(receipt), {"signatures": draw(UNTRUSTED | ELSEWHERES)})


@given(st.data(), BENCHES, st.sampled_from(sorted(BREAKS)) | st.none())
def test_unauthenticated_evidence_never_changes_the_verdict(
    data: st.DataObject, bench: Bench, broken: str | None
) -> None:
    whole = broken not in NOBODYS_WORD  # there the last receipt is the one that is explained
    bench = BREAKS[broken](bench) if broken else bench
    before = bench.verdict()
    for field in ("receipts", "witnesses", "dependencies"):
        more = tuple(data.draw(st.lists(untrusted_receipts(bench), max_size=2)))
        held = getattr(bench.bundle, field)
        bench = bench.with_bundle(**{field: more + held if data.draw(st.booleans()) else held + more})
    tests = tuple(
        attested_test(good(bench.kind).receipt.artifact.digest, name, result, signatures)
        for name, result, signatures in data.draw(
            st.lists(
                st.tuples(st.sampled_from(["smoke", "scan"]), st.sampled_from(list(ValidationResult)), UNTRUSTED),
                max_size=3,
            )
        )
    )
    bench = bench.with_bundle(tests=tests + bench.bundle.tests)
    after = bench.verdict()
    assert after.verdict is before.verdict
    assert after.worst.reason == before.worst.reason or not whole
    assert (after.publishable, after.validated) == (before.publishable, before.validated)


@given(BENCHES, st.sampled_from(sorted(BREAKS)) | st.none(), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_nothing_passes_on_damaged_evidence(bench: Bench, broken: str | None, damaged: list[str]) -> None:
    bench = BREAKS[broken](bench) if broken else bench
    verdict = bench.with_bundle(damaged=tuple(damaged)).verdict()
    assert not verdict.publishable
    assert not verdict.validated
    assert not verdict.body_is_whole
    assert verdict.verdict.severity >= VerdictClass.CANNOT_DETERMINE.severity
