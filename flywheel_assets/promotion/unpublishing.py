"""Carrying a withdrawal out: the artifact is taken off its surface as far as that allows, marked, and recorded.

The decision comes first, and from then on no gate lets the digest pass. All after it is found again from evidence, so
whatever is cut off is carried out by the next call, and a decision that came by the inbox is carried out as any other.
Each is carried out by itself: a surface that is down, or a document that was damaged, keeps nothing else public.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from flywheel_assets.catalog.models import Way
from flywheel_assets.domain.artifacts import Artifact, NixClosure, resource_uri
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import FlywheelError, PublicationError, UsageError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.publications import FlakeRelease, Proof, Publication, Release
from flywheel_assets.domain.statements import VSA_V1
from flywheel_assets.domain.withdrawals import Unpublished, Withdrawal
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.ports import PublicationSurface
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import standing
from flywheel_assets.promotion.dispatches import last_dispatch, last_release, readable
from flywheel_assets.promotion.flywheel import Flywheel, silent
from flywheel_assets.promotion.following import look_again
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import WITHDRAWAL, record
from flywheel_assets.promotion.names_of import cache_of, release_of
from flywheel_assets.promotion.needing import kept_for_others
from flywheel_assets.promotion.signatures import envelope_check, signed_once
from flywheel_assets.promotion.summaries import ReadSummary, summary
from flywheel_assets.promotion.went_out import knowing_all
from flywheel_assets.promotion.withdrawing import Public, receipt_of, survey, unrecorded_public
from flywheel_assets.promotion.yanking import who_yanks


class Carried(NamedTuple):
    """The new records, and a sentence for everything that is not carried out, or of which that cannot be told."""

    done: list[Withdrawal]
    failed: list[str]


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done on a surface, and whether people must do the rest."""

    mark: EvidenceDigest | None = None
    unpublished: Unpublished = field(default_factory=Unpublished)
    is_gone: bool = False


def carry_out(flywheel: Flywheel, first: Collection[Sha256] = ()) -> Carried:
    """Take off their surfaces all that is withdrawn and still there, the digests in ``first`` before all else.

    What is to be yanked is tried again: somebody may have yanked it, or what needed it may be gone. It raises
    FlywheelError only when nothing can be told of anything.
    """
    found, carried = survey(flywheel), unrecorded_public(flywheel)
    failed = [f"a decision cannot be read, and may be a withdrawal: {each}" for each in standing(flywheel).damaged]
    failed += [
        f"{each.output} {each.build}: cannot be told whether it is withdrawn: {each.problem}" for each in found.unread
    ]
    known = [*found.public, *carried]
    withdrawn = {each.publication.artifact_digest for each in known if each.decision is not None}
    due = [each for each in known if each.is_due or each.is_to_be_yanked]
    done: list[Withdrawal] = []
    for each in sorted(due, key=lambda each: each.publication.artifact_digest not in first):
        try:
            made = _carry_out(flywheel, each, withdrawn)
        except FlywheelError as error:
            failed.append(f"{each.publication.reference}: not withdrawn yet: {error}")
        else:
            done += [made] if made is not None else []
    for withdrawal in done:
        if withdrawal.output in flywheel.catalogue.outputs:
            with suppress(FlywheelError):  # it is withdrawn; the next tick judges, or says why it cannot
                judge(flywheel, withdrawal.output, withdrawal.build)
    return Carried(done, failed)


def _carry_out(flywheel: Flywheel, public: Public, withdrawn: Collection[Sha256]) -> Withdrawal | None:
    """One of them; None when nothing new came of it."""
    publication, decision, before = public.publication, public.decision, public.withdrawal
    if decision is None:
        raise UsageError(f"Nobody withdrew {publication.reference}.")
    artifact = receipt_of(flywheel, publication).artifact
    with _nobody_publishes(flywheel, publication):
        done = _unpublish(flywheel, publication, artifact, withdrawn)
        who = who_yanks(flywheel.catalogue, publication.surface, publication.ownership.publication_path_owner)
        withdrawal = Withdrawal(
            output=publication.output,
            build=publication.build,
            artifact_digest=publication.artifact_digest,
            surface=publication.surface,
            reference=publication.reference,
            decision=decision,
            mark=done.mark,
            unpublished=done.unpublished,
            yanked_by="" if done.is_gone else who,
            done_at=flywheel.clock(),
        )
        if before is not None and _says(before) == _says(withdrawal):
            return None
        record(flywheel, publication.output, publication.build, WITHDRAWAL, withdrawal)
    return withdrawal


@contextmanager
def _nobody_publishes(flywheel: Flywheel, publication: Publication) -> Iterator[None]:
    """Hold the channel; in a Nix cache, where closures share paths, those of all outputs that go to that cache.

    So no promotion is between its plan, which counts on a path that is there, and its record, by which that is needed.
    """
    cache, names = cache_of(flywheel, publication), {f"{publication.surface} {publication.output}"}
    for name, output in flywheel.catalogue.outputs.items() if cache else ():
        target = output.publication
        if target and cache in {target.surface, target.flake.binaries if target.flake else None}:
            names.add(f"{target.surface} {name}")
    with ExitStack() as held:
        for name in sorted(names):
            held.enter_context(flywheel.evidence.claim(name))
        yield


def _says(withdrawal: Withdrawal) -> tuple[EvidenceDigest | None, tuple[str, ...], bool]:
    """What a look at the surface can change; what was removed the first time is removed no second time."""
    return withdrawal.mark, withdrawal.unpublished.remaining, bool(withdrawal.yanked_by)


