"""Asset checks: one per phase of the gate, partitioned by build. They show the gate; they do not enforce it."""

import typing
from collections.abc import Iterator

import dagster as dg

from flywheel_assets.catalog.models import Output
from flywheel_assets.domain.verdicts import Phase, VerdictClass
from flywheel_assets.orchestration.keys import Stage, asset_key, builds
from flywheel_assets.orchestration.metadata import decisions_shown, explained, findings_table
from flywheel_assets.orchestration.unblocking import unblocking
from flywheel_assets.promotion.excuses import Excuse
from flywheel_assets.promotion.judging import Judgement

ON_ENTRY = (Phase.BOOTSTRAP, Phase.BUILD, Phase.INTEGRITY)
DECIDED = (Phase.CLASSIFICATION, Phase.PUBLICATION)  # what people's decisions bear on: withdrawals, holds, approvals
ON_VALIDATED = (Phase.VALIDATION, Phase.CLASSIFICATION, Phase.PUBLICATION, Phase.OWNERSHIP)

# Dagster takes this class and does not export it by name.
Target: typing.Any = typing.get_args(typing.get_type_hints(dg.AssetCheckEvaluation)["target_materialization_data"])[0]

_SAYS = {
    Phase.BOOTSTRAP: "Phase 0: the lane installed and verified its toolchain before it built.",
    Phase.BUILD: "Phase 1: the builder is catalogued and makes this type of output.",
    Phase.INTEGRITY: "Phase 3: the receipt is authentic, and whole bodies were read and equal it.",
    Phase.VALIDATION: "Phase 3: every validation that the catalogue names passed.",
    Phase.CLASSIFICATION: "Phase 4: re-identifiable, agreed upon, meant for use, nothing transient.",
    Phase.PUBLICATION: "Phase 5: the surface exists, is the authority, holds nothing newer; approved, not held.",
    Phase.OWNERSHIP: "Phase 6: both owners are documented, and why it is clean.",
}


def phases_of(output: Output) -> dict[Stage, tuple[Phase, ...]]:
    """Which stage shows which phases. What is no candidate shows on its cache entry why it is none."""
    if output.is_candidate:
        return {Stage.CACHE_ENTRY: ON_ENTRY, Stage.VALIDATED_ARTIFACT: ON_VALIDATED}
    return {Stage.CACHE_ENTRY: (*ON_ENTRY, Phase.CLASSIFICATION)}


def check_specs(name: str, output: Output) -> list[dg.AssetCheckSpec]:
    """The declarations of an output's checks."""
    return [
        dg.AssetCheckSpec(
            phase.value, asset=asset_key(stage, name), description=_SAYS[phase], partitions_def=builds(name)
        )
        for stage, phases in phases_of(output).items()
        for phase in phases
    ]


def evaluations(
    context: dg.AssetExecutionContext, name: str, judgement: Judgement, excuse: Excuse
) -> Iterator[dg.AssetCheckEvaluation]:
    """The evaluations of one build, after its materializations are stored. What fails says what would unblock it.

    An evaluation is current only when it points at the partition's latest materialization. A build that was
    rejected from the start has none, and then none is right; one that passed earlier is shown as failed now.
    """
    key, output = str(judgement.verdict.build), judgement.catalogue.outputs[name]
    for stage, phases in phases_of(output).items():
        target = _latest(context, asset_key(stage, name), key)
        for phase in phases:
            if dg.AssetCheckKey(asset_key(stage, name), phase.value) not in context.selected_asset_check_keys:
                continue
            findings = judgement.verdict.of_phase(phase)
            passed = bool(findings) and all(finding.verdict is VerdictClass.PASSED for finding in findings)
            yield dg.AssetCheckEvaluation(
                asset_key=asset_key(stage, name),
                check_name=phase.value,
                passed=passed,
                partition=key,
                severity=dg.AssetCheckSeverity.ERROR if phase is Phase.INTEGRITY else dg.AssetCheckSeverity.WARN,
                description=explained(findings),
                metadata={
                    "build": key,
                    "rules": findings_table(findings),
                    **({} if passed else unblocking(excuse)),
                    **(decisions_shown(judgement) if phase in DECIDED else {}),
                },
                target_materialization_data=target,
            )


def _latest(context: dg.AssetExecutionContext, asset: dg.AssetKey, key: str) -> typing.Any:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key])
    found = context.instance.fetch_materializations(wanted, limit=1).records
    if not found:
        return None
    newest = found[0]
    return Target(storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp)
