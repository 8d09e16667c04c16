"""Excuses: why a build is not published, as a chain. Its own blockers, and those of the builds that it waits for.

The first line of each answers the only question that most readers have: does anybody have to do anything, and who?
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.promotion.blockers import ALARMS, DISTRUST, LACKING, OLDER, Blocker, Ends
from flywheel_assets.promotion.report import Row, State
from flywheel_assets.promotion.steps import NOBODY_ACTS, Step, is_of


class Call(StrEnum):
    """Whose turn it is."""

    DONE = "published"
    NOTHING = "nothing to do"
    ITSELF = "goes on by itself"
    SOMEBODY = "somebody acts"


@dataclass(frozen=True, slots=True)
class Awaited:
    """A build that another one waits for, with its own excuse; or why there is none: ``says``."""

    output: str
    build: str
    says: str = ""
    excuse: "Excuse | None" = None

    @property
    def name(self) -> str:
        """Output and build, as far as it is known."""
        return f"{self.output} {self.build}".rstrip()


@dataclass(frozen=True, slots=True)
class Excuse:
    """A build's row, every finding about it, what blocks it, and what would unblock it.

    ``since`` is when it was first found as it is now, ``passes_at`` when it passes with time alone, ``passes_until``
    when what passes stops to. ``steps`` are the least that somebody must do: to be done all of them.
    """

    row: Row
    findings: tuple[Finding, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    steps: tuple[Step, ...] = ()
    waits_for: tuple[Awaited, ...] = ()
    since: datetime | None = None
    passes_at: datetime | None = None
    passes_until: datetime | None = None

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that are no pass, worst first."""
        found = (finding for finding in self.findings if finding.verdict is not VerdictClass.PASSED)
        return tuple(sorted(found, key=lambda finding: -finding.verdict.severity))

    @property
    def excepted(self) -> tuple[Finding, ...]:
        """The findings that an exception of the catalogue alone makes a pass."""
        return tuple(finding for finding in self.findings if finding.exception)

    @property
    def rules_hold(self) -> str:
        """How many of the rules do."""
        return f"{len(self.findings) - len(self.failed)} of {len(self.findings)} rules hold"

    @property
    def is_distrusted(self) -> bool:
        """Whether it is public, and is or came of what people withdrew or put in quarantine."""
        return bool(self.row.published_at) and any(blocker.rule == DISTRUST for blocker in self.blockers)

    @property
    def stays_public(self) -> bool:
        """Whether nothing more is wanted of what is published: what a rule asks that came later, it needs no more."""
        only_lacks = all(blocker.verdict in LACKING for blocker in self.blockers)
        return only_lacks and (bool(self.blockers) or not self.row.remedy)

    @property
    def call(self) -> Call:
        """Whose turn it is, by this build alone."""
        reasons = {blocker.reason for blocker in self.blockers}
        if self.row.state in {State.TO_WITHDRAW, State.TO_YANK} or self.is_distrusted:
            return Call.SOMEBODY
        if self.row.state is State.WITHDRAWN:
            return Call.NOTHING
        if self.row.state is State.PUBLISHED and self.stays_public:
            return Call.DONE
        if not reasons & ALARMS and any(blocker.ends is Ends.AS_MEANT for blocker in self.blockers):
            return Call.NOTHING
        return Call.SOMEBODY if self.steps else Call.ITSELF

    @property
    def acting(self) -> "Excuse":
        """The excuse whose steps are next: this one's, unless it only waits for a build that is stuck."""
        if self.call is Call.ITSELF:
            for awaited in self.waits_for:
                if awaited.excuse and awaited.excuse.acting.call is Call.SOMEBODY:
                    return awaited.excuse.acting
        return self


def headline(excuse: Excuse, me: str = "") -> str:
    """The first line: "You need to …", "X needs to …", or "No action needed: …". ``me`` is a contact."""
    acting = excuse.acting
    if acting.call is Call.SOMEBODY:
        said = "; and ".join(_needs(each, me) for each in _by_people(acting.steps))
        said = said[:1].upper() + said[1:]
        if acting is not excuse:
            return f"{said}. {acting.row.output} {acting.row.build} goes first."
        return f"{said}." + (f" {_then(excuse)}" if _then(excuse) else "")
    return f"{NOBODY_ACTS}: {_why_nobody(excuse, me)}."


def _by_people(steps: tuple[Step, ...]) -> list[Step]:
    """Those of the same people as one."""
    found: dict[tuple[tuple[str, ...], int], list[str]] = {}
    for each in steps:
        found.setdefault((each.who, each.needed), []).append(each.what)
    return [Step(who=who, what="; and to ".join(whats), needed=needed) for (who, needed), whats in found.items()]


def _needs(each: Step, me: str) -> str:
    if me and any(is_of(who, me) for who in each.who):
        others = each.others(me)
        return f"you need to {each.what}" + (f", and besides you {others}" if others else "")
    return f"{each.people} {'need' if each.are_many else 'needs'} to {each.what}"


def _then(excuse: Excuse) -> str:
    """What is still to come after the steps, without anybody."""
    rest = [blocker for blocker in excuse.blockers if blocker.ends is Ends.BY_ITSELF]
    until = [blocker.until for blocker in rest if blocker.until]
    if not rest or any(blocker.ends in {Ends.WITH_ANOTHER_BUILD, Ends.AS_MEANT} for blocker in excuse.blockers):
        return ""
    if len(until) == len(rest):
        return f"Then it waits until {shown(max(until))}."
    return f"Then it waits: {rest[0].message}."


def _why_nobody(excuse: Excuse, me: str) -> str:
    row = excuse.row
    if excuse.call is Call.DONE:
        again = "; ".join(dict.fromkeys(blocker.message for blocker in excuse.blockers))
        return f"it is published at {row.published_at}" + (f". To go out again it would wait: {again}" if again else "")
    if row.state is State.WITHDRAWN:
        return row.message
    if excuse.call is Call.NOTHING:
        meant = next(blocker for blocker in excuse.blockers if blocker.ends is Ends.AS_MEANT)
        if meant.reason == OLDER:
            return f"{meant.message}. {_otherwise(excuse, me)}".removesuffix(". ")
        return f"{meant.message}{_besides(excuse)}"
    return _why_by_itself(excuse)


def _besides(excuse: Excuse) -> str:
    """What somebody would have to do, too, if what is meant were meant otherwise."""
    acts = [blocker for blocker in excuse.blockers if blocker.ends is Ends.BY_AN_ACT]
    more = f", and {len(acts) - 1} more" if len(acts) > 1 else ""
    return f"; besides, {acts[0].message}{more}" if acts else ""


def _why_by_itself(excuse: Excuse) -> str:
    row = excuse.row
    if excuse.passes_at:
        return f"it passes on its own on {shown(excuse.passes_at)}"
    if excuse.blockers:
        return "; ".join(dict.fromkeys(blocker.message for blocker in excuse.blockers))
    if excuse.findings and row.verdict != VerdictClass.PASSED.value:
        return "every rule holds by now: the next run judges it again, and publishes it"
    if row.reason == "every-rule-holds":
        return "every rule holds, and the next run publishes it"
    return row.message.removesuffix(".")


def _otherwise(excuse: Excuse, me: str) -> str:
    return f"If going back is wanted, {_needs(excuse.steps[0], me)}" if excuse.steps else ""


def shown(moment: datetime) -> str:
    """A time, for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
