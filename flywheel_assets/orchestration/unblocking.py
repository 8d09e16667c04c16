"""What would unblock a build, as metadata: whose turn it is, the smallest change, what it waits for, what time does."""

from collections.abc import Mapping

import dagster as dg

from flywheel_assets.promotion.excuses import Call, Excuse, headline


def unblocking(excuse: Excuse) -> Mapping[str, dg.MetadataValue]:
    """What `flywheel why-not` says of the same build, in the same words. The rest only where there is any of it."""
    found: dict[str, dg.MetadataValue] = {"whose_turn": dg.MetadataValue.text(headline(excuse))}
    if excuse.steps:
        records = [dg.TableRecord({"who": each.people, "needs_to": each.what}) for each in excuse.steps]
        name = "smallest_change" if excuse.call is Call.SOMEBODY else "only_if_wanted_otherwise"
        found[name] = dg.MetadataValue.table(records)
    if excuse.blockers:
        rows = [
            dg.TableRecord(
                {
                    "reason": blocker.reason,
                    "ends": blocker.ends.value,
                    "on": f"{blocker.until:%Y-%m-%d %H:%M} UTC" if blocker.until else "",
                }
            )
            for blocker in excuse.blockers
        ]
        found["how_it_ends"] = dg.MetadataValue.table(rows)
    if excuse.waits_for:
        chain = [
            dg.TableRecord({"build": each.name, "says": headline(each.excuse) if each.excuse else each.says})
            for each in excuse.waits_for
        ]
        found["waits_for"] = dg.MetadataValue.table(chain)
    for name, moment in (("passes_on", excuse.passes_at), ("passes_until", excuse.passes_until)):
        if moment is not None:
            found[name] = dg.MetadataValue.timestamp(moment)
    return found
