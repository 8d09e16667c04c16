"""Phase 3, part one: is the receipt by someone who may speak for this builder and this source?"""

from datetime import timedelta

from flywheel_assets.domain.errors import printable
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, signing_keys, why_not_trusted

_answer = Answer("receipt_is_authentic", Phase.INTEGRITY)
CLOCK_SKEW = timedelta(minutes=10)
TEMPORARILY = VerdictClass.REJECTED_TEMPORARILY
EMIT_AGAIN = "Emit the receipt again from the job, signed with the builder's key; the same run is then judged anew."


def receipt_is_authentic(case: Case) -> Finding:
    """Signed by a key trusted for this builder and source, in its validity, for this run."""
    authentic = case.authentic
    if not authentic:
        return _why_none(case)
    receipt = authentic[0].receipt
    if any(other.receipt != receipt for other in authentic):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "receipts-conflict",
            "two authentic receipts for the same run say different things",
            remedy="Build again under a new run, and find out who signed the second receipt.",
            actor=case.builder_owner,
        )
    if receipt.run.finished_at > case.now + CLOCK_SKEW:
        return _answer(
            TEMPORARILY,
            "receipt-from-the-future",
            f"the run says that it finished at {receipt.run.finished_at:%Y-%m-%d %H:%M}Z, later than now",
            remedy="Mend the builder's clock and build again.",
            actor=case.builder_owner,
        )
    names = ", ".join(authentic[0].signatures.keys)
    return _answer.passed(f"signed by {names} for {receipt.run.builder}, in its validity")


def _why_none(case: Case) -> Finding:
    receipts = case.bundle.receipts
    if not receipts:
        return _answer(
            VerdictClass.CANNOT_DETERMINE,
            "receipt-missing",
            "no receipt of this build is in evidence",
            remedy="Emit a receipt for this run.",
            actor="the builder",
        )
    attested = receipts[-1]
    signatures, receipt, origin = attested.signatures, attested.receipt, attested.signatures.origin
    label = receipt.run.builder
    if not signatures.any:
        return _answer(
            TEMPORARILY,
            "receipt-unsigned",
            "the receipt carries no signature",
            remedy=EMIT_AGAIN,
            actor=f"builder {label}",
        )
    if signatures.invalid and not signatures.keys:
        return _answer(
            TEMPORARILY,
            "signature-invalid",
            f"the signature by {', '.join(signatures.invalid)} does not verify",
            remedy=EMIT_AGAIN,
            actor=f"builder {label}",
        )
    keys = signing_keys(case.catalogue, signatures)
    if not keys:
        unknown = ", ".join(_shown(signer) for signer in signatures.unknown)
        return _answer(
            TEMPORARILY,
            "key-untrusted",
            f"signed only by a signer that the catalogue does not hold: {unknown}",
            remedy=f"{EMIT_AGAIN} If the signer is right, add it under `keys`.",
            actor=f"builder {label}; {case.catalogue_owner}",
        )
    reason = why_not_trusted(keys[0], receipt, signatures.origin, attested.arrived_at)
    sentence = {
        "key-not-for-receipts": "the key is not for receipts",
        "key-not-for-builder": f"the key may not speak for the builder {label}",
        "key-not-for-repository": f"the key may not speak for {receipt.run.source.repository}",
        "origin-contradicts-receipt": f"its certificate is for a run of {printable(str(origin), 200)}, "
        f"and the receipt says {receipt.run.source.repository} at {receipt.run.source.revision}",
        "certificate-of-another-run": f"its certificate is for {printable(origin.invocation if origin else '', 200)}, "
        f"and the receipt is of attempt {receipt.run.key.attempt} of run {receipt.run.key.run}",
        "key-not-valid-then": f"the key was not valid when the run finished ({receipt.run.finished_at:%Y-%m-%d})"
        + (f", or when its receipt arrived ({attested.arrived_at:%Y-%m-%d})" if attested.arrived_at else ""),
    }[reason]
    return _answer(TEMPORARILY, reason, sentence, remedy=EMIT_AGAIN, actor=f"builder {label}")


def _shown(signer: str) -> str:
    """A keyless identity whole, and of a key's id what tells it apart."""
    return signer if " (" in signer else f"{signer[:16]}…"
