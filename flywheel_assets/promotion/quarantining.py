"""Quarantine, before it is signed: what it is about, whether that is known here, and how many builds came of it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from pydantic import ValidationError

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.errors import EvidenceError, UsageError, printable
from flywheel_assets.domain.evidence import AttestedReceipt
from flywheel_assets.gate.quarantines import stops
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.opening import anybodys_receipt
from flywheel_assets.promotion.proposing import decided
from flywheel_assets.promotion.reading import indexed, one_reading, outputs_in_evidence


def quarantine_of_signer(flywheel: Flywheel, name: str, reason: str) -> Decision:
    """Of the key that is called so now, whatever it is called later. Raises UsageError where there is none."""
    key = flywheel.catalogue.keys.get(name)
    if key is None:
        raise UsageError(f"The catalogue has no key {name!r}: quarantining it would change nothing.")
    return decided(Act.QUARANTINE, Scope(key=name, fingerprint=key.fingerprint), reason, flywheel.clock())


def quarantine_of_run(flywheel: Flywheel, repository: str, run: str, reason: str) -> Decision:
    """Of a run of a repository in the catalogue or once in it. Raises UsageError for what could be neither."""
    known = flywheel.catalogue.repositories
    if repository not in known and not _is_in_evidence(flywheel, repository):
        raise UsageError(
            f"The catalogue knows no repository {printable(repository)!r}, and no receipt in evidence is of it: "
            f"quarantining a run of it would change nothing. It knows {', '.join(sorted(known))}."
        )
    try:
        scope = Scope(repository=repository, run=run)
    except ValidationError as error:
        raise UsageError(
            f"{printable(run)!r} is no run: name it as its receipts do, without attempt and system."
        ) from error
    return decided(Act.QUARANTINE, scope, reason, flywheel.clock())


def builds_hit(flywheel: Flywheel, decision: Decision) -> set[tuple[str, BuildKey]]:
    """Output and build of all that came of the signer or run, as far as evidence can be read.

    Of what left the catalogue too, and of a run whoever signed for it: a signer who is trusted no more is no reason to
    take the run for a slip of the pen. What was built from these is not among them.
    """
    found = _receipts(flywheel, decision.scope.run)
    return {(name, each.receipt.run.key) for name, each in found if stops(flywheel.catalogue, decision, each)}


def _is_in_evidence(flywheel: Flywheel, repository: str) -> bool:
    return any(each.receipt.run.source.repository == repository for _, each in _receipts(flywheel))


def _receipts(flywheel: Flywheel, run: str | None = None) -> Iterator[tuple[str, AttestedReceipt]]:
    """All that can be read, with their outputs, whoever signed them; of a run of whatever repository, or of all."""
    flywheel = one_reading(flywheel)
    for output in _outputs(flywheel):
        with suppress(EvidenceError):
            log = indexed(flywheel, output_log(output))
            for entry in log.of(RECEIPT) if run is None else log.receipts_of(run):
                attested = anybodys_receipt(flywheel, entry)
                if attested is not None:
                    yield output, attested


def _outputs(flywheel: Flywheel) -> Iterable[str]:
    try:
        return outputs_in_evidence(flywheel)
    except EvidenceError:
        return flywheel.catalogue.outputs
