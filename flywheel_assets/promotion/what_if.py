"""What if: all evidence judged as it would be under another catalogue, or at a later time. Nothing is written."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from multiprocessing import get_context

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.verdicts import Verdict, VerdictClass
from flywheel_assets.gate.case import person
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.promotion.flywheel import Flywheel, under
from flywheel_assets.promotion.intake import waiting_for_catalogue
from flywheel_assets.promotion.ledger import assemble, builds_of, publications
from flywheel_assets.promotion.reading import one_reading

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
    """What would change of ``builds``; ``waiting`` are receipts of outputs that the catalogue would newly know."""

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
        return output not in then.outputs or now.digest_for(output) != then.digest_for(output)

    def verdicts(self, output: str, build: BuildKey) -> tuple[Verdict, Verdict | None]:
        """Both verdicts on a build; the second is None where its output would not be known."""
        now, then = self.now.catalogue, self.then.catalogue
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
    views = views_of(flywheel, catalogue, at)
    known, waiting = flywheel.catalogue.outputs, Counter[str]()
    for entry in waiting_for_catalogue(flywheel):
        name = entry.subject.partition(" ")[0]
        waiting[name] += name in catalogue.outputs
    builds = {name: builds_of(views.now, name) for name in known}
    changes = [change for name in known for change in _of_output(views, name, builds[name], processes)]
    return Prospect(sum(map(len, builds.values())), tuple(changes), {name: n for name, n in waiting.items() if n})


def views_of(flywheel: Flywheel, catalogue: Catalogue, at: datetime | None) -> Views:
    """The two of them, at one and the same `now` however long it takes; each reads the logs for itself."""
    moment = flywheel.clock()
    now = replace(one_reading(flywheel), clock=lambda: moment)
    then = replace(one_reading(under(flywheel, catalogue)), clock=lambda: at or moment)
    old = flywheel.catalogue
    if (old.keys, old.trust_root) == (catalogue.keys, catalogue.trust_root):
        then = replace(then, opened=now.opened)  # what signatures of receipts are worth does not change
    return Views(now, then)


def _of_output(views: Views, name: str, builds: list[BuildKey], processes: int) -> Iterator[Change]:
    if not builds or not views.is_unlike(name):
        return
    published = {str(publication.build) for publication in publications(views.now, name)}
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


def _turn(before: Verdict, after: Verdict | None) -> Turn | None:
    would_pass = after is not None and after.publishable
    if before.publishable != would_pass:
        return Turn.PASSES if would_pass else Turn.FAILS
    is_same = after and (before.verdict, before.worst.reason) == (after.verdict, after.worst.reason)
    return None if is_same else Turn.OTHER_REASON


def _told(output: str, verdict: Verdict | None) -> Told:
    if verdict is None:
        cannot = VerdictClass.CANNOT_DETERMINE.value
        return Told(cannot, "unknown-output", f"the catalogue would know no output called {output}")
    worst = verdict.worst
    message = "" if worst.verdict is VerdictClass.PASSED else worst.message
    return Told(worst.verdict.value, worst.reason, message)
