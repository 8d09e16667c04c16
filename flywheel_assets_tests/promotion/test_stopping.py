"""A promotion under way is stopped by what people decide, and by what runs out, until the moment that it is visible."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from flywheel_assets.catalog.models import Catalogue, GateException
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import PromotionRefusedError, PublicationError
from flywheel_assets.promotion.approving import approved_now, demand_still_approved
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.summaries import ReadSummary
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.fakes import nothing
from flywheel_assets_tests.promotion.installation import CLOCK, MAP, OLDER, Memory, in_memory, sample_catalogue
from flywheel_assets_tests.promotion.people import approve, decided, key_of, with_people

BEFORE_VISIBLE = ("claim", "plan", "copy", "slot", "attach", "reveal")
AFTER_VISIBLE = ("read_back", "proofs")


def ready() -> Memory:
    """A build of tide-clock, which needs two approvals."""
    memory = in_memory("14402201001", catalogue=with_people())
    take_in(memory.flywheel)
    return memory


def approved(memory: Memory) -> list[Decision]:
    return [approve(memory.flywheel, name, "tide-clock", CLOCK) for name in ("alva", "bo")]


def digest_of(flywheel: Flywheel) -> Sha256:
    receipt = assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt
    return Sha256.from_hex(receipt.artifact.digest.hex)


def hold(memory: Memory, _given: list[Decision]) -> None:
    decided(memory.but(), "cleo", Act.HOLD, output="tide-clock")


def hold_all(memory: Memory, _given: list[Decision]) -> None:
    decided(memory.but(), "cleo", Act.HOLD)


def withdraw(memory: Memory, _given: list[Decision]) -> None:
    decided(memory.but(), "cleo", Act.WITHDRAW, output="tide-clock", digest=digest_of(memory.but()))


def quarantine(memory: Memory, _given: list[Decision]) -> None:
    decided(memory.but(), "cleo", Act.QUARANTINE, key="tinyland-nix")


def revoke(memory: Memory, given: list[Decision]) -> None:
    decided(memory.but(), "bo", Act.REVOKE, decision=given[1].id)


def expire(memory: Memory, _given: list[Decision]) -> None:
    memory.clock.move(days=8)


STOPS: dict[str, Callable[[Memory, list[Decision]], None]] = {
    "held": hold,
    "everything held": hold_all,
    "withdrawn": withdraw,
    "quarantined": quarantine,
    "approval revoked": revoke,
    "approvals expired": expire,
}
REASONS = {"everything held": "held", "approval revoked": "approval-missing", "approvals expired": "approval-missing"}


def interrupted(memory: Memory, step: str, action: Callable[[], object]) -> None:
    """Let ``action`` happen once, right before a step."""
    done: list[bool] = []

    def hook(name: str) -> None:
        if name == step and not done:
            done.append(True)
            action()

    memory.evidence.before = hook
    for surface in memory.surfaces.values():
        surface.before = hook


@pytest.mark.parametrize("step", BEFORE_VISIBLE)
@pytest.mark.parametrize("what", STOPS)
def test_nothing_becomes_visible_once_it_is_stopped(what: str, step: str) -> None:
    memory = ready()
    given = approved(memory)
    interrupted(memory, step, lambda: STOPS[what](memory, given))
    with pytest.raises(PromotionRefusedError) as refused:
        promote(memory.flywheel, "tide-clock", CLOCK)
    assert refused.value.verdict.worst.reason == REASONS.get(what, what)
    surface = memory.surfaces["durable-nix"]
    assert "read_back" not in surface.steps
    assert surface.names == {}
    if step in {"claim", "plan", "copy"}:
        assert surface.attached == {}
        assert memory.evidence.slots == {}, "nothing is signed for it either"
    assert publications(memory.flywheel, "tide-clock") == []
    assert last_failure(memory.flywheel, "tide-clock", CLOCK) is None, "the verdict says it: nothing failed"


@pytest.mark.parametrize("step", AFTER_VISIBLE)
def test_what_is_visible_already_is_recorded_although_it_is_held_by_then(step: str) -> None:
    memory = ready()
    given = approved(memory)
    interrupted(memory, step, lambda: hold(memory, given))
    promote(memory.flywheel, "tide-clock", CLOCK)
    assert len(publications(memory.flywheel, "tide-clock")) == 1
    assert not judge(memory.flywheel, "tide-clock", CLOCK).verdict.publishable


@pytest.mark.parametrize("step", BEFORE_VISIBLE)
def test_it_goes_on_where_it_stopped_once_the_hold_is_revoked(step: str) -> None:
    memory = ready()
    given = approved(memory)
    interrupted(memory, step, lambda: hold(memory, given))
    with pytest.raises(PromotionRefusedError):
        promote(memory.flywheel, "tide-clock", CLOCK)
    interrupted(memory, "", lambda: None)
    held = next(
        d.decision for d in assemble(memory.flywheel, "tide-clock", CLOCK).decisions if d.decision.act is Act.HOLD
    )
    memory.clock.move(seconds=1)
    decided(memory.flywheel, "alva", Act.REVOKE, decision=held.id)
    promote(memory.but(), "tide-clock", CLOCK)
    assert len(publications(memory.flywheel, "tide-clock")) == 1


def test_another_process_stops_a_copy_that_is_under_way(tmp_path: Path) -> None:
    """On folders: the hold is written by a flywheel that shares nothing but the files."""
    overlay = tmp_path / "people.yaml"
    public = key_of("cleo").public_key.replace("\n", "\n        ")
    overlay.write_text(
        "people:\n  cleo:\n    name: Cleo\n    contact: cleo@example.org\n    may: [hold]\n    keys:\n"
        f"      - |\n        {public}\n",
        encoding="utf-8",
    )
    chosen = Settings(tmp_path / "home", (*SAMPLE_CATALOGUE, overlay))
    flywheel, other = open_flywheel(chosen), open_flywheel(chosen)
    copied: list[int] = []
    take_in(flywheel)

    def progress(count: int) -> None:
        if not copied and (chosen.home / "surfaces" / "durable-nix").exists():
            now = other.clock()
            decision = Decision(act=Act.HOLD, scope=Scope(output="tide-clock"), reason="Stop.", made_at=now)
            decide(other, decision, key_of("cleo"))
            copied.append(count)

    with pytest.raises(PromotionRefusedError, match="held"):
        promote(flywheel, "tide-clock", CLOCK, progress)
    assert copied, "the hold came while bytes were copied"
    assert list((chosen.home / "surfaces" / "durable-nix").glob("*.narinfo")) == []


def test_whoever_starts_a_workflow_asks_in_the_same_way() -> None:
    memory = ready()
    given = approved(memory)
    judge(memory.flywheel, "tide-clock", CLOCK)
    let_out = approved_now(memory.flywheel, "tide-clock", CLOCK)
    demand_still_approved(memory.flywheel, let_out)
    hold(memory, given)
    with pytest.raises(PromotionRefusedError):
        demand_still_approved(memory.flywheel, let_out)


# Approvals


def test_an_older_build_goes_out_once_as_many_people_accept_it() -> None:
    memory = in_memory("14402201001", "14402201006", catalogue=with_people(needed=0))
    take_in(memory.flywheel)
    promote(memory.flywheel, "tide-clock", CLOCK)
    with pytest.raises(PromotionRefusedError, match="older-than-channel"):
        promote(memory.flywheel, "tide-clock", OLDER)
    approve(memory.flywheel, "alva", "tide-clock", OLDER, "older-than-channel")
    promote(memory.flywheel, "tide-clock", OLDER)
    assert [each.build for each in publications(memory.flywheel, "tide-clock")] == [CLOCK, OLDER]


# Exceptions


def excepting(until: timedelta) -> Catalogue:
    """A catalogue that asks an image for one more validation, and lets its lack pass for a time."""
    catalogue = sample_catalogue()
    entry = catalogue.outputs["harbor-map-image"]
    now = in_memory("none").clock()
    exception = GateException(
        rule="validation_is_green",
        reason="validation-missing",
        validations=("fuzzing",),
        output="harbor-map-image",
        owner=entry.owner,
        because="Its fuzzer is being moved.",
        until=now + until,
    )
    changed = entry.model_copy(update={"validations": (*entry.validations, "fuzzing")})
    return catalogue.model_copy(
        update={
            "outputs": {**catalogue.outputs, "harbor-map-image": changed},
            "exceptions": {"map-unfuzzed": exception},
        }
    )


def levels(memory: Memory, envelope: bytes) -> list[str]:
    return ReadSummary(memory.flywheel.verifier.check(envelope, "vsa", {}).payload, "vsa").levels


def test_what_an_exception_lets_out_says_so_in_both_summaries_and_only_that() -> None:
    for catalogue, told in ((sample_catalogue(), []), (excepting(timedelta(days=3)), ["FLYWHEEL_WITH_EXCEPTION"])):
        memory = in_memory("14402201701", catalogue=catalogue)
        take_in(memory.flywheel)
        recorded = judge(memory.flywheel, "harbor-map-image", MAP).recorded
        assert recorded.vsa
        assert levels(memory, memory.evidence.get(recorded.vsa))[1:] == ["FLYWHEEL_VALIDATED", *told]
        promote(memory.flywheel, "harbor-map-image", MAP)
        (vsa,) = [held["vsa"].data for held in memory.surfaces["ghcr"].attached.values()]
        assert levels(memory, vsa)[1:] == ["FLYWHEEL_VALIDATED", "FLYWHEEL_PROMOTED", *told]


def test_an_exception_that_ends_stops_a_promotion_under_way() -> None:
    memory = in_memory("14402201701", catalogue=excepting(timedelta(days=3)))
    take_in(memory.flywheel)
    interrupted(memory, "attach", lambda: memory.clock.move(days=3))
    with pytest.raises(PromotionRefusedError, match="validation-missing"):
        promote(memory.flywheel, "harbor-map-image", MAP)
    assert memory.surfaces["ghcr"].names == {}


def test_a_summary_from_before_the_exception_does_not_speak_for_what_goes_out_by_it() -> None:
    memory = in_memory("14402201701")
    take_in(memory.flywheel)

    def down() -> None:
        raise PublicationError("down")

    interrupted(memory, "reveal", down)
    with pytest.raises(PublicationError, match="down"):
        promote(memory.flywheel, "harbor-map-image", MAP)
    memory.surfaces["ghcr"].before = nothing
    later = memory.but(catalogue=excepting(timedelta(days=3)))
    with pytest.raises(PublicationError, match="says that every rule holds"):
        promote(later, "harbor-map-image", MAP)
    assert memory.surfaces["ghcr"].names == {}
    promote(memory.but(), "harbor-map-image", MAP)
    promote(later, "harbor-map-image", MAP)  # what is public already stays as it is
    assert len(publications(memory.flywheel, "harbor-map-image")) == 1
