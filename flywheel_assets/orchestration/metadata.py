"""What the UI shows: metadata values, tables and descriptions, made from domain objects."""

import shlex
from collections.abc import Mapping, Sequence

import dagster as dg

from flywheel_assets.catalog.models import Catalogue, Output
from flywheel_assets.domain.inspections import Inspection
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.verdicts import Finding, Verdict
from flywheel_assets.gate.case import person
from flywheel_assets.gate.explain import explain, failed, sentence
from flywheel_assets.promotion.judging import Judgement

Metadata = Mapping[str, dg.MetadataValue]
SHOWN_MEMBERS = 50


def build_metadata(receipt: Receipt) -> Metadata:
    """Where this came from: run, source, builder, trigger."""
    run = receipt.run
    commit = f"{run.source.repository}/commit/{run.source.revision}"
    return {
        "run": dg.MetadataValue.url(run.invocation),
        "source": dg.MetadataValue.url(commit),
        "ref": dg.MetadataValue.text(run.source.ref),
        "dirty": dg.MetadataValue.bool(run.source.dirty),
        "builder": dg.MetadataValue.text(run.builder),
        "trigger": dg.MetadataValue.text(f"{run.trigger.event.value} by {run.trigger.actor}"),
        "definition": dg.MetadataValue.text(run.definition or "(not recorded)"),
        "artifact": dg.MetadataValue.path(receipt.artifact.name),
        "digest": dg.MetadataValue.text(str(receipt.artifact.digest)),
        "finished": dg.MetadataValue.timestamp(run.finished_at),
        "build_seconds": dg.MetadataValue.float((run.finished_at - run.started_at).total_seconds()),
    }


def entry_metadata(judgement: Judgement, inspection: Inspection) -> Metadata:
    """What lies in the cache, as it was read."""
    seconds = (inspection.finished_at - inspection.started_at).total_seconds()
    records = [
        dg.TableRecord({"member": r.member, "state": r.state.value, "digest": r.digest, "bytes": r.size})
        for r in inspection.readings[:SHOWN_MEMBERS]
    ]
    return {
        **build_metadata(judgement.receipt.receipt),
        "cache": dg.MetadataValue.text(inspection.cache),
        "members": dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none"),
        "member_count": dg.MetadataValue.int(len(inspection.readings)),
        "bytes_hashed": dg.MetadataValue.int(inspection.bytes_read),
        "read_seconds": dg.MetadataValue.float(seconds),
        "read_at": dg.MetadataValue.timestamp(inspection.finished_at),
    }


def verdict_metadata(judgement: Judgement) -> Metadata:
    """The whole verdict, its evidence, and what would change it."""
    verdict, recorded = judgement.verdict, judgement.recorded
    return {
        "verdict": dg.MetadataValue.text(verdict.verdict.value),
        "reason": dg.MetadataValue.text(verdict.worst.reason),
        "why": dg.MetadataValue.md(why(verdict)),
        "rules": findings_table(verdict.findings),
        "digest": dg.MetadataValue.text(str(verdict.subject) if verdict.subject else "(no authentic receipt)"),
        "run": dg.MetadataValue.url(judgement.receipt.receipt.run.invocation) if judgement.bundle.receipts else NONE,
        "verified_summary": dg.MetadataValue.text(str(recorded.vsa) if recorded.vsa else "(none signed)"),
        "evidence": dg.MetadataValue.json([str(digest) for digest in verdict.evidence]),
        "catalogue": dg.MetadataValue.text(str(verdict.catalogue)),
        "basis": dg.MetadataValue.text(str(recorded.basis)),
        "judged_at": dg.MetadataValue.timestamp(verdict.now),
    }


NONE = dg.MetadataValue.text("(none)")


def publication_metadata(publication: Publication, copied: Sequence[str], key_file: str) -> Metadata:
    """Where it is published, who answers for it, and how a consumer verifies it."""
    command = f"flywheel verify {shlex.quote(publication.reference)} --key {key_file}"
    ownership = publication.ownership
    return {
        "reference": dg.MetadataValue.path(publication.reference),
        "surface": dg.MetadataValue.text(publication.surface),
        "way": dg.MetadataValue.text(publication.way),
        "digest": dg.MetadataValue.text(str(publication.artifact_digest)),
        "verify": dg.MetadataValue.md(f"`{command}`"),
        "published_at": dg.MetadataValue.timestamp(publication.published_at),
        "bytes_read_back": dg.MetadataValue.int(publication.bytes_read_back),
        "copied_members": dg.MetadataValue.int(len(copied)),
        "proofs": dg.MetadataValue.json([str(digest) for digest in publication.proofs]),
        "builder_path": dg.MetadataValue.text(ownership.builder_path_owner),
        "publication_path": dg.MetadataValue.text(ownership.publication_path_owner),
        "clean_because": dg.MetadataValue.text(ownership.clean_because),
    }


def findings_table(findings: Sequence[Finding]) -> dg.MetadataValue:
    """One row per rule."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "rule": finding.rule,
                    "verdict": finding.verdict.value,
                    "reason": finding.reason,
                    "says": finding.message,
                    "to_change_it": finding.remedy,
                    "who_acts": finding.actor,
                }
            )
            for finding in findings
        ]
    )


def why(verdict: Verdict) -> str:
    """The verdict as markdown, its first line plain."""
    return sentence(verdict) + "\n\n" + explain(failed(verdict))


def description(catalogue: Catalogue, name: str, output: Output, stage: str) -> str:
    """What an asset's own page says of it. The first line is plain text: lists show it raw."""
    lines = [stage]
    where_to_look = "cache_entry" if not output.is_candidate else "validated_artifact"
    lines += [
        "",
        f"| | |\n|---|---|\n| output | `{name}` (`{output.definition}`) |",
        f"| source | [{output.repository}]({output.repository}) |",
        f"| cache | {output.cache} |",
        f"| audience | {output.audience.value} |",
        f"| owner | {person(catalogue, output.owner)} |",
        f"| publication | {_publication(output)} |",
        "",
        f"Why is a build not published? On `{where_to_look}/{name}`: **Checks**, then the phase, then its history; "
        "a line for each build, with what would change it and who acts.",
        "",
        f'This output alone: [`tag:"output"="{name}"`](/asset-groups~tag%3A%22output%22%3D%22{name}%22/)',
    ]
    return "\n".join(lines)


def _publication(output: Output) -> str:
    target = output.publication
    if target is None:
        return "none: the lineage ends before it"
    return f"{target.surface}, which this pipeline {target.way.value}; promotion is {target.promotion}"


def kinds_of(output: Output) -> set[str]:
    """Kinds for the nodes of an output's lineage."""
    return {output.type.value, *({"docker"} if output.type.value == "oci" else set())}
