"""Opening receipts and test results: hashed on every read, their signatures checked once, their gist remembered."""

import hashlib
import json

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Decision
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError
from flywheel_assets.domain.evidence import AttestedReceipt, Signatures
from flywheel_assets.domain.receipts import REMEDY, Receipt, TestOutcome
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.flywheel import Flywheel, Gist
from flywheel_assets.promotion.intake import open_signed

REMEMBERED_BYTES, REMEMBERED_DOCUMENTS = 64 * 1024, 4096


def open_document(flywheel: Flywheel, evidence: EvidenceDigest) -> tuple[Signatures, Receipt | TestOutcome]:
    """A document with what its signatures are worth. Hashed on every read; small ones are parsed once."""
    data = flywheel.evidence.get(evidence)
    if evidence in flywheel.opened:
        return flywheel.opened[evidence]
    opened = _parsed(flywheel, data, f"evidence {evidence}")
    if len(data) <= REMEMBERED_BYTES:
        if len(flywheel.opened) >= REMEMBERED_DOCUMENTS:
            flywheel.opened.clear()
        flywheel.opened[evidence] = opened
    return opened


def _parsed(flywheel: Flywheel, data: bytes, name: str) -> tuple[Signatures, Receipt | TestOutcome]:
    checked, statement = open_signed(flywheel, data, name, flywheel.trusted_keys)
    if isinstance(statement, Decision):
        raise InvalidInputError(name, "predicateType", "is a decision, and no receipt or test result", REMEDY)
    if checked is None:
        return Signatures(), statement
    signatures = Signatures(keys=checked.keys, unknown=checked.unknown, invalid=checked.invalid, origin=checked.origin)
    return signatures, statement


def authentic_receipt(flywheel: Flywheel, entry: LogEntry) -> AttestedReceipt | None:
    """The receipt that an entry of an output's log names; None when it is damaged, or no trusted signer signed it."""
    attested = anybodys_receipt(flywheel, entry)
    return attested if attested and trusted_keys(flywheel.catalogue, attested) else None


def anybodys_receipt(flywheel: Flywheel, entry: LogEntry) -> AttestedReceipt | None:
    """The same, whoever signed it; None when it is damaged."""
    try:
        signatures, found = open_document(flywheel, entry.evidence)
    except (EvidenceError, InvalidInputError):
        return None
    if not isinstance(found, Receipt):
        return None
    return AttestedReceipt(evidence=entry.evidence, signatures=signatures, receipt=found)


def gist_of(catalogue: Catalogue, attested: AttestedReceipt) -> Gist:
    """What of a receipt can matter to other builds."""
    run, artifact = attested.receipt.run, attested.receipt.artifact
    theirs = {"key", "invocation", "started_at", "finished_at", "bootstrap"}  # of each run its own
    said = attested.model_dump(mode="json", include={"signatures": True, "receipt": True})
    said["signatures"]["origin"] = attested.signatures.origin and str(attested.signatures.origin)
    said["receipt"]["run"] = {name: value for name, value in said["receipt"]["run"].items() if name not in theirs}
    return Gist(
        catalogue=catalogue.digest,
        is_authentic=bool(trusted_keys(catalogue, attested)),
        source=(str(run.source.revision), run.key.system),
        artifact=artifact.digest.hex,
        says=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
        actor=run.trigger.actor.casefold(),
    )
