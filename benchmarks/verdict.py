"""How long one verdict takes, without I/O: a closure of 200 members, 10 witnesses, 20 decisions, each with its test.

Printed are the median and the slowest of many, of the processor's time, for neighbours on the machine shall not count;
beside what it takes to read the same evidence from JSON.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.evidence import EvidenceBundle
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.moments import moments
from flywheel_assets_tests.gate.cases import (
    NOW,
    PASSED,
    Bench,
    a_run,
    attested,
    attested_test,
    changed,
    good,
    store_path,
)
from flywheel_assets_tests.gate.decided import after, approval, asking, decided, revocation, withdrawal

TARGET = 0.005


def closure_of(count: int) -> NixClosure:
    """A root and what it refers to; every member refers to the ten before it."""
    paths = [store_path(f"member-{number}") for number in range(count)]
    members = tuple(
        ClosureMember(
            path=path,
            nar_hash=NarHash.of(path.encode()),
            nar_size=100,
            references=tuple(paths[max(0, number - 10) : number]),
        )
        for number, path in enumerate(paths)
    )
    return NixClosure(root=paths[-1], deriver=None, members=members)


def read(member: ClosureMember) -> Reading:
    """What the cache's reader says of a good member."""
    text = str(member.nar_hash)
    return Reading(
        member=member.path,
        state=ReadState.READ,
        expected_digest=text,
        expected_size=member.nar_size,
        digest=text,
        size=member.nar_size,
    )


def bench_of(members: int, witnesses: int, decisions: int) -> Bench:
    """A build that passes, with so much evidence about it."""
    made = closure_of(members)
    bench = asking(good().with_output(built_from=()).with_run(dependencies=()).with_receipt(artifact=made), needed=2)
    run, smoke = bench.run, bench.bundle.tests[0].outcome.validation
    seen = tuple(
        attested(
            Receipt(
                output=bench.output,
                run=a_run("nixer-two", BuildKey(run=str(200 + number), attempt=1, system=run.key.system)),
                artifact=made,
            ),
            "nixer-two",
        )
        for number in range(witnesses)
    )
    tests = tuple(attested_test(made.digest, smoke.name, smoke.result) for _ in range(witnesses))
    bench = bench.with_bundle(witnesses=seen, tests=tests, dependencies=())
    bench = bench.with_readings(*(read(member) for member in made.members))
    given = [approval(bench, name) for name in ("alice", "bob")]
    early = [approval(bench, "carol", reason=f"Number {number}.") for number in range((decisions - 2) // 3)]
    back = [revocation(each, "alice") for each in early]
    rest = decisions - 2 - len(early) - len(back)
    over = [decided(Act.HOLD, "bob", expires_at=NOW - timedelta(seconds=1 + number)) for number in range(rest // 2)]
    other = [withdrawal(bench, "bob", digest=NarHash.of(bytes([number]))) for number in range(rest - len(over))]
    bench = after(bench, *given, *early, *back, *over, *other)
    # As it comes from evidence: no two documents share anything.
    return replace(bench, bundle=EvidenceBundle.model_validate_json(bench.bundle.model_dump_json()))


def timed(what: str, action: Callable[[], object], rounds: int, target: float | None = None) -> None:
    """Print the median and the slowest."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        action()
        took.append(time.process_time() - start)
    within = f", target {target * 1000:.0f} ms" if target else ""
    print(f"{what}: median {statistics.median(took) * 1000:.2f} ms, slowest {max(took) * 1000:.2f} ms{within}")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--witnesses", type=int, default=10)
    parser.add_argument("--decisions", type=int, default=20)
    chosen = parser.parse_args()
    bench = bench_of(chosen.members, chosen.witnesses, chosen.decisions)
    found = evaluate(bench.bundle, bench.catalogue, NOW)
    if found.verdict is not PASSED or len(bench.bundle.decisions) != chosen.decisions:
        raise SystemExit(f"it is not the case that was meant: {found.worst}")
    document = bench.bundle.model_dump_json()
    name = f"{chosen.members} members, {chosen.witnesses} witnesses, {chosen.decisions} decisions"
    timed(f"one verdict on {name}", lambda: evaluate(bench.bundle, bench.catalogue, NOW), chosen.rounds, TARGET)
    timed("its moments", lambda: moments(bench.bundle, bench.catalogue), chosen.rounds)
    timed("reading the bundle from JSON", lambda: EvidenceBundle.model_validate_json(document), chosen.rounds)
    rejected = changed(bench.bundle, {"decisions": (*bench.bundle.decisions, withdrawal(bench, "alice"))})
    timed("the same, withdrawn", lambda: evaluate(rejected, bench.catalogue, NOW), chosen.rounds, TARGET)


if __name__ == "__main__":
    main()
