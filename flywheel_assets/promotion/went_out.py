"""What went out, by the evidence logs and not by the catalogue: what left that is as public as before."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from flywheel_assets.catalog.models import ArtifactType, Audience, MutableSurface, Output, Role, Way
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.domain.publications import ROLLING, Ownership, Publication
from flywheel_assets.domain.withdrawals import Withdrawal
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.dispatches import DISPATCH, current, last_release
from flywheel_assets.promotion.flywheel import Flywheel, under
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import PUBLICATION, REVEALING, WITHDRAWAL, load, publications, withdrawals
from flywheel_assets.promotion.reading import indexed, outputs_in_evidence
from flywheel_assets.promotion.yanking import who_yanks


class Out(NamedTuple):
    """What went out, and what became of it when people withdrew it."""

    publication: Publication
    withdrawal: Withdrawal | None

    @property
    def is_public(self) -> bool:
        """Whether consumers still find it, as far as is known here."""
        return self.withdrawal is None or bool(self.withdrawal.yanked_by)


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that went out, of which the record cannot be read: it counts as public. ``build`` may be unknown, ?."""

    output: str
    build: str
    problem: str


def published(flywheel: Flywheel, output: str) -> list[Out]:
    """All that went out of an output, in the order of publication. Raises EvidenceError."""
    done = {(each.build, each.reference): each for each in withdrawals(flywheel, output)}
    made = publications(flywheel, output)
    return [Out(each, _as_seen(flywheel, each, done.get((each.build, each.reference)))) for each in made]


def went_out(flywheel: Flywheel, output: str) -> Iterator[Out | Unread]:
    """The same, with a word for what cannot be read, so that one damaged document hides no other one.

    A damaged record of a withdrawal is as none: carrying it out again changes nothing, and makes a new one.
    """
    try:
        log = indexed(flywheel, output_log(output))
    except EvidenceError as error:
        yield Unread(output, "?", str(error))
        return
    done = _withdrawals(flywheel, log.of(WITHDRAWAL))
    for entry in log.of(PUBLICATION):
        try:
            made = load(flywheel, Publication, entry)
        except EvidenceError as error:
            yield Unread(output, entry.subject, str(error))
            continue
        withdrawal = done.get((made.build, made.reference))
        with suppress(EvidenceError):  # what was seen cannot be read: the record stands
            withdrawal = _as_seen(flywheel, made, withdrawal)
        yield Out(made, withdrawal)


def being_shown(flywheel: Flywheel, output: str) -> Iterator[Out | Unread]:
    """What was about to be shown and never came on record, or not yet: consumers may find all or part of it.

    With a word for what cannot be read; ``went_out`` has one for a log that cannot be.
    """
    try:
        log = indexed(flywheel, output_log(output))
    except EvidenceError:
        return
    shown: dict[tuple[BuildKey, str], Publication] = {}
    for entry in log.of(REVEALING):
        try:
            made = load(flywheel, Publication, entry)
        except EvidenceError as error:
            yield Unread(output, entry.subject, str(error))
        else:
            shown[made.build, made.reference] = made
    for entry in log.of(PUBLICATION) if shown else ():
        with suppress(EvidenceError):
            recorded = load(flywheel, Publication, entry)
            shown.pop((recorded.build, recorded.reference), None)
    done = _withdrawals(flywheel, log.of(WITHDRAWAL)) if shown else {}
    yield from (Out(made, done.get(name)) for name, made in shown.items())


def unrecorded(flywheel: Flywheel, output: str) -> Iterator[Out | Unread]:
    """What never came on record, and may be found all the same: what was ``being_shown``, and what workflows publish.

    A workflow's closure and proofs are carried before it is asked. With a word for each thing seen of it that cannot
    be read; ``went_out`` has one for a log that cannot be.
    """
    yield from being_shown(flywheel, output)
    try:
        log = indexed(flywheel, output_log(output))
    except EvidenceError:
        return
    recorded = {entry.subject for entry in log.of(PUBLICATION)}
    done = _withdrawals(flywheel, log.of(WITHDRAWAL))
    for build in dict.fromkeys(entry.subject for entry in log.of(DISPATCH) if entry.subject not in recorded):
        seen: list[Dispatch] = []
        for entry in log.about(DISPATCH, build):
            try:
                seen.append(load(flywheel, Dispatch, entry))
            except EvidenceError as error:
                yield Unread(output, build, str(error))
        if seen:
            made = _as_published(flywheel, next((e for e in reversed(seen) if e.state.is_out), None) or current(seen))
            withdrawal = done.get((made.build, made.reference))
            with suppress(EvidenceError):  # what was seen cannot be read: the record stands
                withdrawal = _as_seen(flywheel, made, withdrawal)
            yield Out(made, withdrawal)


