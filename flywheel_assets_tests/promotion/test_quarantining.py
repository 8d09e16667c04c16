"""What a quarantine is about, and what is said of it before anybody signs it."""

import pytest

from flywheel_assets.domain.decisions import Act, Decision
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.flywheel import under
from flywheel_assets.promotion.hearing import DECISIONS
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.quarantining import (
    builds_hit,
    quarantine_of_run,
    quarantine_of_signer,
)
from flywheel_assets.promotion.weighing import same_decision
from flywheel_assets_tests.promotion.installation import CLOCK, CLOCK_IMAGE, MAP, Memory, in_memory
from flywheel_assets_tests.promotion.people import decided, key_of, with_people
from flywheel_assets_tests.promotion.test_withdrawing_by_record import without, without_key

REPOSITORY = "https://github.com/tinyland-inc/harbor-tools"


@pytest.fixture
def memory() -> Memory:
    made = in_memory("14402201001", "14402201201", "14402201701", catalogue=with_people())
    take_in(made.flywheel)
    return made


def of_signer(memory: Memory) -> Decision:
    return quarantine_of_signer(memory.flywheel, "tinyland-nix", "It leaked.")


def test_a_signer_is_named_for_people_and_bound_by_its_key(memory: Memory) -> None:
    scope = of_signer(memory).scope
    assert (scope.key, scope.fingerprint) == (
        "tinyland-nix",
        memory.flywheel.catalogue.keys[scope.key or ""].fingerprint,
    )
    assert scope.subject == "tinyland-nix"


def test_the_builds_that_came_of_a_signer_or_a_run_are_counted(memory: Memory) -> None:
    assert builds_hit(memory.flywheel, of_signer(memory)) == {("tide-clock", CLOCK), ("tide-clock-image", CLOCK_IMAGE)}
    of_run = quarantine_of_run(memory.flywheel, REPOSITORY, MAP.run, "It was not what it seemed.")
    assert builds_hit(memory.flywheel, of_run) == {("harbor-map-image", MAP)}
    assert builds_hit(memory.flywheel, quarantine_of_run(memory.flywheel, REPOSITORY, "77", "A mistake.")) == set()


def test_a_run_hit_what_left_the_catalogue_its_output_its_signer_and_its_repository(memory: Memory) -> None:
    named = {name: each for name, each in memory.flywheel.catalogue.repositories.items() if name != REPOSITORY}
    no_repository = under(memory.flywheel, memory.flywheel.catalogue.model_copy(update={"repositories": named}))
    left = without(memory.flywheel, "tide-clock"), without_key(memory.flywheel, "tinyland-nix"), no_repository
    for flywheel in left:
        said = quarantine_of_run(flywheel, REPOSITORY, CLOCK.run, "It leaked.")
        assert builds_hit(flywheel, said) == {("tide-clock", CLOCK)}
    hit = builds_hit(left[0], of_signer(memory))
    assert hit == {("tide-clock", CLOCK), ("tide-clock-image", CLOCK_IMAGE)}


def test_of_a_run_only_its_own_receipts_are_opened(memory: Memory) -> None:
    opened = memory.but()
    said = quarantine_of_run(opened, REPOSITORY, CLOCK.run, "It leaked.")
    assert builds_hit(opened, said) == {("tide-clock", CLOCK)}
    assert len(opened.opened) == 1


@pytest.mark.parametrize("run", ["", "1.1.x86_64-linux", "../1", "1 2", "-1", "1\x1b[2J"])
def test_what_is_no_run_is_refused_with_a_sentence(memory: Memory, run: str) -> None:
    with pytest.raises(UsageError, match="is no run: name it as its receipts do") as refused:
        quarantine_of_run(memory.flywheel, REPOSITORY, run, "It leaked.")
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("repository", ["", f"{REPOSITORY}.git", f"{REPOSITORY}/", REPOSITORY.upper()])
def test_a_repository_that_the_catalogue_does_not_know_is_refused_with_those_that_it_knows(
    memory: Memory, repository: str
) -> None:
    with pytest.raises(UsageError, match=f"knows no repository.*It knows .*{REPOSITORY}"):
        quarantine_of_run(memory.flywheel, repository, CLOCK.run, "It leaked.")


def test_what_is_in_quarantine_is_found_and_what_was_taken_out_of_it_is_not(memory: Memory) -> None:
    said = of_signer(memory)
    assert same_decision(memory.flywheel, said) is None
    decided(memory.flywheel, "bo", Act.QUARANTINE, key="tinyland-nix")
    assert same_decision(memory.flywheel, said) is None, "by its name alone it is not that key"
    decide(memory.flywheel, said, key_of("alva"))
    found = same_decision(memory.flywheel, said)
    assert found is not None
    assert found.who == "alva"
    decided(memory.flywheel, "bo", Act.REVOKE, decision=said.id)
    assert same_decision(memory.flywheel, said) is None


def test_damage_keeps_nobody_from_a_quarantine(memory: Memory) -> None:
    said = of_signer(memory)
    decide(memory.flywheel, said, key_of("alva"))
    for log in (DECISIONS, "output-tide-clock"):
        del memory.evidence.blobs[memory.evidence.chains[log][0].evidence]
    damaged = memory.but()
    assert same_decision(damaged, said) is None
    assert builds_hit(damaged, said) == {("tide-clock-image", CLOCK_IMAGE)}