def _unpublish(
    flywheel: Flywheel, publication: Publication, artifact: Artifact, withdrawn: Collection[Sha256]
) -> _Done:
    """What this pipeline wrote it takes away and marks; what a workflow published is only looked at."""
    release = release_of(flywheel, publication, artifact)
    if release is None:
        return _Done()
    match publication.way:
        case Way.TRIGGERS.value:
            return _mark_flake(flywheel, publication, release, withdrawn)
        case Way.COPIES.value if (surface := _surface(flywheel, publication.surface)) is not None:
            resource = resource_uri(artifact, publication.surface, release.repository)
            mark = _mark(flywheel, publication, artifact, resource)
            gone = _withdraw(flywheel, surface, release, mark, withdrawn)
            return _Done(flywheel.evidence.put(mark.envelope), gone, is_gone=not gone.remaining)
        case Way.OBSERVES.value:
            return _Done(is_gone=_is_gone(flywheel, publication, release))
        case _:
            return _Done()


def _withdraw(
    flywheel: Flywheel, surface: PublicationSurface, release: Release, mark: Proof, withdrawn: Collection[Sha256]
) -> Unpublished:
    """What cannot be told to be free of others' needs stays, and is said to; but for the root: that is withdrawn."""
    if not isinstance(release.artifact, NixClosure):
        return surface.withdraw(release, mark, frozenset())
    kept, untold = kept_for_others(flywheel, withdrawn)
    if untold:
        kept |= {member.path for member in release.artifact.members} - {release.artifact.root}
    gone = surface.withdraw(release, mark, kept)
    return gone.model_copy(update={"remaining": gone.remaining + untold})


def _mark_flake(flywheel: Flywheel, publication: Publication, closure: Release, withdrawn: Collection[Sha256]) -> _Done:
    """The closure goes from the cache that carries it, and is marked there, as the release's own proofs are.

    The release itself is FlakeHub's: people yank it there, until a look at it says that they did.
    """
    binaries, flake = cache_of(flywheel, publication), _flake(flywheel, publication)
    surface = _surface(flywheel, binaries) if binaries else None
    if surface is None or flake is None:
        return _Done()
    mark = _mark(flywheel, publication, closure.artifact, flake.resource)
    of_closure = _mark(flywheel, publication, closure.artifact, resource_uri(closure.artifact, binaries))
    first = _withdraw(flywheel, surface, closure.model_copy(update={"flake": flake}), mark, withdrawn)
    then = _withdraw(flywheel, surface, closure, of_closure, withdrawn)
    still = tuple(_still_released(flywheel, publication, flake.name))
    gone = Unpublished(removed=first.removed + then.removed, remaining=then.remaining + still)
    return _Done(flywheel.evidence.put(mark.envelope), gone, is_gone=not gone.remaining)


def _flake(flywheel: Flywheel, publication: Publication) -> FlakeRelease | None:
    """How it was released, by the request that led there: the catalogue may say otherwise by now."""
    name = publication.reference.removeprefix("flakehub:").rpartition("/")[0]
    asked = reversed(list(readable(flywheel, publication.output, publication.build)))
    return next((each.flake for each in asked if each.flake.name == name), None)


def _still_released(flywheel: Flywheel, publication: Publication, name: str) -> Iterator[str]:
    """Why it may still be found by its name: by what FlakeHub tells everybody, now or when it was seen last."""
    output, build = publication.output, publication.build
    with suppress(FlywheelError):  # no answer says nothing new
        look_again(knowing_all(flywheel), output, build)
    released, last = last_release(flywheel, output, build), last_dispatch(flywheel, output, build)
    if last is not None and last.state.is_open:
        yield f"a workflow may still release {name}"
    elif released is not None and released.state is not DispatchState.YANKED:
        yield f"FlakeHub resolves to {name}, as it was seen last"


def _is_gone(flywheel: Flywheel, publication: Publication, release: Release) -> bool:
    """Whether consumers find what a workflow published no more, by its digest or a tag; no answer is none."""
    surface = _surface(flywheel, publication.surface)
    if surface is None:
        return False
    try:
        readings = surface.read_back(release, silent)
    except FlywheelError:
        return False
    about_it = [each for each in readings if each.expected_digest == str(release.artifact.digest)]
    names_others = (each.state is ReadState.READ and each.digest != each.expected_digest for each in about_it)
    is_absent = [each.state is ReadState.ABSENT for each in about_it]
    return any(is_absent) and all(absent or other for absent, other in zip(is_absent, names_others, strict=True))


def _surface(flywheel: Flywheel, name: str) -> PublicationSurface | None:
    """The surface, whatever cache it was opened for: nothing is copied to it here."""
    return next((each for (known, _), each in flywheel.surfaces.items() if known == name), None)


def _mark(flywheel: Flywheel, publication: Publication, artifact: Artifact, resource: str) -> Proof:
    """The summary that says FAILED, signed once for all by the key that consumers know."""
    known, catalogue = knowing_all(flywheel), flywheel.catalogue
    bundle = assemble(known, publication.output, publication.build)

    def sign() -> bytes:
        verdict = evaluate(bundle, known.catalogue, flywheel.clock())
        verdict = verdict.model_copy(update={"catalogue": catalogue.digest})
        return summary(flywheel.release_signer, catalogue, artifact, verdict, resource=resource, levels=[])

    kept = signed_once(flywheel, f"withdrawal {resource} {artifact.digest}", sign, envelope_check(flywheel))
    read = ReadSummary(kept.payload, "the withdrawal's summary")
    if read.result != "FAILED" or read.resource != resource or artifact.digest.hex not in read.digests:
        raise PublicationError("The summary kept for this withdrawal speaks of something else; it was replaced.")
    return Proof(name="vsa", predicate_type=VSA_V1, envelope=kept.signed)
