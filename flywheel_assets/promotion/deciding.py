"""Decisions of people: taken into evidence, and found again by what they bear on.

Everybody's are kept, and only those that somebody in the catalogue's ``people`` signed are heard, or once was. Whether
one counts, and for what, is the gate's matter.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act, Decision, decision_statement
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceError, InvalidInputError
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt, Heard, Signatures
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.gate.decisions import deciders, revocation_of
from flywheel_assets.gate.quarantines import fingerprints
from flywheel_assets.ports import LogEntry, Signer
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS, HEARD, enter, heard_in, people_keys, signatures_of, unheard
from flywheel_assets.promotion.intake import Taken, open_signed, open_statement, route

Mark = tuple[str, str]
"""What a decision bears on, as kind and name: ``("digest", <hex>)``, ``("key", <name>)``, …"""

EVERYTHING: Mark = ("everything", "")


@dataclass(frozen=True, slots=True)
class Standing:
    """All decisions by people in the catalogue, by what they bear on, and a sentence for each that cannot be read.

    ``read`` is every document that could be read, by its digest: None where nobody in the catalogue signed it, or
    once did. ``unheard`` is whom this catalogue hears, and the log does not say so yet.
    """

    length: int
    read: Mapping[EvidenceDigest, AttestedDecision | None]
    by_mark: Mapping[Mark, tuple[AttestedDecision, ...]]
    damaged: tuple[str, ...]
    unheard: tuple[tuple[AttestedDecision, Heard], ...] = ()
    of_makers: tuple[AttestedDecision, ...] = ()
    """Those about a signer, a run or a builder, and so about all that their artifacts go into; none taken back."""

    def on(self, marks: Iterable[Mark]) -> tuple[AttestedDecision, ...]:
        """Those that bear on any of the marks, with all that revoke one of them; in the order of arrival."""
        found = {each.evidence: each for mark in marks for each in self.by_mark.get(mark, ())}
        for each in tuple(found.values()):
            found |= {r.evidence: r for r in self.revoking(each)}
        return _in_order(found.values())

    def revoking(self, attested: AttestedDecision) -> tuple[AttestedDecision, ...]:
        """Those that take this one back, whether they count or not."""
        return self.by_mark.get(("decision", str(attested.decision.id)), ())

    @property
    def all(self) -> tuple[AttestedDecision, ...]:
        """All of them, in the order of arrival."""
        return _in_order(each for found in self.by_mark.values() for each in found)


NOTHING = Standing(0, {}, {}, ())


def _in_order(decisions: Iterable[AttestedDecision]) -> tuple[AttestedDecision, ...]:
    return tuple(sorted(decisions, key=lambda each: (each.arrived_at, each.evidence)))


def decide(flywheel: Flywheel, decision: Decision, signer: Signer) -> EvidenceDigest:
    """Sign a decision and take it into evidence; the digest of its document."""
    return take_decision(flywheel, signed_decision(decision, signer))


def take_decision(flywheel: Flywheel, document: bytes) -> EvidenceDigest:
    """Take a signed decision into evidence, once however often; its digest. Raises InvalidInputError."""
    statement = open_statement(flywheel, document, "the decision")
    evidence = flywheel.evidence.put(document)
    route(flywheel, statement, evidence, Taken())
    return evidence


def signers_of(flywheel: Flywheel, document: bytes) -> tuple[str, ...]:
    """The people in the catalogue who signed a document, by their names. Raises InvalidInputError."""
    checked, _ = open_signed(flywheel, document, "the decision", people_keys(flywheel.catalogue))
    return signatures_of(checked).keys


def signed_decision(decision: Decision, signer: Signer) -> bytes:
    """The envelope: what may be delivered to an inbox instead."""
    return signer.sign(decision_statement(decision), PAYLOAD_TYPE)


def hear(flywheel: Flywheel) -> None:
    """Enter whom the catalogue hears of those who decided before it knew them: from then on that stays in force.

    Only the tick and `flywheel run` do, as a catalogue that somebody only tries must put down nobody for good.
    What cannot be read is left for another try: whoever needs it says so. Nothing is written where all is said.
    """
    with suppress(EvidenceError):
        for attested, each in standing(flywheel).unheard:
            enter(flywheel, attested.evidence, each)


def standing(flywheel: Flywheel) -> Standing:
    """Everything that was decided. Each document is read once, but for what is damaged: it may have been restored.

    Raises EvidenceError for the log itself.
    """
    entries, about = flywheel.evidence.entries(DECISIONS), flywheel.catalogue.digest
    last = flywheel.standing.get(about)
    if last is None or last.damaged or last.length != len(entries):
        last = _standing(flywheel, entries, last or NOTHING)
        flywheel.standing[about] = last
    return last


def marks_of(
    catalogue: Catalogue,
    output: str,
    receipts: Iterable[AttestedReceipt],
    behind: Iterable[AttestedReceipt],
) -> set[Mark]:
    """Whatever a decision may bear on of a build; ``behind`` it are its witnesses and what it is built from."""
    marks = {EVERYTHING, ("output", output)}
    product = catalogue.outputs[output].product
    if product is not None:
        marks.add(("product", product))
    for attested in (*receipts, *behind):
        run = attested.receipt.run
        marks |= {("builder", run.builder), ("run", f"{run.source.repository} {run.key.run}")}
        marks |= marks_of_signers(catalogue, attested.signatures)
        marks |= {("digest", digest) for digest in attested.receipt.artifact.contents}
        marks |= {("digest", each.digest.hex) for each in run.dependencies}
    return marks


def marks_of_signers(catalogue: Catalogue, signatures: Signatures) -> set[Mark]:
    """Keys by their names, and by what they are under any name."""
    return {("key", each) for each in (*signatures.keys, *fingerprints(catalogue, signatures.keys))}


def _mark(decision: Decision) -> Mark:
    scope = decision.scope
    by_act: dict[Act, Mark] = {
        Act.APPROVE: ("digest", scope.digest.hex if scope.digest else ""),
        Act.WITHDRAW: ("digest", scope.digest.hex if scope.digest else ""),
        Act.MEET: ("product", str(scope.product)),
        Act.HOLD: ("output", scope.output) if scope.output else ("builder", str(scope.builder)),
        Act.QUARANTINE: ("key", scope.fingerprint or scope.key)
        if scope.key
        else ("run", f"{scope.repository} {scope.run}"),
        Act.REVOKE: ("decision", str(scope.decision)),
    }
    holds_all = decision.act is Act.HOLD and scope.output is scope.builder is None
    return EVERYTHING if holds_all else by_act[decision.act]


def _standing(flywheel: Flywheel, entries: tuple[LogEntry, ...], last: Standing) -> Standing:
    read, damaged, heard = dict(last.read), [], heard_in(entries)
    decided = [entry for entry in entries if entry.kind != HEARD]
    for entry in decided:
        names, known = heard.get(entry.evidence, ()), read.get(entry.evidence)
        if entry.evidence in read and (known.heard if known else ()) == names:
            continue
        try:
            read[entry.evidence] = attested_decision(flywheel, entry, names)
        except (EvidenceError, InvalidInputError) as error:
            damaged.append(str(error))
    known_now = [attested for entry in decided if (attested := read.get(entry.evidence)) is not None]
    by_mark = _by_mark(known_now)
    left = (
        (attested, each)
        for found in by_mark.values()
        for attested in found
        for each in unheard(flywheel, attested, is_late=True)
    )
    made = (each for (kind, _), found in by_mark.items() if kind in {"key", "run", "builder"} for each in found)
    of_makers = (each for each in made if _stands(flywheel.catalogue, each, by_mark))
    return Standing(len(entries), read, by_mark, tuple(damaged), tuple(left), tuple(of_makers))


def _stands(
    catalogue: Catalogue, attested: AttestedDecision, by_mark: Mapping[Mark, tuple[AttestedDecision, ...]]
) -> bool:
    """Whether it counts until its end, if it has one; found out once, not at each look at a build."""
    revoking = by_mark.get(("decision", str(attested.decision.id)), ())
    is_decided = bool(deciders(catalogue, attested, attested.decision.act))
    return is_decided and revocation_of(catalogue, attested, revoking) is None


def _by_mark(heard: Iterable[AttestedDecision]) -> dict[Mark, tuple[AttestedDecision, ...]]:
    """In the order of the log: what anybody wraps anew, or signs beside, is the same decision, and the first stands."""
    first: dict[tuple[EvidenceDigest, tuple[str, ...]], AttestedDecision] = {}
    for attested in heard:
        first.setdefault((attested.decision.id, tuple(sorted(attested.signers))), attested)
    by_mark: dict[Mark, list[AttestedDecision]] = {}
    for attested in first.values():
        by_mark.setdefault(_mark(attested.decision), []).append(attested)
    return {mark: tuple(found) for mark, found in by_mark.items()}


def attested_decision(flywheel: Flywheel, entry: LogEntry, heard: tuple[Heard, ...] = ()) -> AttestedDecision | None:
    """The decision of an entry; None when nobody in the catalogue's ``people`` signed it, nor was ever ``heard``.

    Raises EvidenceError, InvalidInputError.
    """
    document, name = flywheel.evidence.get(entry.evidence), f"evidence {entry.evidence}"
    checked, decision = open_signed(flywheel, document, name, people_keys(flywheel.catalogue))
    if not isinstance(decision, Decision) or entry.at is None:
        raise InvalidInputError(name, "predicateType", "is no decision", "Restore the evidence store from its backup.")
    signatures = signatures_of(checked)
    if not signatures.keys and not heard:
        return None
    return AttestedDecision(
        evidence=entry.evidence, signatures=signatures, decision=decision, arrived_at=entry.at, heard=heard
    )
