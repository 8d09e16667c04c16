"""Nobody approves what they triggered, though it was another run, of another revision, that got the same artifact."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flywheel_assets.catalog.models import SourceKind
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.gate.approvals import has_started
from flywheel_assets.promotion.assembling import assemble, basis_of
from flywheel_assets.promotion.flywheel import under
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.proposing import case_of
from flywheel_assets.promotion.replaying import Outcome, replay
from flywheel_assets_tests.promotion.forged import forged, receipt_of
from flywheel_assets_tests.promotion.installation import Memory, in_memory, key, trusting
from flywheel_assets_tests.promotion.people import NAMES, approve, with_people
from flywheel_assets_tests.promotion.test_reading import OUTPUT, SIGNER, deliver, differs


@pytest.fixture
def memory() -> Memory:
    return in_memory("nothing", catalogue=with_people(needed=1, catalogue=trusting("tinyland-nix", SIGNER)))


def started(by: str, revision: str = "", content: Callable[[Any], object] = lambda _: None) -> Callable[[Any], None]:
    def change(statement: dict[str, Any]) -> None:
        build = statement["predicate"]["buildDefinition"]
        build["internalParameters"]["trigger"]["actor"] = f"{by}-forge"
        if revision:
            build["resolvedDependencies"][0]["digest"]["gitCommit"] = revision * 40
        content(statement)

    return change


def starters(memory: Memory, build: BuildKey) -> list[str]:
    return [name for name in NAMES if has_started(case_of(memory.flywheel, OUTPUT, build), name)]


def test_who_started_any_run_that_got_the_same_has_started_it(memory: Memory) -> None:
    mine = deliver(memory, 1, change=started("alva"))
    assert starters(memory, mine) == ["alva"]
    deliver(memory, 2, change=started("bo"))
    deliver(memory, 3, change=started("cleo", revision="c"))
    assert starters(memory, mine) == ["alva", "bo", "cleo"]


def test_who_started_what_got_something_else_has_not(memory: Memory) -> None:
    mine = deliver(memory, 1, change=started("alva"))
    deliver(memory, 2, change=started("bo", revision="b", content=differs))
    assert starters(memory, mine) == ["alva"]


def test_an_approval_by_who_started_the_same_of_another_revision_counts_no_more_and_that_is_replayed(
    memory: Memory,
) -> None:
    mine = deliver(memory, 1, change=started("alva"))
    approve(memory.flywheel, "cleo", OUTPUT, mine)
    said = [judge(memory.flywheel, OUTPUT, mine).verdict]
    deliver(memory, 2, change=started("cleo", revision="c"))
    said.append(judge(memory.flywheel, OUTPUT, mine).verdict)
    found = [next(each for each in verdict.findings if each.rule == "approvals_are_given") for verdict in said]
    assert [each.reason for each in found] == ["holds", "approval-missing"]
    assert "alva, cleo started a run of it" in found[1].message
    assert {each.outcome for each in replay(memory.but(), OUTPUT, mine)} == {Outcome.REPRODUCED}


def test_more_runs_by_the_same_person_change_nothing(memory: Memory) -> None:
    mine = deliver(memory, 1, change=started("alva"))
    deliver(memory, 2, change=started("bo", revision="b"))
    before = assemble(memory.flywheel, OUTPUT, mine)
    assert [each.receipt.run.key.run for each in before.starters] == ["2"]
    for number, (name, revision) in enumerate((("alva", "a"), ("bo", "b"), ("bo", "d")), start=3):
        deliver(memory, number, change=started(name, revision))
    assert assemble(memory.flywheel, OUTPUT, mine) == before


def test_where_no_approval_is_asked_for_who_else_started_the_same_changes_nothing_until_somebody_approves() -> None:
    catalogue = with_people(needed=0, catalogue=trusting("tinyland-nix", SIGNER))
    memory = in_memory("nothing", catalogue=catalogue)
    mine = deliver(memory, 1, change=started("alva"))
    before = basis_of(memory.flywheel, assemble(memory.flywheel, OUTPUT, mine))
    deliver(memory, 2, change=started("cleo", revision="c"))
    assert basis_of(memory.flywheel, assemble(memory.flywheel, OUTPUT, mine)) == before
    approve(memory.flywheel, "bo", OUTPUT, mine, "older-than-channel")
    assert starters(memory, mine) == ["alva", "cleo"]


def test_runs_of_whom_nobody_in_the_catalogue_started_change_nothing(memory: Memory) -> None:
    mine = deliver(memory, 1, change=started("alva"))
    before = assemble(memory.flywheel, OUTPUT, mine)
    for number in range(2, 6):
        deliver(memory, number, attempt=number % 2 + 1, change=started(f"mallory-{number}", revision=str(number)))
    assert assemble(memory.flywheel, OUTPUT, mine) == before


def test_who_had_a_run_done_again_has_started_it_once_the_forge_tells_of_it() -> None:
    with forged(SourceKind.GITHUB) as flow:
        flow.flywheel = under(flow.flywheel, with_people(needed=1, catalogue=flow.flywheel.catalogue))
        mine, *others = (flow.build(sha=f"{n}" * 40) for n in range(1, 5))
        flow.forge.end(mine)
        for run, by in zip(others, ("mallory", "bo-forge", "bo-forge"), strict=True):
            flow.forge.end(run)
            flow.forge.run_again(run)
            flow.forge.end(run)
            revision = {"gitCommit": run.sha}
            flow.memory.inbox.documents[f"{run.id}.json"] = receipt_of(run, 2, partial(from_source, digest=revision))
            run.actor = by
        flow.memory.inbox.documents[f"{mine.id}.json"] = receipt_of(
            mine, 1, partial(from_source, digest={"gitCommit": mine.sha})
        )
        take_in(flow.flywheel)
        build = key(f"{mine.id}.1.x86_64-linux")

        def found() -> list[str]:
            return [str(each.receipt.run.key.run) for each in assemble(flow.flywheel, OUTPUT, build).starters]

        assert found() == [], "nobody was asked yet"
        flow.tick()
        assert found() == [str(others[1].id)], "the first is of who approves nothing, the last of who is known already"
        assert has_started(case_of(flow.flywheel, OUTPUT, build), "bo")


def from_source(statement: dict[str, Any], digest: dict[str, str]) -> None:
    statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]["digest"] = digest
