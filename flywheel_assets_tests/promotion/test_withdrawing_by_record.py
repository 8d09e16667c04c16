"""Withdrawals go by what was published, whatever the catalogue says since, and however early its record was made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.domain.artifacts import NixClosure, OciImage
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE, canonical
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.dispatches import dispatches, note
from flywheel_assets.promotion.flywheel import Flywheel, under
from flywheel_assets.promotion.intake import output_log, take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import PUBLICATION, publications, withdrawals
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import Standing, register, restate
from flywheel_assets.promotion.unpublishing import carry_out
from flywheel_assets.promotion.withdrawing import quarantined, withdrawal_of
from flywheel_assets.promotion.yanking import told
from flywheel_assets.wiring.installation import release_nix_key
from flywheel_assets.wiring.surfaces import open_surfaces
from flywheel_assets_tests.promotion.installation import CHARTS, CLOCK, CLOCK_IMAGE, MAP
from flywheel_assets_tests.promotion.people import NOTHING, decided, key_of
from flywheel_assets_tests.promotion.test_withdrawing import (
    all_published,
    built_on_another_builder,
    on_folders,
    withdraw,
)

IMAGE = "harbor-map-image"


def without(flywheel: Flywheel, *names: str) -> Flywheel:
    """Outputs left the catalogue, and nothing is said any more to be built from them."""
    outputs = {name: each for name, each in flywheel.catalogue.outputs.items() if name not in names}
    for name, each in outputs.items():
        outputs[name] = each.model_copy(update={"built_from": tuple(set(each.built_from) - set(names))})
    return under(flywheel, flywheel.catalogue.model_copy(update={"outputs": outputs}))


def with_target(flywheel: Flywheel, output: str, **fields: Any) -> Flywheel:
    """The catalogue says something else of where an output goes."""
    entry = flywheel.catalogue.outputs[output]
    assert entry.publication
    changed = entry.model_copy(update={"publication": entry.publication.model_copy(update=fields)})
    outputs = {**flywheel.catalogue.outputs, output: changed}
    return under(flywheel, flywheel.catalogue.model_copy(update={"outputs": outputs}))


def other_tags(flywheel: Flywheel) -> Flywheel:
    return with_target(flywheel, IMAGE, tags=("v-{revision}",), moving_tags=())


def another_repository(flywheel: Flywheel) -> Flywheel:
    return with_target(flywheel, IMAGE, repository="elsewhere/harbor-map")


def no_publication(flywheel: Flywheel) -> Flywheel:
    outputs = dict(flywheel.catalogue.outputs)
    outputs[IMAGE] = outputs[IMAGE].model_copy(update={"publication": None})
    return under(flywheel, flywheel.catalogue.model_copy(update={"outputs": outputs}))


def no_output(flywheel: Flywheel) -> Flywheel:
    return without(flywheel, IMAGE)


def no_output_names_its_surface(flywheel: Flywheel, home: Path) -> Flywheel:
    """As a new process opens it, once all images left."""
    left = without(flywheel, *(name for name in flywheel.catalogue.outputs if name.endswith("-image")))
    return replace(left, surfaces=open_surfaces(home, left.catalogue, left.caches, release_nix_key(home / "keys")))


CHANGES: dict[str, Callable[[Flywheel, Path], Flywheel]] = {
    "other tags": lambda flywheel, _: other_tags(flywheel),
    "another repository": lambda flywheel, _: another_repository(flywheel),
    "no publication": lambda flywheel, _: no_publication(flywheel),
    "no output": lambda flywheel, _: no_output(flywheel),
    "no output on the surface": no_output_names_its_surface,
}


def layout_of(flywheel: Flywheel, home: Path) -> tuple[OciLayout, OciImage]:
    image = assemble(flywheel, IMAGE, MAP).receipts[0].receipt.artifact
    assert isinstance(image, OciImage)
    (made,) = publications(flywheel, IMAGE)
    return OciLayout(home / "surfaces/ghcr", made.repository or ""), image


def forget_names(flywheel: Flywheel) -> None:
    """The record is one of an earlier version, which said no names but the reference."""
    (made,) = publications(flywheel, IMAGE)
    said = made.model_dump(mode="json")
    document = canonical({name: said[name] for name in said if name not in {"repository", "tags", "moving", "root"}})
    entries = flywheel.evidence.entries

    def earlier(log: str) -> Any:
        found = entries(log)
        digest = flywheel.evidence.put(document)
        if log != output_log(IMAGE):
            return found
        return tuple(replace(entry, evidence=digest) if entry.kind == PUBLICATION else entry for entry in found)

    flywheel.evidence.entries = earlier  # type: ignore[method-assign]
    assert publications(flywheel, IMAGE)[0].repository is None


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("is_earlier", [False, True], ids=["", "record of an earlier version"])
def test_an_image_goes_by_the_names_it_was_given_and_by_all_others_that_it_has(
    tmp_path: Path, change: Callable[[Flywheel, Path], Flywheel], is_earlier: bool
) -> None:
    flywheel, home = on_folders(tmp_path), tmp_path / "home"
    layout, image = layout_of(flywheel, home)
    if is_earlier:
        forget_names(flywheel)
    tagged = layout.tags_of(image.manifest)
    assert tagged
    found = layout.tag(tagged[0])
    assert found is not None
    layout.set_names({"set-by-hand": found.model_dump(mode="json", by_alias=True, exclude_none=True)}, moving=[])
    changed = change(flywheel, home)
    withdraw(changed, IMAGE)
    done, failed = carry_out(changed)
    assert failed == []
    assert [next(told([each])) for each in done] == [
        f"{done[0].reference}: withdrawn, {len(tagged) + 1} names removed, and marked."
    ]
    assert layout.tags_of(image.manifest) == ()
    (entry,) = (each for each in register(changed) if each.output == IMAGE)
    assert (entry.state, entry.problem) == (Standing.WITHDRAWN, "")
    assert carry_out(changed) == NOTHING


def test_an_earlier_record_of_a_surface_that_moved_tells_no_repository_and_people_must_delete(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    forget_names(flywheel)
    surfaces = dict(flywheel.catalogue.surfaces)
    surfaces["ghcr"] = surfaces["ghcr"].model_copy(update={"url": "file:somewhere/else"})
    moved = under(flywheel, flywheel.catalogue.model_copy(update={"surfaces": surfaces}))
    withdraw(moved, IMAGE)
    (done,) = carry_out(moved).done
    assert done.unpublished.removed == ()
    assert done.yanked_by


def test_an_image_that_somebody_deleted_with_its_manifest_is_withdrawn_without_a_mark_beside_it(tmp_path: Path) -> None:
    flywheel, home = on_folders(tmp_path), tmp_path / "home"
    layout, image = layout_of(flywheel, home)
    (layout.path / "blobs/sha256" / image.manifest.hex).unlink()
    withdraw(flywheel, IMAGE)
    (done,) = carry_out(flywheel).done
    assert done.yanked_by == ""
    assert layout.tags_of(image.manifest) == ()


# What left the catalogue


def test_what_left_the_catalogue_can_be_put_in_quarantine_and_withdrawn() -> None:
    memory = all_published()
    left = without(memory.flywheel, "tide-clock")
    decided(left, "bo", Act.QUARANTINE, key="tinyland-nix")
    assert "tide-clock" in {each.publication.output for each in quarantined(left)}
    withdraw(left)
    assert [each.output for each in carry_out(left).done] == ["tide-clock"]
    assert not memory.surfaces["durable-nix"].names


def test_what_was_decided_before_an_output_left_is_carried_out_all_the_same() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    left = without(memory.flywheel, "tide-clock")
    assert next(e.state for e in register(left) if e.output == "tide-clock") is Standing.WITHDRAWING
    assert [each.output for each in carry_out(left).done] == ["tide-clock"]
    (entry,) = (each for each in register(left) if each.output == "tide-clock")
    assert (entry.state, entry.problem) == (Standing.WITHDRAWN, ""), "nobody need answer for it any more"
    with pytest.raises(UsageError, match="knows no output"):
        restate(left, "tide-clock")


def test_what_was_built_from_an_output_that_left_the_catalogue_is_still_found_by_its_digest() -> None:
    memory = all_published()
    repository = memory.flywheel.catalogue.outputs["tide-clock"].repository
    left = without(memory.flywheel, "tide-clock")
    decided(left, "bo", Act.QUARANTINE, repository=repository, run=CLOCK.run)
    found = {each.publication.build: each.doubt and each.doubt.reason for each in quarantined(left)}
    assert found == {CLOCK: "quarantined", CLOCK_IMAGE: "built-from-quarantined"}


def without_key(flywheel: Flywheel, *names: str) -> Flywheel:
    """Keys left the catalogue."""
    keys = {name: key for name, key in flywheel.catalogue.keys.items() if name not in names}
    return under(flywheel, flywheel.catalogue.model_copy(update={"keys": keys}))


def doubts(flywheel: Flywheel) -> dict[str, str]:
    return {each.publication.output: each.doubt.reason for each in quarantined(flywheel) if each.doubt}


@pytest.mark.parametrize("what", ["key", "run"])
def test_what_was_built_from_the_output_of_a_signer_that_left_is_in_doubt_while_one_is_in_quarantine(what: str) -> None:
    memory = built_on_another_builder()
    promote(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    catalogue = memory.flywheel.catalogue
    left = without_key(memory.flywheel, "tinyland-nix")
    assert doubts(left) == {"tide-clock": "no-authentic-receipt"}, "the signer retired, and nobody doubts anything"
    scope: dict[str, Any] = {
        "key": {"key": "tinyland-nix", "fingerprint": catalogue.keys["tinyland-nix"].fingerprint},
        "run": {"repository": catalogue.outputs["tide-clock"].repository, "run": CLOCK.run},
    }[what]
    said = decided(memory.flywheel, "bo", Act.QUARANTINE, **scope)
    assert doubts(memory.flywheel)["tide-clock-image"] == "built-from-quarantined"
    assert doubts(left)["tide-clock-image"] == "dependency-unresolved"
    decided(memory.flywheel, "bo", Act.REVOKE, decision=said.id)
    assert doubts(left) == {"tide-clock": "no-authentic-receipt"}


def test_a_receipt_of_a_stranger_puts_nothing_in_doubt_while_something_is_in_quarantine() -> None:
    memory = all_published()
    repository = memory.flywheel.catalogue.outputs["tide-clock"].repository
    decided(memory.flywheel, "bo", Act.QUARANTINE, repository=repository, run="1")
    mine = assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt
    artifact = mine.artifact
    assert isinstance(artifact, NixClosure)
    member = next(each for each in artifact.members if each.path != artifact.root)
    alone = NixClosure(root=member.path, deriver=None, members=(member.model_copy(update={"references": ()}),))
    run = mine.run.model_copy(update={"key": BuildKey(run="666", attempt=1, system="x86_64-linux")})
    for number, made in enumerate((alone, artifact)):
        statement = receipt_statement(Receipt(output="tide-clock", run=run, artifact=made))
        memory.inbox.documents[f"{number}.json"] = key_of("stranger").sign(statement, PAYLOAD_TYPE)
    assert take_in(memory.flywheel).total == 2
    assert doubts(memory.but()) == {}


def test_what_was_built_from_what_is_withdrawn_is_known_by_the_digest_though_the_signer_left() -> None:
    memory = built_on_another_builder()
    promote(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    withdraw(memory.flywheel)
    left = without_key(memory.flywheel, "tinyland-nix")
    assert doubts(left)["tide-clock-image"] == "built-from-withdrawn"
    assert "built-from-withdrawn" in {
        found.reason for found in judge(left, "tide-clock-image", CLOCK_IMAGE).verdict.findings
    }


def test_an_output_that_never_went_out_and_is_not_catalogued_cannot_be_withdrawn() -> None:
    memory = all_published()
    with pytest.raises(UsageError, match="knows no output 'sounding-line'"):
        withdrawal_of(without(memory.flywheel, "sounding-line"), "sounding-line", CLOCK, "It sinks ships.")


def test_what_is_withdrawn_already_is_not_signed_a_second_time() -> None:
    memory = all_published()
    withdraw(memory.flywheel)
    with pytest.raises(UsageError, match=r"was withdrawn already, by alva on 2026-11-23: It sinks ships\."):
        withdraw(memory.flywheel)


# What people yanked


def test_a_release_that_was_yanked_is_so_in_the_register_and_owes_nothing_once_it_is_withdrawn(tmp_path: Path) -> None:
    flywheel = on_folders(tmp_path)
    last = dispatches(flywheel, "depth-charts", CHARTS)[-1]
    note(flywheel, last.model_copy(update={"state": DispatchState.YANKED, "at": flywheel.clock()}))
    (entry,) = (each for each in register(flywheel) if each.output == "depth-charts")
    assert entry.state is Standing.YANKED
    decide(flywheel, withdrawal_of(flywheel, "depth-charts", CHARTS, "It sinks ships."), key_of("alva"))
    (done,) = carry_out(flywheel).done
    assert done.yanked_by == ""
    (entry,) = (each for each in register(flywheel) if each.output == "depth-charts")
    assert entry.state is Standing.WITHDRAWN


def test_the_record_of_a_publication_says_by_which_names_it_went_out() -> None:
    memory = all_published()
    (image,) = publications(memory.flywheel, IMAGE)
    (closure,) = publications(memory.flywheel, "tide-clock")
    target = memory.flywheel.catalogue.outputs[IMAGE].publication
    assert target
    assert image.repository == target.repository
    assert set(image.moving) == set(target.moving_tags) <= set(image.tags)
    assert f"sha-{str(image.revision)[:12]}" in image.tags
    assert closure.root == assemble(memory.flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact.name
    assert withdrawals(memory.flywheel, IMAGE) == []
