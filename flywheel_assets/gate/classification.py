"""Phase 4: is it re-identifiable, meant for use, and nothing transient? Whether builders agree is in ``agreement``."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from flywheel_assets.catalog.models import Audience, Claim, Role
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, trusted_keys
from flywheel_assets.gate.exceptions import first_standing

_source = Answer("source_can_be_reidentified", Phase.CLASSIFICATION)
_use = Answer("use_is_intended", Phase.CLASSIFICATION)
_transient = Answer("output_is_not_transient", Phase.CLASSIFICATION)
PERMANENTLY = VerdictClass.REJECTED_PERMANENTLY
BUILD_CLEAN = "Build again from a clean checkout with locked inputs."


@needs_receipt(_source)
def source_can_be_reidentified(case: Case) -> Finding:
    """Clean revision of the catalogued repository, locked inputs, definition and dependencies recorded."""
    return first_standing(case, _of_source(case))


def _of_source(case: Case) -> Iterator[Finding]:
    run = case.receipt.run
    if run.source.repository != case.output.repository:
        yield _source(
            PERMANENTLY,
            "other-repository",
            f"built from {run.source.repository}, and the output belongs to {case.output.repository}",
            remedy="Build it from its own repository, or correct the catalogue.",
            actor=case.catalogue_owner,
        )
    if run.source.dirty:
        message = f"the tree was dirty at {str(run.source.revision)[:12]}: what was built is in no revision"
        yield _source(PERMANENTLY, "tree-dirty", message, remedy=BUILD_CLEAN, actor=case.builder_owner)
    if not run.locked_inputs and case.output.type.value == "nix":
        message = "the receipt names no locked input"
        remedy = "Build again, with `--lock flake.lock`; a flake without inputs has none: `--lock flake.nix` says all."
        yield _source(PERMANENTLY, "inputs-not-locked", message, remedy=remedy, actor=case.builder_owner)
    if not case.believes(Claim.SOURCE):
        yield _source(
            VerdictClass.REJECTED_TEMPORARILY,
            "source-claim-untrusted",
            "only the job itself says what it was built from, and its claims about source are not trusted",
            remedy="Sign with a key that is isolated from the job, or trust this builder's claim in the catalogue.",
            actor=case.builder_owner,
        )
    for further in (_mislabelled(case), _dependencies(case)):
        if further is not None:
            yield further
    source = f"{run.source.repository} at {str(run.source.revision)[:12]}"
    yield _source.passed(f"{source}, {len(run.locked_inputs)} locked inputs, {run.definition}")


def _mislabelled(case: Case) -> Finding | None:
    """Another definition under this output's name, or a commit that cannot have been built."""
    run = case.receipt.run
    if run.definition != case.output.definition:
        return _source(
            PERMANENTLY,
            "other-definition",
            f"built from {run.definition or 'nothing that is recorded'}, and the output is {case.output.definition}",
            remedy="Emit the receipt under the output that was really built, with its --definition.",
            actor=case.builder_owner,
        )
    if run.source.committed_at and run.source.committed_at > run.finished_at:
        return _source(
            PERMANENTLY,
            "commit-after-build",
            f"the commit is of {run.source.committed_at:%Y-%m-%d %H:%M}Z, later than the run's end",
            remedy="Mend the clocks, commit again and build that.",
            actor=case.builder_owner,
        )
    return None


def _dependencies(case: Case) -> Finding | None:
    """Each output that the catalogue says goes into this one is named by digest and has an authentic receipt."""
    for output in case.output.built_from:
        named = {(d.store_path, d.digest.hex) for d in case.receipt.run.dependencies if d.output == output}
        made = {
            (attested.receipt.artifact.name, attested.receipt.artifact.digest.hex)
            for attested in case.bundle.dependencies
            if attested.receipt.output == output and trusted_keys(case.catalogue, attested)
        }
        if not named:
            return _source(
                PERMANENTLY,
                "dependency-unnamed",
                f"it is built from {output}, and the receipt names no digest of that",
                remedy=f"Build again, and emit the receipt with --dependency {output}=<store path>@<NAR hash>.",
                actor=case.builder_owner,
            )
        if not named & made:
            return _source(
                VerdictClass.WAITING,
                "dependency-unresolved",
                f"it is built from {output}, and no authentic receipt knows the digest that it names",
                remedy=f"Wait for the receipt of {output}.",
                actor=case.builder_owner,
            )
    return None


