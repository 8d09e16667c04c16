"""The lineage of each catalogued output: builder_run -> cache_entry -> validated_artifact -> published_artifact.

cache_entry and validated_artifact are one multi-asset, so that a run over a range of builds can judge each on
its own. A rejection is no failure of the run; a build that could not be judged is.
"""

from collections.abc import Iterator

import dagster as dg

from flywheel_assets.catalog.models import Catalogue, Output, Way
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import FlywheelError, PromotionRefusedError, UsageError
from flywheel_assets.gate.explain import explain, failed
from flywheel_assets.orchestration.checks import check_specs, evaluations
from flywheel_assets.orchestration.dispatched import dispatch_events
from flywheel_assets.orchestration.keys import GROUPS, JUDGES_TAG, PUBLISHES_TAG, REREAD_TAG, Stage, asset_key, builds
from flywheel_assets.orchestration.metadata import (
    Metadata,
    description,
    entry_metadata,
    findings_table,
    kinds_of,
    publication_metadata,
    verdict_metadata,
)
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.shown import shown_bases, worth_reading_again
from flywheel_assets.promotion.excuses import Excuse
from flywheel_assets.promotion.explaining import excuse_of
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.judging import Judgement, judge, read_again
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.report import published_builds

_STAGE_SAYS = {
    Stage.BUILDER_RUN: "A build as its receipt reports it. Reported by the sensor, never run from here.",
    Stage.CACHE_ENTRY: "The build in its mutable cache: its whole body was read and hashed. No publication.",
    Stage.VALIDATED_ARTIFACT: "The build after the gate: materialized only for what is clean, with a signed summary.",
    Stage.PUBLISHED_ARTIFACT: "The build on its durable surface, read back whole as a consumer.",
}


