"""Offline verification for a consumer who has a reference and the release public key, and nothing else.

Everything is read from the surface: the summary must be signed by that key, speak of this very artifact and say
PASSED and promoted; the provenance must be the one that the summary names; and every byte must be what that
provenance says. An artifact may be mirrored, so the resource that the summary names is compared only when asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.errors import InvalidInputError, ReadBackError, SignatureError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.ports import Progress, PublishedReader, Verifier
from flywheel_assets.promotion.summaries import PROMOTED, ReadSummary

_OBSERVED = (
    "What a workflow publishes, and the pipeline only observes, has no summary of the pipeline's: verify that by the "
    "workflow's signature."
)


@dataclass(frozen=True, slots=True)
class Verified:
    """A reference that holds: the summary, the provenance that it names, and the bytes that were read.

    ``envelopes`` are both as they were signed, under the names of files for other verifiers.
    """

    reference: str
    summary: ReadSummary
    receipt: Receipt
    bytes_read: int
    envelopes: Mapping[str, bytes]

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
    wanted, proofs = surface.identity(), surface.proofs()
    if not proofs:
        raise SignatureError(
            f"{reference} carries no proofs at all. It was not published by this pipeline. {_OBSERVED}"
        )
    summaries = _signed_summaries(verifier, proofs, public_key)
    if not summaries:
        raise SignatureError(f"{reference} carries no verification summary that this key signed. {_OBSERVED}")
    _demand_unmarked(summaries, reference)
    problems = []
    for vsa, summary in summaries:
        provenance = _provenance(verifier, proofs, summary)
        receipt = provenance[1] if provenance else None
        problem = _problem(summary, receipt, wanted, resource or surface.resource())
        problem = problem or _other_source(receipt, surface.revision())
        if provenance and receipt and not problem:
            size = demand_approved(surface.read(receipt.artifact, progress), reference)
            envelopes = dict((_named("provenance", provenance[0]), _named("vsa", vsa)))
            return Verified(reference, summary, receipt, size, envelopes)
        problems.append(problem)
    raise ReadBackError(f"{reference}: {problems[0]}.")


def _demand_unmarked(summaries: list[tuple[Attached, ReadSummary]], reference: str) -> None:
    """The publisher's later word counts, wherever it lies beside its earlier one. Raises ReadBackError."""
    for _, summary in summaries:
        if summary.result == "FAILED":
            raise ReadBackError(
                f"{reference} is withdrawn: the publisher's summary of {summary.verified_at} says FAILED."
            )


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


def _signed_summaries(
    verifier: Verifier, proofs: tuple[Attached, ...], public_key: str
) -> list[tuple[Attached, ReadSummary]]:
    """Every summary by the release key; plain envelopes first, which most verifiers can read."""
    found = []
    for number, proof in enumerate(sorted(proofs, key=lambda each: each.form is not Form.DSSE)):
        document = f"proof {number}"
        try:
            checked = verifier.check_attached(proof, document, {"release": public_key})
            if checked.keys and checked.payload_type == PAYLOAD_TYPE:
                found.append((proof, ReadSummary(checked.payload, document)))
        except InvalidInputError:
            continue  # a proof of another kind, or one that anybody may have put there
    return found


def _provenance(
    verifier: Verifier, proofs: tuple[Attached, ...], summary: ReadSummary
) -> tuple[Attached, Receipt] | None:
    for proof in proofs:
        if EvidenceDigest.of(proof.data) not in summary.inputs:
            continue
        try:
            statement = read_statement(verifier.check(proof.data, "provenance", {}).payload, "provenance")
        except InvalidInputError:
            continue  # evidence of another kind, which anybody may have put there
        if isinstance(statement, Receipt):
            return proof, statement
    return None


def _named(name: str, proof: Attached) -> tuple[str, bytes]:
    return f"{name}.{'sigstore' if proof.form is Form.BUNDLE else 'dsse'}.json", proof.data


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


def _other_source(receipt: Receipt | None, revision: GitRevision | None) -> str:
    if receipt is None or revision is None or receipt.run.source.revision == revision:
        return ""
    return f"it was built from {receipt.run.source.revision}, and the release says {revision}"
