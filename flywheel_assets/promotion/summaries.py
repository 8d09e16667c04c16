"""Verification summaries: what the gate concluded, as an in-toto VSA that stock verifiers read.

Source: SLSA v1.1, Verification Summary Attestation v1. Stock verifiers refuse SLSA_BUILD_LEVEL_UNEVALUATED,
and custom levels must not begin with SLSA_.
"""

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.statements import PAYLOAD_TYPE, VSA_V1, Statement, statement_bytes
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.domain.verdicts import Finding, Verdict
from flywheel_assets.ports import Signer

VALIDATED, PROMOTED = "FLYWHEEL_VALIDATED", "FLYWHEEL_PROMOTED"
WITH_EXCEPTION = "FLYWHEEL_WITH_EXCEPTION"
"""Beside the others: a rule does not hold, and an exception in the catalogue (the policy's digest) lets it pass."""


def summary(
    signer: Signer,
    catalogue: Catalogue,
    artifact: Artifact,
    verdict: Verdict,
    *,
    resource: str,
    levels: list[str],
) -> bytes:
    """The signed VSA about ``artifact``: PASSED with the given levels, FAILED when there are none.

    The verdict's evidence becomes its input attestations: beside an authentic receipt the ledger lets nothing
    into a bundle that a stranger signed, or nobody.
    """
    inputs = [{"uri": f"urn:flywheel-assets:evidence:{d}", "digest": {"sha256": d.hex}} for d in verdict.evidence]
    predicate = {
        "verifier": {"id": catalogue.verifier_uri},
        "timeVerified": _rfc3339(verdict.now),
        "resourceUri": resource,
        "policy": {"uri": catalogue.policy_uri, "digest": {"sha256": verdict.catalogue.hex}},
        "inputAttestations": inputs,
        "verificationResult": "PASSED" if levels else "FAILED",
        "verifiedLevels": levels,
        "slsaVersion": "1.1",
    }
    subject = [(artifact.name, {"sha256": artifact.digest.hex})]
    return signer.sign(statement_bytes(subject, VSA_V1, predicate), PAYLOAD_TYPE)


def levels_of(build_level: int, *own: str) -> list[str]:
    """``SLSA_BUILD_LEVEL_<n>`` and our own levels."""
    return [f"SLSA_BUILD_LEVEL_{build_level}", *own]


def excepted(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The level that says that one of these findings passes by an exception alone; none when all hold."""
    return (WITH_EXCEPTION,) if any(finding.exception for finding in findings) else ()


class ReadSummary:
    """A VSA as read back: the fields that a consumer must look at."""

    def __init__(self, payload: bytes, document: str) -> None:
        """Parse the statement. Raises InvalidInputError naming the field."""
        remedy = "Ask the publisher for a valid verification summary."
        try:
            statement = Statement.model_validate(parse_json(payload, document))
            predicate = statement.predicate
            self.digests = {subject.digest.get("sha256", "") for subject in statement.subject}
            self.resource = str(predicate["resourceUri"])
            self.result = str(predicate["verificationResult"])
            self.levels = [str(level) for level in predicate["verifiedLevels"]]
            self.inputs = {EvidenceDigest.from_hex(item["digest"]["sha256"]) for item in predicate["inputAttestations"]}
            self.verified_at = str(predicate["timeVerified"])
            self.verifier = str(predicate["verifier"]["id"])
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(document, "predicate", "is no verification summary v1", remedy) from error
        if statement.predicate_type != VSA_V1:
            raise InvalidInputError(document, "predicateType", f"is not {VSA_V1}", remedy)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
