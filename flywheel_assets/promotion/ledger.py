"""The ledger: what the evidence logs hold, read back, hashed again, and assembled for the gate."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.decisions import Decision
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.disagreements import RecordedComparison, RecordedDisagreement
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceError, InvalidInputError
from flywheel_assets.domain.evidence import (
    AttestedDecision,
    AttestedReceipt,
    AttestedTest,
    ChannelHead,
    EvidenceBundle,
    RecordedInspection,
    Signatures,
)
from flywheel_assets.domain.inspections import Inspection
from flywheel_assets.domain.platform_runs import AbsentRun, PlatformRun, RecordedRun
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.receipts import REMEDY, Receipt, TestOutcome
from flywheel_assets.domain.statements import canonical
from flywheel_assets.domain.verdicts import Verdict
from flywheel_assets.domain.withdrawals import Restatement, Withdrawal
from flywheel_assets.gate.case import Case, trusted_keys
from flywheel_assets.gate.platform import forge_contradicts, forge_has_no_doubt
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.deciding import marks_of, standing
from flywheel_assets.promotion.disputes import disputes_on
from flywheel_assets.promotion.flywheel import Flywheel, Gist
from flywheel_assets.promotion.intake import RECEIPT, TEST, TEST_PART, TESTS, open_signed, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_ABSENCE, entries_about
from flywheel_assets.promotion.reading import Indexed, indexed, run_of
from flywheel_assets.promotion.recipes import Recipe, recipe_of

Document = TypeVar("Document", bound=Closed)

REMEMBERED_BYTES, REMEMBERED_DOCUMENTS = 64 * 1024, 4096
INSPECTION, VERDICT, PUBLICATION = "inspection", "verdict", "publication"
WITHDRAWAL, RESTATEMENT = "withdrawal", "restatement"


class RecordedVerdict(Closed):
    """A verdict as it is kept: with the basis it stands on and the VSA that says it to others.

    ``recipe`` is what the basis is the digest of, ``program`` what judged; earlier versions kept neither.
    """

    verdict: Verdict
    basis: EvidenceDigest
    vsa: EvidenceDigest | None
    recipe: Recipe | None = None
    program: str = ""


def builds_of(flywheel: Flywheel, output: str) -> list[BuildKey]:
    """All builds of an output that left a receipt, in the order of arrival."""
    entries = indexed(flywheel, output_log(output)).of(RECEIPT)
    return [BuildKey.parse(subject) for subject in dict.fromkeys(entry.subject for entry in entries)]


def assemble(flywheel: Flywheel, output: str, build: BuildKey) -> EvidenceBundle:
    """The evidence bundle of one build.

    Evidence that a log names and that cannot be read is reported in ``damaged``, never left out.
    """
    return _Assembly(flywheel, output, build).bundle()


def remember_receipts(flywheel: Flywheel, output: str, enough: Callable[[], bool]) -> bool:
    """Open each receipt that a bundle of the output may have to know and this process does not; False if unfinished.

    Once that is done a build costs the same however many there are. Raises EvidenceError.
    """
    for name in (output, *flywheel.output(output).built_from):
        assembly = _Assembly(flywheel, name, BuildKey(run="0", attempt=1, system="none"))
        for entry in indexed(flywheel, output_log(name)).of(RECEIPT):
            if entry.evidence not in flywheel.gists:
                assembly.gist(entry)
                if enough():
                    return False
    return True


def basis_of(flywheel: Flywheel, bundle: EvidenceBundle) -> EvidenceDigest:
    """Digest of all that a verdict depends on: when it is unchanged, so is the verdict.

    Of the time only what the gate asks of it: which of its moments have come.
    """
    return recipe_of(bundle, flywheel.catalogue, flywheel.clock()).digest


def authentic_receipt(flywheel: Flywheel, entry: LogEntry) -> AttestedReceipt | None:
    """The receipt that an entry of an output's log names; None when it is damaged, or no trusted signer signed it."""
    try:
        signatures, found = open_document(flywheel, entry.evidence)
    except (EvidenceError, InvalidInputError):
        return None
    if not isinstance(found, Receipt):
        return None
    attested = AttestedReceipt(evidence=entry.evidence, signatures=signatures, receipt=found)
    return attested if trusted_keys(flywheel.catalogue, attested) else None


