"""Replay: a past verdict made again from its evidence, signatures checked anew, and compared byte for byte."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from flywheel_assets.catalog.documents import catalogue_document, read_catalogue_document
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.disagreements import Comparison, Disagreement, RecordedComparison, RecordedDisagreement
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceMissingError, FlywheelError, UsageError
from flywheel_assets.domain.evidence import (
    AttestedDecision,
    AttestedReceipt,
    AttestedTest,
    EvidenceBundle,
    RecordedInspection,
)
from flywheel_assets.domain.inspections import Inspection
from flywheel_assets.domain.platform_runs import AbsentRun, PlatformRun, RecordedRun
from flywheel_assets.domain.receipts import Receipt, TestOutcome
from flywheel_assets.domain.statements import canonical
from flywheel_assets.domain.verdicts import Finding, Verdict
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.deciding import attested_decision
from flywheel_assets.promotion.flywheel import Flywheel, under
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import VERDICT, RecordedVerdict
from flywheel_assets.promotion.opening import open_document
from flywheel_assets.promotion.reading import earlier_reading, one_reading
from flywheel_assets.promotion.recipes import Ingredient, Recipe, program
from flywheel_assets.promotion.then import unlike_the_logs

Document = TypeVar("Document")

_VERDICT: TypeAdapter[RecordedVerdict] = TypeAdapter(RecordedVerdict)
_INSPECTION: TypeAdapter[Inspection] = TypeAdapter(Inspection)
_RUN: TypeAdapter[PlatformRun | AbsentRun] = TypeAdapter(PlatformRun | AbsentRun)
_DISAGREEMENT: TypeAdapter[Disagreement] = TypeAdapter(Disagreement)
_COMPARISON: TypeAdapter[Comparison] = TypeAdapter(Comparison)


class Outcome(StrEnum):
    """What became of a replay."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    """The same program judges the same evidence otherwise: the record, or the program, is not what it was."""
    OTHER_PROGRAM = "other program"
    """It differs, and another version of the program wrote it."""
    MISSING = "evidence missing"
    CORRUPT = "evidence corrupt"
    TOO_OLD = "kept no recipe"
    """Recorded before verdicts kept what they stand on: it can be judged again, and never replayed."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded verdict, by the number of its entry in the output's log; ``says`` why it was not reproduced."""

    output: str
    build: str
    entry: int
    at: datetime | None
    outcome: Outcome
    says: str = ""


@dataclass(frozen=True, slots=True)
class _Catalogues:
    """The flywheel under each catalogue that a verdict names; the last one only, as they come in turns."""

    flywheel: Flywheel
    opened: dict[EvidenceDigest, Flywheel] = field(default_factory=dict)

    def of(self, digest: EvidenceDigest) -> Flywheel:
        """Raises EvidenceError, InvalidInputError."""
        if digest not in self.opened:
            catalogue = read_catalogue_document(self.flywheel.evidence.get(digest))
            self.opened.clear()
            self.opened[digest] = earlier_reading(under(self.flywheel, catalogue))
        return self.opened[digest]


def keep_catalogue(flywheel: Flywheel) -> None:
    """Put the catalogue into evidence, once in this process: verdicts name it by its digest."""
    digest = flywheel.catalogue.digest
    if digest not in flywheel.catalogues:
        flywheel.evidence.put(catalogue_document(flywheel.catalogue))
        flywheel.catalogues.add(digest)


def replay(flywheel: Flywheel, output: str, build: BuildKey | None = None, *, newest: bool = False) -> list[Replayed]:
    """Replay the verdicts on a build, or on all builds of an output, oldest first; with ``newest`` only the last ones.

    Nothing is written. Raises UsageError when there are none, EvidenceError for the log itself.
    """
    about = None if build is None else str(build)
    entries = [
        entry
        for entry in flywheel.evidence.entries(output_log(output))
        if entry.kind == VERDICT and about in {None, entry.subject}
    ]
    if not entries:
        what = f"{output} {about}" if about else output
        raise UsageError(f"No verdict on {what} is recorded. `flywheel report` lists what arrived.")
    if newest:
        entries = list({entry.subject: entry for entry in entries}.values())
    catalogues = _Catalogues(one_reading(flywheel))
    return [_replay(catalogues, output, entry) for entry in entries]


def replay_everything(flywheel: Flywheel) -> Iterator[Replayed]:
    """Every verdict that was ever recorded, of outputs that the catalogue no longer knows too."""
    prefix = output_log("")
    for log in flywheel.evidence.logs():
        output = log.removeprefix(prefix)
        if log.startswith(prefix) and any(entry.kind == VERDICT for entry in flywheel.evidence.entries(log)):
            yield from replay(flywheel, output)


def bundle_of(flywheel: Flywheel, recipe: Recipe) -> EvidenceBundle:
    """The evidence bundle that a recipe describes, each document hashed, and its signatures checked anew.

    Raises EvidenceMissingError, EvidenceCorruptError, InvalidInputError.
    """
    return EvidenceBundle(
        output=recipe.output,
        build=recipe.build,
        receipts=_receipts(flywheel, recipe.receipts),
        witnesses=_receipts(flywheel, recipe.witnesses),
        starters=_receipts(flywheel, recipe.starters),
        dependencies=_receipts(flywheel, recipe.dependencies),
        tests=tuple(_test(flywheel, each) for each in recipe.tests),
        inspections=tuple(
            RecordedInspection(evidence=each, inspection=_load(flywheel, _INSPECTION, each))
            for each in recipe.inspections
        ),
        platform_runs=tuple(
            RecordedRun(evidence=each, found=_load(flywheel, _RUN, each)) for each in recipe.platform_runs
        ),
        channel=recipe.channel,
        canonical=recipe.canonical,
        decisions=tuple(_decision(flywheel, each) for each in recipe.decisions),
        disagreements=tuple(
            RecordedDisagreement(evidence=each, disagreement=_load(flywheel, _DISAGREEMENT, each))
            for each in recipe.disagreements
        ),
        comparisons=tuple(
            RecordedComparison(evidence=each, comparison=_load(flywheel, _COMPARISON, each))
            for each in recipe.comparisons
        ),
        damaged=recipe.damaged,
    )


