"""Findings and verdicts: what each rule of the gate says of a build, and the worst of them.

The verdict classes follow Debian's migration policies (britney2, ``PolicyVerdict``), the clearest precedent.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, field_validator

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.names import OutputName


class VerdictClass(StrEnum):
    """From best to worst; the order is the order of ``severity``."""

    PASSED = "passed"
    WAITING = "waiting"
    NEEDS_APPROVAL = "needs approval"
    CANNOT_DETERMINE = "cannot determine"
    REJECTED_TEMPORARILY = "rejected temporarily"
    REJECTED_PERMANENTLY = "rejected permanently"

    @property
    def severity(self) -> int:
        """0 for passed, rising with every class."""
        return list(VerdictClass).index(self)


class Phase(StrEnum):
    """The phase a rule belongs to; also the name of the asset check that shows it."""

    BOOTSTRAP = "bootstrap"
    BUILD = "build"
    INTEGRITY = "integrity"
    VALIDATION = "validation"
    CLASSIFICATION = "classification"
    PUBLICATION = "publication"
    OWNERSHIP = "ownership"


class About(StrEnum):
    """What a finding speaks of: this artifact, or what the catalogue decided for its output."""

    ARTIFACT = "artifact"
    POLICY = "policy"


class Finding(Closed):
    """What one rule says of one build.

    ``reason`` is a stable code (docs/reasons.md), ``message`` a sentence, ``remedy`` what would change the
    finding and ``actor`` who can do that; both are empty for a pass. ``exception`` names the catalogue's exception
    that alone made it one.
    """

    rule: str
    phase: Phase
    verdict: VerdictClass
    reason: str
    message: str
    remedy: str = ""
    actor: str = ""
    about: About = About.ARTIFACT
    exception: str = ""

    @field_validator("message")
    @classmethod
    def _without_full_stop(cls, message: str) -> str:
        """Whoever prints it ends the sentence."""
        return message.removesuffix(".")


class Verdict(Closed):
    """All findings about one build, on stated evidence, under a stated catalogue, at a stated time."""

    output: OutputName
    build: BuildKey
    subject: Sha256 | None
    findings: Annotated[tuple[Finding, ...], Field(min_length=1)]
    catalogue: EvidenceDigest
    evidence: tuple[EvidenceDigest, ...]
    now: AwareDatetime

    @property
    def worst(self) -> Finding:
        """The finding that decides; the earliest rule among equals."""
        return max(self.findings, key=lambda finding: finding.verdict.severity)

    @property
    def verdict(self) -> VerdictClass:
        """The class of the worst finding."""
        return self.worst.verdict

    @property
    def validated(self) -> bool:
        """Whether all but the publication phase passes: the artifact itself is clean."""
        return all(f.verdict is VerdictClass.PASSED for f in self.findings if f.phase is not Phase.PUBLICATION)

    @property
    def publishable(self) -> bool:
        """Whether every rule passes."""
        return self.verdict is VerdictClass.PASSED

    @property
    def may_change(self) -> bool:
        """Whether a better reading or other evidence could still make it pass on its own."""
        return self.verdict in {VerdictClass.REJECTED_TEMPORARILY, VerdictClass.CANNOT_DETERMINE}

    @property
    def body_is_whole(self) -> bool:
        """Whether the cache entry was read whole and is what an authentic receipt says."""
        rules = {"whole_body_matches_digest", "closure_is_complete", "receipt_is_authentic"}
        found = [finding for finding in self.findings if finding.rule in rules]
        whole = all(finding.verdict is VerdictClass.PASSED for finding in found)
        return len(found) == len(rules) and whole and all(f.reason != "evidence-damaged" for f in self.findings)

    def of_phase(self, phase: Phase) -> tuple[Finding, ...]:
        """The findings of one phase, worst first."""
        found = (finding for finding in self.findings if finding.phase is phase)
        return tuple(sorted(found, key=lambda finding: -finding.verdict.severity))
