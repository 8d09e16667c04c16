"""What Dagster shows of a withdrawal on the page of the published artifact, which keeps what stood there before."""

from collections.abc import Iterable

import dagster as dg

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.orchestration.keys import Stage, asset_key
from flywheel_assets.orchestration.metadata import Metadata
from flywheel_assets.orchestration.shown import shown_withdrawals
from flywheel_assets.promotion.register import Entry, Standing

SHOWN_BUILDS = 100  # of each output, those published last
_TAKEN_BACK = {Standing.WITHDRAWING, Standing.MARKED, Standing.WITHDRAWN}
_VOID = (
    "what stood here before does not hold any more: do not use it, whatever a command says that was copied from here"
)


def withdrawal_events(
    catalogue: Catalogue, instance: dg.DagsterInstance, entries: Iterable[Entry]
) -> list[dg.AssetObservation]:
    """What became of each withdrawn artifact, of those whose page says otherwise or nothing."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        output = catalogue.outputs.get(entry.output)
        if entry.state in _TAKEN_BACK and output is not None and output.publication is not None:
            found.setdefault(entry.output, {})[entry.build] = entry
    return [event for name, of_output in found.items() for event in _events(instance, name, of_output)]


def _events(instance: dg.DagsterInstance, name: str, entries: dict[str, Entry]) -> list[dg.AssetObservation]:
    newest = dict(list(entries.items())[-SHOWN_BUILDS:])
    asset = asset_key(Stage.PUBLISHED_ARTIFACT, name)
    shown = shown_withdrawals(instance, asset, list(newest))
    return [
        dg.AssetObservation(
            asset, partition=build, description=f"{entry.state.value}: {entry.doubt}", metadata=_metadata(entry)
        )
        for build, entry in newest.items()
        if shown.get(build) != _name_of(entry)
    ]


def _metadata(entry: Entry) -> Metadata:
    by_command = "a release engineer" if entry.state is Standing.WITHDRAWING else "nobody"
    return {
        "state": dg.MetadataValue.text(entry.state.value),
        "why": dg.MetadataValue.text(entry.doubt),
        "to_change_it": dg.MetadataValue.text(entry.to_do or "Nothing: a withdrawal is for ever."),
        "who_acts": dg.MetadataValue.text(entry.yanked_by or by_command),
        "verify": dg.MetadataValue.text(_VOID),
        "reference": dg.MetadataValue.text(entry.reference),
        "withdrawal": dg.MetadataValue.text(_name_of(entry)),
    }


def _name_of(entry: Entry) -> str:
    """Tells one state from the next."""
    return f"{entry.state.value} {entry.withdrawn_at} {entry.reference}"
