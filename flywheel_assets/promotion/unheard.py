"""Runs that receipts name and their forge was not heard about: they are asked for by name."""

from collections.abc import Callable, Iterator
from datetime import datetime

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.domain.platform_runs import ABSENT_AGAIN_AFTER
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_RUN, entries_about


def unheard(
    flywheel: Flywheel, repository: str, now: datetime, damaged: Callable[[EvidenceError], None]
) -> Iterator[BuildKey]:
    """The builds of receipts in evidence whose run is to be asked for, the newest first.

    ``damaged`` is told of each log that cannot be read; what it holds is passed over.
    """
    entries, asked = list[LogEntry](), set[tuple[str, int]]()
    for name in [name for name, output in flywheel.catalogue.outputs.items() if output.repository == repository]:
        try:
            entries += [entry for entry in flywheel.evidence.entries(output_log(name)) if entry.kind == RECEIPT]
        except EvidenceError as error:
            damaged(error)
    for entry in reversed(entries):
        key = BuildKey.parse(entry.subject)
        if (key.run, key.attempt) in asked:
            continue
        asked.add((key.run, key.attempt))
        try:
            known = entries_about(flywheel.evidence, repository, key.run, key.attempt)
        except EvidenceError as error:
            damaged(error)
            continue
        if _is_to_ask(known, now):
            yield key


def _is_to_ask(entries: list[LogEntry], now: datetime) -> bool:
    """Whether a forge has not said enough of an attempt: it is behind at times, so it is asked twice."""
    times = [entry.at for entry in entries if entry.at is not None]
    if len(times) < len(entries) or any(entry.kind == PLATFORM_RUN for entry in entries):
        return False
    return not times or (max(times) - min(times) < ABSENT_AGAIN_AFTER and now - min(times) >= ABSENT_AGAIN_AFTER)