def knowing_all(flywheel: Flywheel) -> Flywheel:
    """Under a catalogue that knows as well what left it after something of it went out. Raises FlywheelError."""
    catalogue = flywheel.catalogue
    names = (name for name in outputs_in_evidence(flywheel) if name not in catalogue.outputs)
    left = {name: next(chain(went_out(flywheel, name), unrecorded(flywheel, name)), None) for name in names}
    known = {name: _stand_in(flywheel, first) for name, first in left.items() if first is not None}
    if not known:
        return flywheel
    return under(flywheel, catalogue.model_copy(update={"outputs": {**catalogue.outputs, **known}}))


def _as_published(flywheel: Flywheel, last: Dispatch) -> Publication:
    """The record as it would be; nobody stated yet who owns what."""
    flake, owner = last.flake, who_yanks(flywheel.catalogue, last.surface, "whoever publishes there")
    known = flywheel.catalogue.outputs.get(last.output)
    target = known.publication if known else None
    version = last.release.version if last.release else flake.version or ROLLING
    return Publication(
        output=last.output,
        build=last.build,
        artifact_digest=last.artifact_digest,
        surface=last.surface,
        way=Way.TRIGGERS.value,
        reference=f"flakehub:{flake.name}/{version}#{flake.attribute}",
        revision=flake.revision,
        committed_at=None,
        published_at=last.at,
        bytes_read_back=0,
        proofs=(),
        ownership=Ownership(
            builder_path_owner=owner, publication_path_owner=owner, clean_because="it is not on record"
        ),
        binaries=target.flake.binaries if target and target.flake else None,
    )


def _as_seen(flywheel: Flywheel, made: Publication, withdrawal: Withdrawal | None) -> Withdrawal | None:
    """What was gone, and is released again as it was seen last, is to be yanked."""
    if withdrawal is None or withdrawal.yanked_by or made.way != Way.TRIGGERS.value:
        return withdrawal
    last = last_release(flywheel, made.output, made.build)
    if last is None or last.state is not DispatchState.RELEASED:
        return withdrawal
    who = who_yanks(flywheel.catalogue, made.surface, made.ownership.publication_path_owner)
    return withdrawal.model_copy(update={"yanked_by": who})


def _withdrawals(flywheel: Flywheel, entries: list[LogEntry]) -> dict[tuple[BuildKey, str], Withdrawal]:
    read = (_withdrawal(flywheel, entry) for entry in entries)
    return {(each.build, each.reference): each for each in read if each is not None}


def _withdrawal(flywheel: Flywheel, entry: LogEntry) -> Withdrawal | None:
    try:
        return load(flywheel, Withdrawal, entry)
    except EvidenceError:
        return None


def _stand_in(flywheel: Flywheel, first: Out | Unread) -> Output:
    """Of what left the catalogue no more is known than what went out; whoever owns the surface answers for it."""
    catalogue = flywheel.catalogue
    made = first.publication if isinstance(first, Out) else None
    surface = catalogue.surfaces.get(made.surface) if made else None
    caches = (name for name, each in catalogue.surfaces.items() if isinstance(each, MutableSurface))
    is_image = made is not None and made.root is None and "@sha256:" in made.reference
    return Output(
        type=ArtifactType.OCI if is_image else ArtifactType.NIX,
        definition="not in the catalogue any more",
        role=Role.PACKAGE,
        audience=Audience.UNDECIDED,
        owner=surface.owner if surface else next(iter(catalogue.owners), "nobody"),
        repository=next(iter(catalogue.repositories), "https://nowhere.invalid/none"),
        cache=next(caches, "none"),
    )
