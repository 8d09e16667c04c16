"""Judging one build: read the cache where needed, evaluate, record. Repeating it changes nothing."""

from dataclasses import dataclass

from flywheel_assets.catalog.models import Catalogue, Output
from flywheel_assets.domain.artifacts import resource_uri
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, UsageError
from flywheel_assets.domain.evidence import AttestedReceipt, EvidenceBundle
from flywheel_assets.domain.inspections import Inspection, Reading
from flywheel_assets.domain.verdicts import About, Verdict, VerdictClass
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.gate.evaluate import evaluate, slsa_level
from flywheel_assets.ports import Progress
from flywheel_assets.promotion.assembling import assemble, basis_of
from flywheel_assets.promotion.disputes import record_disagreements
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.ledger import INSPECTION, VERDICT, RecordedVerdict, builds_of, last_verdict, record
from flywheel_assets.promotion.reading import asked_for, one_reading
from flywheel_assets.promotion.recipes import program, recipe_of
from flywheel_assets.promotion.replaying import keep_catalogue
from flywheel_assets.promotion.summaries import VALIDATED, excepted, levels_of, summary
from flywheel_assets.promotion.weighing import Weighed, weighed


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with the evidence and the catalogue it stands on."""

    bundle: EvidenceBundle
    recorded: RecordedVerdict
    catalogue: Catalogue

    @property
    def verdict(self) -> Verdict:
        """The verdict itself."""
        return self.recorded.verdict

    @property
    def inspection(self) -> Inspection | None:
        """The newest reading of the cache entry."""
        return self.bundle.inspections[-1].inspection if self.bundle.inspections else None

    @property
    def decisions(self) -> tuple[Weighed, ...]:
        """What people decided that bears on it, and whether that counted."""
        return weighed(self.bundle, self.catalogue, self.verdict.now)

    @property
    def receipt(self) -> AttestedReceipt:
        """The receipt that a person is shown: an authentic one where there is one."""
        ranked = sorted(self.bundle.receipts, key=lambda r: (not r.signatures.keys, not r.signatures.any))
        return ranked[0]


def judge(
    flywheel: Flywheel, output: str, build: BuildKey, *, reread: bool = False, progress: Progress = silent
) -> Judgement:
    """The verdict on a build, recorded. With ``reread`` the cache is read again even if it was read before.

    Raises UsageError for an output or build that is not in evidence.
    """
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}. `flywheel report` lists what it knows.")
    bundle, logs = _assembled(flywheel, output, build)
    if not bundle.receipts and not bundle.damaged:
        known = ", ".join(str(key) for key in builds_of(flywheel, output)[-5:]) or "none"
        raise UsageError(f"No build {build} of {output} is in evidence. The newest are: {known}.")
    receipt = _authentic(flywheel, bundle)
    if receipt and not bundle.damaged and (reread or not bundle.inspections):
        inspect(flywheel, receipt, progress)
        bundle, logs = _assembled(flywheel, output, build)
    if not bundle.damaged and record_disagreements(flywheel, bundle):
        bundle, logs = _assembled(flywheel, output, build)
    now = flywheel.clock()
    recipe = recipe_of(bundle, flywheel.catalogue, now)
    before = None if bundle.damaged else last_verdict(flywheel, output, build)
    if before and before.basis == recipe.digest:
        return Judgement(bundle, before, flywheel.catalogue)
    verdict = evaluate(bundle, flywheel.catalogue, now)
    # Nothing is said to others on part of the evidence.
    vsa = None if bundle.damaged else _summarise(flywheel, verdict, receipt)
    recorded = RecordedVerdict(
        verdict=verdict, basis=recipe.digest, vsa=vsa, recipe=recipe, program=program(), logs=logs
    )
    if not bundle.damaged:
        keep_catalogue(flywheel)
        record(flywheel, output, build, VERDICT, recorded)
    return Judgement(bundle, recorded, flywheel.catalogue)


def _assembled(flywheel: Flywheel, output: str, build: BuildKey) -> tuple[EvidenceBundle, dict[str, int]]:
    """The bundle, and how long each log was that it was put together from."""
    flywheel = one_reading(flywheel)  # what comes meanwhile is not half in it
    asked_for(flywheel)
    return assemble(flywheel, output, build), asked_for(flywheel)


def read_again(flywheel: Flywheel, output: str, build: BuildKey, progress: Progress = silent) -> bool:
    """Read anew what the cache could not serve when it was read last; True when it reads otherwise now.

    What reads as before is not recorded: it would only make the build judged anew. Nothing is read where that could
    not change the verdict. Raises EvidenceError.
    """
    if output not in flywheel.catalogue.outputs:
        return False
    bundle = assemble(flywheel, output, build)
    receipt = _authentic(flywheel, bundle)
    if receipt is None or bundle.damaged or not bundle.inspections:
        return False
    verdict = evaluate(bundle, flywheel.catalogue, flywheel.clock())
    if verdict.body_is_whole or not verdict.may_change:
        return False
    now = _read(flywheel, receipt, progress)
    if _told(now) == _told(bundle.inspections[-1].inspection):
        return False
    record(flywheel, output, build, INSPECTION, now)
    return True


def _told(inspection: Inspection) -> list[Reading]:
    """What was read, without the words for it: those of a cache that fails may differ each time."""
    return sorted((reading.model_copy(update={"detail": ""}) for reading in inspection.readings), key=str)


def is_settled(flywheel: Flywheel, recorded: RecordedVerdict) -> bool:
    """Whether a recorded verdict stands on the evidence and catalogue of now."""
    verdict = recorded.verdict
    try:
        return recorded.basis == basis_of(flywheel, assemble(flywheel, verdict.output, verdict.build))
    except EvidenceError:
        return False


def inspect(flywheel: Flywheel, attested: AttestedReceipt, progress: Progress) -> Inspection:
    """Read the whole artifact from its mutable cache and record what was read."""
    inspection = _read(flywheel, attested, progress)
    record(flywheel, inspection.output, inspection.build, INSPECTION, inspection)
    return inspection


def _read(flywheel: Flywheel, attested: AttestedReceipt, progress: Progress) -> Inspection:
    receipt = attested.receipt
    output: Output = flywheel.output(receipt.output)
    started = flywheel.clock()
    readings: tuple[Reading, ...] = ()
    if receipt.artifact.kind == output.type.value:
        readings = flywheel.caches[output.cache].inspect(receipt.artifact, progress)
    return Inspection(
        output=receipt.output,
        build=receipt.run.key,
        cache=output.cache,
        started_at=started,
        finished_at=flywheel.clock(),
        readings=readings,
    )


def _authentic(flywheel: Flywheel, bundle: EvidenceBundle) -> AttestedReceipt | None:
    return next((r for r in bundle.receipts if trusted_keys(flywheel.catalogue, r)), None)


def _summarise(flywheel: Flywheel, verdict: Verdict, receipt: AttestedReceipt | None) -> EvidenceDigest | None:
    """A PASSED summary for what is validated; a FAILED one for an artifact that can never pass.

    None for what may still change, for decisions of the catalogue, and without an authentic receipt: nobody
    else's word about a digest shall make us sign against it.
    """
    if receipt is None:
        return None
    artifact = receipt.receipt.artifact
    levels: list[str] = []
    if verdict.validated:
        levels = levels_of(slsa_level(flywheel.catalogue, receipt), VALIDATED, *excepted(verdict.findings))
    elif not any(
        finding.verdict is VerdictClass.REJECTED_PERMANENTLY and finding.about is About.ARTIFACT
        for finding in verdict.findings
    ):
        return None
    signed = summary(
        flywheel.verifier_signer,
        flywheel.catalogue,
        artifact,
        verdict,
        resource=resource_uri(artifact, None),
        levels=levels,
    )
    return flywheel.evidence.put(signed)
