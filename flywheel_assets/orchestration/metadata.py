"""What the UI shows: metadata values, tables and descriptions, made from domain objects."""

import re
import shlex
from collections.abc import Mapping, Sequence

import dagster as dg

from flywheel_assets.catalog.models import Catalogue, Output, Way
from flywheel_assets.domain.inspections import Inspection
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.verdicts import Finding, Verdict, VerdictClass
from flywheel_assets.gate.case import person
from flywheel_assets.gate.explain import failed, sentence
from flywheel_assets.orchestration.unblocking import unblocking
from flywheel_assets.promotion.excuses import Excuse
from flywheel_assets.promotion.judging import Judgement

Metadata = Mapping[str, dg.MetadataValue]
SHOWN_MEMBERS = 50
RELEASE_KEY = "release.pub"  # a consumer has got it from the publisher, under whatever name


def build_metadata(receipt: Receipt, repository: str) -> Metadata:
    """Where this came from: run, source, builder, trigger.

    A receipt may be anybody's: what it names is a link only below the output's own ``repository``.
    """
    run = receipt.run
    return {
        "run": linked(run.invocation, repository),
        "source": linked(f"{run.source.repository}/commit/{run.source.revision}", repository),
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


def linked(url: str, repository: str) -> dg.MetadataValue:
    """A link when it leads below ``repository``, and text otherwise: it may be anybody's word."""
    return dg.MetadataValue.url(url) if url.startswith(f"{repository}/") else dg.MetadataValue.text(url)


def entry_metadata(judgement: Judgement, inspection: Inspection, repository: str) -> Metadata:
    """What lies in the cache, as it was read."""
    seconds = (inspection.finished_at - inspection.started_at).total_seconds()
    records = [
        dg.TableRecord({"member": r.member, "state": r.state.value, "digest": r.digest, "bytes": r.size})
        for r in inspection.readings[:SHOWN_MEMBERS]
    ]
    return {
        **build_metadata(judgement.receipt.receipt, repository),
        "cache": dg.MetadataValue.text(inspection.cache),
        "members": dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none"),
        "member_count": dg.MetadataValue.int(len(inspection.readings)),
        "bytes_hashed": dg.MetadataValue.int(inspection.bytes_read),
        "read_seconds": dg.MetadataValue.float(seconds),
        "read_at": dg.MetadataValue.timestamp(inspection.finished_at),
    }


def verdict_metadata(judgement: Judgement, excuse: Excuse, repository: str) -> Metadata:
    """The whole verdict, its evidence, and what would change it, which is the build's ``excuse``."""
    verdict, recorded = judgement.verdict, judgement.recorded
    return {
        "verdict": dg.MetadataValue.text(verdict.verdict.value),
        "reason": dg.MetadataValue.text(verdict.worst.reason),
        "why": dg.MetadataValue.md(why(verdict)),
        **unblocking(excuse),
        "rules": findings_table(verdict.findings),
        "digest": dg.MetadataValue.text(str(verdict.subject) if verdict.subject else "(no authentic receipt)"),
        **_origin(judgement, repository),
        **_differing_files(judgement),
        **decisions_shown(judgement),
        "verified_summary": dg.MetadataValue.text(str(recorded.vsa) if recorded.vsa else "(none signed)"),
        "evidence": dg.MetadataValue.json([str(digest) for digest in verdict.evidence]),
        "catalogue": dg.MetadataValue.text(str(verdict.catalogue)),
        "basis": dg.MetadataValue.text(str(recorded.basis)),
        "judged_at": dg.MetadataValue.timestamp(verdict.now),
    }


def _differing_files(judgement: Judgement) -> Metadata:
    """The files that builders disagree about, as a table; or which body could not be read."""
    found: dict[str, dg.MetadataValue] = {}
    for recorded in judgement.bundle.comparisons[-1:]:
        comparison = recorded.comparison
        if comparison.differences is None:
            found["differing_files"] = dg.MetadataValue.text(f"not known: {comparison.problem}")
            continue
        records = [
            dg.TableRecord({"file": c.path, "how": c.how, "bytes": str(c.sizes[0]), "rebuilt_bytes": str(c.sizes[1])})
            for c in comparison.differences.first
        ]
        count = f"{comparison.differences.count:,} in {comparison.path}, of which {len(records)} are shown"
        found["differing_files"] = dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none")
        found["differing_file_count"] = dg.MetadataValue.text(count)
    return found


def decisions_shown(judgement: Judgement) -> Metadata:
    """What people decided that bears on the build, as a table; nothing where nobody decided anything."""
    records = [
        dg.TableRecord(
            {
                "who": weighed.who,
                "decided": weighed.decision.act.value,
                "what": weighed.what,
                "counts": weighed.counts,
                "until": f"{weighed.until:%Y-%m-%d %H:%M} UTC" if weighed.until else "",
                "reason": weighed.decision.reason,
                "since": f"{weighed.attested.arrived_at:%Y-%m-%d %H:%M} UTC",
                "id": weighed.decision.short_id,
            }
        )
        for weighed in judgement.decisions[-SHOWN_MEMBERS:]
    ]
    return {"decisions": dg.MetadataValue.table(records)} if records else {}


def _origin(judgement: Judgement, repository: str) -> Metadata:
    if not judgement.bundle.receipts:
        return {}
    origin = build_metadata(judgement.receipt.receipt, repository)
    return {name: origin[name] for name in ("run", "source", "builder", "trigger", "artifact")}


def publication_metadata(
    publication: Publication, copied: Sequence[str], receipt: Receipt, output: Output, carrier: str = ""
) -> Metadata:
    """Where it is published, where it came from, who answers for it, and how a consumer verifies it.

    ``carrier`` is the address of what carries a flake's binaries.
    """
    repository = output.repository
    ownership, origin = publication.ownership, build_metadata(receipt, repository)
    return {
        "reference": dg.MetadataValue.path(publication.reference),
        **_verification(publication, output, carrier),
        **{name: origin[name] for name in ("source", "run", "builder")},
        "digest": dg.MetadataValue.text(str(publication.artifact_digest)),
        "surface": dg.MetadataValue.text(publication.surface),
        "way": dg.MetadataValue.text(publication.way),
        "published_at": dg.MetadataValue.timestamp(publication.published_at),
        "bytes_read_back": dg.MetadataValue.int(publication.bytes_read_back),
        "copied_members": dg.MetadataValue.int(len(copied)),
        "proofs": dg.MetadataValue.json([str(digest) for digest in dict.fromkeys(publication.proofs)]),
        "builder_path": dg.MetadataValue.text(ownership.builder_path_owner),
        "publication_path": dg.MetadataValue.text(ownership.publication_path_owner),
        "clean_because": dg.MetadataValue.text(ownership.clean_because),
    }


def _verification(publication: Publication, output: Output, carrier: str) -> Metadata:
    """The command for what carries a summary of ours; for what was only observed, its catalogued signers."""
    if publication.way == Way.OBSERVES.value:
        signers = output.publication.signers if output.publication else ()
        return {"signed_by": dg.MetadataValue.text(", ".join(signers))} if signers else {}
    command = f"flywheel verify {shlex.quote(publication.reference)} --key {RELEASE_KEY}"
    command += f" --cache {shlex.quote(carrier)}" if carrier else ""
    return {"verify": dg.MetadataValue.md(f"`{command}`")}


def findings_table(findings: Sequence[Finding]) -> dg.MetadataValue:
    """One row per rule, worst first. What would change it is a column only where something is to be changed."""
    remedies = any(finding.remedy for finding in findings)
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "rule": finding.rule,
                    "verdict": finding.verdict.value,
                    "reason": finding.reason,
                    "says": finding.message,
                    **({"to_change_it": finding.remedy, "who_acts": finding.actor} if remedies else {}),
                }
            )
            for finding in sorted(findings, key=lambda finding: -finding.verdict.severity)
        ]
    )


