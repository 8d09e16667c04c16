"""The evidence about one build, as the gate takes it: verified where it can be, never trusted because it lies there."""

from dataclasses import dataclass

from pydantic import AwareDatetime

from flywheel_assets.domain.builds import BuilderRun, BuildKey, Closed, Source
from flywheel_assets.domain.decisions import Act, Decision
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.disagreements import RecordedComparison, RecordedDisagreement
from flywheel_assets.domain.inspections import Inspection
from flywheel_assets.domain.names import OutputName
from flywheel_assets.domain.platform_runs import RecordedRun, is_another_run
from flywheel_assets.domain.receipts import Receipt, TestOutcome


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and run that a keyless signer's certificate names, by the word of the OIDC issuer.

    ``revision``, ``ref`` (in full) and ``invocation`` (the run's URL) are empty where it does not name them.
    """

    repository: str
    revision: str
    ref: str = ""
    invocation: str = ""

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision or 'a revision that it does not name'}"

    def contradicts(self, source: Source) -> bool:
        """Whether it is another repository or revision than ``source``; one that lacks contradicts nothing."""
        return self.repository != source.repository or self.revision not in {"", str(source.revision)}

    def is_exactly(self, source: Source) -> bool:
        """Whether it names the repository and the revision of ``source``."""
        return (self.repository, self.revision) == (source.repository, str(source.revision))

    def is_of_another_run(self, run: BuilderRun) -> bool:
        """Whether it was issued to another run, or attempt, than ``run``; one that names none was not."""
        return is_another_run(self.invocation, run.source.repository, run.key.run, run.key.attempt)


class Signatures(Closed):
    """What checking an envelope against the catalogue's keys gave.

    ``keys`` are catalogue names of keys whose signature verified, ``unknown`` ids of keys that the catalogue
    does not hold, ``invalid`` names of catalogued keys whose signature does not verify. ``origin`` is what the
    certificate of a keyless signer in ``keys`` says of the source.
    """

    keys: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def any(self) -> bool:
        """Whether there is any signature."""
        return bool(self.keys or self.unknown or self.invalid)


class AttestedReceipt(Closed):
    """A receipt with what its envelope's signatures are worth.

    ``arrived_at`` is when it was taken in, known where a forge vouches for its run: the time in a receipt is the
    signer's word, and whoever finds an expired key can write an earlier one.
    """

    evidence: EvidenceDigest
    signatures: Signatures
    receipt: Receipt
    arrived_at: AwareDatetime | None = None


class AttestedTest(Closed):
    """A test result with what its envelope's signatures are worth."""

    evidence: EvidenceDigest
    signatures: Signatures
    outcome: TestOutcome


class Heard(Closed):
    """Somebody who signed a decision, by the name in the catalogue of its time, and what they might decide by it."""

    name: OutputName
    acts: tuple[Act, ...]


class AttestedDecision(Closed):
    """A decision with what its envelope's signatures are worth: ``signatures.keys`` are people in the catalogue.

    ``arrived_at`` is when it was taken in: a decision counts from then on, whatever time it gives itself. ``heard`` are
    those whom a catalogue since then knew as signers who might decide it, as the log says: of what lets something pass
    nobody, as only the catalogue of now says who may do that.
    """

    evidence: EvidenceDigest
    signatures: Signatures
    decision: Decision
    arrived_at: AwareDatetime
    heard: tuple[Heard, ...] = ()

    @property
    def signers(self) -> tuple[str, ...]:
        """The names of all who are known to have signed it, in the catalogue or in one before it."""
        return tuple(dict.fromkeys((*self.signatures.keys, *(each.name for each in self.heard))))


class RecordedInspection(Closed):
    """An inspection that carries this project's own valid signature."""

    evidence: EvidenceDigest
    inspection: Inspection


class ChannelHead(Closed):
    """A published build of the same output whose source is newer, or of unknown age; ``withdrawn`` if it was since."""

    build: BuildKey
    revision: GitRevision
    committed_at: AwareDatetime | None
    withdrawn: bool = False


class EvidenceBundle(Closed):
    """Everything the gate may look at for one build.

    ``receipts`` are those of this very run, ``witnesses`` those of other runs of the same output, source
    revision and system, one for all that say the same, ``starters`` those of the same artifact by whom else its runs
    were started, whatever their revision, and ``dependencies`` those of outputs that this one is built from.
    ``platform_runs`` is what the forge says of the runs of the first three. ``decisions`` are all that
    people signed and that bears on this build, what its receipts were signed with, or what it is built from; with all
    that revokes one of them. ``disagreements`` are those about content of this build, by whomever and whenever it was
    built, ``comparisons`` what differed in its bodies. ``damaged`` holds a sentence for each piece of evidence that a
    log names and that could not be read: none of it may be dropped silently, because it may have been evidence against
    the artifact.
    """

    output: OutputName
    build: BuildKey
    receipts: tuple[AttestedReceipt, ...] = ()
    witnesses: tuple[AttestedReceipt, ...] = ()
    starters: tuple[AttestedReceipt, ...] = ()
    dependencies: tuple[AttestedReceipt, ...] = ()
    tests: tuple[AttestedTest, ...] = ()
    inspections: tuple[RecordedInspection, ...] = ()
    platform_runs: tuple[RecordedRun, ...] = ()
    channel: ChannelHead | None = None
    canonical: ChannelHead | None = None
    decisions: tuple[AttestedDecision, ...] = ()
    disagreements: tuple[RecordedDisagreement, ...] = ()
    comparisons: tuple[RecordedComparison, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def digests(self) -> tuple[EvidenceDigest, ...]:
        """Digests of all evidence, sorted."""
        found = {attested.evidence for attested in (*self.receipts, *self.witnesses, *self.starters)}
        found |= {attested.evidence for attested in self.dependencies}
        found |= {test.evidence for test in self.tests} | {recorded.evidence for recorded in self.inspections}
        found |= {recorded.evidence for recorded in self.platform_runs}
        found |= {said.evidence for recorded in self.platform_runs for said in recorded.provenance}
        found |= {attested.evidence for attested in self.decisions}
        found |= {recorded.evidence for recorded in self.disagreements}
        found |= {recorded.evidence for recorded in self.comparisons}
        return tuple(sorted(found))
