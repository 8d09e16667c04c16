"""Promotion: claim, plan, copy, proofs, make visible, read back, record. In this order, each step repeatable.

The gate is evaluated again here, on stored evidence, with the catalogue and time of now; only its Approved
value goes on, and right before anything is signed or becomes visible it is asked once more. Nothing is called published
before it was read back. What another made visible is called published only while the gate lets it.
"""

from collections.abc import Callable
from functools import partial

from flywheel_assets.catalog.models import PublicationTarget, Way
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import (
    FlywheelError,
    PromotionRefusedError,
    SurfaceNotImplementedError,
    UsageError,
)
from flywheel_assets.domain.publications import Plan, Proof, Release
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.ports import Progress, PublicationSurface
from flywheel_assets.promotion.approving import approved_now, demand_still_approved
from flywheel_assets.promotion.dispatching import Turn, plan_by_workflow, publish_by_workflow
from flywheel_assets.promotion.failures import Cause, note_failure
from flywheel_assets.promotion.flakes import flake_release
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.judging import judge, read_again
from flywheel_assets.promotion.observing import observe
from flywheel_assets.promotion.proving import demand_proofs, proofs_of
from flywheel_assets.promotion.recording import Promoted, demand_whole, note_revealing, record_publication


def promote(
    flywheel: Flywheel, output: str, build: BuildKey, progress: Progress = silent, *, anew: bool = True
) -> Promoted | Dispatch:
    """Publish one build. Raises PromotionRefusedError when the gate does not approve, other errors as they come.

    A Dispatch where a workflow publishes and has not come to its end: repeat it to go on. Only with ``anew``, which
    says that a person wants it, is a workflow that failed asked for once more.
    """
    read_again(flywheel, output, build, progress)
    judge(flywheel, output, build)
    approved_now(flywheel, output, build)
    target = _target(flywheel, output)
    # The whole channel and not this artifact alone: what is published of an output decides what may follow it.
    with flywheel.evidence.claim(f"{target.surface} {output}") as still_held:
        approved = approved_now(flywheel, output, build)  # while another publisher held the claim, all may have changed
        release, cause = release_of(approved, target), Cause.FAILED
        if target.way is Way.TRIGGERS:
            return publish_by_workflow(flywheel, Turn(approved, target, release, progress, still_held), anew=anew)
        surface = _surface(flywheel, output)
        try:
            plan = surface.plan(release)
            ours: list[Proof] = []
            if target.way is Way.OBSERVES:
                cause = Cause.AWAITS_WORKFLOW if plan.missing or plan.names else Cause.FAILED
                proofs = observe(flywheel, surface, plan, approved, target)
            else:
                surface.copy(plan, progress)
                demand_still_approved(flywheel, approved)
                proofs = ours = proofs_of(flywheel, approved, target)
                surface.attach(plan, ours)
                demand_still_approved(flywheel, approved)
                still_held()
                surface.reveal(
                    plan,
                    partial(
                        _last_word,
                        partial(demand_still_approved, flywheel, approved),
                        partial(note_revealing, flywheel, approved, target, release, plan.reference, proofs=ours),
                    ),
                )
            readings = surface.read_back(release, progress, ours)
            demand_whole(readings, plan.reference)
            if target.way is Way.OBSERVES:
                demand_still_approved(flywheel, approved)  # not we made it visible: what is stopped is not vouched for
            if ours:
                demand_proofs(ours, surface.proofs(release), plan.reference)
            done = record_publication(
                flywheel, approved, target, release, plan.reference, readings=readings, proofs=proofs
            )
            return Promoted(done, plan.missing)
        except PromotionRefusedError:
            raise  # the verdict says why: that is no failure of the promotion
        except FlywheelError as error:
            note_failure(flywheel, output, build, cause, error)
            raise


def _last_word(demand: Callable[[], object], note: Callable[[], object]) -> None:
    """What is stopped leaves no note. Who stops it at this moment finds the note, or the second question finds that."""
    demand()
    note()
    demand()


def plan_promotion(flywheel: Flywheel, output: str, build: BuildKey) -> Plan:
    """What ``promote`` would do; nothing is written. Raises as ``promote`` does."""
    read_again(flywheel, output, build)
    judge(flywheel, output, build)
    approved = approved_now(flywheel, output, build)
    target = _target(flywheel, output)
    release = release_of(approved, target)
    if target.way is Way.TRIGGERS:
        return plan_by_workflow(flywheel, target, release)
    return _surface(flywheel, output).plan(release)


def release_of(approved: Approved, target: PublicationTarget) -> Release:
    """The names that the catalogue gives an approved artifact on its surface."""
    return Release(
        output=approved.verdict.output,
        build=approved.build,
        artifact=approved.artifact,
        repository=target.repository,
        tags=target.tags_of(approved.attested.receipt.run.source.revision),
        moving=target.moving_tags,
        flake=flake_release(approved.attested.receipt.run, target),
    )


def _surface(flywheel: Flywheel, output: str) -> PublicationSurface:
    key = (_target(flywheel, output).surface, flywheel.output(output).cache)
    if key not in flywheel.surfaces:
        raise SurfaceNotImplementedError(f"{key[0]} is declared in the catalogue and cannot be served yet.")
    return flywheel.surfaces[key]


def _target(flywheel: Flywheel, output: str) -> PublicationTarget:
    target = flywheel.output(output).publication
    if target is None:
        raise UsageError(f"{output} has no publication surface in the catalogue.")
    return target
