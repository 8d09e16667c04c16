"""What would unblock a build, as metadata: the smallest change, whose turn it is, and what time does by itself."""

from collections.abc import Mapping

import dagster as dg

from flywheel_assets.promotion.blockers import blockers_of, case_of, passes_at, passes_until
from flywheel_assets.promotion.judging import Judgement
from flywheel_assets.promotion.steps import steps_of


def unblocking(judgement: Judgement) -> Mapping[str, dg.MetadataValue]:
    """Nothing of a build that nothing blocks, and that no end of an approval or exception will."""
    verdict = judgement.verdict
    case = case_of(judgement.bundle, judgement.catalogue, verdict)
    blockers = blockers_of(case, verdict)
    found: dict[str, dg.MetadataValue] = {}
    steps = steps_of(case, blockers)
    if steps:
        records = [dg.TableRecord({"who": each.people, "needs_to": each.what}) for each in steps]
        found["smallest_change"] = dg.MetadataValue.table(records)
    if blockers:
        rows = [
            dg.TableRecord(
                {
                    "reason": blocker.reason,
                    "ends": blocker.ends.value,
                    "on": f"{blocker.until:%Y-%m-%d %H:%M} UTC" if blocker.until else "",
                }
            )
            for blocker in blockers
        ]
        found["how_it_ends"] = dg.MetadataValue.table(rows)
    for name, moment in (("passes_on", passes_at(case, blockers)), ("passes_until", passes_until(case, verdict))):
        if moment is not None:
            found[name] = dg.MetadataValue.timestamp(moment)
    return found
