"""Properties of the gate where a forge was heard, and bodies were compared.

Monotone means here what it means in `test_properties`: less of what supports a build never makes it pass. What speaks
against a build can be lost too, with the log that holds it alone; that the store notices, and no rule of the gate.
Readings of a cache stand in the order of their time, and are no set: the newest is what is there now.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.evidence import EvidenceBundle
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets_tests.gate.cases import KINDS, Bench, good
from flywheel_assets_tests.gate.test_agreement import comparison
from flywheel_assets_tests.gate.test_platform import of, second, with_forge
from flywheel_assets_tests.gate.test_properties import BREAKS, HURTS

AGAINST: dict[str, dict[str, Any]] = {
    "another revision": {"revision": GitRevision("b" * 40)},
    "another branch": {"ref": "topic"},
    "a schedule": {"event": TriggerEvent.SCHEDULE},
    "a fork": {"from_fork": True, "head_repository": "https://github.com/stranger/tools"},
    "somebody else": {"actors": ("someone-else",)},
    "a run that failed": {"ending": Ending.FAILED},
    "no job": {"jobs": ()},
}


def heard(kind: str, against: str | None, broken: str | None) -> Bench:
    """A build whose run and witness the forge knows, and what it says against it."""
    bench = good(kind)
    made = with_forge(bench, of(bench, **(AGAINST[against] if against else {})), second())
    return BREAKS[broken](made) if broken else made


HEARD = st.builds(
    heard,
    st.sampled_from(KINDS),
    st.none() | st.sampled_from(sorted(AGAINST)),
    st.none() | st.sampled_from(sorted(BREAKS)),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("against", sorted(AGAINST))
def test_what_the_forge_says_against_a_good_build_is_enough(kind: str, against: str) -> None:
    assert heard(kind, None, None).passes
    assert not heard(kind, against, None).passes


@given(HEARD, st.lists(HURTS, max_size=3), st.sets(st.integers(0, 1)))
def test_losing_what_the_forge_said_never_turns_a_rejection_into_a_pass(
    bench: Bench, hurts: list[Any], lost: set[int]
) -> None:
    passed = bench.passes
    for hurt in hurts:
        bench = hurt(bench)
    kept = tuple(run for number, run in enumerate(bench.bundle.platform_runs) if number not in lost)
    without = bench.with_bundle(platform_runs=kept)
    assert passed or not without.passes
    assert 0 not in lost or not without.passes, "nobody vouches for its run"


@given(st.data(), HEARD)
def test_the_order_in_which_forges_were_heard_changes_not_a_word(data: st.DataObject, bench: Bench) -> None:
    fields = ("platform_runs", "decisions", "tests")
    orders = {field: tuple(data.draw(st.permutations(getattr(bench.bundle, field)))) for field in fields}
    assert bench.with_bundle(**orders).verdict() == bench.verdict()


@given(HEARD)
def test_the_same_records_give_the_same_bytes(bench: Bench) -> None:
    copy = EvidenceBundle.model_validate_json(bench.bundle.model_dump_json())
    assert replace(bench, bundle=copy).verdict().model_dump_json() == bench.verdict().model_dump_json()


@given(HEARD)
def test_what_was_compared_is_told_and_moves_nothing(bench: Bench) -> None:
    compared = bench.with_bundle(comparisons=comparison(None, "the cached body is empty"))
    answers = [(each.rule, each.verdict, each.reason) for each in bench.verdict().findings]
    assert [(each.rule, each.verdict, each.reason) for each in compared.verdict().findings] == answers
