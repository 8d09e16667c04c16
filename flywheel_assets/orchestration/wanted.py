"""What is to be done next: wanted minus present, for every output. The sensor and the schedule only carry it out.

A tick is at least once and not atomic: it may be repeated after a crash at any point. So everything here is
decided from what evidence and Dagster hold now, and asking twice for the same thing gives the same run key.
"""

import json
from collections.abc import Callable
from datetime import date

import dagster as dg

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.orchestration.keys import Stage, asset_key, builds, builds_name
from flywheel_assets.orchestration.metadata import build_metadata
from flywheel_assets.orchestration.requests import SINGLE_RUNS, Requests, Wanted
from flywheel_assets.orchestration.shown import shown_bases, shown_receipts, worth_reading_again
from flywheel_assets.orchestration.turns import Place, is_settled, state_of
from flywheel_assets.promotion.assembling import assemble, remember_receipts
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import never
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.reading import one_reading

NEW_BUILDS_A_TICK = 150  # 200 events, keys and runs took 25 s of a tick's 60 s
NEXT = "/"  # in a cursor: the output that the last tick did not come to


def wanted(
    flywheel: Flywheel,
    instance: dg.DagsterInstance,
    settled: dict[str, str],
    *,
    reconciling: date | None = None,
    trying_again: bool = False,
    single_runs: int = SINGLE_RUNS,
    enough: Callable[[], bool] = never,
) -> Wanted:
    """Everything that is missing in Dagster or not judged on the evidence of now, as far as ``enough`` lets it come.

    ``settled`` is what the last call left in its own: for each output, at which state of the evidence nothing was left
    to do, or how far it has come with it. Settled outputs are passed over, and the others are gone on with. A
    reconciliation passes over nothing, and reads again what a cache could not serve; it is through with an output that
    is settled. With ``trying_again``, as in a reconciliation, what failed too often is asked for once more. More than
    ``single_runs`` builds of one output are judged in one run over a range.
    """
    found, flywheel = Wanted(), one_reading(flywheel)
    for name in _in_turn(list(flywheel.catalogue.outputs), settled.get(NEXT, "")):
        if enough():
            found.settled.setdefault(NEXT, name)
            found.settled |= {key: settled[key] for key in (name, _progress(name)) if key in settled}
            continue
        try:
            state = state_of(flywheel, name, flywheel.output(name))
            if is_settled(settled.get(name, ""), reconciling.isoformat() if reconciling else state, flywheel.clock()):
                found.settled[name] = settled[name]
                continue
            requests = Requests(instance, found, reconciling, single_runs, trying_again=trying_again)
            place = Place.read(settled.get(_progress(name), ""), state, reconciling)
            place = _of_output(flywheel, instance, name, found, requests, place, enough)
            if place.left == 0:
                found.settled[name] = place.state if reconciling else place.settled
            else:
                found.settled[_progress(name)] = str(place)
        except FlywheelError as error:
            found.problems.append(f"{name}: {error}")
    return found


def is_through(flywheel: Flywheel, found: Wanted) -> bool:
    """Whether a reconciliation has nothing left to look at; what is damaged does not hold it up."""
    return NEXT not in found.settled and not any(
        _progress(name) in found.settled for name in flywheel.catalogue.outputs
    )


def _in_turn(names: list[str], first: str) -> list[str]:
    """The names, from the one that the last call did not come to."""
    start = names.index(first) if first in names else 0
    return names[start:] + names[:start]


def _progress(name: str) -> str:
    return f"/{name}"  # no output is called so


def _of_output(  # noqa: PLR0917 - what is known of a tick, and of one output in it
    flywheel: Flywheel,
    instance: dg.DagsterInstance,
    name: str,
    found: Wanted,
    requests: Requests,
    place: Place,
    enough: Callable[[], bool],
) -> Place:
    """Add what one output wants: of builds that Dagster does not know yet, and of those whose turn it is.

    A process that has just started opens their receipts first, over several calls where there are very many.
    """
    if not remember_receipts(flywheel, name, enough):
        return place
    before = len(found.runs) + len(found.events)
    keys = [str(build) for build in builds_of(flywheel, name)]
    present = set(instance.get_dynamic_partitions(builds_name(name)))
    unseen = [key for key in keys if key not in present]
    new = unseen[: max(0, NEW_BUILDS_A_TICK - len(found.events))]
    known = [key for key in keys if key in present]
    turn = place.window(known)
    shown = shown_bases(instance, flywheel, name, [*new, *turn], enough)
    checked = list(shown)
    if added := [key for key in new if key in shown]:
        found.partitions[name] = added
    ready = sorted(checked, key={key: number for number, key in enumerate(keys)}.__getitem__)
    found.events += _builder_run_events(flywheel, instance, name, ready)
    stale = [key for key in ready if not shown[key].up_to_date]
    if requests.reconciling:
        again = [key for key in ready if worth_reading_again(flywheel, name, BuildKey.parse(key))]
        stale += [key for key in again if key not in stale]
    judging = requests.judge(flywheel, name, stale, {key: shown[key].current for key in stale})
    if not judging:
        requests.publish(flywheel, name, [key for key in known + added if key not in stale])
    is_quiet = len(found.runs) + len(found.events) == before and not requests.under_way and not unseen
    return place.after(
        [shown[key] for key in turn if key in shown], len(known), is_quiet=is_quiet or requests.reconciling is not None
    )


def _builder_run_events(
    flywheel: Flywheel, instance: dg.DagsterInstance, name: str, keys: list[str]
) -> list[dg.AssetMaterialization]:
    """A report of each build whose receipt the UI does not show: the authentic one, once it has come."""
    asset, repository = asset_key(Stage.BUILDER_RUN, name), flywheel.output(name).repository
    shown, events = shown_receipts(instance, asset, keys), []
    for key in keys:
        receipts = assemble(flywheel, name, BuildKey.parse(key)).receipts
        if not receipts or shown.get(key) == str(receipts[0].evidence):
            continue
        attested = receipts[0]
        authentic = bool(trusted_keys(flywheel.catalogue, attested))
        events.append(
            dg.AssetMaterialization(
                asset,
                partition=key,
                description="Reported from its receipt"
                + (
                    ", whose signer is trusted."
                    if authentic
                    else ", which nobody trusted signed: none of this is proven."
                ),
                metadata={
                    "receipt": str(attested.evidence),
                    "authentic": authentic,
                    **build_metadata(attested.receipt, repository),
                },
                tags={"dagster/data_version": str(attested.receipt.artifact.digest)},
            )
        )
    return events


def read_cursor(cursor: str | None) -> dict[str, str]:
    """The settled states that a cursor holds; none when it is not ours."""
    try:
        value = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(key): str(state) for key, state in value.items()} if isinstance(value, dict) else {}


def add_requests(found: Wanted) -> list[dg.AddDynamicPartitionsRequest]:
    """The partitions to add."""
    return [builds(name).build_add_request(keys) for name, keys in found.partitions.items()]
