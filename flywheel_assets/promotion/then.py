"""What the logs held when a verdict was recorded, against what its recipe says that it stood on.

A recipe that names too little is as wrong as a verdict that says too much: what it leaves out may be a hold.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import cast

from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import RecordedVerdict
from flywheel_assets.promotion.reading import EarlierReading
from flywheel_assets.promotion.recipes import Recipe, recipe_of

LONGEST_PASS = timedelta(days=1)
"""A pass over many builds reads each log once, at its start: what came since, its verdicts do not know."""


def unlike_the_logs(flywheel: Flywheel, recorded: RecordedVerdict, recipe: Recipe) -> str:
    """What the recipe leaves out or adds, as a sentence; empty when it is what the logs of then give.

    ``flywheel`` is under the catalogue of then, its evidence an earlier reading. Raises EvidenceError when what the
    logs held cannot be read.
    """
    logs, verdict = cast("EarlierReading", flywheel.evidence), recorded.verdict
    logs.lengths = recorded.logs
    logs.asked_for()
    bundle = assemble(replace(flywheel, clock=lambda: verdict.now), verdict.output, verdict.build)
    if bundle.damaged:
        raise EvidenceCorruptError(bundle.damaged[0])
    # Its part of the catalogue aside: later models write that otherwise, and the verdict names the whole of it.
    held = recipe_of(bundle, flywheel.catalogue, verdict.now).model_copy(update={"catalogue": recipe.catalogue})
    return next(chain(_cut_short(logs, recorded), _differences(recipe, held)), "")


def _cut_short(logs: EarlierReading, recorded: RecordedVerdict) -> Iterator[str]:
    """Logs that were said to be shorter than they were, or longer than they are."""
    for log in logs.asked_for():
        length, whole = recorded.logs.get(log, 0), logs.whole(log)
        if length > len(whole):
            yield f"{log} had {length} entries, and has {len(whole)}"
        first = whole[length].at if length < len(whole) else None
        if first is not None and first < recorded.verdict.now - LONGEST_PASS:
            yield f"{log} is said to have had {length} entries, and entry {length + 1} is of {first:%Y-%m-%d %H:%M}Z"


def _differences(recipe: Recipe, held: Recipe) -> Iterator[str]:
    told, found = recipe.model_dump(mode="json"), held.model_dump(mode="json")
    for part in told:
        if told[part] == found[part]:
            continue
        what = part.replace("_", " ")
        if not isinstance(found[part], list):
            yield f"its recipe says {what}: {told[part]}, and the logs of then give {found[part]}"
        elif missing := [each for each in found[part] if each not in told[part]]:
            yield f"its recipe leaves out {what} that the logs held: {_name(missing[0])}"
        elif more := [each for each in told[part] if each not in found[part]]:
            yield f"its recipe names {what} that the logs do not give: {_name(more[0])}"
        else:
            yield f"its recipe names {what} in another order"


def _name(each: object) -> str:
    return str(each["evidence"] if isinstance(each, dict) else each)
