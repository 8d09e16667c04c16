"""Offline verification for a consumer who has a reference and the release public key, and nothing else.

Everything is read from the surface: the summary must be signed by that key, speak of this very artifact and say
PASSED and promoted; the provenance must be the one that the summary names; and every byte must be what that
provenance says. An artifact may be mirrored, so the resource that the summary names is compared only when asked.
"""

from dataclasses import dataclass
from typing import Any

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import InvalidInputError, ReadBackError, SignatureError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets.ports import Progress, PublishedReader, Verifier
from flywheel_assets.promotion.intake import is_envelope
from flywheel_assets.promotion.summaries import PROMOTED, ReadSummary


@dataclass(frozen=True, slots=True)
class Verified:
    """A reference that holds: the summary, the provenance that it names, and the bytes that were read."""

    reference: str
    summary: ReadSummary
    receipt: Receipt
    bytes_read: int

    def document(self) -> dict[str, Any]:
        """The fields of `flywheel verify --json` (docs/json.md)."""
        run = self.receipt.run
        return {
            "reference": self.reference,
            "digest": str(self.receipt.artifact.digest),
            "resource": self.summary.resource,
            "levels": self.summary.levels,
            "verified_at": self.summary.verified_at,
            "verifier": self.summary.verifier,
            "source": f"{run.source.repository}@{run.source.revision}",
            "builder": run.builder,
            "run": run.invocation,
            "bytes_read": self.bytes_read,
        }


def verify_reference(
    surface: PublishedReader,
    verifier: Verifier,
    public_key: str,
    reference: str,
    progress: Progress,
    *,
    resource: str | None = None,
) -> Verified:
    """Verify what ``reference`` names. Raises SignatureError, ReadBackError or ReadError with a sentence."""
    wanted, envelopes = surface.identity(), surface.proofs()
    if not envelopes:
        raise SignatureError(f"{reference} carries no proofs at all. It was not published by this pipeline.")
    summaries = _signed_summaries(verifier, envelopes, public_key)
    if not summaries:
        raise SignatureError(f"{reference} carries no verification summary that this key signed.")
    problems = []
    for summary in summaries:
        receipt = _provenance(verifier, envelopes, summary)
        problem = _problem(summary, receipt, wanted, resource)
        if receipt and not problem:
            size = demand_approved(surface.read(receipt.artifact, progress), reference)
            return Verified(reference, summary, receipt, size)
        problems.append(problem)
    raise ReadBackError(f"{reference}: {problems[0]}.")


def demand_approved(readings: tuple[Reading, ...], reference: str) -> int:
    """The bytes read. Raises ReadBackError for the first reading that is not what the provenance says."""
    if not readings:
        raise ReadBackError(f"{reference}: nothing could be read.")
    for reading in readings:
        if reading.state is not ReadState.READ:
            raise ReadBackError(f"{reference}: {reading.member} is {reading.state.value}. {reading.detail}")
        if reading.digest != reading.expected_digest:
            raise ReadBackError(f"{reference}: {reading.member} is {reading.digest}, not {reading.expected_digest}.")
        if reading.index_problems or reading.added_references:
            raise ReadBackError(f"{reference}: {(*reading.index_problems, *reading.added_references)[0]}.")
    return sum(reading.size for reading in readings)


def _signed_summaries(verifier: Verifier, envelopes: tuple[bytes, ...], public_key: str) -> list[ReadSummary]:
    found = []
    for number, envelope in enumerate(envelopes):
        document = f"proof {number}"
        try:
            checked = verifier.check(envelope, document, {"release": public_key})
            if checked.keys:
                found.append(ReadSummary(checked.payload, document))
        except InvalidInputError:
            continue  # a proof of another kind, or one that anybody may have put there
    return found


def _provenance(verifier: Verifier, envelopes: tuple[bytes, ...], summary: ReadSummary) -> Receipt | None:
    for envelope in envelopes:
        if EvidenceDigest.of(envelope) in summary.inputs and is_envelope(envelope):
            statement = read_statement(verifier.check(envelope, "provenance", {}).payload, "provenance")
            if isinstance(statement, Receipt):
                return statement
    return None


def _problem(summary: ReadSummary, receipt: Receipt | None, wanted: str, resource: str | None) -> str:
    if receipt is None:
        return "the provenance that the summary names is not beside it"
    artifact = receipt.artifact
    is_it = artifact.root == wanted if isinstance(artifact, NixClosure) else artifact.digest.hex == wanted
    if not is_it or artifact.digest.hex not in summary.digests:
        return "the summary speaks of another artifact"
    if summary.result != "PASSED" or PROMOTED not in summary.levels:
        return f"the summary says {summary.result} with levels {', '.join(summary.levels) or 'none'}, not promoted"
    if resource is not None and summary.resource != resource:
        return f"the summary speaks of {summary.resource}, not of {resource}"
    return ""
