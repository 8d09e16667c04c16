"""Assembling: the evidence bundle of one build, of all logs that bear on it, hashed again, for the gate."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import takewhile

from flywheel_assets.catalog.models import ArtifactType
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.disagreements import RecordedComparison, RecordedDisagreement
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError
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
from flywheel_assets.domain.receipts import Receipt, TestOutcome
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.gate.case import Case, trusted_keys
from flywheel_assets.gate.decisions import counting
from flywheel_assets.gate.platform import forge_contradicts, forge_has_no_doubt
from flywheel_assets.gate.quarantines import stops
from flywheel_assets.gate.standing import not_withdrawn
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.deciding import marks_of, marks_of_signers, standing
from flywheel_assets.promotion.disputes import disputes_on, marks_of_disputes
from flywheel_assets.promotion.flywheel import Flywheel, Gist
from flywheel_assets.promotion.intake import RECEIPT, TEST, TEST_PART, TESTS, output_log
from flywheel_assets.promotion.ledger import INSPECTION, PUBLICATION, Document, load
from flywheel_assets.promotion.opening import gist_of, open_document
from flywheel_assets.promotion.platform_log import PLATFORM_ABSENCE, entries_about
from flywheel_assets.promotion.reading import Indexed, indexed, outputs_in_evidence, run_of
from flywheel_assets.promotion.recipes import recipe_of

_NO_BUILD = BuildKey(run="0", attempt=1, system="none")


def assemble(flywheel: Flywheel, output: str, build: BuildKey) -> EvidenceBundle:
    """The evidence bundle of one build.

    Evidence that a log names and that cannot be read is reported in ``damaged``, never left out.
    """
    return _Assembly(flywheel, output, build).bundle()


def remember_receipts(flywheel: Flywheel, output: str, enough: Callable[[], bool]) -> bool:
    """Open each receipt that a bundle of the output may have to know and this process does not; False if unfinished.

    Once that is done a build costs the same however many there are. Raises EvidenceError.
    """
    for name in (output, *flywheel.catalogue.built_from(output)):
        assembly = _Assembly(flywheel, name, _NO_BUILD)
        for entry in indexed(flywheel, output_log(name)).of(RECEIPT):
            if entry.evidence not in flywheel.gists:
                assembly.gist(entry)
                if enough():
                    return False
    return True


def sorted_receipts(flywheel: Flywheel, output: str) -> Indexed:
    """The log of an output, its receipts to be found by what they are of. What cannot be read is left out."""
    return _Assembly(flywheel, output, _NO_BUILD).sorted(output_log(output))


def stopped_makers(flywheel: Flywheel) -> list[Decision]:
    """The decisions about signers, runs and builders that count now, whatever they made. Raises EvidenceError."""
    now, found = flywheel.clock(), (each.decision for each in standing(flywheel).of_makers)
    return [decision for decision in found if decision.expires_at is None or now < decision.expires_at]


def basis_of(flywheel: Flywheel, bundle: EvidenceBundle) -> EvidenceDigest:
    """Digest of all that a verdict depends on: when it is unchanged, so is the verdict.

    Of the time only what the gate asks of it: which of its moments have come.
    """
    return recipe_of(bundle, flywheel.catalogue, flywheel.clock()).digest


class _Assembly:
    """Collects one bundle; keeps a list of what could not be read."""

    def __init__(self, flywheel: Flywheel, output: str, build: BuildKey) -> None:
        self._flywheel = flywheel
        self._output = output
        self._build = build
        self._damaged: list[str] = []

    def bundle(self) -> EvidenceBundle:
        log = self.sorted(output_log(self._output))
        arrived = self._receipts(log.about(RECEIPT, str(self._build)))
        receipts = self._authentic(arrived)
        digests = {digest for attested in receipts for digest in attested.receipt.artifact.digests}
        witnesses = self._witnesses(log, receipts)
        starters = self._starters(log, receipts, witnesses)
        declared = self._dependencies(receipts)
        dependencies = (*declared, *self._stopped_parts(receipts, declared))
        tests = self._tests(digests)
        disagreements, comparisons = self._disputes(receipts)
        return EvidenceBundle(
            output=self._output,
            build=self._build,
            receipts=receipts or _one_to_explain(arrived),
            witnesses=witnesses,
            starters=starters,
            dependencies=dependencies,
            tests=tests,
            inspections=self._inspections(log.about(INSPECTION, str(self._build))),
            platform_runs=self._platform_runs((*receipts, *witnesses, *starters)),
            channel=self._channel(log.of(PUBLICATION), receipts),
            canonical=self._canonical(receipts),
            decisions=self._decisions(receipts, (*witnesses, *dependencies), tests, disagreements),
            disagreements=disagreements,
            comparisons=comparisons,
            damaged=tuple(dict.fromkeys(self._damaged)),
        )

    def _log(self, log: str) -> Indexed:
        """A log; nothing of one that cannot be read."""
        try:
            return indexed(self._flywheel, log)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return Indexed(())

    def sorted(self, log: str) -> Indexed:
        """A log, its receipts to be found by their gist: each is opened."""
        found = self._log(log)
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
            remembered[entry.evidence] = gist_of(catalogue, attested)
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

    def _starters(
        self, log: Indexed, receipts: tuple[AttestedReceipt, ...], witnesses: tuple[AttestedReceipt, ...]
    ) -> tuple[AttestedReceipt, ...]:
        """Of runs that got the same artifact, from any revision, the first that each person of the catalogue started.

        Nobody else approves anything, and nobody asks for them where no approval can count. Receipts say who, and of an
        attempt after the first, which somebody else may have asked for, the forge once it tells of it.
        """
        digests = {attested.receipt.artifact.digest.hex for attested in receipts}
        if not self._may_be_approved(digests):
            return ()
        people = self._flywheel.catalogue.people.values()
        left = {name.casefold() for person in people for name in person.forge_names}
        for attested in (*receipts, *witnesses):
            if attested.receipt.artifact.digest.hex in digests:
                left -= self._who_started(attested)
        found = []
        for entry in (*log.by_actors(digests, left), *log.attempts_again(digests)):
            if left and (other := self._reopened(entry)) and left & (names := self._who_started(other)):
                found.append(other)
                left -= names
        return tuple(found)

    def _may_be_approved(self, digests: set[str]) -> bool:
        """Whether the catalogue asks for approvals, or somebody approved one of these."""
        target = self._flywheel.output(self._output).publication
        if target is not None and target.approvals is not None:
            return True
        with suppress(EvidenceError):  # told where all decisions are asked for
            by_mark = standing(self._flywheel).by_mark
            about = (each for digest in digests for each in by_mark.get(("digest", digest), ()))
            return any(each.decision.act is Act.APPROVE for each in about)
        return False

    def _who_started(self, attested: AttestedReceipt) -> set[str]:
        """As the receipt and the forge call them, in small letters."""
        run = attested.receipt.run
        recorded = self._case_of(attested).recorded(run)
        actors = recorded.actors if isinstance(recorded, PlatformRun) else ()
        return {name.casefold() for name in (run.trigger.actor, *actors)}

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
        about = self._platform_runs((attested,))
        return self._case(EvidenceBundle(output=self._output, build=self._build, platform_runs=about))

    def _case(self, bundle: EvidenceBundle) -> Case:
        flywheel = self._flywheel
        return Case(bundle, flywheel.catalogue, flywheel.output(bundle.output), flywheel.clock())

    def _reopened(self, entry: LogEntry) -> AttestedReceipt | None:
        opened = self._open(entry, again=False)
        if opened is None or not isinstance(opened[1], Receipt):
            return None
        return self._attested(entry, opened[0], opened[1])

    def _dependencies(self, receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
        """Receipts of what this build was made of, those of the digests that its receipts name; of theirs too.

        The catalogue of today is not asked: what went in stays what it came from.
        """
        found: dict[EvidenceDigest, AttestedReceipt] = {}
        waiting = [receipts]
        while waiting:
            named: dict[str, set[str]] = {}
            for each in (each for attested in waiting.pop() for each in attested.receipt.run.dependencies):
                named.setdefault(each.output, set()).add(each.digest.hex)
            for other, digests in sorted(named.items()):
                entries = self.sorted(output_log(other)).of_artifacts(digests)
                new = tuple(r for r in self._authentic(self._receipts(entries)) if r.evidence not in found)
                if new:
                    found |= {r.evidence: r for r in new}
                    waiting.append(new)
        return tuple(found.values())

    def _stopped_parts(
        self, receipts: tuple[AttestedReceipt, ...], declared: tuple[AttestedReceipt, ...]
    ) -> tuple[AttestedReceipt, ...]:
        """Receipts of what lies in these closures undeclared, where somebody stopped its signer, run or builder.

        One package of a flake in the closure of another is the rule in Nix, and nobody declares it. Where no decision
        of the kind counts no other log is read. An output that left the catalogue is as compromised as before.
        """
        itself = {attested.receipt.artifact.digest.hex for attested in receipts}
        closures = [a for each in (*receipts, *declared) if isinstance(a := each.receipt.artifact, NixClosure)]
        held = {digest for artifact in closures for digest in artifact.contents} - itself
        stopping: list[Decision] = []
        with suppress(EvidenceError):  # told where all decisions are asked for
            stopping = stopped_makers(self._flywheel)
        if not stopping or not held:
            return ()
        catalogue, known = self._flywheel.catalogue, {attested.evidence for attested in declared}
        outputs = catalogue.outputs
        names = (name for name in self._outputs() if name not in outputs or outputs[name].type is ArtifactType.NIX)
        entries = (entry for name in names for entry in self._perhaps_made_by(stopping, output_log(name), held))
        found = self._authentic(self._receipts([entry for entry in entries if entry.evidence not in known]))
        parts = (r for r in found if r.receipt.artifact.digest.hex in held)
        return tuple(r for r in parts if any(stops(catalogue, decision, r) for decision in stopping))

    def _perhaps_made_by(self, stopping: list[Decision], log: str, held: set[str]) -> list[LogEntry]:
        """Receipts that tell it once they are opened. A log names runs itself: where only these are stopped, theirs."""
        runs = {decision.scope.run or "" for decision in stopping}
        if "" in runs:
            return self.sorted(log).of_artifacts(held)
        return [entry for run in sorted(runs) for entry in self._log(log).receipts_of(run)]

    def _outputs(self) -> tuple[str, ...]:
        try:
            return outputs_in_evidence(self._flywheel)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return ()

    def _decisions(
        self,
        receipts: tuple[AttestedReceipt, ...],
        behind: tuple[AttestedReceipt, ...],
        tests: tuple[AttestedTest, ...],
        disagreements: tuple[RecordedDisagreement, ...],
    ) -> tuple[AttestedDecision, ...]:
        """What people decided about this build, what signed and made it, what is behind it, and who disagreed."""
        try:
            decided = standing(self._flywheel)
        except EvidenceError as error:
            self._damaged.append(str(error))
            return ()
        self._damaged += decided.damaged  # each may be a hold, or a withdrawal of this very digest
        marks = marks_of(self._flywheel.catalogue, self._output, receipts, behind) | marks_of_disputes(disagreements)
        for test in tests:
            marks |= marks_of_signers(self._flywheel.catalogue, test.signatures)
        return decided.on(marks)

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
                    found.append(RecordedRun(evidence=entry.evidence, found=load(self._flywheel, model, entry)))
        except EvidenceError as error:
            self._damaged.append(str(error))
        return tuple(found)

    def _inspections(self, entries: list[LogEntry]) -> tuple[RecordedInspection, ...]:
        found = self._loaded(Inspection, entries)
        return tuple(RecordedInspection(evidence=entry.evidence, inspection=each) for entry, each in found)

    def _loaded(self, model: type[Document], entries: Iterable[LogEntry]) -> Iterator[tuple[LogEntry, Document]]:
        """Each entry that can be read, with what it says."""
        for entry in entries:
            try:
                made = load(self._flywheel, model, entry)
            except EvidenceError as error:
                self._damaged.append(str(error))
            else:
                yield entry, made

    def _channel(self, entries: list[LogEntry], receipts: tuple[AttestedReceipt, ...]) -> ChannelHead | None:
        """The first publication that is newer than this build's source and came before its own.

        The first and not the newest: both say the same about this build, and the first never changes, so that a
        publication makes others judged anew only once.
        """
        if not receipts:
            return None  # without an authentic receipt there is no source to compare
        mine = min((time for r in receipts if (time := r.receipt.run.source.committed_at)), default=None)
        before = takewhile(lambda entry: entry.subject != str(self._build), entries)
        newer = self._made(before, lambda made: mine is None or made.committed_at is None or made.committed_at > mine)
        heads = (_head(made, withdrawn=self._is_withdrawn(made)) for made in newer)
        return _first_standing(heads)

    def _canonical(self, receipts: tuple[AttestedReceipt, ...]) -> ChannelHead | None:
        """The publication of the product's canonical source from the revision that this build is of.

        What was withdrawn, or came of what is in quarantine, vouches for nothing beside it.
        """
        catalogue = self._flywheel.catalogue
        product = catalogue.products.get(catalogue.outputs[self._output].product or "")
        if product is None or product.canonical in {None, self._output}:
            return None
        revisions = {r.receipt.run.source.revision for r in receipts}
        entries = self._log(output_log(str(product.canonical))).of(PUBLICATION)
        same = self._made(entries, lambda made: made.revision in revisions)
        return next((_head(made) for made in same if not self._is_distrusted(made)), None)

    def _is_withdrawn(self, made: Publication) -> bool:
        """Whether people withdrew what was published."""
        try:
            decided = standing(self._flywheel).on({("digest", made.artifact_digest.hex)})
        except EvidenceError as error:
            self._damaged.append(str(error))
            return False
        bundle = EvidenceBundle(output=self._output, build=made.build, decisions=decided)
        return any(counting(self._case(bundle), Act.WITHDRAW))

    def _is_distrusted(self, made: Publication) -> bool:
        """Whether it, or what it came from, is withdrawn or in quarantine."""
        bundle = assemble(self._flywheel, made.output, made.build)
        self._damaged += bundle.damaged
        return (
            self._is_withdrawn(made) or not_withdrawn(self._case(bundle)).verdict is VerdictClass.REJECTED_PERMANENTLY
        )

    def _made(self, entries: Iterable[LogEntry], is_it: Callable[[Publication], bool]) -> Iterator[Publication]:
        """The publications that are meant, in their order."""
        return (made for _, made in self._loaded(Publication, entries) if is_it(made))


def _head(made: Publication, *, withdrawn: bool = False) -> ChannelHead:
    return ChannelHead(build=made.build, revision=made.revision, committed_at=made.committed_at, withdrawn=withdrawn)


def _first_standing(heads: Iterator[ChannelHead]) -> ChannelHead | None:
    """The first that is not withdrawn; where all are, the first: going back is then for people to decide."""
    first = next(heads, None)
    if first is None or not first.withdrawn:
        return first
    return next((head for head in heads if not head.withdrawn), first)


def _one_to_explain(receipts: tuple[AttestedReceipt, ...]) -> tuple[AttestedReceipt, ...]:
    """Of receipts that nobody trusted signed, the one that came closest: more of them change nothing."""
    return tuple(
        sorted(receipts, key=lambda r: (not r.signatures.keys, not r.signatures.invalid, not r.signatures.any))[:1]
    )
