"""What the forge's API says of a run: is the receipt about that run, and which of its steps prove something?

Without a forge in the catalogue's ``sources`` for the repository, receipts alone tell, as far as they are trusted.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from flywheel_assets.domain.builds import BuilderRun, ValidationResult
from flywheel_assets.domain.platform_runs import AbsentRun, Ending, RunJob, RunStep
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt

_answer = Answer("forge_vouches_for_the_run", Phase.INTEGRITY)
_RESULTS = {Ending.PASSED: ValidationResult.PASSED, Ending.FAILED: ValidationResult.FAILED}


@needs_receipt(_answer)
def forge_vouches_for_the_run(case: Case) -> Finding:
    """The forge knows the run, and what it says of it is what the receipt says."""
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
    if isinstance(found, AbsentRun):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "platform-run-absent",
            f"the forge has no {named} in {run.source.repository}",
            remedy="Build again, and find out who signed a receipt of a run that is not there.",
            actor=case.builder_owner,
        )
    if problem := found.disagreement(run):
        return _answer(
            VerdictClass.REJECTED_PERMANENTLY,
            "receipt-contradicts-platform",
            f"the receipt contradicts the forge about {named}: {problem}",
            remedy="Build again under a new run, and find out who signed the receipt.",
            actor=case.builder_owner,
        )
    return _answer.passed(f"the forge knows {named} as the receipt tells of it")


def forge_contradicts(case: Case, run: BuilderRun) -> bool:
    """Whether the forge says otherwise of a run: then nothing that a receipt says of it counts."""
    found = case.recorded(run)
    return found is not None and (isinstance(found, AbsentRun) or bool(found.disagreement(run)))


def forge_has_no_doubt(case: Case, run: BuilderRun) -> bool:
    """Whether a run counts as a second opinion: confirmed by its forge, where one is catalogued."""
    if case.forge_of(run) is None:
        return True
    return case.recorded(run) is not None and not forge_contradicts(case, run)


def bootstrap_steps(case: Case) -> list[RunStep]:
    """The steps of the receipt's lane that install the toolchain, as the catalogue knows them."""
    found = case.confirmed
    lane = found.on(case.receipt.run.builder) if found else ()
    return [step for job in lane for step in _matching(job, _bootstrap_names(case))]


def bootstrap_ending(case: Case) -> Ending | None:
    """How the lane's bootstrap ended in the forge's eyes; None when its steps tell nothing.

    PASSED needs it in every job of the lane, before any step that validates: which job built, nobody says.
    """
    found = case.confirmed
    lane = found.on(case.receipt.run.builder) if found else ()
    if any(step.ending is Ending.FAILED for step in bootstrap_steps(case)):
        return Ending.FAILED
    return Ending.PASSED if lane and all(_is_equipped(case, job) for job in lane) else None


def seen_validations(case: Case) -> set[tuple[str, ValidationResult]]:
    """The validations that steps of the run are, in any of its jobs, and how they ended. Skipped ones tell nothing."""
    found, source = case.confirmed, case.source
    if found is None or source is None:
        return set()
    return {
        (name, _RESULTS[step.ending])
        for name, pattern in source.steps.validations.items()
        for job in found.jobs
        for step in _matching(job, (pattern,))
        if step.ending in _RESULTS
    }


def _is_equipped(case: Case, job: RunJob) -> bool:
    installed = [s.number for s in _matching(job, _bootstrap_names(case)) if s.ending is Ending.PASSED]
    patterns = tuple(case.source.steps.validations.values()) if case.source else ()
    used = [step.number for step in _matching(job, patterns) if step.ending is not Ending.SKIPPED]
    return bool(installed) and all(min(installed) < number for number in used)


def _bootstrap_names(case: Case) -> tuple[str, ...]:
    return case.source.steps.bootstrap if case.source else ()


def _matching(job: RunJob, patterns: Iterable[str]) -> Iterator[RunStep]:
    patterns = tuple(patterns)
    return (step for step in job.steps if any(fnmatchcase(step.name, pattern) for pattern in patterns))
