"""Phase 0 in the UI: one external asset a builder label, with what the catalogue declares of it and what was seen.

Reported by the sensor when something changed; the checks can also be run by hand, and say the same.
"""

import hashlib
import json
from collections.abc import Iterator

import dagster as dg

from flywheel_assets.catalog.models import Builder, Catalogue
from flywheel_assets.gate.case import person
from flywheel_assets.orchestration.keys import BUILDERS_GROUP, builder_key
from flywheel_assets.orchestration.metadata import Metadata, explained, linked
from flywheel_assets.orchestration.resources import Pipeline
from flywheel_assets.orchestration.shown import shown_state
from flywheel_assets.promotion.builder_surface import BuilderSurface, SeenBuild, boundary_problem, builder_surfaces
from flywheel_assets.promotion.flywheel import Flywheel

BOOTSTRAP, BOUNDARY = "bootstrap_was_proven", "boundary_is_declared"
Events = list[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation]


def builder_assets(catalogue: Catalogue) -> list[dg.AssetSpec | dg.AssetChecksDefinition]:
    """The assets of all labels, and their checks as one that can be run by hand."""
    return [*(_spec(catalogue, label) for label in catalogue.builders), _checks(catalogue)]


def builder_events(flywheel: Flywheel, instance: dg.DagsterInstance) -> Events:
    """What is to be reported of the labels whose page does not show what is so. Raises EvidenceError."""
    events: Events = []
    for surface in builder_surfaces(flywheel):
        key, facts = builder_key(surface.label), _facts(flywheel, surface)
        checks = list(_results(flywheel, surface))
        state = _state(facts, checks)
        if shown_state(instance, key) == state:
            continue
        # First the facts, then the checks on them: a check that came before is shown as out of date.
        events.append(dg.AssetMaterialization(key, metadata={**facts, "state": state}))
        events += [
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=str(check.check_name),
                passed=check.passed,
                severity=check.severity,
                description=check.description,
            )
            for check in checks
        ]
    return events


def _spec(catalogue: Catalogue, label: str) -> dg.AssetSpec:
    builder = catalogue.builders[label]
    return dg.AssetSpec(
        builder_key(label),
        group_name=BUILDERS_GROUP,
        description=_description(catalogue, builder),
        owners=[catalogue.owners[builder.owner].contact],
        kinds={"docker" if builder.class_.value == "dind" else builder.class_.value},
        tags={"builder": label, "class": builder.class_.value, "level": builder.level.value},
    )


def _description(catalogue: Catalogue, builder: Builder) -> str:
    """The first line is plain text: lists show it raw."""
    rows = {
        "class": builder.class_.value,
        "level": builder.level.value,
        "owner": person(catalogue, builder.owner),
        "makes": ", ".join(kind.value for kind in builder.makes),
        "must prove its bootstrap for": ", ".join(k.value for k in builder.must_prove_bootstrap_for) or "nothing",
        "publication boundary": builder.publication_boundary or "not declared",
    }
    table = [f"| {name} | {' '.join(text.split()).replace('|', '/')} |" for name, text in rows.items()]
    level = builder.level.value.capitalize()
    first = f"{level} {builder.class_.value} builder, by its runner label. It fills caches and publishes nothing."
    return "\n".join([first, "", "| | |", "|---|---|", *table])


