"""What the forge's API says of a run: is the receipt about that run, and which of its steps prove something?

Without a forge in the catalogue's ``sources`` for the repository, receipts alone tell, as far as they are trusted.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from flywheel_assets.catalog.models import Claim, SourceKind
from flywheel_assets.domain.builds import BuilderRun, TriggerEvent, ValidationResult
from flywheel_assets.domain.errors import printable
from flywheel_assets.domain.platform_runs import (
    EVENTS,
    AbsentRun,
    Ending,
    PlatformRun,
    RunJob,
    RunStep,
    is_strange_job,
)
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, person

_answer = Answer("forge_vouches_for_the_run", Phase.INTEGRITY)
_RESULTS = {Ending.PASSED: ValidationResult.PASSED, Ending.FAILED: ValidationResult.FAILED}


@needs_receipt(_answer)
def forge_vouches_for_the_run(case: Case) -> Finding:
    """The forge knows the run, and what it and its workflow's own provenance say of it is what the receipt says."""
    run = case.receipt.run
    if case.source is None:
        return _answer.passed(f"no forge is catalogued for {run.source.repository}")
    found, named = case.recorded(run), f"attempt {run.key.attempt} of run {run.key.run}"
    if found is None:
        return _answer(
            VerdictClass.WAITING,
            "platform-run-unseen",
            f"the forge was not heard about {named} yet",
            remedy="No action needed while the run goes on; it is judged again when the forge says how it ended.",
            actor=case.builder_owner,
        )
    if refusal := _refusal(case, found, named):
        return refusal
    signers = sorted({said.identity for said in case.provenance})
    attested = f", and {', '.join(signers)} attests its artifact" if signers else ""
    return _answer.passed(f"the forge knows {named} as the receipt tells of it{attested}")


def _refusal(case: Case, found: PlatformRun | AbsentRun, named: str) -> Finding | None:
    run = case.receipt.run
    if isinstance(found, AbsentRun):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "platform-run-absent",
            f"the forge has no {named} in {run.source.repository}",
            remedy="Build again, and find out who signed a receipt of a run that is not there.",
            actor=case.builder_owner,
        )
    if problem := found.disagreement(run) or _strange_certificate(case, found):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "receipt-contradicts-platform",
            f"the receipt contradicts the forge about {named}: {problem}",
            remedy="Build again under a new run, and find out who signed the receipt.",
            actor=case.builder_owner,
        )
    if problem := next((text for said in case.provenance if (text := said.disagreement(run))), ""):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "provenance-contradicts-receipt",
            f"the workflow's own provenance of this artifact contradicts the receipt about {named}: {problem}",
            remedy="Build again under a new run, and find out who signed the receipt.",
            actor=case.builder_owner,
        )
    return next(_doubts(case, found, run), None)


def forge_contradicts(case: Case, run: BuilderRun) -> bool:
    """Whether the forge says otherwise of a run: then nothing that a receipt says of it counts."""
    found = case.recorded(run)
    return found is not None and (isinstance(found, AbsentRun) or bool(found.disagreement(run)))


def forge_has_no_doubt(case: Case, run: BuilderRun) -> bool:
    """Whether a run counts as a second opinion: confirmed by its forge, where one is catalogued."""
    if case.forge_of(run) is None:
        return True
    found = case.recorded(run)
    return isinstance(found, PlatformRun) and not found.disagreement(run) and not any(_doubts(case, found, run))


def _doubts(case: Case, found: PlatformRun, run: BuilderRun) -> Iterator[Finding]:
    """Why a run that is as its receipt tells still proves nothing; ``run`` may be another receipt's than the case's."""
    builder = case.catalogue.builders.get(run.builder)
    owner = person(case.catalogue, builder.owner) if builder else case.catalogue_owner
    named, source = f"attempt {found.attempt} of run {found.run}", case.catalogue.source_of(run.source.repository)
    is_usual = found.event is not TriggerEvent.MANUAL or found.event_name in EVENTS
    if not is_usual and (source is None or found.event_name not in source.events):
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "event-not-catalogued",
            f"{named} was started by {found.event_name or 'an event that nobody named'}, no usual one",
            remedy="Build from a push, tag, schedule or by hand; or name the event under `events` of the source.",
            actor=case.catalogue_owner,
        )
    elsewhere = [job.name for job in found.jobs if job.ran and run.builder not in job.labels]
    if elsewhere and not run.names_its_job:
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "job-unnamed",
            f"{named} also ran {elsewhere[0]} elsewhere, and the receipt does not say which job is its own",
            remedy="Let the receipt name its job, as `flywheel receipt` does in a job of a forge, and build again.",
            actor=owner,
        )
    if not found.has_passed(run):
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "platform-run-failed",
            f"{'the job' if run.names_its_job else 'a job'} of {named} failed or was cancelled",
            remedy="Mend it and build again.",
            actor=owner,
        )


