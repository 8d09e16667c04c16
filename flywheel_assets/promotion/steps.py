"""The smallest change that lets a build go out: who does what, and no step that time takes by itself."""

import re

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.decisions import Act
from flywheel_assets.gate.approvals import approvers, has_started
from flywheel_assets.gate.authority import lacks_of
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import may_decide
from flywheel_assets.promotion.blockers import ALARMS, OLDER, Blocker, Ends

NOBODY_ACTS = "No action needed"
OF_UNKNOWN_BUILDERS = frozenset(
    {
        "trigger-claim-untrusted",
        "bootstrap-claim-untrusted",
        "validation-claim-untrusted",
        "source-claim-untrusted",
        "builder-path-unowned",
    }
)
_IN_CATALOGUE = ", in the catalogue"
_BETWEEN = re.compile(r"(?<=\)), |(?<=\)) or |; ")
_WHOLE_ID = re.compile(r"\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b")
_IN_THIS_ORDER = (Ends.AS_MEANT, Ends.WITH_ANOTHER_BUILD, Ends.BY_AN_ACT)


class Step(Closed):
    """One thing to be done: by ``needed`` of ``who``, each of them a person or team with contact."""

    who: tuple[str, ...]
    what: str
    needed: int = 1

    @property
    def are_many(self) -> bool:
        """Whether one speaks of them in the plural: several people, or a team."""
        return self.needed > 1 or "(team:" in self.who[-1]

    @property
    def people(self) -> str:
        """``A``, ``A or B``, ``A and B``, ``2 of A, B, C``."""
        return _some_of(self.needed, self.who)

    def others(self, contact: str) -> str:
        """Who must act besides the one with this contact; empty when that one's act suffices."""
        rest = tuple(who for who in self.who if not is_of(who, contact))
        return _some_of(self.needed - 1, rest) if self.needed > 1 else ""


def steps_of(case: Case, blockers: tuple[Blocker, ...]) -> tuple[Step, ...]:
    """The least that somebody must do: nothing that time does, and nothing to a build that only another one mends.

    What is meant to be so needs nobody; these steps are then what would be done by who wants it otherwise.
    """
    alarms = [blocker for blocker in blockers if blocker.reason in ALARMS]
    for chosen in (alarms, *([b for b in blockers if b.ends is end] for end in _IN_THIS_ORDER)):
        if chosen:
            accepts = OLDER if any(blocker.reason == OLDER for blocker in blockers) else ""
            return tuple(dict.fromkeys(each for blocker in _roots(chosen) for each in _steps(case, blocker, accepts)))
    return ()


def step(actor: str, remedy: str) -> Step:
    """What a finding or a row says is to be done, and by whom, so that it reads on behind "needs to"."""
    who = tuple(_BETWEEN.split(actor.removesuffix(_IN_CATALOGUE)))
    what = remedy[:1].lower() + remedy[1:].rstrip(".")
    what = f"run {what}" if what.startswith("`") else what
    in_catalogue = actor.endswith(_IN_CATALOGUE) and "catalogue" not in what
    return Step(who=who, what=f"{what} (in the catalogue)" if in_catalogue else what)


def _roots(blockers: list[Blocker]) -> list[Blocker]:
    """Without those that end with another one: of a builder that nobody knows, no claim is trusted."""
    reasons = {blocker.reason for blocker in blockers}
    follows = OF_UNKNOWN_BUILDERS if "builder-unknown" in reasons else frozenset()
    follows |= {"approval-missing"} if OLDER in reasons else frozenset()
    return [blocker for blocker in blockers if blocker.reason not in follows]


def _steps(case: Case, blocker: Blocker, accepts: str) -> list[Step]:
    match blocker.reason:
        case "approval-missing" | "older-than-channel":
            return _approvals(case, accepts)
        case "authority-gates-unmet":
            return _gates(case)
        case "second-builder-missing":
            return [step(blocker.actor, "Start a build of the same revision on another builder.")]
        case "held":
            commands = _WHOLE_ID.sub(r"\1", blocker.remedy.removeprefix("It goes on after "))
            return [step(blocker.actor, f"Run {commands}")]
        case _:
            return [] if blocker.remedy.startswith(NOBODY_ACTS) else [step(blocker.actor, blocker.remedy)]


def _approvals(case: Case, accepts: str) -> list[Step]:
    """The approvals that are missing; one that accepts a reason is an approval as well."""
    target, people, bundle = case.output.publication, case.catalogue.people, case.bundle
    approvals = target.approvals if target else None
    asked = tuple(dict.fromkeys(approvals.by)) if approvals else tuple(sorted(people))
    given = approvers(case, accepts)
    left = [name for name in asked if name not in given and not has_started(case, name)]
    may = [name for name in left if may_decide(people[name], Act.APPROVE, case.now)]
    needed = (approvals.needed if approvals else 1) - len(given)
    if not 0 < needed <= len(may):
        return []
    who = tuple(f"{people[name].name} ({people[name].contact})" for name in may)
    accepting = f" --accept {accepts}" if accepts else ""
    return [Step(who=who, what=f"run `flywheel approve {bundle.output} {bundle.build}{accepting}`", needed=needed)]


def _gates(case: Case) -> list[Step]:
    """A step for all that each gate of a change of authority lacks."""
    product = case.catalogue.products[case.output.product or ""]
    gates = product.change.gates if product.change else ()
    return [step(lack.actor, lack.remedy) for gate in gates for lack in lacks_of(case, product, gate)]


def is_of(who: str, contact: str) -> bool:
    """Whether somebody as findings name them has this contact."""
    return f"({contact})" in who


def _some_of(needed: int, who: tuple[str, ...]) -> str:
    if needed == len(who):
        return " and ".join(who)
    return " or ".join(who) if needed == 1 else f"{needed} of {', '.join(who)}"
