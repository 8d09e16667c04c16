"""Phase 3, part three: did every named validation pass for this very artifact or run?"""

from collections.abc import Iterator

from flywheel_assets.catalog.models import Claim
from flywheel_assets.domain.builds import ValidationResult
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, why_not_trusted
from flywheel_assets.gate.exceptions import first_standing
from flywheel_assets.gate.platform import seen_validations, to_be_believed
from flywheel_assets.gate.quarantines import quarantined_keys

_answer = Answer("validation_is_green", Phase.VALIDATION)


@needs_receipt(_answer)
def validation_is_green(case: Case) -> Finding:
    """Every validation that the output names passed, and none failed.

    A failure counts whoever reports it of those who may speak for the run; a pass only where the platform says so
    (the forge by its steps, or an isolated signer), or the builder is trusted with that claim. WARNED is a pass with
    warnings (in-toto test-result v0.1).
    """
    lacking = _lacking(case)
    return first_standing(case, _of_validations(case, lacking), lacking)


def _lacking(case: Case) -> dict[str, list[str]]:
    """The validations that stand in the way, by the reason."""
    claimed = {(v.name, v.result) for v in case.receipt.run.validations}
    results = claimed | seen_validations(case) | _attested(case, believed=False)
    failed = sorted(name for name, result in results if result is ValidationResult.FAILED)
    missing = [
        name for name in case.catalogue.validations_of(case.output) if name not in {*validations_passed(case), *failed}
    ]
    unbelieved = [name for name in missing if name in {name for name, _ in claimed}]
    absent = [name for name in missing if name not in unbelieved]
    return {"validation-failed": failed, "validation-claim-untrusted": unbelieved, "validation-missing": absent}


def _of_validations(case: Case, lacking: dict[str, list[str]]) -> Iterator[Finding]:
    failed, unbelieved, absent = lacking.values()
    if failed:
        yield _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "validation-failed",
            f"{failed[0]} failed" + (f", and {len(failed) - 1} more" if len(failed) > 1 else ""),
            remedy="Mend what failed and build again.",
            actor=case.owner,
        )
    if unbelieved:
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "validation-claim-untrusted",
            f"only the job itself says that {', '.join(unbelieved)} passed, and its claims about validation are not "
            "trusted",
            remedy=to_be_believed(case, Claim.VALIDATION),
            actor=case.builder_owner,
        )
    if absent:
        yield _answer(
            VerdictClass.WAITING,
            "validation-missing",
            f"no result of {', '.join(absent)} is in evidence",
            remedy="No action needed while the validation runs; it is judged again when its result arrives.",
            actor=case.owner,
        )
    wanted = case.catalogue.validations_of(case.output)
    yield _answer.passed(", ".join(wanted) + " passed" if wanted else "the catalogue names no validation")


def validations_passed(case: Case) -> set[str]:
    """The validations whose pass counts: by the forge's steps, an isolated signer, or a claim that is trusted."""
    believed = seen_validations(case) | _attested(case, believed=True)
    if case.believes(Claim.VALIDATION):
        believed |= {(v.name, v.result) for v in case.receipt.run.validations}
    return {name for name, result in believed if result is not ValidationResult.FAILED}


def _attested(case: Case, *, believed: bool) -> set[tuple[str, ValidationResult]]:
    """Results in separate test-result attestations about this artifact, by signers who may speak for the run.

    With ``believed``, only those that also count as a pass: from an isolated signer or a trusted claim, and of a
    keyless one only from a run of this very source. A later run that finds a failure is heard all the same,
    and a signer in quarantine with failures only.
    """
    artifact = case.receipt.artifact
    # A pass must be about the whole; a failure of one platform or file is a failure of the whole.
    about = {artifact.digest.hex} if believed else artifact.digests

    compromised = quarantined_keys(case) if believed else frozenset()

    def counts(name: str, origin: Origin | None) -> bool:
        key = case.catalogue.keys.get(name)
        if key is None or name in compromised:
            return False
        if why_not_trusted(key, case.receipt, origin if believed else None, by_any_run=True):
            return False
        return not believed or key.isolated or case.believes(Claim.VALIDATION)

    return {
        (test.outcome.validation.name, test.outcome.validation.result)
        for test in case.bundle.tests
        if about & {subject.hex for subject in test.outcome.subjects}
        and any(counts(name, test.signatures.origin) for name in test.signatures.keys)
    }