def _strange_certificate(case: Case, found: PlatformRun) -> str:
    origin = case.authentic[0].signatures.origin
    if origin is None or not is_strange_job(origin.invocation, found):
        return ""
    return f"its certificate is for {printable(origin.invocation, 200)}, and that is no job of this pipeline"


def bootstrap_steps(case: Case) -> list[RunStep]:
    """The steps of the receipt's job that install the toolchain, as the catalogue knows them."""
    return [step for job in _built_in(case) for step in _matching(job, _bootstrap_names(case))]


def bootstrap_ending(case: Case) -> Ending | None:
    """How the job's bootstrap ended in the forge's eyes; None when its steps tell nothing.

    PASSED needs it in every job that the receipt may mean, before all other steps but those of ``before_bootstrap``.
    Where the steps of the workflow are said to tell, and do not show it, it FAILED, whatever the job says of itself.
    """
    jobs, names = _built_in(case), _bootstrap_names(case)
    if not jobs or not names:
        return None
    if any(step.ending is Ending.FAILED for step in bootstrap_steps(case)):
        return Ending.FAILED
    if _is_gitlab(case):
        return None
    is_seen = all(_is_equipped(case, job) for job in jobs)
    if _tells(case):
        return Ending.PASSED if is_seen else Ending.FAILED
    return Ending.PASSED if is_seen and case.believes(Claim.BOOTSTRAP) else None


def seen_validations(case: Case) -> set[tuple[str, ValidationResult]]:
    """The validations that steps of the run are, in any of its jobs, and how they ended. Skipped ones tell nothing.

    A pass counts where the workflow's steps do, a failure everywhere.
    """
    found, source = case.confirmed, case.source
    if found is None or source is None:
        return set()
    counts = set(_RESULTS) if _tells(case) or case.believes(Claim.VALIDATION) else {Ending.FAILED}
    return {
        (name, _RESULTS[step.ending])
        for name, pattern in source.steps.validations.items()
        for job in found.jobs
        for step in _matching(job, (pattern,))
        if step.ending in counts
    }


def to_be_believed(case: Case, claim: Claim) -> str:
    """The remedy for a fact that only the job tells of: the very lines of the catalogue by which it would count.

    ``claim`` is BOOTSTRAP or VALIDATION. GitLab shows jobs alone, which prove no bootstrap, and names no file.
    """
    run = case.receipt.run
    trusted = f"`builders.{run.builder}.trusted_claims`"
    otherwise = f"sign it with a key that is isolated from the job, or add `{claim.value}` to {trusted}."
    sources = case.catalogue.sources
    place = next((f"sources.{name}.steps" for name, each in sources.items() if each is case.source), None)
    if place is None or (_is_gitlab(case) and claim is Claim.BOOTSTRAP):
        return otherwise[0].upper() + otherwise[1:]
    if _is_gitlab(case):
        return f"Name the job that runs it under `{place}.validations`. Or {otherwise}"
    step = f"{place}.{'bootstrap' if claim is Claim.BOOTSTRAP else 'validations'}"
    return f"Name its step under `{step}`, and the workflow's file under `{place}.workflows`. Or {otherwise}"


def _built_in(case: Case) -> tuple[RunJob, ...]:
    """The jobs that the receipt may mean."""
    return case.confirmed.jobs_of(case.receipt.run) if case.confirmed else ()


def _tells(case: Case) -> bool:
    """Whether the steps of the run's workflow prove something: whoever writes a workflow names its steps."""
    found, source = case.confirmed, case.source
    return found is not None and source is not None and (_is_gitlab(case) or found.workflow in source.steps.workflows)


def _is_gitlab(case: Case) -> bool:
    """GitLab has one file of pipelines, and shows no steps: those of a job may have done what it does not show."""
    return case.source is not None and case.source.kind is SourceKind.GITLAB


def _is_equipped(case: Case, job: RunJob) -> bool:
    names = _bootstrap_names(case)
    installed = [step.number for step in _matching(job, names) if step.ending is Ending.PASSED]
    before = (*names, *(case.source.steps.before_bootstrap if case.source else ()))
    may_go_first = list(_matching(job, before))
    others = [s.number for s in job.steps if s.ending is not Ending.SKIPPED and s not in may_go_first]
    return bool(installed) and all(min(installed) < number for number in others)


def _bootstrap_names(case: Case) -> tuple[str, ...]:
    return case.source.steps.bootstrap if case.source else ()


def _matching(job: RunJob, patterns: Iterable[str]) -> Iterator[RunStep]:
    patterns = tuple(patterns)
    return (step for step in job.steps if any(fnmatchcase(step.name, pattern) for pattern in patterns))
