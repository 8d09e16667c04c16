"""Publishing by a workflow that only a forge can run: asked for once, followed without waiting, read back, recorded.

What is to be asked is on record before the forge is asked. So whatever becomes of this process or of the forge's
answer, the run is looked for under its request's id, and never asked for a second time by itself. A new request is
made only by a person's hand, or where the forge surely took nothing.

The closure goes to its durable cache first, with the proofs beside it: who installs the release need not rebuild.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import (
    AmbiguousError,
    FlywheelError,
    PromotionRefusedError,
    PublicationError,
    ReadError,
    SurfaceNotImplementedError,
    UsageError,
    printable,
)
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.publications import FlakeRelease, Plan, Proof, Release
from flywheel_assets.domain.statements import VSA_V1
from flywheel_assets.gate.evaluate import Approved
from flywheel_assets.ports import Progress, PublicationSurface
from flywheel_assets.promotion.approving import demand_still_approved
from flywheel_assets.promotion.dispatches import dispatches, note, on_their_way, requests
from flywheel_assets.promotion.failures import Cause, note_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.following import claim_of, follow, look_again, workflow_of
from flywheel_assets.promotion.proving import demand_proofs, proofs_of, release_proofs_of
from flywheel_assets.promotion.recording import Promoted, demand_whole, record_publication

_MAY_BE_ASKED_ANEW = {DispatchState.FAILED, DispatchState.WRONG_RELEASE}


@dataclass(frozen=True, slots=True)
class Turn:
    """One promotion's turn on its channel: what goes out, where to, and whether the channel is still its own."""

    approved: Approved
    target: PublicationTarget
    release: Release
    progress: Progress
    still_held: Callable[[], None]

    @property
    def closure(self) -> Release:
        """What goes to the cache that carries the binaries."""
        return self.release.model_copy(update={"flake": None})

    @property
    def digest(self) -> Sha256:
        """Of what goes out, as records have it: whatever kind of digest it is."""
        return Sha256.from_hex(self.release.artifact.digest.hex)

    @property
    def flake(self) -> FlakeRelease:
        """How it is released."""
        if self.release.flake is None:
            raise UsageError(f"The catalogue does not say how {self.release.output} is released as a flake.")
        return self.release.flake


def publish_by_workflow(flywheel: Flywheel, turn: Turn, *, anew: bool) -> Promoted | Dispatch:
    """Go on from where the build is: ask, look, or read back and record. A Dispatch while it is on its way.

    ``anew``: a person wants it, so that what failed may be asked for once more. Raises PublicationError when it
    failed, other errors as they come. The caller holds the channel's claim.
    """
    release = turn.release
    last = follow(flywheel, release.output, release.build)
    if last and not last.is_for(turn.target.surface, turn.flake) and not last.state.is_open:
        last = None  # what was asked for then was another release
    try:
        if last and last.state in {DispatchState.RELEASED, DispatchState.YANKED}:
            last = look_again(flywheel, release.output, release.build) or last
        may_ask_anew = anew and last is not None and last.state in _MAY_BE_ASKED_ANEW
        if last is None or last.state is DispatchState.REFUSED or may_ask_anew:
            last = _start(flywheel, turn, anew=anew)
        if last.state is DispatchState.RELEASED:
            return _record(flywheel, turn, last)
    except PromotionRefusedError:
        raise  # the verdict says why: that is no failure of the promotion
    except FlywheelError as error:
        note_failure(flywheel, release.output, release.build, Cause.FAILED, error)
        raise
    if not last.state.is_open:
        if last.state is DispatchState.YANKED:
            raise _taken_back(turn, last)
        where = f" See {last.run.url}." if last.run else ""
        raise PublicationError(f"{release.output} {release.build}: {last.state.value}. {last.detail}{where}")
    return last


