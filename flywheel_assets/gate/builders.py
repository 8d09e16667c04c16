"""Phases 0 and 1: did the lane prove its toolchain, and is the builder one that may make this?"""

from collections.abc import Iterator

from flywheel_assets.catalog.models import ArtifactType, Claim
from flywheel_assets.domain.platform_runs import Ending
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt
from flywheel_assets.gate.exceptions import first_standing
from flywheel_assets.gate.platform import bootstrap_ending, bootstrap_steps, to_be_believed

_bootstrap = Answer("toolchain_bootstrap_was_proven", Phase.BOOTSTRAP)
_known = Answer("builder_is_known", Phase.BUILD)


@needs_receipt(_bootstrap)
def toolchain_bootstrap_was_proven(case: Case) -> Finding:
    """The lane owns its bootstrap: install and verified version precede the end of the build (phase 0)."""
    return first_standing(case, _of_bootstrap(case))


def _of_bootstrap(case: Case) -> Iterator[Finding]:
    run, builder = case.receipt.run, case.builder
    if builder is not None and ArtifactType(case.receipt.artifact.kind) not in builder.must_prove_bootstrap_for:
        yield _bootstrap.passed(f"{run.builder} brings its toolchain; its lane has nothing to install")
        return
    proof, seen = run.bootstrap, bootstrap_ending(case)
    if seen is Ending.PASSED:
        yield _bootstrap.passed(f"{bootstrap_steps(case)[0].name}, which the forge saw end well before all else")
        return
    if proof is None or seen is Ending.FAILED:
        yield _bootstrap(
            VerdictClass.REJECTED_TEMPORARILY,
            "bootstrap-unproven",
            f"nothing shows that the lane on {run.builder} installed and verified its toolchain",
            remedy="Build again: the workflow installs Nix first of all, and passes the proof to `flywheel receipt`.",
            actor=case.builder_owner,
        )
    elif not case.believes(Claim.BOOTSTRAP):
        yield _bootstrap(
            VerdictClass.REJECTED_TEMPORARILY,
            "bootstrap-claim-untrusted",
            f"only the job itself says so, and {run.builder} is not trusted with claims about bootstrap",
            remedy=to_be_believed(case, Claim.BOOTSTRAP),
            actor=case.builder_owner,
        )
    if proof is None:
        return
    if not run.started_at <= proof.finished_at <= run.finished_at:
        yield _bootstrap(
            VerdictClass.REJECTED_PERMANENTLY,
            "bootstrap-outside-run",
            f"the bootstrap finished at {proof.finished_at:%H:%M:%S}Z, outside the run",
            remedy="Build again with the bootstrap as the first step of the same job.",
            actor=case.builder_owner,
        )
    yield _bootstrap.passed(f"{proof.tool} {proof.verified_version} by {proof.installed_by}, verified before the build")


@needs_receipt(_known)
def builder_is_known(case: Case) -> Finding:
    """The label is catalogued and makes this type of output (phase 1)."""
    run, builder, made = case.receipt.run, case.builder, case.receipt.artifact.kind
    if builder is None:
        return _known(
            VerdictClass.REJECTED_TEMPORARILY,
            "builder-unknown",
            f"the builder {run.builder} is not catalogued",
            remedy=f"Add {run.builder} under `builders` with its class, level, owner and publication boundary.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if made != case.output.type.value:
        return _known(
            VerdictClass.REJECTED_PERMANENTLY,
            "wrong-artifact-type",
            f"the receipt is about an artifact of type {made}, and the output is catalogued as {case.output.type}",
            remedy="Emit the receipt for the output that was really built.",
            actor=case.builder_owner,
        )
    if made not in [kind.value for kind in builder.makes]:
        return _known(
            VerdictClass.REJECTED_PERMANENTLY,
            "builder-does-not-make-this",
            f"{run.builder} is not catalogued as a builder of {made} artifacts",
            remedy="Build it on a lane of the right class.",
            actor=case.builder_owner,
        )
    return _known.passed(f"{run.builder} ({builder.class_.value}, {builder.level.value}) makes {made} artifacts")