def _checks(catalogue: Catalogue) -> dg.AssetChecksDefinition:
    says = {
        BOOTSTRAP: "Phase 0: the newest run that must prove its bootstrap came with a valid proof.",
        BOUNDARY: "Phase 0: a first-class builder declares what leaves it and what does not.",
    }
    specs = [
        dg.AssetCheckSpec(check, asset=builder_key(label), description=text)
        for label in catalogue.builders
        for check, text in says.items()
    ]

    @dg.multi_asset_check(name="builder_surface", specs=specs, can_subset=True)
    def builder_surface(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        for surface in builder_surfaces(pipeline.flywheel):
            for result in _results(pipeline.flywheel, surface):
                if _check_key(surface, result) in context.selected_asset_check_keys:
                    yield result

    return builder_surface


def _check_key(surface: BuilderSurface, result: dg.AssetCheckResult) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(builder_key(surface.label), str(result.check_name))


def _results(flywheel: Flywheel, surface: BuilderSurface) -> Iterator[dg.AssetCheckResult]:
    """Both checks of a label; that of its bootstrap only once there is a build that says something of it."""
    builder, judged = flywheel.catalogue.builders[surface.label], surface.last_judged
    if judged is not None:
        build = f"{judged.output} {judged.build}"
        says = explained(judged.bootstrap) if not judged.proved else f"{judged.bootstrap[0].message}."
        yield _result(surface, BOOTSTRAP, f"{build}: {says}", passed=judged.proved)
    elif not builder.must_prove_bootstrap_for:
        yield _result(surface, BOOTSTRAP, "Its lanes bring their toolchain: nothing is to be proven.", passed=True)
    problem = boundary_problem(flywheel, surface)
    declared = builder.publication_boundary or f"Not declared, and not required while it is {builder.level.value}."
    to_do = f"{problem}. Declare `publication_boundary` in the catalogue, or take the level back."
    yield _result(surface, BOUNDARY, to_do if problem else declared, passed=not problem)


def _result(surface: BuilderSurface, check: str, says: str, *, passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=builder_key(surface.label),
        check_name=check,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if check == BOOTSTRAP else dg.AssetCheckSeverity.ERROR,
        description=says,
    )


def _facts(flywheel: Flywheel, surface: BuilderSurface) -> dict[str, dg.MetadataValue]:
    """What was seen comes first: what the catalogue declares stands in the description, too."""
    builder, recorded = flywheel.catalogue.builders[surface.label], surface.recorded
    facts: dict[str, dg.MetadataValue] = {"last_bootstrap_proof": dg.MetadataValue.text(_proof(builder, surface))}
    for name, build in (("last_bootstrap", surface.last_proof), ("last_build", surface.last_build)):
        if build is not None:
            facts |= _build_facts(flywheel, name, build)
    facts["level"] = dg.MetadataValue.text(builder.level.value)
    if recorded.since is not None:
        facts["level_since"] = dg.MetadataValue.timestamp(recorded.since)
    if recorded.before is not None:
        facts["level_before"] = dg.MetadataValue.text(recorded.before.value)
    return {
        **facts,
        "publication_boundary": dg.MetadataValue.text(builder.publication_boundary or "(not declared)"),
        "owner": dg.MetadataValue.text(person(flywheel.catalogue, builder.owner)),
        "class": dg.MetadataValue.text(builder.class_.value),
    }


def _proof(builder: Builder, surface: BuilderSurface) -> str:
    """What proved the toolchain last: the receipt's word where there is one, or what the gate found."""
    proof = surface.last_proof
    if proof is not None and proof.run.bootstrap is not None:
        return (
            f"{proof.run.bootstrap.tool} {proof.run.bootstrap.verified_version} by {proof.run.bootstrap.installed_by}"
        )
    if proof is not None:
        return proof.bootstrap[0].message
    return "(none seen)" if builder.must_prove_bootstrap_for else "(its lanes have nothing to prove)"


def _build_facts(flywheel: Flywheel, name: str, build: SeenBuild) -> dict[str, dg.MetadataValue]:
    run = build.run
    at = run.bootstrap.finished_at if name == "last_bootstrap" and run.bootstrap else run.finished_at
    return {
        f"{name}_in" if name == "last_bootstrap" else name: dg.MetadataValue.text(f"{build.output} {build.build}"),
        f"{name}_run": linked(run.invocation, flywheel.output(build.output).repository),
        f"{name}_at": dg.MetadataValue.timestamp(at),
    }


def _state(facts: Metadata, checks: list[dg.AssetCheckResult]) -> str:
    """Changes whenever what the page is to show does."""
    said = {name: str(value.value) for name, value in facts.items()}
    judged = [(check.check_name, check.passed, check.description) for check in checks]
    return hashlib.sha256(json.dumps([said, judged], sort_keys=True).encode()).hexdigest()[:16]