def plan_by_workflow(flywheel: Flywheel, target: PublicationTarget, release: Release) -> Plan:
    """What would be copied to the cache that carries the binaries, and what the workflow would be asked for."""
    asking = workflow_of(flywheel, target.surface).plan(release)
    closure = _carrier(flywheel, target, release.output).plan(release.model_copy(update={"flake": None}))
    orders: tuple[str, ...] = ()
    if asking.missing and release.flake:
        flake = release.flake
        orders = (f"{flake.name} {asking.missing[0]}, released by a run of {flake.workflow} in {flake.repository}",)
    return asking.model_copy(
        update={
            "missing": closure.missing,
            "present": (*closure.present, *asking.present),
            "names": (*(name for name in closure.names if name not in closure.missing), *orders),
        }
    )


def _start(flywheel: Flywheel, turn: Turn, *, anew: bool) -> Dispatch:
    release, surface = turn.release, turn.target.surface
    _demand_turn(flywheel, release)
    # Before anything is signed and shown: a version that is taken, and a request that is still on its way after all.
    if workflow_of(flywheel, surface).plan(release).missing:
        earlier = _earlier(flywheel, turn, anew=anew)
        if earlier is not None:
            return earlier
    proofs = _carry_closure(flywheel, turn)
    (vsa,) = (proof for proof in proofs if proof.predicate_type == VSA_V1)
    output, build = release.output, release.build
    with flywheel.evidence.claim(claim_of(output, build)):
        plan = workflow_of(flywheel, surface).plan(release)
        asked = Dispatch(
            id=_request_id(flywheel, turn),
            output=output,
            build=build,
            surface=surface,
            artifact_digest=turn.digest,
            flake=turn.flake,
            state=DispatchState.REQUESTED if plan.missing else DispatchState.AWAITS_RELEASE,
            at=flywheel.clock(),
            detail="" if plan.missing else "The release was there before any run was asked for.",
        )
        turn.still_held()
        demand_still_approved(flywheel, turn.approved)
        note(flywheel, asked)
        if plan.missing:
            return _ask(flywheel, release, asked, vsa)
    return follow(flywheel, output, build) or asked


def _earlier(flywheel: Flywheel, turn: Turn, *, anew: bool) -> Dispatch | None:
    """This build's own earlier request that goes on after all; None when another may be made.

    Raises PublicationError when that of another build goes on, or nobody but a person may ask once more.
    """
    release = turn.release
    failed = requests(flywheel, release.output, turn.target.surface, turn.flake)
    for each in failed:
        now = follow(flywheel, each.output, each.build, each.id)
        if now is not None and now.state.is_open and now.build == release.build:
            return now
        if now is not None and now.state is DispatchState.YANKED:
            now = look_again(flywheel, each.output, each.build)
        if now is not None and now.state is DispatchState.RELEASED:
            return None  # what is there is not asked for
        if now is not None and now.state is DispatchState.YANKED:
            raise _taken_back(turn, now)
    _demand_turn(flywheel, release)
    if failed and not anew:
        last = failed[-1]
        raise PublicationError(
            f"{release.output} {release.build}: {turn.flake.resource} was asked for already, for {last.build}, "
            f"{last.state.value}. {last.detail} Only a person has it asked for once more: flywheel promote."
        )
    return None


def _taken_back(turn: Turn, last: Dispatch) -> PublicationError:
    """A version is never taken twice, and what somebody took back comes back by nobody's second request."""
    version = last.release.version if last.release else last.flake.version
    return PublicationError(
        f"{turn.release.output} {turn.release.build}: yanked. {last.flake.name} {version} was released for "
        f"{last.build}, and taken back or not shown any more; it is not asked for a second time. "
        "Release under another version."
    )


def _ask(flywheel: Flywheel, release: Release, asked: Dispatch, vsa: Proof) -> Dispatch:
    """Ask the forge, once. Whatever leaves it open whether it took the request leaves the request standing."""

    def seen(state: DispatchState, detail: str = "") -> Dispatch:
        changes = {"state": state, "at": flywheel.clock(), "detail": printable(detail, 500)}
        return asked.model_copy(update=changes)

    try:
        run = workflow_of(flywheel, asked.surface).dispatch(release, asked.id, vsa)
    except (ReadError, PublicationError) as error:
        if not isinstance(error, AmbiguousError):
            note(flywheel, seen(DispatchState.REFUSED, str(error)))
            raise
        problem: FlywheelError = error
    except FlywheelError as error:  # an answer that nobody understands is none
        problem = error
    else:
        return note(flywheel, seen(DispatchState.DISPATCHED).model_copy(update={"run": run}))
    return note(flywheel, seen(DispatchState.REQUESTED, f"It is not known whether the forge took it: {problem}"))