def _replay(catalogues: _Catalogues, output: str, entry: LogEntry) -> Replayed:
    outcome, says = _outcome(catalogues, output, entry)
    return Replayed(output, entry.subject, entry.number, entry.at, outcome, says)


def _outcome(catalogues: _Catalogues, output: str, entry: LogEntry) -> tuple[Outcome, str]:
    by = ""
    try:
        recorded = _load(catalogues.flywheel, _VERDICT, entry.evidence)
        by = recorded.program
        return _compared(catalogues, recorded, f"{output} {entry.subject}")
    except EvidenceMissingError as error:
        return Outcome.MISSING, str(error)
    except EvidenceCorruptError as error:
        return Outcome.CORRUPT, str(error)
    except FlywheelError as error:  # what was accepted then, and is not now
        return _unlike(by, str(error))


def _compared(catalogues: _Catalogues, recorded: RecordedVerdict, of: str) -> tuple[Outcome, str]:
    """Raises EvidenceError, InvalidInputError."""
    verdict, recipe = recorded.verdict, recorded.recipe
    if f"{verdict.output} {verdict.build}" != of:
        return Outcome.CORRUPT, f"it is a verdict on {verdict.output} {verdict.build}"
    if recipe is None:
        return Outcome.TOO_OLD, "it was recorded before verdicts kept what they stand on"
    if recipe.digest != recorded.basis:
        return _unlike(recorded.program, f"its basis is {recorded.basis}, and its recipe is another: {recipe.digest}")
    flywheel = catalogues.of(verdict.catalogue)
    again = evaluate(bundle_of(flywheel, recipe), flywheel.catalogue, verdict.now)
    if _bytes(again) != _bytes(verdict):
        return _unlike(recorded.program, difference(verdict, again))
    if not recorded.logs and recorded.program != program():
        return Outcome.REPRODUCED, "its recipe was not compared with the logs, whose lengths it did not keep"
    says = unlike_the_logs(flywheel, recorded, recipe)
    return _unlike(recorded.program, says) if says else (Outcome.REPRODUCED, "")


def _unlike(by: str, says: str) -> tuple[Outcome, str]:
    if by == program():
        return Outcome.DIFFERS, says
    return Outcome.OTHER_PROGRAM, f"{says} (it was judged by version {by or 'unknown'}, and this is {program()})"


def difference(recorded: Verdict, again: Verdict) -> str:
    """The first finding that differs, or else what else does, as a sentence."""
    told, now = {each.rule: each for each in recorded.findings}, {each.rule: each for each in again.findings}
    for rule in [*told, *(rule for rule in now if rule not in told)]:
        if told.get(rule) != now.get(rule):
            return f"{rule} was {_told(told.get(rule))}, and now it is {_told(now.get(rule))}"
    if recorded.findings != again.findings:
        return "the findings are in another order"
    one, other = recorded.model_dump(mode="json"), again.model_dump(mode="json")
    unlike = [name for name in one if one[name] != other[name]]
    return f"every finding is the same, and {' and '.join(unlike) or 'the bytes'} not"


def _told(finding: Finding | None) -> str:
    if finding is None:
        return "no rule"
    return f"{finding.verdict.value} ({finding.reason}: {finding.message})"


def _bytes(verdict: Verdict) -> bytes:
    return canonical(verdict.model_dump(mode="json"))


def _receipts(flywheel: Flywheel, named: tuple[Ingredient, ...]) -> tuple[AttestedReceipt, ...]:
    found = []
    for each in named:
        signatures, receipt = open_document(flywheel, each.evidence)
        if not isinstance(receipt, Receipt):
            raise EvidenceCorruptError(f"Evidence {each.evidence} is no receipt.")
        found.append(
            AttestedReceipt(evidence=each.evidence, signatures=signatures, receipt=receipt, arrived_at=each.arrived_at)
        )
    return tuple(found)


def _test(flywheel: Flywheel, evidence: EvidenceDigest) -> AttestedTest:
    signatures, outcome = open_document(flywheel, evidence)
    if not isinstance(outcome, TestOutcome):
        raise EvidenceCorruptError(f"Evidence {evidence} is no test result.")
    return AttestedTest(evidence=evidence, signatures=signatures, outcome=outcome)


def _decision(flywheel: Flywheel, named: Ingredient) -> AttestedDecision:
    found = attested_decision(flywheel, LogEntry(0, "", "", named.evidence, named.arrived_at), named.heard)
    if found is None:
        raise EvidenceCorruptError(f"Evidence {named.evidence} was signed by nobody in the catalogue's people.")
    return found


def _load(flywheel: Flywheel, model: TypeAdapter[Document], evidence: EvidenceDigest) -> Document:
    data = flywheel.evidence.get(evidence)
    try:
        return model.validate_json(data)
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {evidence} is not what it stands for.") from error
