"""Phase 4: is it re-identifiable, agreed upon, meant for use, and nothing transient?"""

from fnmatch import fnmatchcase

from flywheel_assets.catalog.models import Audience, Claim, Role
from flywheel_assets.domain.artifacts import same_content
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.evidence import AttestedReceipt
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, can_make, needs_receipt, trusted_keys
from flywheel_assets.gate.platform import forge_contradicts, forge_has_no_doubt

_source = Answer("source_can_be_reidentified", Phase.CLASSIFICATION)
_rebuild = Answer("rebuild_agrees", Phase.CLASSIFICATION)
_use = Answer("use_is_intended", Phase.CLASSIFICATION)
_transient = Answer("output_is_not_transient", Phase.CLASSIFICATION)
PERMANENTLY = VerdictClass.REJECTED_PERMANENTLY
BUILD_CLEAN = "Build again from a clean checkout with locked inputs."


@needs_receipt(_source)
def source_can_be_reidentified(case: Case) -> Finding:
    """Clean revision of the catalogued repository, locked inputs, definition and dependencies recorded."""
    run = case.receipt.run
    if run.source.repository != case.output.repository:
        return _source(
            PERMANENTLY,
            "other-repository",
            f"built from {run.source.repository}, and the output belongs to {case.output.repository}",
            remedy="Build it from its own repository, or correct the catalogue.",
            actor=case.catalogue_owner,
        )
    if run.source.dirty:
        message = f"the tree was dirty at {str(run.source.revision)[:12]}: what was built is in no revision"
        return _source(PERMANENTLY, "tree-dirty", message, remedy=BUILD_CLEAN, actor=case.builder_owner)
    if not run.locked_inputs and case.output.type.value == "nix":
        message = "the receipt names no locked input"
        remedy = "Build again, with `--lock flake.lock`; a flake without inputs has none: `--lock flake.nix` says all."
        return _source(PERMANENTLY, "inputs-not-locked", message, remedy=remedy, actor=case.builder_owner)
    if not case.believes(Claim.SOURCE):
        return _source(
            VerdictClass.REJECTED_TEMPORARILY,
            "source-claim-untrusted",
            "only the job itself says what it was built from, and its claims about source are not trusted",
            remedy="Sign with a key that is isolated from the job, or trust this builder's claim in the catalogue.",
            actor=case.builder_owner,
        )
    source = f"{run.source.repository} at {str(run.source.revision)[:12]}"
    return (
        _mislabelled(case)
        or _dependencies(case)
        or _source.passed(f"{source}, {len(run.locked_inputs)} locked inputs, {run.definition}")
    )


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


@needs_receipt(_rebuild)
def rebuild_agrees(case: Case) -> Finding:
    """The catalogued number of independent builders got this content; any disagreement is permanent."""
    mine = case.receipt
    others = [attested for attested in case.bundle.witnesses if _is_witness(case, attested)]
    for other in (attested.receipt for attested in others):
        if not same_content(mine.artifact, other.artifact):
            return _rebuild(
                PERMANENTLY,
                "builders-disagree",
                f"run {other.run.key.run} on {other.run.builder} got {other.artifact.digest} from the same revision, "
                f"this one {mine.artifact.digest}",
                remedy="Make the build reproducible (compare the two with diffoscope), then build a new revision.",
                actor=case.owner,
            )
    # Another attempt of the same run can disagree, and so can the same signer: neither is a second opinion.
    signers = set(case.authentic[0].signatures.keys)
    independent = [
        attested.receipt
        for attested in others
        if attested.receipt.run.key.run != mine.run.key.run
        and not signers & set(attested.signatures.keys)
        and forge_has_no_doubt(case, attested.receipt.run)
    ]
    agreeing = {mine.run.builder, *(other.run.builder for other in independent)}
    wanted = case.output.builders_that_must_agree
    if len(agreeing) < wanted:
        return _rebuild(
            VerdictClass.WAITING,
            "second-builder-missing",
            f"{len(agreeing)} of {wanted} builders got this content so far",
            remedy="Wait for, or start, a build of the same revision on another builder.",
            actor=case.builder_owner,
        )
    return _rebuild.passed(f"{len(agreeing)} of {wanted} builders needed, none disagrees")


