"""What Dagster shows of publications that a workflow carries out: each state on the way, on the asset's own page."""

import dagster as dg

from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.orchestration.keys import Stage, asset_key
from flywheel_assets.orchestration.metadata import Metadata, linked
from flywheel_assets.orchestration.shown import shown_dispatches
from flywheel_assets.promotion.dispatches import current, dispatches, last_dispatches
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.waiting import REASONS, Said, said_of
from flywheel_assets.promotion.went_out import published

SHOWN_BUILDS = 100  # of each output, those heard of last: what is older has long come to its end
SHOWN_STATES = 50


def dispatch_events(flywheel: Flywheel, instance: dg.DagsterInstance, output: str) -> list[dg.AssetObservation]:
    """Where each build of an output is on its way, when the UI shows another state. Raises EvidenceError.

    Nothing of what was withdrawn: the page says that, whatever the workflow's end was.
    """
    went_out = published(flywheel, output)
    on_record = {out.publication.build: out.publication.reference for out in went_out}
    withdrawn = {out.publication.build for out in went_out if out.withdrawal}
    newest = dict(list(last_dispatches(flywheel, output).items())[-SHOWN_BUILDS:])
    asset = asset_key(Stage.PUBLISHED_ARTIFACT, output)
    shown = shown_dispatches(instance, asset, [str(build) for build in newest])
    return [
        dg.AssetObservation(
            asset,
            partition=str(build),
            description=f"{last.state.value}{f': {last.detail}' if last.detail else ''}",
            metadata=dispatch_metadata(flywheel, dispatches(flywheel, output, build), on_record.get(build, "")),
        )
        for build, last in newest.items()
        if build not in withdrawn
        and shown.get(str(build)) != _name_of(last, on_record.get(build, ""), said_of(flywheel, last).reason)
    ]


def dispatch_metadata(flywheel: Flywheel, seen: list[Dispatch], reference: str = "") -> Metadata:
    """The state, what is waited for and who acts, and a table of all that was seen until now.

    With the ``reference`` under which it is on record nothing is waited for while its release stands.
    """
    last, repository = current(seen), flywheel.output(seen[-1].output).repository
    said = told = said_of(flywheel, last)
    if reference and told.reason == REASONS[DispatchState.RELEASED]:
        said = Said("every-rule-holds", f"nothing: it was read back whole and is on record as {reference}", "", "")
    return {
        "state": dg.MetadataValue.text(last.state.value),
        "waits_for": dg.MetadataValue.text(said.message),
        "to_change_it": dg.MetadataValue.text(said.remedy),
        "who_acts": dg.MetadataValue.text(said.actor),
        **({"workflow_run": linked(last.run.url, repository)} if last.run else {}),
        "release": dg.MetadataValue.text(
            f"{last.flake.name} {last.release.version if last.release else last.flake.version or 'rolling'}"
        ),
        "revision": dg.MetadataValue.text(str(last.flake.revision)),
        "request": dg.MetadataValue.text(last.id),
        "states": _states(seen),
        "dispatch": dg.MetadataValue.text(_name_of(last, reference, told.reason)),
    }


def _states(seen: list[Dispatch]) -> dg.MetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "at": f"{each.at:%Y-%m-%d %H:%M:%S} UTC",
                    "state": each.state.value,
                    "run": each.run.url if each.run else "",
                    "detail": each.detail,
                }
            )
            for each in seen[-SHOWN_STATES:]
        ]
    )


def _name_of(last: Dispatch, reference: str, reason: str) -> str:
    """Tells one state from the next; the gate's word may change while the workflow's does not."""
    return f"{last.id} {last.state.value} {last.at.isoformat()} {reason} {reference}".rstrip()
