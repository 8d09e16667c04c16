"""Properties of the gate with decisions and exceptions: monotone, deaf to strangers, pure, still between moments."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.catalog.exceptable import EXCEPTABLE
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.evidence import AttestedDecision, EvidenceBundle, Signatures
from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.moments import moments
from flywheel_assets_tests.gate.cases import FINISHED, KINDS, NOW, REPOSITORY, Bench, changed, good
from flywheel_assets_tests.gate.decided import (
    DAY,
    EVERYBODY,
    after,
    approval,
    asking,
    decided,
    excepting,
    revocation,
    withdrawal,
)
from flywheel_assets_tests.gate.test_properties import BREAKS, newer

HOURS = st.integers(-60, 60).map(lambda hours: timedelta(hours=hours))
SIGNERS = st.sets(st.sampled_from(EVERYBODY), min_size=1).map(lambda names: tuple(sorted(names)))


def bench_of(kind: str, broken: str | None, needed: int, *, older: bool) -> Bench:
    bench = good(kind)
    if kind != "bazel":
        bench = asking(bench, needed, last_days=2) if needed else bench
        bench = newer(bench) if older else bench
    return BREAKS[broken](bench) if broken else bench


BENCHES = st.builds(
    bench_of,
    st.sampled_from(KINDS),
    st.none() | st.sampled_from(sorted(BREAKS)),
    st.integers(0, 3),
    older=st.booleans(),
)


@st.composite
def letting(draw: st.DrawFn, bench: Bench) -> AttestedDecision:
    """An approval: the only decision that lets a build of this catalogue pass."""
    made = NOW + draw(HOURS)
    accepts = draw(st.sampled_from([(), ("older-than-channel",)]))
    more: dict[str, Any] = draw(st.sampled_from([{}, {}, {"output": "library"}, {"authority": "library"}]))
    lasts = timedelta(hours=draw(st.integers(1, 90)))
    return approval(bench, *draw(SIGNERS), made_at=made, expires_at=made + lasts, accepts=accepts, **more)


@st.composite
def stopping(draw: st.DrawFn, bench: Bench) -> AttestedDecision:
    """A hold, a withdrawal or a quarantine, of this build, of what it came from, or of something else."""
    signers, made = draw(SIGNERS), NOW - timedelta(hours=draw(st.integers(1, 60)))
    act = draw(st.sampled_from([Act.HOLD, Act.WITHDRAW, Act.QUARANTINE]))
    if act is Act.HOLD:
        scopes: list[dict[str, Any]] = [{}, {"output": bench.output}, {"builder": bench.builder}, {"output": "other"}]
        ends = draw(st.none() | st.integers(1, 120).map(lambda hours: made + timedelta(hours=hours)))
        return decided(act, *signers, made_at=made, expires_at=ends, **draw(st.sampled_from(scopes)))
    if act is Act.WITHDRAW:
        digest = draw(st.sampled_from([good(bench.kind).receipt.artifact.digest, NarHash.of(b"library")]))
        return withdrawal(good(bench.kind), *signers, digest=digest, made_at=made)
    named = draw(st.sampled_from(["nixer", "nixer-two", "platform", "docker", "gone"]))
    run: dict[str, Any] = {"repository": REPOSITORY, "run": draw(st.sampled_from(["100", "200", "300"]))}
    return decided(act, *signers, made_at=made, **draw(st.sampled_from([{"key": named}, run])))


@st.composite
def judged(draw: st.DrawFn) -> Bench:
    """A build, good or broken, after some decisions, some of them revoked, under some exceptions."""
    bench = draw(BENCHES)
    about = good(bench.kind) if not bench.bundle.receipts else bench
    made = [*draw(st.lists(letting(about), max_size=3)), *draw(st.lists(stopping(about), max_size=2))]
    revoked = draw(st.lists(st.sampled_from(made), max_size=1)) if made else []
    made += [revocation(each, *draw(SIGNERS), made_at=NOW + draw(HOURS)) for each in revoked]
    pairs = [(rule, reason) for rule, reasons in EXCEPTABLE.items() for reason in sorted(reasons)]
    for number, (rule, reason) in enumerate(draw(st.lists(st.sampled_from(pairs), max_size=2))):
        bench = excepting(bench, rule, reason, f"exception-{number}", until=NOW + draw(HOURS))
    if draw(st.booleans()):
        bench = bench.with_entry("people", draw(st.sampled_from(EVERYBODY)), valid_until=NOW + draw(HOURS))
    return after(bench, *draw(st.permutations(made)))


def findings(bench: Bench, now: datetime = NOW) -> tuple[Finding, ...]:
    return evaluate(bench.bundle, bench.catalogue, now).findings


def is_worse_or_equal(worse: Bench, better: Bench) -> bool:
    pairs = zip(findings(worse), findings(better), strict=True)
    return all(one.verdict.severity >= other.verdict.severity for one, other in pairs)


@given(st.data(), judged())
def test_losing_an_approval_makes_no_finding_better(data: st.DataObject, bench: Bench) -> None:
    approvals = [str(d.evidence) for d in bench.bundle.decisions]
    given_up = data.draw(st.sets(st.sampled_from(approvals)) if approvals else st.just(set[str]()))
    kept = tuple(
        d for d in bench.bundle.decisions if d.decision.act is not Act.APPROVE or str(d.evidence) not in given_up
    )
    assert is_worse_or_equal(bench.with_bundle(decisions=kept), bench)


@given(st.data(), judged())
def test_another_hold_withdrawal_or_quarantine_makes_no_finding_better(data: st.DataObject, bench: Bench) -> None:
    assert is_worse_or_equal(after(bench, data.draw(stopping(good(bench.kind)))), bench)


@given(st.data(), judged())
def test_revoking_an_approval_makes_no_finding_better(data: st.DataObject, bench: Bench) -> None:
    given_up = data.draw(letting(good(bench.kind)))
    with_it = after(bench, given_up)
    assert is_worse_or_equal(after(with_it, revocation(given_up, *data.draw(SIGNERS))), with_it)


@given(judged())
def test_losing_every_exception_makes_no_finding_better(bench: Bench) -> None:
    assert is_worse_or_equal(bench.with_part("exceptions", {}), bench)


@given(st.data(), judged())
def test_decisions_of_strangers_and_of_people_who_may_not_change_nothing(data: st.DataObject, bench: Bench) -> None:
    about = good(bench.kind)
    more = data.draw(st.lists(letting(about) | stopping(about), min_size=1, max_size=3))
    signed = [
        changed(each, {"signatures": data.draw(st.sampled_from([
            Signatures(), Signatures(unknown=("f" * 64,)), Signatures(invalid=EVERYBODY), Signatures(keys=("nobody",)),
            Signatures(keys=("mute",)), Signatures(keys=("nixer", "platform")),
        ]))})
        for each in more
    ]  # fmt: skip
    if bench.bundle.decisions:
        taken = revocation(data.draw(st.sampled_from(bench.bundle.decisions)))
        signed.append(changed(taken, {"signatures": Signatures(keys=("nobody",), invalid=EVERYBODY)}))
    mute = changed(bench.catalogue.people["alice"], {"valid_until": NOW - 1000 * DAY})
    bench = bench.with_part("people", {**bench.catalogue.people, "mute": mute})
    assert findings(bench.with_bundle(decisions=(*signed, *bench.bundle.decisions))) == findings(bench)


@given(st.data(), judged())
def test_the_order_of_decisions_changes_not_a_word(data: st.DataObject, bench: Bench) -> None:
    orders = {
        field: tuple(data.draw(st.permutations(getattr(bench.bundle, field)))) for field in ("decisions", "tests")
    }
    names = data.draw(st.permutations(sorted(bench.catalogue.exceptions)))
    other = bench.with_bundle(**orders).with_part("exceptions", {n: bench.catalogue.exceptions[n] for n in names})
    assert findings(other) == findings(bench)


@given(judged())
def test_the_same_decisions_give_the_same_bytes(bench: Bench) -> None:
    copy = EvidenceBundle.model_validate_json(bench.bundle.model_dump_json())
    assert replace(bench, bundle=copy).verdict().model_dump_json() == bench.verdict().model_dump_json()


@given(st.data(), judged(), HOURS, HOURS)
def test_between_two_neighbouring_moments_no_finding_changes(
    data: st.DataObject, bench: Bench, finished: timedelta, late: timedelta
) -> None:
    if bench.bundle.receipts:
        bench = bench.with_run(finished_at=FINISHED + finished) if finished > timedelta(0) else bench
    come = moments(bench.bundle, bench.catalogue)
    assert list(come) == sorted(set(come))
    edges = [NOW - 2000 * DAY, *come, NOW + 2000 * DAY]
    number = data.draw(st.integers(0, len(edges) - 2))
    begin, end = edges[number], edges[number + 1] - timedelta(microseconds=1)
    between = min(max(begin, NOW + late), end)
    assert findings(bench, begin) == findings(bench, between) == findings(bench, end)
