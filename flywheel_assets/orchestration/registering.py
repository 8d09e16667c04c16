"""The ownership register in the UI: one asset with all that was published, and checks that it may stay so."""

import hashlib
import json
from collections.abc import Iterator

import dagster as dg

from flywheel_assets.orchestration.builders import Events
from flywheel_assets.orchestration.keys import GROUPS, REGISTER, Stage
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.shown import newest_report
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.register import Entry, Standing, register

OWNED, CLEAN, CARRIED_OUT = "owners_are_catalogued", "nothing_public_is_distrusted", "withdrawals_are_carried_out"
_SAYS = {
    OWNED: "Whoever was stated to answer for what is public is so in the catalogue of now.",
    CLEAN: "Nothing public is, or came of, what is withdrawn or in quarantine.",
    CARRIED_OUT: "All that people withdrew is gone from its surface.",
}
_ROWS = 500


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


def register_events(flywheel: Flywheel, instance: dg.DagsterInstance) -> Events:
    """The register, when the UI shows another. Raises EvidenceError."""
    entries = register(flywheel)
    said = json.dumps([entry.model_dump(mode="json") for entry in entries], sort_keys=True)
    state = hashlib.sha256(said.encode()).hexdigest()[:16]
    last = newest_report(instance, REGISTER)
    if last is not None and "state" in last.metadata and last.metadata["state"].value == state:
        return []
    return [
        dg.AssetMaterialization(REGISTER, metadata={**_facts(entries), "state": state}),
        *(
            dg.AssetCheckEvaluation(
                asset_key=REGISTER,
                check_name=str(result.check_name),
                passed=result.passed,
                severity=result.severity,
                description=result.description,
            )
            for result in _results(entries)
        ),
    ]


def _results(entries: list[Entry]) -> Iterator[dg.AssetCheckResult]:
    distrusted = [each for each in entries if each.doubt and each.state is Standing.PUBLISHED]
    undone = [each for each in entries if each.state in {Standing.WITHDRAWING, Standing.MARKED}]
    yield _result(OWNED, [f"{_named(each)}: {each.problem}" for each in entries if each.problem])
    yield _result(CLEAN, [f"{_named(each)}: {each.doubt}" for each in distrusted])
    yield _result(CARRIED_OUT, [f"{_named(each)}: {_to_do(each)}" for each in undone])


def _result(check: str, problems: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=REGISTER,
        check_name=check,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR if check == CLEAN else dg.AssetCheckSeverity.WARN,
        description=". ".join(problems)[:4000] + "." if problems else _SAYS[check],
    )


def _to_do(entry: Entry) -> str:
    if entry.state is Standing.MARKED:
        return f"{entry.yanked_by} must yank {entry.reference}"
    return "`flywheel withdraw --pending` takes it away"


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
