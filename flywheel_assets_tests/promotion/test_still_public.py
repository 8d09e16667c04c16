"""What is said of what is public to whoever holds or withdraws it: before they find out that it stays, or goes."""

import pytest

from flywheel_assets.domain.decisions import Scope
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.still_public import what_a_hold_leaves, where_it_is
from flywheel_assets_tests.promotion.installation import CLOCK, in_memory, publication_of, published


@pytest.fixture(scope="module")
def flywheel() -> Flywheel:
    return published().open()


def scope_of(output: str) -> Scope:
    return Scope(output=output, digest=publication_of(output).artifact_digest)


def test_what_is_held_is_told_to_stay_where_it_is_public(flywheel: Flywheel) -> None:
    assert what_a_hold_leaves(flywheel, Scope(output="tide-clock")) == (
        f"It is public at {publication_of('tide-clock').reference}, and stays so: "
        f"`flywheel withdraw tide-clock {CLOCK}` takes it away."
    )


@pytest.mark.parametrize("scope", [Scope(), Scope(builder="tinyland-nix")], ids=["everything", "a builder"])
def test_of_a_wider_hold_it_is_said_where_all_that_is_public_is_listed(flywheel: Flywheel, scope: Scope) -> None:
    assert what_a_hold_leaves(flywheel, scope).startswith("What is public stays so: `flywheel register` lists that")


@pytest.mark.parametrize("scope", [Scope(), Scope(output="tide-clock")], ids=["everything", "an output"])
def test_where_nothing_is_public_a_hold_leaves_nothing(scope: Scope) -> None:
    assert what_a_hold_leaves(in_memory("14402201001").flywheel, scope) == ""


def test_what_is_to_be_withdrawn_is_told_with_where_it_is_and_who_takes_it_away_there(flywheel: Flywheel) -> None:
    clock, image = publication_of("tide-clock"), publication_of("runner-dashboard-image")
    assert where_it_is(flywheel, scope_of("tide-clock")) == [
        f"public at {clock.reference}, and taken off {clock.surface}"
    ]
    (observed,) = where_it_is(flywheel, scope_of("runner-dashboard-image"))
    assert observed.startswith(f"public at {image.reference}, which ")
    assert observed.endswith(" must take away there")


def test_what_was_never_public_is_told_to_be_so(flywheel: Flywheel) -> None:
    scope = Scope(output="tide-clock", digest=Sha256.of(b"never"))
    assert where_it_is(flywheel, scope) == ["public nowhere, and never to be"]
