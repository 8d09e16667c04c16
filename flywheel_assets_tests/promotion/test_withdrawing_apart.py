"""Withdrawals are carried out each by itself, whatever breaks, and take nothing away that others need."""

from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.ledger import PUBLICATION, publications
from flywheel_assets.promotion.needing import kept_for_others
from flywheel_assets.promotion.register import Standing, register
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.withdrawing import all_public, doubted, quarantined, survey
from flywheel_assets_tests.promotion.installation import CHARTS, CLOCK, MAP, Memory
from flywheel_assets_tests.promotion.people import NOTHING
from flywheel_assets_tests.promotion.test_withdrawing import all_published, on_folders, withdraw

IMAGE = "harbor-map-image"


def damage(memory: Memory, output: str, *kinds: str) -> Flywheel:
    """One byte of each document of these kinds in an output's log is another."""
    for entry in memory.evidence.entries(output_log(output)):
        if entry.kind in kinds:
            memory.evidence.blobs[entry.evidence] += b" "
    return memory.but()


# One that fails


def test_a_surface_that_is_down_keeps_nothing_public_on_another_one() -> None:
    memory = all_published()

    def fails(step: str) -> None:
        if step == "withdraw":
            raise UnreadableError("It is down.")

    memory.surfaces["durable-nix"].before = fails
    withdraw(memory.flywheel)
    withdraw(memory.flywheel, IMAGE)
    done, failed = carry_out(memory.flywheel)
    assert [each.output for each in done] == [IMAGE]
    reference = publications(memory.flywheel, "tide-clock")[0].reference
    assert failed == [f"{reference}: not withdrawn yet: It is down."]
    memory.surfaces["durable-nix"].before = lambda _: None
    assert [each.output for each in carry_out(memory.but()).done] == ["tide-clock"]


@pytest.mark.parametrize("kinds", [(RECEIPT,), (PUBLICATION,), (RECEIPT, PUBLICATION)], ids=" and ".join)
@pytest.mark.parametrize("other", ["tide-clock-image", IMAGE])
def test_damaged_evidence_of_another_output_keeps_nothing_public_and_is_listed(
    other: str, kinds: tuple[str, ...]
) -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    flywheel = damage(memory, other, *kinds)
    assert [each.output for each in carry_out(flywheel).done] == ["tide-clock"]
    assert not memory.surfaces["durable-nix"].names
    found = survey(flywheel)
    listed = [each.publication.output for each in doubted(found.public)] + [each.output for each in found.unread]
    assert other in listed, "what cannot be judged counts as public"
    (entry,) = (each for each in register(flywheel) if each.output == other)
    assert entry.state is Standing.PUBLISHED
    assert "cannot be told" in entry.doubt or "was withdrawn" in entry.doubt


def test_what_cannot_be_judged_is_not_taken_for_compromised() -> None:
    memory = all_published()
    flywheel = damage(memory, IMAGE, RECEIPT)
    (found,) = quarantined(flywheel)
    assert found.publication.output == IMAGE
    assert not found.is_compromised


def test_a_log_that_was_cut_hides_no_other_one() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    log = output_log(IMAGE)
    memory.evidence.entries(log)
    memory.evidence.chains[log].pop()
    done, failed = carry_out(memory.but())
    assert [each.output for each in done] == ["tide-clock"]
    assert failed[0].startswith(f"{IMAGE} ?: cannot be told whether it is withdrawn: ")
    assert IMAGE in {each.output for each in register(memory.but())}


def test_a_decision_that_cannot_be_read_is_told_and_stops_no_other_one() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    withdraw(memory.flywheel, IMAGE)
    (first,) = (each.decision for each in all_public(memory.flywheel) if each.publication.output == IMAGE)
    assert first is not None
    memory.evidence.blobs[first] = b"{}"
    done, failed = carry_out(memory.but())
    assert [each.output for each in done] == ["tide-clock"]
    assert failed[0].startswith("a decision cannot be read, and may be a withdrawal: ")


def test_a_decision_is_carried_out_before_what_was_pending_when_it_was_made() -> None:
    memory = all_published()
    for output in ("tide-clock", IMAGE, "tide-clock-image"):
        withdraw(memory.flywheel, output)
    (last,) = publications(memory.flywheel, "tide-clock-image")
    done, _ = carry_out(memory.flywheel, {last.artifact_digest})
    assert done[0].output == "tide-clock-image"
    assert len(done) == 3


def test_a_damaged_record_of_a_withdrawal_is_made_anew() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    carry_out(memory.flywheel)
    flywheel = damage(memory, "tide-clock", "withdrawal")
    memory.clock.move(hours=1)
    assert [each.output for each in carry_out(flywheel).done] == ["tide-clock"]
    assert carry_out(memory.but()) == NOTHING


# What others need


def test_what_a_public_flake_needs_stays_in_the_cache_that_carries_it(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    root = assemble(flywheel, "depth-charts", CHARTS).receipts[0].receipt.artifact.name
    assert root in kept_for_others(flywheel, ())[0]
    (made,) = publications(flywheel, "depth-charts")
    assert root not in kept_for_others(flywheel, {made.artifact_digest})[0]


def test_where_it_cannot_be_told_what_others_need_the_root_goes_and_all_else_stays() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    closure = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact
    flywheel = damage(memory, IMAGE, PUBLICATION)
    (done,) = carry_out(flywheel).done
    assert done.yanked_by
    assert done.unpublished.remaining[0].startswith(f"what {IMAGE} {MAP} needs cannot be told: ")
    members = {member.path for member in getattr(closure, "members", ())}
    assert memory.surfaces["durable-nix"].others == members - {closure.name}


def test_while_closures_go_nobody_publishes_to_that_cache(tmp_path: Path) -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    held: list[str] = []
    claim = memory.evidence.claim

    def watched(name: str) -> Any:
        held.append(name)
        return claim(name)

    memory.evidence.claim = watched  # type: ignore[method-assign]
    carry_out(memory.flywheel)
    writing = {
        f"{target.surface} {name}"
        for name, output in memory.flywheel.catalogue.outputs.items()
        if (target := output.publication)
        and "durable-nix" in {target.surface, target.flake.binaries if target.flake else ""}
    }
    assert len(writing) > 1
    assert held == sorted(writing), "in an order in which two withdrawals never wait for each other"
