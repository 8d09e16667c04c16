"""What Dagster shows of a build against what evidence says: the difference is what runs are requested for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.orchestration.keys import Stage, asset_key
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import never
from flywheel_assets.promotion.ledger import last_verdict
from flywheel_assets.promotion.recipes import next_moment, recipe_of


@dataclass(frozen=True, slots=True)
class Shown:
    """The basis of the newest verdict that the UI shows, and the basis of now; the former empty when none is.

    ``until`` is when time alone will change the latter.
    """

    shown: str
    current: str
    until: datetime | None

    @property
    def up_to_date(self) -> bool:
        """Whether people see the verdict that stands."""
        return self.shown == self.current


def shown_bases(
    instance: dg.DagsterInstance,
    flywheel: Flywheel,
    output: str,
    keys: list[str],
    enough: Callable[[], bool] = never,
) -> dict[str, Shown]:
    """For each build key of an output: the basis that Dagster shows and the one that evidence has now.

    It ends with the first build after which ``enough`` says so: the rest is not in the answer.
    """
    candidate = flywheel.output(output).is_candidate
    stage = Stage.VALIDATED_ARTIFACT if candidate else Stage.CACHE_ENTRY
    seen = _newest(instance.fetch_observations, asset_key(stage, output), keys, "basis")
    found: dict[str, Shown] = {}
    for key in keys:
        bundle, now = assemble(flywheel, output, BuildKey.parse(key)), flywheel.clock()
        basis = recipe_of(bundle, flywheel.catalogue, now).digest
        until = next_moment(bundle, flywheel.catalogue, now)
        found[key] = Shown(shown=seen.get(key, ""), current=str(basis), until=until)
        if enough():
            break
    return found


def worth_reading_again(flywheel: Flywheel, output: str, build: BuildKey) -> bool:
    """Whether a better reading could change the verdict: what a cache could not serve may be there by now."""
    recorded = last_verdict(flywheel, output, build)
    if recorded is None or recorded.verdict.subject is None:  # of what nobody vouches for nothing is read
        return False
    return recorded.verdict.may_change and not recorded.verdict.body_is_whole


def newest_report(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dg.AssetMaterialization | None:
    """The newest report of an asset without partitions."""
    found = instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=asset), limit=1).records
    return found[0].asset_materialization if found else None


def shown_state(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str:
    """The state that the newest report of an asset without partitions names; empty when there is none."""
    newest = newest_report(instance, asset)
    state = newest.metadata.get("state") if newest else None
    return str(state.value) if state else ""


def shown_receipts(instance: dg.DagsterInstance, asset: dg.AssetKey, keys: list[str]) -> dict[str, str]:
    """The receipt that the newest report of each builder run names."""
    return _newest(instance.fetch_materializations, asset, keys, "receipt")


def shown_dispatches(instance: dg.DagsterInstance, asset: dg.AssetKey, keys: list[str]) -> dict[str, str]:
    """The state on its way that the newest observation of each build names."""
    return _newest(instance.fetch_observations, asset, keys, "dispatch")


def shown_withdrawals(instance: dg.DagsterInstance, asset: dg.AssetKey, keys: list[str]) -> dict[str, str]:
    """What the newest observation of each build says of its withdrawal."""
    return _newest(instance.fetch_observations, asset, keys, "withdrawal")


def _newest(
    fetch: Callable[..., dg.EventRecordsResult], asset: dg.AssetKey, keys: list[str], field: str
) -> dict[str, str]:
    """A metadata field of the newest event of each partition; empty where the event does not carry it."""
    found: dict[str, str] = {}
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=keys)
    cursor = None
    while len(found) < len(keys):
        page = fetch(wanted, limit=1000, cursor=cursor)
        for record in page.records:  # newest first
            event = record.asset_observation or record.asset_materialization
            if event and event.partition and event.partition not in found:
                value = event.metadata.get(field)
                found[event.partition] = str(value.value) if value else ""
        if not page.has_more:
            break
        cursor = page.cursor
    return found