def last_verdict(flywheel: Flywheel, output: str, build: BuildKey) -> RecordedVerdict | None:
    """The newest recorded verdict on a build."""
    found = indexed(flywheel, output_log(output)).about(VERDICT, str(build))
    return _load(flywheel, RecordedVerdict, found[-1]) if found else None


def last_verdicts(flywheel: Flywheel, output: str) -> dict[str, Callable[[], RecordedVerdict]]:
    """What reads the newest recorded verdict of each build that has one; in one pass over the log."""
    newest = {entry.subject: entry for entry in indexed(flywheel, output_log(output)).of(VERDICT)}
    return {subject: partial(_load, flywheel, RecordedVerdict, entry) for subject, entry in newest.items()}


def verdicts_on(flywheel: Flywheel, output: str, build: BuildKey) -> Iterator[RecordedVerdict]:
    """The recorded verdicts on a build, the newest first. Raises EvidenceError."""
    for entry in reversed(flywheel.evidence.entries(output_log(output))):
        if entry.kind == VERDICT and entry.subject == str(build):
            yield _load(flywheel, RecordedVerdict, entry)


def publications(flywheel: Flywheel, output: str) -> list[Publication]:
    """All recorded publications of an output, oldest first."""
    return [_load(flywheel, Publication, e) for e in indexed(flywheel, output_log(output)).of(PUBLICATION)]


def withdrawals(flywheel: Flywheel, output: str) -> list[Withdrawal]:
    """What became of an output's withdrawn publications, oldest first."""
    return [_load(flywheel, Withdrawal, e) for e in indexed(flywheel, output_log(output)).of(WITHDRAWAL)]


def restatements(flywheel: Flywheel, output: str) -> list[Restatement]:
    """The later statements of who answers for an output's publications, oldest first."""
    return [_load(flywheel, Restatement, e) for e in indexed(flywheel, output_log(output)).of(RESTATEMENT)]


def record(flywheel: Flywheel, output: str, build: BuildKey, kind: str, document: Closed) -> EvidenceDigest:
    """Put a document of our own into an output's log; the log's signature covers it."""
    digest = flywheel.evidence.put(canonical(document.model_dump(mode="json")))
    flywheel.evidence.append(output_log(output), kind, str(build), digest)
    return digest


def _load(flywheel: Flywheel, model: type[Document], entry: LogEntry) -> Document:
    try:
        return model.model_validate_json(flywheel.evidence.get(entry.evidence))
    except ValidationError as error:
        raise EvidenceCorruptError(f"Evidence {entry.evidence} is no {entry.kind} of this version.") from error


