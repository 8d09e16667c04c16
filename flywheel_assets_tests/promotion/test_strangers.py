"""What nobody trusted signed may neither help nor harm a build, from the inbox through to the surface."""

import base64
import json
import threading
from typing import Any

import pytest

from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import Judgement, judge
from flywheel_assets.promotion.ledger import publications
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    OLDER,
    Memory,
    a_signer,
    in_memory,
    key,
    resigned,
    statement_of,
)

OLD = "14402201006-tide-clock.json"


def unsigned(document: bytes, change: Any) -> bytes:
    statement = statement_of(document)
    change(statement)
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": []}
    return json.dumps(envelope).encode()


def written(judgement: Judgement) -> str:
    return judgement.recorded.model_dump_json()


def dated(year: int) -> Any:
    def change(statement: dict[str, Any]) -> None:
        source = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
        assert source["name"] == "source"
        source["annotations"]["committedAt"] = f"{year}-01-01T00:00:00+00:00"

    return change


@pytest.mark.parametrize("year", [1999, 2019, 2026, 2099])
@pytest.mark.parametrize("signed", [False, True])
def test_a_strangers_receipt_of_the_same_run_changes_no_bundle_and_no_verdict(year: int, *, signed: bool) -> None:
    memory = in_memory("14402201001", "14402201006")
    take_in(memory.flywheel)
    promote(memory.flywheel, "tide-clock", CLOCK)
    before = assemble(memory.flywheel, "tide-clock", OLDER)
    first = judge(memory.flywheel, "tide-clock", OLDER)
    assert first.verdict.worst.reason == "older-than-channel"
    document = memory.inbox.documents[OLD]
    memory.inbox.documents["forged.json"] = (
        resigned(document, a_signer("stranger"), dated(year)) if signed else unsigned(document, dated(year))
    )
    assert take_in(memory.flywheel).total == 1
    assert assemble(memory.flywheel, "tide-clock", OLDER) == first.bundle
    assert before.receipts == first.bundle.receipts
    assert written(judge(memory.flywheel, "tide-clock", OLDER)) == written(first)
    with pytest.raises(PromotionRefusedError, match="older-than-channel"):
        promote(memory.flywheel, "tide-clock", OLDER)


def test_many_strangers_on_a_build_without_a_receipt_of_its_own_make_one_verdict() -> None:
    memory = in_memory("14402201007")
    take_in(memory.flywheel)
    first = judge(memory.flywheel, "tide-clock", key("14402201007"))
    name = "14402201007-tide-clock.json"
    for number in range(5):
        memory.inbox.documents[f"more-{number}.json"] = unsigned(memory.inbox.documents[name], dated(2000 + number))
    assert take_in(memory.flywheel).total == 5
    again = judge(memory.flywheel, "tide-clock", key("14402201007"))
    assert written(again) == written(first)
    assert again.verdict.worst.reason == "receipt-unsigned"


def test_an_older_build_that_is_being_copied_cannot_land_after_a_newer_one(memory: Memory) -> None:
    """The claim holds the channel: a newer build waits until the older one is recorded."""
    waiting: list[threading.Thread] = []

    def newer_comes(step: str) -> None:
        if step == "copy" and not waiting:
            waiting.append(threading.Thread(target=promote, args=(memory.but(), "tide-clock", CLOCK)))
            waiting[0].start()
            waiting[0].join(0.3)

    memory.surfaces["durable-nix"].before = newer_comes
    promote(memory.flywheel, "tide-clock", OLDER)
    waiting[0].join(30)
    assert [publication.build for publication in publications(memory.flywheel, "tide-clock")] == [OLDER, CLOCK]


@pytest.fixture
def memory() -> Memory:
    made = in_memory()
    take_in(made.flywheel)
    return made
