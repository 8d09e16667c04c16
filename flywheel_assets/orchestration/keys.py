"""Names in Dagster: asset keys stage first, groups equal to stages, one partition set per output."""

from enum import StrEnum

import dagster as dg


class Stage(StrEnum):
    """The four stages of the lineage."""

    BUILDER_RUN = "builder_run"
    CACHE_ENTRY = "cache_entry"
    VALIDATED_ARTIFACT = "validated_artifact"
    PUBLISHED_ARTIFACT = "published_artifact"


# Numbered, because the sidebar sorts groups by name; short, because the collapsed graph cuts them.
GROUPS = {
    Stage.BUILDER_RUN: "s1_builder_runs",
    Stage.CACHE_ENTRY: "s2_cache_entries",
    Stage.VALIDATED_ARTIFACT: "s3_validated",
    Stage.PUBLISHED_ARTIFACT: "s4_published",
}

BUILDERS_GROUP = "s0_builders"
INTAKE = dg.AssetKey(["intake"])
REGISTER = dg.AssetKey(["register"])

JUDGES_TAG = "flywheel/judges"
PUBLISHES_TAG = "flywheel/publishes"
RANGE_TAG = "flywheel/range-of"
REREAD_TAG = "flywheel/reread"


def asset_key(stage: Stage, output: str) -> dg.AssetKey:
    """``stage/output``."""
    return dg.AssetKey([stage.value, output])


def builder_key(label: str) -> dg.AssetKey:
    """``builder/label``."""
    return dg.AssetKey(["builder", label])


def builds(output: str) -> dg.DynamicPartitionsDefinition:
    """The builds of an output; keys are ``<run>.<attempt>.<system>``."""
    return dg.DynamicPartitionsDefinition(name=builds_name(output))


def builds_name(output: str) -> str:
    """The name under which an output's builds are kept."""
    return f"builds/{output}"
