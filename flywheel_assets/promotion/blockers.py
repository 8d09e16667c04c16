"""What keeps one build from going out, and how each of that ends. Pure: it asks the gate, and nothing else.

Debian's excuses give every package a verdict and a list of issues. Here each issue also says how it ends: somebody
acts, it passes on its own, only another build helps, or it is meant to be so. So a reader knows what not to do, too.
"""

from datetime import datetime
from enum import StrEnum

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.evidence import EvidenceBundle
from flywheel_assets.domain.verdicts import About, Finding, Verdict, VerdictClass
from flywheel_assets.gate.authority import change_to
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.explain import failed
from flywheel_assets.gate.moments import moments

FOLLOWS = "no-authentic-receipt"
"""What a rule says that receipt_is_authentic explains: no blocker of its own."""

PASSING = frozenset({"held", "receipt-from-the-future"})
"""What can pass with time alone."""

ON_THEIR_WAY = frozenset(
    {
        "platform-run-unseen",
        "validation-missing",
        "dependency-unresolved",
        "canonical-unpublished",
        "cache-rate-limited",
    }
)
"""What waits for something that comes without anybody here."""

DISTRUST = "not_withdrawn"
"""The rule over what must not be public: what it rejects is to be taken back where it is."""

PROPOSALS = frozenset({"pull-request", "fork", "other-ref"})
OLDER = "older-than-channel"
LACKING = frozenset({VerdictClass.WAITING, VerdictClass.NEEDS_APPROVAL})
"""Verdicts of what only lacks something: nothing speaks against it, so that what is public may stay."""

BUILT_AGAIN = frozenset({"bootstrap-unproven", "job-unnamed", "order-unknown", "platform-run-failed"})
"""Rejections that may change and that only another build does change."""

ALARMS = frozenset(
    {
        "body-differs",
        "body-too-large",
        "builders-disagree",
        "digest-disputed",
        "evidence-damaged",
        "index-differs",
        "platform-run-absent",
        "provenance-contradicts-receipt",
        "quarantined",
        "built-from-quarantined",
        "receipt-contradicts-platform",
        "receipts-conflict",
        "reference-not-in-receipt",
    }
)
"""What somebody looks into even where the build itself matters no more."""


class Ends(StrEnum):
    """How a blocker ends."""

    BY_AN_ACT = "by an act"
    BY_ITSELF = "by itself"
    WITH_ANOTHER_BUILD = "with another build"
    AS_MEANT = "as meant"


class Blocker(Closed):
    """One rule that does not hold; ``until`` is when it passes with time alone."""

    rule: str
    verdict: VerdictClass
    reason: str
    message: str
    remedy: str
    actor: str
    ends: Ends
    until: datetime | None = None


def case_of(bundle: EvidenceBundle, catalogue: Catalogue, verdict: Verdict) -> Case:
    """The build as the gate saw it for this verdict."""
    return Case(bundle, catalogue, catalogue.outputs[bundle.output], verdict.now)


def blockers_of(case: Case, verdict: Verdict) -> tuple[Blocker, ...]:
    """What is to be ended before it passes, worst first.

    What only follows from a missing receipt is left out, and approvals as long as approving cannot help: of what is
    rejected for another reason than that an approval may accept.
    """
    found = [finding for finding in failed(verdict) if finding.reason != FOLLOWS]
    rejected = {VerdictClass.REJECTED_TEMPORARILY, VerdictClass.REJECTED_PERMANENTLY}
    if any(finding.verdict in rejected and finding.reason != OLDER for finding in found):
        found = [finding for finding in found if finding.reason != "approval-missing"]
    passing = _passing(case) if any(finding.reason in PASSING for finding in found) else {}
    return tuple(_blocker(case, finding, passing.get(finding.rule)) for finding in found)


def passes_at(case: Case, blockers: tuple[Blocker, ...]) -> datetime | None:
    """When it passes with time alone, by the gate's own word; None when time alone does not do it."""
    ends = [blocker.until for blocker in blockers if blocker.until is not None]
    if not ends or len(ends) < len(blockers):
        return None
    return max(ends) if evaluate(case.bundle, case.catalogue, max(ends)).publishable else None


def passes_until(case: Case, verdict: Verdict) -> datetime | None:
    """When what passes now stops passing unless something is done: an approval or an exception ends."""
    if not verdict.publishable:
        return None
    later = (moment for moment in moments(case.bundle, case.catalogue) if moment > case.now)
    return next((moment for moment in later if not evaluate(case.bundle, case.catalogue, moment).publishable), None)


def _blocker(case: Case, finding: Finding, until: datetime | None) -> Blocker:
    return Blocker(
        rule=finding.rule,
        verdict=finding.verdict,
        reason=finding.reason,
        message=finding.message,
        remedy=finding.remedy,
        actor=finding.actor,
        ends=Ends.BY_ITSELF if until is not None else _ends(case, finding),
        until=until,
    )


def _ends(case: Case, finding: Finding) -> Ends:
    is_permanent = finding.verdict is VerdictClass.REJECTED_PERMANENTLY
    is_read_soon = finding.reason == "body-not-read" and finding.verdict is VerdictClass.CANNOT_DETERMINE
    if (
        finding.reason in ON_THEIR_WAY
        or is_read_soon
        or (finding.reason == "second-builder-missing" and _rebuilt(case))
    ):
        return Ends.BY_ITSELF
    if finding.reason == "no-durable-surface" and change_to(case):
        return Ends.BY_AN_ACT  # somebody declared that it is to go out
    is_meant = finding.reason == OLDER and not (case.bundle.channel and case.bundle.channel.withdrawn)
    if finding.reason in PROPOSALS or is_meant or (is_permanent and finding.about is About.POLICY):
        return Ends.AS_MEANT
    return Ends.WITH_ANOTHER_BUILD if is_permanent or finding.reason in BUILT_AGAIN else Ends.BY_AN_ACT


def _rebuilt(case: Case) -> bool:
    """Whether this installation gives the second opinion itself."""
    rebuilder, receipt = case.catalogue.rebuilder, case.receipt
    return rebuilder is not None and receipt.artifact.kind == "nix" and receipt.run.key.system in rebuilder.systems


def _passing(case: Case) -> dict[str, datetime]:
    """By rule the first moment at which it holds though it does not hold now, by the gate's own word."""
    found: dict[str, datetime] = {}
    for moment in (moment for moment in moments(case.bundle, case.catalogue) if moment > case.now):
        for finding in evaluate(case.bundle, case.catalogue, moment).findings:
            if finding.verdict is VerdictClass.PASSED:
                found.setdefault(finding.rule, moment)
    return found
