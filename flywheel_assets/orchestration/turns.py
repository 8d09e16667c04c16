"""When is an output looked at again, and which of its builds have their turn now?

An output is settled at a state of the evidence until a moment. Where a round over its builds takes more than one tick,
the place that it has come to is kept, so that each build has its turn however many there are.
"""

from dataclasses import dataclass
from datetime import date, datetime

from flywheel_assets.catalog.models import Output
from flywheel_assets.orchestration.shown import Shown
from flywheel_assets.promotion.disputes import DISAGREEMENTS
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS
from flywheel_assets.promotion.intake import TESTS, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_LOGS

CHECKED_A_TICK = 500  # builds that Dagster knows, of one output; those of a larger one take turns
UNTIL = "~"  # in a cursor: between a state and the time at which it holds no longer


@dataclass(frozen=True, slots=True)
class Place:
    """How far a round over an output's builds has come: the next one, and how many are left; None: all of them.

    ``until`` is when time alone will change a verdict on one of those that had their turn; empty for never.
    """

    state: str
    next: int = 0
    left: int | None = None
    until: str = ""

    @classmethod
    def read(cls, text: str, state: str, reconciling: date | None) -> "Place":
        """From a cursor. New evidence begins a round anew, and where the last one was: so each build has its turn."""
        before, _, numbers = text.rpartition("@")
        of, _, until = before.partition(UNTIL)
        first, _, rest = numbers.partition("+")
        start = int(first) if first.isdecimal() else 0
        of_now = reconciling.isoformat() if reconciling else state
        if of != of_now or not rest.isdecimal():
            return cls(of_now, start)
        return cls(of_now, start, int(rest), until)

    def __str__(self) -> str:
        """As ``read`` takes it."""
        return f"{self.settled}@{self.next}+{'' if self.left is None else self.left}"

    @property
    def settled(self) -> str:
        """What is to be remembered of an output once nothing is left to do, and until when that holds."""
        return f"{self.state}{UNTIL}{self.until}" if self.until else self.state

    def window(self, keys: list[str]) -> list[str]:
        """The builds whose turn it is."""
        start = self.next if self.next < len(keys) else 0
        return keys[start : start + min(CHECKED_A_TICK, len(keys) if self.left is None else self.left)]

    def after(self, checked: list[Shown], keys: int, *, is_quiet: bool) -> "Place":
        """Once ``checked`` builds had their turn. With something to do among them the whole round is repeated."""
        start = self.next if self.next < keys else 0
        left = keys if self.left is None else min(self.left, keys)
        moments = [shown.until for shown in checked if shown.until is not None]
        moments += [datetime.fromisoformat(self.until)] if self.until else []
        until = min(moments).isoformat() if moments else ""
        return Place(self.state, start + len(checked), max(left - len(checked), 0) if is_quiet else None, until)


def is_settled(remembered: str, state: str, now: datetime) -> bool:
    """Whether nothing was left to do at this state, and no moment has come since."""
    of, _, until = remembered.partition(UNTIL)
    return of == state and not (until and now >= datetime.fromisoformat(until))


def state_of(flywheel: Flywheel, name: str, output: Output) -> str:
    """Changes whenever evidence that can bear on this output's verdicts, or its part of the catalogue, changes."""
    product = flywheel.catalogue.products.get(output.product or "")
    sources = {name, *([product.canonical] if product and product.canonical else [])}
    others = {each for source in sources for each in flywheel.catalogue.built_from(source)}
    logs = [TESTS, DECISIONS, DISAGREEMENTS, *(output_log(each) for each in sorted(sources | others))]
    if flywheel.catalogue.source_of(output.repository) is not None:
        logs += [log for log in flywheel.evidence.logs() if log.startswith(PLATFORM_LOGS)]
    lengths = [len(flywheel.evidence.entries(log)) for log in logs]
    # Numbers that stand for each other's change: a log only ever grows.
    return f"{flywheel.catalogue.digest_for(name)}:{sum(lengths)}"
