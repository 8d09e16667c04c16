"""Phase 0: the builders as a surface of the platform. What the catalogue declares of each label, and what was seen.

Evidence keeps which level each label had, in a signed log of its own: so a promotion is a fact with a date, whatever
becomes of the catalogue's history.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from flywheel_assets.catalog.models import BuilderLevel
from flywheel_assets.domain.builds import BuilderRun, BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.domain.statements import canonical
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.ledger import last_verdict
from flywheel_assets.promotion.opening import authentic_receipt

BUILDERS, LEVEL = "builders", "level"
NEWEST_RECEIPTS = (
    2000  # of all outputs together; small ones are remembered when they are parsed, and so cost 60 µs each
)
NEWEST_BUILDS = 20  # of each label, to find one that is judged
_RANK = list(BuilderLevel)


@dataclass(frozen=True, slots=True)
class SeenBuild:
    """A build on a label, by an authentic receipt, with the gate's findings on its bootstrap; none while not judged."""

    output: str
    build: BuildKey
    run: BuilderRun
    bootstrap: tuple[Finding, ...]

    @property
    def proved(self) -> bool:
        """Whether the gate found the toolchain's bootstrap proven, or nothing that must be."""
        return bool(self.bootstrap) and all(f.verdict is VerdictClass.PASSED for f in self.bootstrap)


@dataclass(frozen=True, slots=True)
class RecordedLevel:
    """What evidence says of a label's level: since when it is so, None where logs did not tell the time."""

    level: BuilderLevel
    has_boundary: bool
    since: datetime | None
    before: BuilderLevel | None = None


@dataclass(frozen=True, slots=True)
class BuilderSurface:
    """One label. ``last_build`` is its newest build of any kind.

    Of those that must prove their bootstrap, ``last_judged`` is the newest that is judged, ``last_proof`` the newest
    whose proof is valid.
    """

    label: str
    recorded: RecordedLevel
    last_build: SeenBuild | None
    last_judged: SeenBuild | None
    last_proof: SeenBuild | None


def builder_surfaces(flywheel: Flywheel) -> list[BuilderSurface]:
    """Every catalogued label, with a change of its level put on record. Raises EvidenceError."""
    seen = _newest_builds(flywheel)
    return [_surface(flywheel, label, seen[label]) for label in flywheel.catalogue.builders]


def boundary_problem(flywheel: Flywheel, surface: BuilderSurface) -> str:
    """What is wrong with a label's level; empty when nothing is."""
    builder, recorded = flywheel.catalogue.builders[surface.label], surface.recorded
    if builder.level is not BuilderLevel.FIRST_CLASS or builder.publication_boundary:
        return ""
    promoted = recorded.before is not None and _RANK.index(recorded.before) < _RANK.index(builder.level)
    how = f"was promoted from {recorded.before.value} to" if promoted and recorded.before else "is"
    return f"{surface.label} {how} first-class, and no publication boundary says what leaves it and what does not"


def _newest_builds(flywheel: Flywheel) -> dict[str, list[SeenBuild]]:
    """Of each label the newest builds, newest first: by when they finished, or came where that is said to be later."""
    found: dict[str, list[tuple[datetime, str, BuilderRun]]] = defaultdict(list)
    for output in flywheel.catalogue.outputs:
        entries = [entry for entry in flywheel.evidence.entries(output_log(output)) if entry.kind == RECEIPT]
        for entry in entries[-max(NEWEST_RECEIPTS // len(flywheel.catalogue.outputs), 1) :]:
            attested = authentic_receipt(flywheel, entry)
            if attested is not None:
                run = attested.receipt.run
                found[run.builder].append((_when(run, entry), output, run))
    newest = {label: sorted(runs, key=lambda run: run[0], reverse=True) for label, runs in found.items()}
    return defaultdict(
        list,
        {
            label: [_seen(flywheel, output, run) for _, output, run in runs[:NEWEST_BUILDS]]
            for label, runs in newest.items()
        },
    )


def _when(run: BuilderRun, entry: LogEntry) -> datetime:
    return run.finished_at if entry.at is None else min(run.finished_at, entry.at)


def _seen(flywheel: Flywheel, output: str, run: BuilderRun) -> SeenBuild:
    recorded = last_verdict(flywheel, output, run.key)
    return SeenBuild(output, run.key, run, recorded.verdict.of_phase(Phase.BOOTSTRAP) if recorded else ())


def _surface(flywheel: Flywheel, label: str, builds: list[SeenBuild]) -> BuilderSurface:
    must_prove = flywheel.catalogue.builders[label].must_prove_bootstrap_for
    judged = [b for b in builds if b.bootstrap and flywheel.catalogue.outputs[b.output].type in must_prove]
    proofs = [build for build in judged if build.proved]
    return BuilderSurface(
        label=label,
        recorded=_recorded(flywheel, label),
        last_build=builds[0] if builds else None,
        last_judged=judged[0] if judged else None,
        last_proof=proofs[0] if proofs else None,
    )


def _recorded(flywheel: Flywheel, label: str) -> RecordedLevel:
    """What evidence last recorded, after the catalogue's word was recorded where it differs."""
    builder, history = flywheel.catalogue.builders[label], _history(flywheel, label)
    has_boundary = builder.publication_boundary is not None
    if history and (history[-1].level, history[-1].has_boundary) == (builder.level, has_boundary):
        return history[-1]
    # Its place in the history is part of it, so that a level which comes back is another entry.
    said = {"level": builder.level.value, "has_boundary": has_boundary, "builder": label, "place": len(history) + 1}
    entry = flywheel.evidence.append(BUILDERS, LEVEL, label, flywheel.evidence.put(canonical(said)))
    return RecordedLevel(builder.level, has_boundary, entry.at, _before(history, builder.level))


def _history(flywheel: Flywheel, label: str) -> list[RecordedLevel]:
    found: list[RecordedLevel] = []
    for entry in flywheel.evidence.entries(BUILDERS):
        if entry.kind == LEVEL and entry.subject == label:
            level, has_boundary = _said(flywheel, entry.evidence)
            found.append(RecordedLevel(level, has_boundary, entry.at, _before(found, level)))
    return found


def _before(history: list[RecordedLevel], level: BuilderLevel) -> BuilderLevel | None:
    others = [earlier.level for earlier in history if earlier.level is not level]
    return others[-1] if others else None


def _said(flywheel: Flywheel, evidence: EvidenceDigest) -> tuple[BuilderLevel, bool]:
    try:
        said = json.loads(flywheel.evidence.get(evidence))
        return BuilderLevel(said["level"]), bool(said["has_boundary"])
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceCorruptError(f"Evidence {evidence} is no level of a builder of this version.") from error