class _Assembly:
    """Collects one bundle; keeps a list of what could not be read."""

    def __init__(self, flywheel: Flywheel, output: str, build: BuildKey) -> None:
        self._flywheel = flywheel
        self._output = output
        self._build = build
        self._damaged: list[str] = []

    def bundle(self) -> EvidenceBundle:
        log = self._log(output_log(self._output))
        arrived = self._receipts(log.about(RECEIPT, str(self._build)))
        receipts = self._authentic(arrived)
        digests = {digest for attested in receipts for digest in attested.receipt.artifact.digests}
        witnesses = self._witnesses(log, receipts)
        dependencies = self._dependencies(receipts)
        tests = self._tests(digests)
        disagreements, comparisons = self._disputes(receipts)
        return EvidenceBundle(
            output=self._output,
            build=self._build,
            receipts=receipts or _one_to_explain(arrived),
            witnesses=witnesses,
            dependencies=dependencies,
            tests=tests,
            inspections=self._inspections(log.about(INSPECTION, str(self._build))),
            platform_runs=self._platform_runs((*receipts, *witnesses)),
            channel=self._channel(log.of(PUBLICATION), receipts),
            canonical=self._canonical(receipts),
            decisions=self._decisions(receipts, (*witnesses, *dependencies), tests),
            disagreements=disagreements,
            comparisons=comparisons,
            damaged=tuple(dict.fromkeys(self._damaged)),
        )

    def _log(self, log: str) -> Indexed:
        """A log, its receipts to be found by their gist."""
        try:
            found = indexed(self._flywheel, log)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return Indexed(())
        found.sort(self.gist)
        return found

    def gist(self, entry: LogEntry) -> Gist | None:
        """Of ten thousand receipts few matter to this build: the others are opened once; None for a damaged one."""
        catalogue, remembered = self._flywheel.catalogue, self._flywheel.gists
        known = remembered.get(entry.evidence)
        if known is not None and known.catalogue == catalogue.digest:
            return known
        attested = self._reopened(entry)
        if attested is not None:
            remembered[entry.evidence] = _gist_of(catalogue, attested)
        return remembered.get(entry.evidence) if attested else None

    def _open(self, entry: LogEntry, *, again: bool = True) -> tuple[Signatures, Receipt | TestOutcome] | None:
        """The document of an entry, read ``again`` or as this process remembers it; None when it is damaged."""
        remembered = self._flywheel.opened.get(entry.evidence)
        if remembered and not again:
            return remembered
        try:
            return open_document(self._flywheel, entry.evidence)
        except (EvidenceError, InvalidInputError) as error:
            self._damaged.append(str(error))
            return None

    def _receipts(self, entries: list[LogEntry]) -> tuple[AttestedReceipt, ...]:
        found = []
        for entry in entries:
            opened = self._open(entry)
            if opened and isinstance(opened[1], Receipt):
                found.append(self._attested(entry, opened[0], opened[1]))
        return tuple(found)

    def _attested(self, entry: LogEntry, signatures: Signatures, receipt: Receipt) -> AttestedReceipt:
        """With its time of arrival where a forge vouches for its run."""
        has_forge = self._flywheel.catalogue.source_of(receipt.run.source.repository) is not None
        arrived = entry.at if has_forge else None
        return AttestedReceipt(evidence=entry.evidence, signatures=signatures, receipt=receipt, arrived_at=arrived)

    def _authentic(self, receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
        """Those by a trusted signer. The others are nobody's word: they may neither help nor harm a build."""
        return tuple(r for r in receipts if trusted_keys(self._flywheel.catalogue, r))

    def _witnesses(self, log: Indexed, receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
        """Receipts of other runs from the same source for the same system; of those that say the same, the first.

        The first never changes: so one more that says what others said makes none of them judged anew.
        """
        found: list[tuple[int, AttestedReceipt]] = []
        sources = {(str(r.receipt.run.source.revision), r.receipt.run.key.system) for r in receipts}
        for same in log.from_sources(sources):
            others = (entry for entry in same if run_of(entry) != self._build.run)
            found += self._first_with_a_say(others)
        for entry in log.of_run(self._build.run, sources):  # other attempts: no second opinion, but they can disagree
            attested = self._reopened(entry) if entry.subject != str(self._build) else None
            found += [(entry.number, attested)] if attested else []
        return tuple(attested for _, attested in sorted(found, key=lambda each: each[0]))

    def _first_with_a_say(self, entries: Iterable[LogEntry]) -> Iterator[tuple[int, AttestedReceipt]]:
        """Of receipts that say the same, the first that the forge does not contradict, and the first it confirms."""
        is_heard = False
        for entry in entries:
            attested = self._reopened(entry)
            if attested is None:
                continue
            run, case = attested.receipt.run, self._case_of(attested)
            if forge_has_no_doubt(case, run):
                yield entry.number, attested
                return
            if not is_heard and not forge_contradicts(case, run):
                yield entry.number, attested
                is_heard = True

    def _case_of(self, attested: AttestedReceipt) -> Case:
        """All that is asked of the forge about one run."""
        flywheel, about = self._flywheel, self._platform_runs((attested,))
        bundle = EvidenceBundle(output=self._output, build=self._build, platform_runs=about)
        return Case(bundle, flywheel.catalogue, flywheel.output(self._output), flywheel.clock())

    def _reopened(self, entry: LogEntry) -> AttestedReceipt | None:
        opened = self._open(entry, again=False)
        if opened is None or not isinstance(opened[1], Receipt):
            return None
        return self._attested(entry, opened[0], opened[1])

    def _dependencies(self, receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
        """Receipts of what this output is built from, those of the digests that its receipts name; of theirs too."""
        found: dict[EvidenceDigest, AttestedReceipt] = {}
        waiting = [(self._output, receipts)]
        while waiting:
            output, made = waiting.pop()
            wanted = {(d.output, d.digest.hex) for attested in made for d in attested.receipt.run.dependencies}
            for other in self._flywheel.output(output).built_from:
                named = {digest for of, digest in wanted if of == other}
                entries = self._log(output_log(other)).of_artifacts(named) if named else []
                new = tuple(r for r in self._authentic(self._receipts(entries)) if r.evidence not in found)
                if new:
                    found |= {r.evidence: r for r in new}
                    waiting.append((other, new))
        return tuple(found.values())

    def _decisions(
        self,
        receipts: tuple[AttestedReceipt, ...],
        behind: tuple[AttestedReceipt, ...],
        tests: tuple[AttestedTest, ...],
    ) -> tuple[AttestedDecision, ...]:
        """What people decided about this build, what signed and made it, and what is behind it."""
        try:
            decided = standing(self._flywheel)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return ()
        self._damaged += decided.damaged  # each may be a hold, or a withdrawal of this very digest
        marks = marks_of(self._flywheel.catalogue, self._output, receipts, behind)
        return decided.on(marks | {("key", name) for test in tests for name in test.signatures.keys})

    def _disputes(
        self, receipts: tuple[AttestedReceipt, ...]
    ) -> tuple[tuple[RecordedDisagreement, ...], tuple[RecordedComparison, ...]]:
        """What builders ever disagreed about in these receipts' content."""
        try:
            return disputes_on(self._flywheel, self._output, receipts)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return (), ()

    def _tests(self, digests: set[str]) -> tuple[AttestedTest, ...]:
        found = []
        log = self._log(TESTS)
        entries = [e for kind in (TEST, TEST_PART) for digest in digests for e in log.about(kind, digest)]
        for entry in sorted(entries, key=lambda entry: entry.number):
            opened = self._open(entry)
            if opened and isinstance(opened[1], TestOutcome) and opened[0].keys:
                found.append(AttestedTest(evidence=entry.evidence, signatures=opened[0], outcome=opened[1]))
        return tuple(found)

    def _platform_runs(self, receipts: tuple[AttestedReceipt, ...]) -> tuple[RecordedRun, ...]:
        """What the forges that the catalogue names said of the runs of these receipts."""
        catalogue = self._flywheel.catalogue
        claimed = {
            (run.source.repository, run.key.run, run.key.attempt): None
            for run in (attested.receipt.run for attested in receipts)
            if catalogue.source_of(run.source.repository) is not None
        }
        found: list[RecordedRun] = []
        try:
            for named in claimed:
                for entry in entries_about(self._flywheel.evidence, *named):
                    model: type[PlatformRun | AbsentRun] = AbsentRun if entry.kind == PLATFORM_ABSENCE else PlatformRun
                    found.append(RecordedRun(evidence=entry.evidence, found=_load(self._flywheel, model, entry)))
        except EvidenceError as error:
            self._damaged.append(str(error))
        return tuple(found)

    def _inspections(self, entries: list[LogEntry]) -> tuple[RecordedInspection, ...]:
        found = []
        for entry in entries:
            try:
                inspection = _load(self._flywheel, Inspection, entry)
            except EvidenceError as error:
                self._damaged.append(str(error))
                continue
            found.append(RecordedInspection(evidence=entry.evidence, inspection=inspection))
        return tuple(found)

    def _channel(self, entries: list[LogEntry], receipts: tuple[AttestedReceipt, ...]) -> ChannelHead | None:
        """The first publication that is newer than this build's source and came before its own.

        The first and not the newest: both say the same about this build, and the first never changes, so that a
        publication makes others judged anew only once.
        """
        if not receipts:
            return None  # without an authentic receipt there is no source to compare
        mine = min((time for r in receipts if (time := r.receipt.run.source.committed_at)), default=None)
        for entry in entries:
            if entry.subject == str(self._build):
                break
            try:
                published = _load(self._flywheel, Publication, entry)
            except EvidenceError as error:
                self._damaged.append(str(error))
                continue
            if mine is None or published.committed_at is None or published.committed_at > mine:
                return ChannelHead(
                    build=published.build, revision=published.revision, committed_at=published.committed_at
                )
        return None

    def _canonical(self, receipts: tuple[AttestedReceipt, ...]) -> ChannelHead | None:
        """The publication of the product's canonical source from the revision that this build is of."""
        catalogue = self._flywheel.catalogue
        product = catalogue.products.get(catalogue.outputs[self._output].product or "")
        if product is None or product.canonical in {None, self._output}:
            return None
        revisions = {r.receipt.run.source.revision for r in receipts}
        for entry in self._log(output_log(str(product.canonical))).of(PUBLICATION):
            try:
                published = _load(self._flywheel, Publication, entry)
            except EvidenceError as error:
                self._damaged.append(str(error))
                continue
            if published.revision in revisions:
                return ChannelHead(
                    build=published.build, revision=published.revision, committed_at=published.committed_at
                )
        return None


def _gist_of(catalogue: Catalogue, attested: AttestedReceipt) -> Gist:
    run, artifact = attested.receipt.run, attested.receipt.artifact
    theirs = {"key", "invocation", "started_at", "finished_at", "bootstrap"}  # of each run its own
    said = attested.model_dump(mode="json", include={"signatures": True, "receipt": True})
    said["signatures"]["origin"] = attested.signatures.origin and str(attested.signatures.origin)
    said["receipt"]["run"] = {name: value for name, value in said["receipt"]["run"].items() if name not in theirs}
    return Gist(
        catalogue=catalogue.digest,
        is_authentic=bool(trusted_keys(catalogue, attested)),
        source=(str(run.source.revision), run.key.system),
        artifact=artifact.digest.hex,
        says=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
    )


def _one_to_explain(receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
    """Of receipts that nobody trusted signed, the one that came closest: more of them change nothing."""
    return tuple(
        sorted(receipts, key=lambda r: (not r.signatures.keys, not r.signatures.invalid, not r.signatures.any))[:1]
    )


def open_document(flywheel: Flywheel, evidence: EvidenceDigest) -> tuple[Signatures, Receipt | TestOutcome]:
    """A document with what its signatures are worth. Hashed on every read; small ones are parsed once."""
    data = flywheel.evidence.get(evidence)
    if evidence in flywheel.opened:
        return flywheel.opened[evidence]
    opened = _parsed(flywheel, data, f"evidence {evidence}")
    if len(data) <= REMEMBERED_BYTES:
        if len(flywheel.opened) >= REMEMBERED_DOCUMENTS:
            flywheel.opened.clear()
        flywheel.opened[evidence] = opened
    return opened


def _parsed(flywheel: Flywheel, data: bytes, name: str) -> tuple[Signatures, Receipt | TestOutcome]:
    checked, statement = open_signed(flywheel, data, name, flywheel.trusted_keys)
    if isinstance(statement, Decision):
        raise InvalidInputError(name, "predicateType", "is a decision, and no receipt or test result", REMEDY)
    if checked is None:
        return Signatures(), statement
    signatures = Signatures(keys=checked.keys, unknown=checked.unknown, invalid=checked.invalid, origin=checked.origin)
    return signatures, statement
