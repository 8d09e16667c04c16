"""The ownership register in the UI: one asset with all that was published, and checks that it may stay so."""

import hashlib
import json
from collections.abc import Iterator

import dagster as dg

from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.builders import Events
from flywheel_assets.orchestration.keys import GROUPS, REGISTER, Stage
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.shown import shown_state
from flywheel_assets.orchestration.withdrawn import withdrawal_events
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import INSPECTION, VERDICT
from flywheel_assets.promotion.reading import indexed, one_reading
from flywheel_assets.promotion.register import Entry, Standing, register

OWNED, CLEAN, CARRIED_OUT = "owners_are_catalogued", "nothing_public_is_distrusted", "withdrawals_are_carried_out"
_SAYS = {
    OWNED: "Whoever was stated to answer for what is public is so in the catalogue of now.",
    CLEAN: "Nothing public is, or came of, what is withdrawn or in quarantine.",
    CARRIED_OUT: "All that people withdrew is gone from its surface.",
}
_ROWS = 500
NOT_TOLD = "not told: "


def register_assets(contacts: list[str]) -> list[dg.AssetSpec | dg.AssetChecksDefinition]:
    """The asset, owned by ``contacts``, and its checks."""
    spec = dg.AssetSpec(
        REGISTER,
        group_name=GROUPS[Stage.PUBLISHED_ARTIFACT],
        description="Everything that was ever published: who answers for it, why it is clean, and what became of it. "
        "`flywheel register` prints all of it.",
        owners=contacts,
    )
    specs = [dg.AssetCheckSpec(name, asset=REGISTER, description=says) for name, says in _SAYS.items()]

    @dg.multi_asset_check(name="register_holds", specs=specs)
    def register_holds(pipeline: dg.ResourceParam[Pipeline]) -> Iterator[dg.AssetCheckResult]:
        yield from _results(register(pipeline.flywheel))

    return [spec, register_holds]


def register_events(flywheel: Flywheel, instance: dg.DagsterInstance, seen: str = "") -> tuple[Events, str]:
    """The register, when the UI shows another; and what the next call is to be given as ``seen``.

    With it goes what the pages of withdrawn artifacts do not say yet.
    Nothing is gone through as long as nothing came that it can depend on. When it cannot be told its checks fail, once,
    and what is returned says why behind ``NOT_TOLD``.
    """
    flywheel = one_reading(flywheel)
    try:
        basis = _basis(flywheel)
        if seen == basis:
            return [], seen
        entries = register(flywheel)
    except FlywheelError as error:
        problem = f"{NOT_TOLD}{error}"
        why = [f"it cannot be told: {str(error).removesuffix('.')}"]
        return [] if seen == problem else [_event(_result(check, why)) for check in _SAYS], problem
    said = json.dumps([entry.model_dump(mode="json") for entry in entries], sort_keys=True)
    state = hashlib.sha256(said.encode()).hexdigest()[:16]
    taken_back = withdrawal_events(flywheel.catalogue, instance, entries)
    if shown_state(instance, REGISTER) == state and not seen.startswith(NOT_TOLD):
        return [*taken_back], basis
    shown = dg.AssetMaterialization(REGISTER, metadata={**_facts(entries), "state": state})
    return [shown, *map(_event, _results(entries)), *taken_back], basis


def _basis(flywheel: Flywheel) -> str:
    """Another whenever the register can be another: by the catalogue, by evidence that is no verdict, by the day.

    Verdicts and readings of caches come by the thousand, and no statement about what is public depends on them. No
    decision that the register tells of ends with time; the day is for what nobody thought of.
    """
    logs = [indexed(flywheel, log) for log in flywheel.evidence.logs()]
    held = sum(len(log.entries) - len(log.of(VERDICT)) - len(log.of(INSPECTION)) for log in logs)
    return f"{flywheel.catalogue.digest} {flywheel.clock():%Y-%m-%d} {held}"


def _event(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=REGISTER,
        check_name=str(result.check_name),
        passed=result.passed,
        severity=result.severity,
        description=result.description,
    )


def _results(entries: list[Entry]) -> Iterator[dg.AssetCheckResult]:
    # The cache still holds the closure of what was yanked, and what is withdrawn is public until it was seen gone.
    public = [each for each in entries if each.state is not Standing.WITHDRAWN]
    distrusted = [(each, "; ".join(filter(None, (each.doubt, each.to_do)))) for each in public]
    undone = [each for each in entries if each.state in {Standing.WITHDRAWING, Standing.MARKED}]
    yield _result(OWNED, [f"{_named(each)}: {each.problem}" for each in entries if each.problem])
    yield _result(CLEAN, [f"{_named(each)}: {why}" for each, why in distrusted if why])
    yield _result(CARRIED_OUT, [f"{_named(each)}: {each.to_do}" for each in undone])


def _result(check: str, problems: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=REGISTER,
        check_name=check,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR if check == CLEAN else dg.AssetCheckSeverity.WARN,
        description=". ".join(problems)[:4000] + "." if problems else _SAYS[check],
    )


def _named(entry: Entry) -> str:
    return f"{entry.output} {entry.build}"


def _facts(entries: list[Entry]) -> dict[str, dg.MetadataValue]:
    """The newest first; a table in the UI has its bounds."""
    columns = ("output", "build", "state", "since", "builder_path_owner", "publication_path_owner", "reference")
    newest = sorted(entries, key=lambda entry: entry.since, reverse=True)[:_ROWS]
    rows = [
        dg.TableRecord({**{name: str(getattr(each, name)) for name in columns}, "distrusted": each.doubt})
        for each in newest
    ]
    names = [*columns, "distrusted"]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])
    public = sum(each.state is not Standing.WITHDRAWN for each in entries)
    return {
        "published": dg.MetadataValue.int(len(entries)),
        "public": dg.MetadataValue.int(public),
        "register": dg.MetadataValue.table(rows, schema=schema),
    }
