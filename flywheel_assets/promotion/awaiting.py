"""Which other builds a build waits for: those of what it is built from, and of the source that it must follow."""

from collections.abc import Iterable

from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.gate.case import Case
from flywheel_assets.promotion.blockers import Blocker
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.opening import open_document

MOST = 3  # of one output: any of them would do


def awaited_builds(flywheel: Flywheel, case: Case, blockers: Iterable[Blocker]) -> list[tuple[str, str, str]]:
    """Output and build of each, or in place of a build a sentence that says why none is known."""
    reasons = {blocker.reason for blocker in blockers}
    found: list[tuple[str, str, str]] = []
    if "dependency-unresolved" in reasons:
        for output in case.output.built_from:
            digests = {d.digest.hex for d in case.receipt.run.dependencies if d.output == output}
            known = {d.receipt.artifact.digest.hex for d in case.bundle.dependencies if d.receipt.output == output}
            if not digests & known:
                builds = _builds(flywheel, output, digests=digests)
                found += _named(output, builds, "no receipt of the digest that it names has arrived")
    if "canonical-unpublished" in reasons:
        product = case.catalogue.products[case.output.product or ""]
        revision = case.receipt.run.source.revision
        canonical = str(product.canonical)
        builds = _builds(flywheel, canonical, revision=revision)
        found += _named(canonical, builds, f"no build from revision {str(revision)[:12]} has arrived")
    return found


def _named(output: str, builds: list[str], lacking: str) -> list[tuple[str, str, str]]:
    return [(output, build, "") for build in builds[-MOST:]] or [(output, "", lacking)]


def _builds(
    flywheel: Flywheel, output: str, *, digests: Iterable[str] = (), revision: GitRevision | None = None
) -> list[str]:
    """Builds whose receipts speak of one of the digests, or of the revision; whoever signed them, if anybody did."""
    wanted, found = set(digests), []
    for entry in flywheel.evidence.entries(output_log(output)):
        receipt = _receipt(flywheel, entry.evidence) if entry.kind == RECEIPT else None
        if receipt and (receipt.artifact.digest.hex in wanted or receipt.run.source.revision == revision):
            found.append(entry.subject)
    return list(dict.fromkeys(found))


def _receipt(flywheel: Flywheel, evidence: EvidenceDigest) -> Receipt | None:
    """None for one that is damaged: the verdict says so."""
    try:
        _, found = open_document(flywheel, evidence)
    except (EvidenceError, InvalidInputError):
        return None
    return found if isinstance(found, Receipt) else None