def _is_witness(case: Case, attested: AttestedReceipt) -> bool:
    """Whether a run of the same revision has a say: a trusted, capable builder of this very definition, clean."""
    run = attested.receipt.run
    return (
        bool(trusted_keys(case.catalogue, attested))
        and can_make(case.catalogue, case.output, attested)
        and run.definition == case.output.definition
        and run.source.repository == case.output.repository
        and not run.source.dirty
        and not case.receipt.run.source.dirty
        and run.trigger.event is not TriggerEvent.PULL_REQUEST
        and not run.trigger.from_fork
        and not forge_contradicts(case, run)
    )


def use_is_intended(case: Case) -> Finding:
    """Catalogued as user-facing or cross-org, and its consumption is documented."""
    output = case.output
    if output.audience is Audience.ACCELERATION:
        return _use(
            PERMANENTLY,
            "acceleration-only",
            f"it accelerates CI from {output.cache}; that is its whole purpose and no publication",
            remedy="No action needed.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.audience is Audience.INTERNAL:
        return _use(
            PERMANENTLY,
            "internal-use",
            "the catalogue means it for internal use",
            remedy="No action needed, unless its audience changes.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.audience is Audience.UNDECIDED:
        return _use(
            VerdictClass.NEEDS_APPROVAL,
            "use-undecided",
            "nobody has decided yet for whom it is meant",
            remedy="Give it an audience, a consumption and a surface in the catalogue.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if output.consumption is None:
        return _use(
            VerdictClass.REJECTED_TEMPORARILY,
            "consumption-undocumented",
            "nothing says how it is consumed",
            remedy="Document it and name the place under `consumption`.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    return _use.passed(f"{output.audience.value}; {output.consumption}")


def output_is_not_transient(case: Case) -> Finding:
    """No alias, check, shell, export, debug or installation-local output; no pull request or fork."""
    output = case.output
    if output.role is not Role.PACKAGE:
        what = f"an alias of {output.alias_of}" if output.role is Role.ALIAS else f"a {output.role.value}"
        return _transient(
            PERMANENTLY,
            output.role.value,
            f"it is {what}, not an output of its own",
            remedy=f"Promote {output.alias_of} itself." if output.alias_of else "No action needed.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if not case.authentic:
        return _transient(
            VerdictClass.CANNOT_DETERMINE,
            "no-authentic-receipt",
            "nothing that an unauthenticated receipt says is looked at",
            remedy="See receipt_is_authentic.",
            actor="the builder",
        )
    trigger = case.receipt.run.trigger
    if trigger.event is TriggerEvent.PULL_REQUEST or trigger.from_fork:
        reason = "fork" if trigger.from_fork else "pull-request"
        return _transient(
            PERMANENTLY,
            reason,
            f"the run was started by a {'fork' if trigger.from_fork else 'pull request'}: it shows a proposal",
            remedy="Merge it; the build of the merged revision is judged on its own.",
            actor=case.owner,
        )
    ref = case.receipt.run.source.ref
    if not any(fnmatchcase(ref, pattern) for pattern in output.refs):
        return _transient(
            PERMANENTLY,
            "other-ref",
            f"it was built from {ref}, and only {', '.join(output.refs)} may go on",
            remedy="Merge or tag it; that build is judged on its own.",
            actor=case.owner,
        )
    if not case.believes(Claim.TRIGGER):
        return _transient(
            VerdictClass.REJECTED_TEMPORARILY,
            "trigger-claim-untrusted",
            "only the job itself says what started it, and its claims about its trigger are not trusted",
            remedy="Sign with a key that is isolated from the job, or trust this builder's claim in the catalogue.",
            actor=case.builder_owner,
        )
    return _transient.passed(f"a package, built on {trigger.event.value} by {trigger.actor}")