def use_is_intended(case: Case) -> Finding:
    """Catalogued as user-facing or cross-org, and its consumption is documented."""
    return first_standing(case, _of_use(case))


def _of_use(case: Case) -> Iterator[Finding]:
    output = case.output
    if output.audience is Audience.ACCELERATION:
        yield _use(
            PERMANENTLY,
            "acceleration-only",
            f"it accelerates CI from {output.cache}; that is its whole purpose and no publication",
            remedy="No action needed.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.audience is Audience.INTERNAL:
        yield _use(
            PERMANENTLY,
            "internal-use",
            "the catalogue means it for internal use",
            remedy="No action needed, unless its audience changes.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.audience is Audience.UNDECIDED:
        yield _use(
            VerdictClass.NEEDS_APPROVAL,
            "use-undecided",
            "nobody has decided yet for whom it is meant",
            remedy="Give it an audience, a consumption and a surface in the catalogue.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.consumption is None:
        yield _use(
            VerdictClass.REJECTED_TEMPORARILY,
            "consumption-undocumented",
            "nothing says how it is consumed",
            remedy="Document it and name the place under `consumption`.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    yield _use.passed(f"{output.audience.value}; {output.consumption}")


def output_is_not_transient(case: Case) -> Finding:
    """No alias, check, shell, export, debug or installation-local output; no pull request or fork."""
    return first_standing(case, _of_origin(case))


def _of_origin(case: Case) -> Iterator[Finding]:
    output = case.output
    if output.role is not Role.PACKAGE:
        what = f"an alias of {output.alias_of}" if output.role is Role.ALIAS else f"of the role {output.role.value}"
        yield _transient(
            PERMANENTLY,
            output.role.value,
            f"it is {what}, not an output of its own",
            remedy=f"Promote {output.alias_of} itself." if output.alias_of else "No action needed.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if not case.authentic:
        yield _transient(
            VerdictClass.CANNOT_DETERMINE,
            "no-authentic-receipt",
            "nothing that an unauthenticated receipt says is looked at",
            remedy="See receipt_is_authentic.",
            actor="the builder",
        )
        return
    trigger = case.receipt.run.trigger
    if trigger.event is TriggerEvent.PULL_REQUEST or trigger.from_fork:
        reason = "fork" if trigger.from_fork else "pull-request"
        yield _transient(
            PERMANENTLY,
            reason,
            f"the run was started by a {'fork' if trigger.from_fork else 'pull request'}: it shows a proposal",
            remedy="Merge it; the build of the merged revision is judged on its own.",
            actor=case.owner,
        )
    ref = case.receipt.run.source.ref
    if not any(fnmatchcase(ref, pattern) for pattern in output.refs):
        yield _transient(
            PERMANENTLY,
            "other-ref",
            f"it was built from {ref}, and only {', '.join(output.refs)} may go on",
            remedy="Merge or tag it; that build is judged on its own.",
            actor=case.owner,
        )
    if not case.believes(Claim.TRIGGER):
        yield _transient(
            VerdictClass.REJECTED_TEMPORARILY,
            "trigger-claim-untrusted",
            "only the job itself says what started it, and its claims about its trigger are not trusted",
            remedy="Sign with a key that is isolated from the job, or trust this builder's claim in the catalogue.",
            actor=case.builder_owner,
        )
    yield _transient.passed(f"a package, built on {trigger.event.value} by {trigger.actor}")