def lineage(catalogue: Catalogue, name: str) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All assets of one output. What is no candidate ends at its cache entry."""
    output = catalogue.outputs[name]
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [_builder_run(catalogue, name), _judged(catalogue, name)]
    if output.publication is not None:
        assets.append(_published(catalogue, name))
    return assets


def _spec(catalogue: Catalogue, name: str, stage: Stage, deps: list[dg.AssetDep | dg.AssetKey]) -> dg.AssetSpec:
    output = catalogue.outputs[name]
    owner = output.owner if stage is not Stage.CACHE_ENTRY else catalogue.surfaces[output.cache].owner
    return dg.AssetSpec(
        asset_key(stage, name),
        deps=deps,
        description=description(catalogue, name, output, _STAGE_SAYS[stage]),
        group_name=GROUPS[stage],
        owners=[catalogue.owners[owner].contact],
        kinds=kinds_of(output),
        tags={"output": name, "audience": output.audience.value, "role": output.role.value},
        partitions_def=builds(name),
        skippable=stage in {Stage.CACHE_ENTRY, Stage.VALIDATED_ARTIFACT} or _waits_for_workflow(output, stage),
        metadata={"source": dg.MetadataValue.url(output.repository), "definition": output.definition},
    )


def _waits_for_workflow(output: Output, stage: Stage) -> bool:
    """Whether a run may end with nothing made yet, because a workflow is on with it."""
    target = output.publication
    return stage is Stage.PUBLISHED_ARTIFACT and target is not None and target.way is Way.TRIGGERS


def _builder_run(catalogue: Catalogue, name: str) -> dg.AssetSpec:
    """External: the sensor reports it. The edge from an output that goes into this one is drawn for people."""
    inputs = [
        dg.AssetDep(asset_key(Stage.CACHE_ENTRY, other), partition_mapping=dg.LastPartitionMapping())
        for other in catalogue.outputs[name].built_from
    ]
    return _spec(catalogue, name, Stage.BUILDER_RUN, list(inputs))


def _judged(catalogue: Catalogue, name: str) -> dg.AssetsDefinition:
    output = catalogue.outputs[name]
    entry, validated = asset_key(Stage.CACHE_ENTRY, name), asset_key(Stage.VALIDATED_ARTIFACT, name)
    specs = [_spec(catalogue, name, Stage.CACHE_ENTRY, [asset_key(Stage.BUILDER_RUN, name)])]
    if output.is_candidate:
        specs.append(_spec(catalogue, name, Stage.VALIDATED_ARTIFACT, [entry]))
    stage_of = {entry: Stage.CACHE_ENTRY, validated: Stage.VALIDATED_ARTIFACT}

    @dg.multi_asset(
        name=f"judge_{name.replace('-', '_')}",
        specs=specs,
        check_specs=check_specs(name, output),
        can_subset=True,
        partitions_def=builds(name),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"cache_{output.cache.replace('-', '_')}",
    )
    def judged(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.MaterializeResult[None]]:
        flywheel = one_reading(pipeline.flywheel)
        known = published_builds(flywheel, name)
        selected = {stage_of[key] for key in context.selected_asset_keys}
        one_build = context.has_partition_key
        problems: dict[str, FlywheelError] = {}
        for key in _keys_to_judge(context, flywheel, name):
            try:
                judgement = _judge(context, flywheel, name, key)
                excuse = excuse_of(flywheel, name, judgement.verdict.build, known)
            except FlywheelError as error:
                problems[key] = error
                continue
            made = _made(judgement, excuse, selected, output.repository)
            for stage, (metadata, version) in made.items():
                if one_build:  # a real output, so that what is downstream in the same run goes on
                    yield dg.MaterializeResult(
                        asset_key=asset_key(stage, name), metadata=metadata, data_version=dg.DataVersion(version)
                    )
                else:
                    context.log_event(
                        dg.AssetMaterialization(
                            asset_key(stage, name),
                            partition=key,
                            metadata=metadata,
                            tags={"dagster/data_version": version},
                        )
                    )
            for evaluation in evaluations(context, name, judgement, excuse):
                context.log_event(evaluation)
            if selected:  # a run of checks alone makes nothing
                metadata = verdict_metadata(judgement, excuse, output.repository)
                _observe(context, name, max(selected, key=list(Stage).index), judgement, metadata)
        if problems:
            raise dg.Failure(
                f"{name} could not be judged: " + "; ".join(f"{key}: {text}" for key, text in problems.items()),
                metadata={key: f"{type(error).__name__}: {error}" for key, error in problems.items()},
                allow_retries=False,
            )

    return judged


def _keys_to_judge(context: dg.AssetExecutionContext, flywheel: Flywheel, name: str) -> list[str]:
    """The keys of this run; of a range that the sensor asked for, only those that it was asked for.

    A range holds whatever was added between its ends: builds that are settled, and keys that anybody made up.
    """
    keys = list(context.partition_keys)
    if context.has_partition_key or JUDGES_TAG not in context.run.tags:
        return keys
    try:
        known = {str(build) for build in builds_of(flywheel, name)}
        keys = [key for key in keys if key in known]
        shown = shown_bases(context.instance, flywheel, name, keys)
        again = REREAD_TAG in context.run.tags
        return [
            key
            for key in keys
            if not shown[key].up_to_date or (again and worth_reading_again(flywheel, name, BuildKey.parse(key)))
        ]
    except FlywheelError as error:
        raise dg.Failure(
            f"No build of {name} could be judged: {error}",
            metadata={"error": type(error).__name__},
            allow_retries=False,
        ) from None


def _judge(context: dg.AssetExecutionContext, flywheel: Flywheel, name: str, key: str) -> Judgement:
    """Judge one build. The cache is read anew when a person asks; for the reconciliation, where that may help."""
    build, by_sensor = build_key(key), JUDGES_TAG in context.run.tags
    if by_sensor and REREAD_TAG in context.run.tags:
        read_again(flywheel, name, build)  # what reads as before is no evidence, and nothing is judged anew for it
    judgement = judge(flywheel, name, build, reread=not by_sensor)
    context.log.info("%s: %s, %s", key, judgement.verdict.verdict.value, judgement.verdict.worst.reason)
    return judgement


def build_key(key: str) -> BuildKey:
    """The build that a partition key names; UsageError for anything else: anybody can add a partition."""
    try:
        return BuildKey.parse(key)
    except ValueError as error:
        raise UsageError(f"{key[:80]!r} is not a build. A build is named <run>.<attempt>.<system>.") from error


def _made(
    judgement: Judgement, excuse: Excuse, selected: set[Stage], repository: str
) -> dict[Stage, tuple[Metadata, str]]:
    """What this build may be materialized as, with metadata and data version."""
    verdict = judgement.verdict
    found: dict[Stage, tuple[Metadata, str]] = {}
    version = str(verdict.subject)
    if verdict.body_is_whole and judgement.inspection and Stage.CACHE_ENTRY in selected:
        found[Stage.CACHE_ENTRY] = (entry_metadata(judgement, judgement.inspection, repository), version)
    if verdict.validated and Stage.VALIDATED_ARTIFACT in selected:
        found[Stage.VALIDATED_ARTIFACT] = (verdict_metadata(judgement, excuse, repository), version)
    return found


def _observe(
    context: dg.AssetExecutionContext, name: str, stage: Stage, judgement: Judgement, metadata: Metadata
) -> None:
    """The full verdict as an observation, last of a build's events: what is not observed is not shown yet."""
    context.log_event(
        dg.AssetObservation(
            asset_key(stage, name),
            partition=str(judgement.verdict.build),
            description=f"{judgement.verdict.verdict.value}: {judgement.verdict.worst.reason}",
            metadata=metadata,
        )
    )