def explained(findings: Sequence[Finding]) -> str:
    """What one phase says, as markdown: each failed rule with what would change it and who acts.

    Rules that say the same are named together. Whole digests are in the table: here they would push the rest
    out of sight.
    """
    same: dict[tuple[str, ...], list[str]] = {}
    for finding in findings:
        if finding.verdict is not VerdictClass.PASSED:
            words = (finding.verdict.value, finding.reason, finding.message, finding.remedy, finding.actor)
            same.setdefault(words, []).append(finding.rule)
    said = [
        f"**{verdict}**: {reason} ({', '.join(rules)})  \n{_inert(message)}  \n"
        f"To change it: {_inert(remedy)}  \nWho acts: {_inert(actor)}"
        for (verdict, reason, message, remedy, actor), rules in same.items()
    ]
    let = [f"**excepted**: {f.reason} ({f.rule})  \n{_inert(f.message)}" for f in findings if f.exception]
    holding = [finding.rule for finding in findings if not finding.exception]
    if holding and not said:
        said = [f"Every {'other ' if let else ''}rule holds: {', '.join(holding)}."]
    return "\n\n".join((*said, *let)) or "No rule."


def _inert(text: str) -> str:
    """A sentence that may quote a receipt: no links, images or markup come of it."""
    short = re.sub(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", text)
    ended = short if short.endswith((".", "…")) else f"{short}."
    lone = "`" if ended.count("`") % 2 else ""  # which would open code that runs to wherever the next one is
    return re.sub(rf"([\\\[\]<>*|{lone}])", r"\\\1", ended)


def why(verdict: Verdict) -> str:
    """The verdict as markdown, its first line plain."""
    problems = [*failed(verdict), *(finding for finding in verdict.findings if finding.exception)]
    return _inert(sentence(verdict)) + (f"\n\n{explained(problems)}" if problems else "")


def description(catalogue: Catalogue, name: str, output: Output, stage: str) -> str:
    """What an asset's own page says of it. The first line is plain text: lists show it raw."""
    stages = ["cache_entry", *(["validated_artifact"] if output.is_candidate else [])]
    checks = " and ".join(f"[the checks of {stage}](/assets/{stage}/{name}?view=checks)" for stage in stages)
    rows = {
        "output": f"{name} ({output.definition})",
        "source": f"[{output.repository}]({output.repository})",
        "owner": person(catalogue, output.owner),
        "cache": f"{output.cache}, of {catalogue.owners[catalogue.surfaces[output.cache].owner].contact}",
        "audience": output.audience.value,
        "publication": _publication(output),
        "consumers": output.consumption or "",
        "clean because": output.clean_because or "",
        "product": catalogue.products[output.product].statement if output.product else "",
    }
    table = [f"| {label} | {' '.join(text.split()).replace('|', '/')} |" for label, text in rows.items() if text]
    where_to_look = (
        f"[The lineage of {name} alone](/asset-groups~tag%3A%22output%22%3D%22{name}%22/). Why is a build not "
        f"published? See {checks}: choose a phase, then Execution history. It has a line for each build, with what "
        "would change it and who acts."
    )
    return "\n".join([stage, "", where_to_look, "", "| | |", "|---|---|", *table])


def _publication(output: Output) -> str:
    target = output.publication
    if target is None:
        return "none: the lineage ends before it"
    how = {
        Way.COPIES: f"copied to {target.surface} by this pipeline",
        Way.TRIGGERS: f"released to {target.surface} by a workflow that this pipeline starts",
        Way.OBSERVES: f"published to {target.surface} by its own workflow, verified and recorded here",
    }
    return f"{how[target.way]}; promotion is {target.promotion}"


def kinds_of(output: Output) -> set[str]:
    """Kinds for the nodes of an output's lineage."""
    return {output.type.value, *({"docker"} if output.type.value == "oci" else set())}
