"""What if: all evidence judged as it would be under another catalogue, or at a later time. Nothing is written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from multiprocessing import get_context
from typing import cast

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.verdicts import Verdict, VerdictClass
from flywheel_assets.gate.case import person
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel, under
from flywheel_assets.promotion.intake import RECEIPT, output_log, waiting_for_catalogue
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.reading import SupposedReading, one_reading
from flywheel_assets.promotion.report import published_builds

WORTH_A_PROCESS = 100


class Turn(StrEnum):
    """How a build's verdict would turn."""

    PASSES = "newly passes"
    FAILS = "newly fails"
    OTHER_REASON = "fails for another reason"


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict in short: its class, and the reason that decides."""

    verdict: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One build that would be judged otherwise; ``owner`` owns its publication path, ``actor`` can change it then."""

    output: str
    build: str
    turn: Turn
    before: Told
    after: Told
    owner: str
    actor: str
    is_published: bool = False


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would change of ``builds``, with those of outputs that the catalogue would newly know.

    ``waiting`` is how many receipts of these would be taken in.
    """

    builds: int
    changes: tuple[Change, ...]
    waiting: dict[str, int]

    @property
    def counts(self) -> dict[Turn, int]:
        """How many there are of each turn."""
        found = Counter(change.turn for change in self.changes)
        return {turn: found[turn] for turn in Turn}


@dataclass(frozen=True, slots=True)
class Views:
    """The same evidence, as it is judged and as it would be."""

    now: Flywheel
    then: Flywheel

    def is_unlike(self, output: str) -> bool:
        """Whether anything that an output's verdicts depend on can differ at all."""
        if self.now.clock() != self.then.clock():
            return True
        now, then = self.now.catalogue, self.then.catalogue
        is_known_to_both = output in now.outputs and output in then.outputs
        return not is_known_to_both or now.digest_for(output) != then.digest_for(output)

    def verdicts(self, output: str, build: BuildKey) -> tuple[Verdict | None, Verdict | None]:
        """Both verdicts on a build; None where its output is not known, or would not be."""
        now, then = self.now.catalogue, self.then.catalogue
        if output not in now.outputs:
            return None, evaluate(assemble(self.then, output, build), then, self.then.clock())
        bundle = assemble(self.now, output, build)
        before = evaluate(bundle, now, self.now.clock())
        if output not in then.outputs:
            return before, None
        other = bundle if now.digest == then.digest else assemble(self.then, output, build)
        return before, evaluate(other, then, self.then.clock())


def what_if(flywheel: Flywheel, catalogue: Catalogue, at: datetime | None = None, processes: int = 1) -> Prospect:
    """What would change under ``catalogue``, at ``at`` instead of now. Caches are not read, signatures checked anew.

    With more than one of ``processes`` the evidence store must be one that a fork can go on with, as a folder is.
    Raises EvidenceError for a log that cannot be read.
    """
    waiting = _waiting(flywheel, catalogue)
    views = views_of(flywheel, catalogue, at, waiting)
    known = flywheel.catalogue.outputs
    builds = {name: builds_of(views.now, name) for name in known}
    builds |= {name: builds_of(views.then, name) for name in catalogue.outputs if name not in known}
    changes = [change for name in builds for change in _of_output(views, name, builds[name], processes)]
    return Prospect(sum(map(len, builds.values())), tuple(changes), {name: len(each) for name, each in waiting.items()})


def _waiting(flywheel: Flywheel, catalogue: Catalogue) -> dict[str, list[LogEntry]]:
    """The entries that receipts would get which wait for an output that only ``catalogue`` knows, by that output."""
    found: dict[str, list[LogEntry]] = {}
    for entry in waiting_for_catalogue(flywheel):
        name, _, build = entry.subject.partition(" ")
        if name in catalogue.outputs and name not in flywheel.catalogue.outputs:
            taken = replace(entry, kind=RECEIPT, subject=build, at=flywheel.clock())
            found.setdefault(name, []).append(taken)
    return found


def views_of(
    flywheel: Flywheel, catalogue: Catalogue, at: datetime | None, waiting: Mapping[str, list[LogEntry]] | None = None
) -> Views:
    """The two of them, at one and the same `now` however long it takes; each reads the logs for itself.

    In the second ``waiting`` receipts are entered in their outputs' logs.
    """
    moment = flywheel.clock()
    now = replace(one_reading(flywheel), clock=lambda: moment)
    entered = {output_log(name): entries for name, entries in (waiting or {}).items()}
    supposed = cast("EvidenceStore", SupposedReading(flywheel.evidence, entered))
    then = replace(under(flywheel, catalogue), evidence=supposed, clock=lambda: at or moment)
    old = flywheel.catalogue
    if (old.keys, old.trust_root) == (catalogue.keys, catalogue.trust_root):
        then = replace(then, opened=now.opened)  # what signatures of receipts are worth does not change
    return Views(now, then)


def _of_output(views: Views, name: str, builds: list[BuildKey], processes: int) -> Iterator[Change]:
    if not builds or not views.is_unlike(name):
        return
    published = {str(build) for build, out in published_builds(views.now, name).items() if out.is_public}
    for change in _all(views, name, builds, processes):
        if change is not None:
            yield replace(change, is_published=change.build in published)


def _all(views: Views, name: str, builds: list[BuildKey], processes: int) -> Iterator[Change | None]:
    """In the order of the builds; many are shared among processes."""
    if processes == 1 or len(builds) <= WORTH_A_PROCESS:
        for build in builds:
            yield _change(views, name, build)
        return
    _change(views, name, builds[0])  # what is read once for all is read before the fork
    with ProcessPoolExecutor(processes, get_context("fork"), _FORKED.append, (views,)) as pool:
        yield from pool.map(partial(_in_process, name), builds, chunksize=WORTH_A_PROCESS)


_FORKED: list[Views] = []


def _in_process(name: str, build: BuildKey) -> Change | None:
    return _change(_FORKED[-1], name, build)


def _change(views: Views, name: str, build: BuildKey) -> Change | None:
    before, after = views.verdicts(name, build)
    turn = _turn(before, after)
    if turn is None:
        return None
    knows = views.then if after else views.now
    owner = person(knows.catalogue, knows.output(name).owner)
    actor = (after.worst.actor if after else "") or owner
    return Change(name, str(build), turn, _told(name, before), _told(name, after), owner, actor)


def _turn(before: Verdict | None, after: Verdict | None) -> Turn | None:
    passes, would_pass = (verdict is not None and verdict.publishable for verdict in (before, after))
    if passes != would_pass:
        return Turn.PASSES if would_pass else Turn.FAILS
    is_same = before and after and (before.verdict, before.worst.reason) == (after.verdict, after.worst.reason)
    return None if is_same else Turn.OTHER_REASON


def _told(output: str, verdict: Verdict | None) -> Told:
    if verdict is None:
        cannot = VerdictClass.CANNOT_DETERMINE.value
        return Told(cannot, "unknown-output", f"such a catalogue knows no output called {output}")
    worst = verdict.worst
    message = "" if worst.verdict is VerdictClass.PASSED else worst.message
    return Told(worst.verdict.value, worst.reason, message)
