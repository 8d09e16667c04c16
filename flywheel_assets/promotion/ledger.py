"""The ledger: what the evidence logs hold, read back, hashed again, and assembled for the gate."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

from pydantic import ValidationError

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
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets.promotion.deciding import marks_of, standing
from flywheel_assets.promotion.disputes import disputes_on
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, TEST, TEST_PART, TESTS, is_envelope, open_statement, output_log
from flywheel_assets.promotion.platform_log import PLATFORM_ABSENCE, entries_about
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
    entries = flywheel.evidence.entries(output_log(output))
    return list(dict.fromkeys(BuildKey.parse(entry.subject) for entry in entries if entry.kind == RECEIPT))


class OneReading:
    """An evidence store whose logs are read once, for a pass over many builds."""

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store
        self._entries: dict[str, tuple[LogEntry, ...]] = {}

    def entries(self, log: str) -> tuple[LogEntry, ...]:
        """As the store's, once."""
        if log not in self._entries:
            self._entries[log] = self._store.entries(log)
        return self._entries[log]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def one_reading(flywheel: Flywheel) -> Flywheel:
    """The flywheel for a pass that only looks."""
    return replace(flywheel, evidence=cast("EvidenceStore", OneReading(flywheel.evidence)))


def assemble(flywheel: Flywheel, output: str, build: BuildKey) -> EvidenceBundle:
    """The evidence bundle of one build.

    Evidence that a log names and that cannot be read is reported in ``damaged``, never left out.
    """
    return _Assembly(flywheel, output, build).bundle()


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
    found = [e for e in flywheel.evidence.entries(output_log(output)) if e.kind == VERDICT and e.subject == str(build)]
    return _load(flywheel, RecordedVerdict, found[-1]) if found else None


def last_verdicts(flywheel: Flywheel, output: str) -> dict[str, Callable[[], RecordedVerdict]]:
    """What reads the newest recorded verdict of each build that has one; in one pass over the log."""
    newest = {e.subject: e for e in flywheel.evidence.entries(output_log(output)) if e.kind == VERDICT}
    return {subject: partial(_load, flywheel, RecordedVerdict, entry) for subject, entry in newest.items()}


def verdicts_on(flywheel: Flywheel, output: str, build: BuildKey) -> Iterator[RecordedVerdict]:
    """The recorded verdicts on a build, the newest first. Raises EvidenceError."""
    for entry in reversed(flywheel.evidence.entries(output_log(output))):
        if entry.kind == VERDICT and entry.subject == str(build):
            yield _load(flywheel, RecordedVerdict, entry)


def publications(flywheel: Flywheel, output: str) -> list[Publication]:
    """All recorded publications of an output, oldest first."""
    entries = flywheel.evidence.entries(output_log(output))
    return [_load(flywheel, Publication, entry) for entry in entries if entry.kind == PUBLICATION]


def withdrawals(flywheel: Flywheel, output: str) -> list[Withdrawal]:
    """What became of an output's withdrawn publications, oldest first."""
    entries = flywheel.evidence.entries(output_log(output))
    return [_load(flywheel, Withdrawal, entry) for entry in entries if entry.kind == WITHDRAWAL]


def restatements(flywheel: Flywheel, output: str) -> list[Restatement]:
    """The later statements of who answers for an output's publications, oldest first."""
    entries = flywheel.evidence.entries(output_log(output))
    return [_load(flywheel, Restatement, entry) for entry in entries if entry.kind == RESTATEMENT]


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
        entries = self._entries(output_log(self._output))
        mine = str(self._build)
        arrived = self._receipts([e for e in entries if e.kind == RECEIPT and e.subject == mine])
        receipts = self._authentic(arrived)
        digests = {digest for attested in receipts for digest in attested.receipt.artifact.digests}
        witnesses = self._witnesses(entries, receipts)
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
            inspections=self._inspections([e for e in entries if e.kind == INSPECTION and e.subject == mine]),
            platform_runs=self._platform_runs((*receipts, *witnesses)),
            channel=self._channel([e for e in entries if e.kind == PUBLICATION], receipts),
            canonical=self._canonical(receipts),
            decisions=self._decisions(receipts, (*witnesses, *dependencies), tests),
            disagreements=disagreements,
            comparisons=comparisons,
            damaged=tuple(self._damaged),
        )

    def _entries(self, log: str) -> tuple[LogEntry, ...]:
        try:
            return self._flywheel.evidence.entries(log)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return ()

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

    def _witnesses(
        self, entries: tuple[LogEntry, ...], receipts: tuple[AttestedReceipt, ...]
    ) -> tuple[AttestedReceipt, ...]:
        """Receipts of other runs from the same source for the same system."""
        sources = {(str(r.receipt.run.source.revision), r.receipt.run.key.system) for r in receipts}
        remembered, source_of_none = self._flywheel.sources, ("", "")
        found = []
        for entry in entries:
            if entry.kind != RECEIPT or entry.subject == str(self._build):
                continue
            # Of ten thousand builds few are of this source: the others are not opened again.
            if remembered.get(entry.evidence, source_of_none) not in {source_of_none, *sources}:
                continue
            opened = self._open(entry, again=False)
            receipt = opened[1] if opened else None
            if opened and isinstance(receipt, Receipt):
                run = receipt.run
                remembered[entry.evidence] = (str(run.source.revision), run.key.system)
                if remembered[entry.evidence] in sources:
                    found.append(self._attested(entry, opened[0], receipt))
        return self._authentic(tuple(found))

    def _dependencies(self, receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
        """Receipts of what this output is built from, those of the digests that its receipts name; of theirs too."""
        found: dict[EvidenceDigest, AttestedReceipt] = {}
        output, made = self._output, receipts
        waiting = [(output, made)]
        while waiting:
            output, made = waiting.pop()
            wanted = {(d.output, d.digest.hex) for attested in made for d in attested.receipt.run.dependencies}
            for other in self._flywheel.output(output).built_from:
                digests = {digest for name, digest in wanted if name == other}
                new = tuple(r for r in self._authentic(self._made(other, digests)) if r.evidence not in found)
                if new:
                    found |= {r.evidence: r for r in new}
                    waiting.append((other, new))
        return tuple(found.values())

    def _made(self, output: str, digests: set[str]) -> tuple[AttestedReceipt, ...]:
        """The receipts of an output's artifacts of these digests; of ten thousand others none is opened again."""
        remembered, found = self._flywheel.digests, []
        for entry in self._entries(output_log(output)) if digests else ():
            if entry.kind != RECEIPT or remembered.get(entry.evidence, "") not in {"", *digests}:
                continue
            for attested in self._receipts([entry]):
                remembered[entry.evidence] = attested.receipt.artifact.digest.hex
                if attested.receipt.artifact.digest.hex in digests:
                    found.append(attested)
        return tuple(found)

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
        for entry in self._entries(TESTS):
            opened = self._open(entry) if entry.kind in {TEST, TEST_PART} and entry.subject in digests else None
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
        for entry in self._entries(output_log(str(product.canonical))):
            if entry.kind != PUBLICATION:
                continue
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
    statement = open_statement(flywheel, data, name)
    if isinstance(statement, Decision):
        raise InvalidInputError(name, "predicateType", "is a decision, and no receipt or test result", REMEDY)
    if not is_envelope(data):
        return Signatures(), statement
    checked = flywheel.verifier.check(data, name, flywheel.trusted_keys)
    signatures = Signatures(keys=checked.keys, unknown=checked.unknown, invalid=checked.invalid, origin=checked.origin)
    return signatures, statement