def _demand_turn(flywheel: Flywheel, release: Release) -> None:
    """One at a time: what comes out of one decides what may follow it. Raises PublicationError."""
    other = on_their_way(flywheel, release.output, release.build)
    if other:
        raise PublicationError(
            f"{release.output} {other} is on its way, and its workflow is asked for one build at a time. "
            "Wait for it, or cancel its run."
        )


def _carry_closure(flywheel: Flywheel, turn: Turn) -> list[Proof]:
    """The closure in the cache that carries it, with its own proofs and those of the release, which are returned."""
    carrier = _carrier(flywheel, turn.target, turn.release.output)
    plan = carrier.plan(turn.closure)
    carrier.copy(plan, turn.progress)
    demand_still_approved(flywheel, turn.approved)  # copying took its time
    proofs = proofs_of(flywheel, turn.approved, turn.target)
    carrier.attach(plan, proofs)
    of_release = release_proofs_of(flywheel, turn.approved, turn.flake)
    carrier.attach(plan.model_copy(update={"release": turn.release}), of_release)
    demand_still_approved(flywheel, turn.approved)
    turn.still_held()
    carrier.reveal(plan, partial(demand_still_approved, flywheel, turn.approved))
    _carried(flywheel, turn, plan.reference)
    return of_release


def _carried(flywheel: Flywheel, turn: Turn, reference: str) -> tuple[tuple[Reading, ...], list[Proof]]:
    """The closure, whole, and the proofs that lie beside it. Raises ReadBackError."""
    carrier = _carrier(flywheel, turn.target, turn.release.output)
    proofs = proofs_of(flywheel, turn.approved, turn.target)
    of_release = release_proofs_of(flywheel, turn.approved, turn.flake)
    found = carrier.read_back(turn.closure, turn.progress, proofs)
    demand_whole(found, reference)
    demand_proofs(proofs, carrier.proofs(turn.closure), reference)
    demand_proofs(of_release, carrier.proofs(turn.release), reference)
    return found, [*proofs, *of_release]


def _record(flywheel: Flywheel, turn: Turn, last: Dispatch) -> Promoted:
    """Release and closure read back once more, by the process that puts them on record."""
    flake, surface = turn.flake, turn.target.surface
    version = last.release.version if last.release else flake.version
    reference = f"flakehub:{flake.name}/{version}#{flake.attribute}"
    released = workflow_of(flywheel, surface).read_back(turn.release, turn.progress)
    demand_whole(released, reference)
    carried, proofs = _carried(flywheel, turn, reference)
    readings = (*released, *carried)
    done = record_publication(
        flywheel, turn.approved, turn.target, turn.release, reference, readings=readings, proofs=proofs
    )
    return Promoted(done, ())


def _request_id(flywheel: Flywheel, turn: Turn) -> str:
    """Made once for each request of a build, before any of it is on record."""
    output, build = turn.release.output, turn.release.build
    earlier = {each.id for each in dispatches(flywheel, output, build)}
    slot = f"dispatch {turn.target.surface} {output} {build} {len(earlier) + 1}"
    return flywheel.evidence.slot(slot, lambda: uuid4().hex.encode()).decode("ascii", "replace")  # noqa: PLW0108 - late


def _carrier(flywheel: Flywheel, target: PublicationTarget, output: str) -> PublicationSurface:
    binaries = target.flake.binaries if target.flake else ""
    key = (binaries, flywheel.output(output).cache)
    if key not in flywheel.surfaces:
        raise SurfaceNotImplementedError(f"{binaries} is declared in the catalogue and cannot be served yet.")
    return flywheel.surfaces[key]
