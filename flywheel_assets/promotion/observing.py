"""Observing: another workflow is the release authority. What it published is verified and recorded, never pushed.

Verified are the names and the digest, provenance by a signer whom the catalogue trusts, and, where the catalogue
names signers, their signature over exactly this digest and their attestations about it. Of attestations only
test results are read for what they say.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flywheel_assets.catalog.models import PublicationTarget, Purpose
from flywheel_assets.domain.artifacts import same_content
from flywheel_assets.domain.errors import InvalidInputError, ReadBackError
from flywheel_assets.domain.image_signatures import Attestation, is_signature_of, read_attestation
from flywheel_assets.domain.publications import Attached, Plan, Proof
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE, PROVENANCE_V1
from flywheel_assets.gate.case import person, why_not_trusted
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.ports import Checked, PublicationSurface
from flywheel_assets.promotion.flywheel import Flywheel


@dataclass(frozen=True, slots=True)
class _Seen:
    """One thing that lies beside the artifact, by one of the output's signers or by others."""

    attached: Attached
    checked: Checked
    is_by_signer: bool


def observe(
    flywheel: Flywheel, surface: PublicationSurface, plan: Plan, approved: Approved, target: PublicationTarget
) -> list[Proof]:
    """The proofs that the workflow published, verified. Raises ReadBackError with a sentence for each that lacks."""
    release, missing = plan.release, (*plan.missing, *plan.names)
    if missing:
        raise ReadBackError(
            f"{release.output} {release.build} is published by its own workflow, and {missing[0]} is not at "
            f"{plan.reference} yet. Nothing is pushed from here; it is looked for again."
        )
    seen = list(_seen(flywheel, surface.proofs(release), approved, target.signers))
    found = dict(_demanded(flywheel, seen, approved, target))
    lacking = [f"{plan.reference} carries no {what}." for what, proof in found.items() if proof is None]
    if lacking:
        rejected = [f"{problem.removesuffix('.')}." for each in seen for problem in each.checked.problems[:1]]
        owner = person(flywheel.catalogue, flywheel.output(release.output).owner)
        remedy = f"Let the publishing workflow attach what is missing: {owner}."
        raise ReadBackError(" ".join([*lacking, *rejected[:3], remedy]))
    return [proof for proof in found.values() if proof is not None]


def vouches(flywheel: Flywheel, attached: Attached, approved: Approved) -> bool:
    """Whether this is a receipt of the very artifact, by a signer whom the catalogue trusts for it."""
    try:
        checked = flywheel.verifier.check_attached(attached, "a proof", flywheel.trusted_keys)
        return _is_receipt(flywheel, checked, approved)
    except InvalidInputError:
        return False


def _demanded(
    flywheel: Flywheel, seen: list[_Seen], approved: Approved, target: PublicationTarget
) -> Iterator[tuple[str, Proof | None]]:
    """All that must lie beside the artifact, in words, and the first thing that is it."""
    provenance = (each for each in seen if _is_provenance(flywheel, each, approved))
    what = f"provenance by a signer whom the catalogue trusts for {approved.verdict.output}"
    yield what, _proof("provenance", PROVENANCE_V1, provenance)
    names, digest = " or ".join(target.signers), approved.artifact.digest
    by_signers = [each for each in seen if each.is_by_signer]
    if target.signers:
        signatures = (each for each in by_signers if _signs(flywheel, each, approved))
        yield f"signature by {names} over {digest}", _proof("signature", "", signatures)
    for wanted in target.attestations:
        what = f"attestation {wanted} by {names} about {digest}"
        attestations = (each for each in by_signers if _attests(flywheel, each, approved, wanted))
        # A failure is heard whatever source the signer was called from.
        by_anyone = [each for each in seen if set(each.checked.keys) & set(target.signers)]
        said = [_attests(flywheel, each, approved, wanted) for each in by_anyone]
        if any(each.has_failed for each in said if each):
            yield f"{what} that is free of failures", None
        else:
            yield what, _proof("attestation", wanted, attestations)


def _proof(name: str, predicate_type: str, candidates: Iterator[_Seen]) -> Proof | None:
    found = next(candidates, None)
    if found is None:
        return None
    attached = found.attached
    return Proof(
        name=name,
        predicate_type=predicate_type,
        envelope=attached.data,
        form=attached.form,
        annotations=attached.annotations,
    )


def _seen(
    flywheel: Flywheel, attached: tuple[Attached, ...], approved: Approved, signers: tuple[str, ...]
) -> Iterator[_Seen]:
    """What can be opened; anybody may put other things beside an image."""
    receipt, keys = approved.attested.receipt, flywheel.catalogue.keys
    for number, each in enumerate(attached):
        try:
            checked = flywheel.verifier.check_attached(each, f"proof {number}", flywheel.trusted_keys)
        except InvalidInputError:
            continue
        is_by_signer = any(
            name in signers
            and not why_not_trusted(keys[name], receipt, checked.origin, purpose=Purpose.IMAGES, by_any_run=True)
            for name in checked.keys
        )
        yield _Seen(each, checked, is_by_signer)


def _is_provenance(flywheel: Flywheel, seen: _Seen, approved: Approved) -> bool:
    """A receipt by a trusted signer, or a workflow's own provenance by one of the output's signers."""
    try:
        if _is_receipt(flywheel, seen.checked, approved):
            return True
    except InvalidInputError:
        pass  # it may still be provenance of another form
    source = approved.attested.receipt.run.source
    statement = _statement(flywheel, seen.checked)
    return (
        statement is not None
        and seen.is_by_signer
        and statement.is_workflow_provenance
        and statement.is_about(approved.artifact.digest)
        and seen.checked.origin is not None
        and seen.checked.origin.is_exactly(source)
    )


def _is_receipt(flywheel: Flywheel, checked: Checked, approved: Approved) -> bool:
    """Raises InvalidInputError when it is no statement that this pipeline writes."""
    if checked.payload_type != PAYLOAD_TYPE or not checked.keys:
        return False
    statement = read_statement(checked.payload, "a proof", flywheel.limits)
    return (
        isinstance(statement, Receipt)
        and same_content(statement.artifact, approved.artifact)
        and any(not why_not_trusted(flywheel.catalogue.keys[name], statement, checked.origin) for name in checked.keys)
    )


def _signs(flywheel: Flywheel, seen: _Seen, approved: Approved) -> bool:
    payload, payload_type = seen.checked.payload, seen.checked.payload_type
    return is_signature_of(payload, payload_type, approved.artifact.digest, "a signature", flywheel.limits)


def _attests(flywheel: Flywheel, seen: _Seen, approved: Approved, predicate_type: str) -> Attestation | None:
    statement = _statement(flywheel, seen.checked)
    if statement is None or statement.predicate_type != predicate_type:
        return None
    return statement if statement.is_about(approved.artifact.digest) else None


def _statement(flywheel: Flywheel, checked: Checked) -> Attestation | None:
    if checked.payload_type != PAYLOAD_TYPE:
        return None
    try:
        return read_attestation(checked.payload, "an attestation", flywheel.limits)
    except InvalidInputError:
        return None