def _published(catalogue: Catalogue, name: str) -> dg.AssetsDefinition:
    output: Output = catalogue.outputs[name]
    spec = _spec(catalogue, name, Stage.PUBLISHED_ARTIFACT, [asset_key(Stage.VALIDATED_ARTIFACT, name)])
    surface = output.publication.surface if output.publication else ""

    @dg.multi_asset(name=f"publish_{name.replace('-', '_')}", specs=[spec], pool=f"surface_{surface.replace('-', '_')}")
    def published(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.MaterializeResult[None]]:
        flywheel, key = pipeline.flywheel, context.partition_key
        try:
            judgement = judge(flywheel, name, build_key(key))
            # Only a person may have a workflow that failed run once more: the sensor's runs carry its tag.
            done = promote(flywheel, name, build_key(key), anew=PUBLISHES_TAG not in context.run.tags)
        except PromotionRefusedError as refusal:
            raise _refused(catalogue, output, refusal) from None  # it says all
        except FlywheelError as error:
            raise dg.Failure(
                f"{name} {key[:80]} is not published: {error}",
                metadata={"owner": catalogue.owners[output.owner].contact, "error": type(error).__name__},
                allow_retries=False,
            ) from None
        if isinstance(done, Dispatch):
            for event in dispatch_events(flywheel, context.instance, name):
                context.log_event(event)
            return
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata=publication_metadata(
                done.publication, done.copied, judgement.receipt.receipt, output, pipeline.carrier_of(name)
            ),
            data_version=dg.DataVersion(str(done.publication.artifact_digest)),
        )

    return published


def _refused(catalogue: Catalogue, output: Output, refusal: PromotionRefusedError) -> dg.Failure:
    verdict = refusal.verdict
    return dg.Failure(
        f"Not published. {refusal}\n\n{explain(failed(verdict))}",
        metadata={
            "verdict": verdict.verdict.value,
            "reason": verdict.worst.reason,
            "who_acts": verdict.worst.actor,
            "owner": catalogue.owners[output.owner].contact,
            "rules": findings_table(verdict.findings),
        },
        allow_retries=False,
    )
