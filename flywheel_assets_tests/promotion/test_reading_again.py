"""What a cache could not serve is read again, costs nothing where it reads as before, and is then promoted."""

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge, read_again
from flywheel_assets.promotion.publishing import plan_promotion, promote
from flywheel_assets_tests.fakes import FakeCache
from flywheel_assets_tests.promotion.installation import CLOCK, DIRTY, Memory, in_memory, key, promote_at_once

NOT_SERVED = (
    ReadState.ABSENT,
    ReadState.EMPTY,
    ReadState.TRUNCATED,
    ReadState.UNREADABLE,
    ReadState.UNAUTHORISED,
    ReadState.RATE_LIMITED,
)


@pytest.fixture
def memory() -> Memory:
    made = in_memory("1440220100")
    take_in(made.flywheel)
    return made


@pytest.fixture
def cache(memory: Memory) -> FakeCache:
    return memory.caches["attic-main"]


def unserved(memory: Memory, state: ReadState, detail: str = "", build: BuildKey = CLOCK) -> None:
    root = assemble(memory.flywheel, "tide-clock", build).receipts[0].receipt.artifact
    reading = Reading(member=root.name, state=state, expected_digest=str(root.digest), detail=detail)
    memory.caches["attic-main"].instead[root.name] = reading


@pytest.mark.parametrize("state", NOT_SERVED)
def test_a_promotion_reads_again_what_could_not_be_served(memory: Memory, cache: FakeCache, state: ReadState) -> None:
    unserved(memory, state)
    judge(memory.flywheel, "tide-clock", CLOCK)
    with pytest.raises(PromotionRefusedError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    cache.instead.clear()
    memory.clock.move(minutes=1)
    assert plan_promotion(memory.flywheel, "tide-clock", CLOCK).missing
    assert promote_at_once(memory.flywheel, "tide-clock", CLOCK).publication.build == CLOCK


def test_what_reads_as_before_leaves_nothing_behind_whatever_words_the_cache_has_for_it(
    memory: Memory, cache: FakeCache
) -> None:
    unserved(memory, ReadState.UNREADABLE, "timed out after 3 s")
    judge(memory.flywheel, "tide-clock", CLOCK)
    chains = {log: list(chain) for log, chain in memory.evidence.chains.items()}
    memory.clock.move(minutes=1)
    unserved(memory, ReadState.UNREADABLE, "timed out after 4 s")
    assert not read_again(memory.flywheel, "tide-clock", CLOCK)
    assert cache.reads == 2
    assert memory.evidence.chains == chains
    unserved(memory, ReadState.UNAUTHORISED)
    assert read_again(memory.flywheel, "tide-clock", CLOCK)
    assert judge(memory.flywheel, "tide-clock", CLOCK).verdict.worst.reason == "cache-unauthorised"


def test_nothing_is_read_again_that_was_whole_or_can_never_pass_or_nobody_vouches_for(
    memory: Memory, cache: FakeCache
) -> None:
    unproven, unsigned = key("14402201004"), key("14402201007")
    for build in (DIRTY, unproven):
        unserved(memory, ReadState.ABSENT, build=build)
    for build in (DIRTY, unproven, unsigned):
        judge(memory.flywheel, "tide-clock", build)
    assert not judge(memory.flywheel, "tide-clock", DIRTY).verdict.body_is_whole
    reads = cache.reads
    for build in (DIRTY, unsigned, key("7"), CLOCK):
        assert not read_again(memory.flywheel, "tide-clock", build)
    cache.instead.clear()
    judge(memory.flywheel, "tide-clock", unproven, reread=True)
    assert not read_again(memory.flywheel, "tide-clock", unproven), "what was read whole"
    assert not read_again(memory.flywheel, "nothing", CLOCK)
    assert cache.reads == reads + 1


def test_damaged_evidence_is_no_reason_to_read(memory: Memory, cache: FakeCache) -> None:
    unserved(memory, ReadState.ABSENT)
    judge(memory.flywheel, "tide-clock", CLOCK)
    (inspected,) = assemble(memory.flywheel, "tide-clock", CLOCK).inspections
    memory.evidence.blobs[inspected.evidence] += b" "
    assert not read_again(memory.but(), "tide-clock", CLOCK)
    assert cache.reads == 1
