"""Who was heard: the signers of what stays in force when the catalogue knows them no more.

The gate asks the catalogue of now whose approvals count. A hold, a withdrawal, a quarantine or a revocation must not
end because its signer left. So the log of decisions says of each, in entries of the kind HEARD, who signed it of those
who might, by the catalogue under which it came in, or by a later one.
"""

from collections.abc import Iterable, Iterator, Mapping

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act, Decision
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceCorruptError
from flywheel_assets.domain.evidence import AttestedDecision, Heard, Signatures
from flywheel_assets.gate.decisions import FINAL, LETTING, may_decide
from flywheel_assets.ports import Checked, LogEntry, Trusted
from flywheel_assets.promotion.flywheel import Flywheel

DECISIONS = "decisions"
HEARD = "heard"
"""An entry of DECISIONS beside that of a decision: its subject is a name in people, and what they might decide."""


def hear_signers(flywheel: Flywheel, decision: Decision, evidence: EvidenceDigest) -> None:
    """Enter who is heard of those who signed a decision that comes in now.

    Before the entry of the decision itself: after a crash between the two it comes in again, and is never in force
    without them. Raises EvidenceError, InvalidInputError.
    """
    if decision.act in LETTING:
        return
    document = flywheel.evidence.get(evidence)
    checked = flywheel.verifier.check(document, f"evidence {evidence}", people_keys(flywheel.catalogue))
    attested = AttestedDecision(
        evidence=evidence, signatures=signatures_of(checked), decision=decision, arrived_at=flywheel.clock()
    )
    for each in unheard(flywheel, attested):
        enter(flywheel, evidence, each)


def unheard(flywheel: Flywheel, attested: AttestedDecision, *, is_late: bool = False) -> Iterator[Heard]:
    """Whom the catalogue hears of its signers, for what, and the log does not say so yet.

    Who is known only when it ``is_late`` takes back for good what let something pass, and not what stopped it: that
    lets something pass, and lasts as long as they are known.
    """
    act = attested.decision.act
    if act in LETTING:
        return
    revocable = LETTING if is_late else frozenset(Act) - FINAL
    about = revocable if act is Act.REVOKE else {act}  # who may decide it, may revoke it
    for name in attested.signatures.keys:
        person = flywheel.catalogue.people[name]
        may = {each for each in about if may_decide(person, each, attested.arrived_at)}
        if may - {each for heard in attested.heard if heard.name == name for each in heard.acts}:
            yield Heard(name=name, acts=tuple(sorted(may)))


def enter(flywheel: Flywheel, evidence: EvidenceDigest, heard: Heard) -> None:
    """Put down who was heard for a document, once however often."""
    flywheel.evidence.append(DECISIONS, HEARD, " ".join((heard.name, *heard.acts)), evidence)


def heard_in(entries: Iterable[LogEntry]) -> Mapping[EvidenceDigest, tuple[Heard, ...]]:
    """Who was heard, by the digest of what they signed. Raises EvidenceCorruptError for an entry that does not say."""
    found: dict[EvidenceDigest, tuple[Heard, ...]] = {}
    for entry in entries:
        if entry.kind == HEARD:
            name, *acts = entry.subject.split(" ")
            try:
                heard = Heard(name=name, acts=tuple(Act(act) for act in acts))
            except ValueError as error:
                raise EvidenceCorruptError(
                    f"Entry {entry.number} of {DECISIONS} does not say who was heard."
                ) from error
            found[entry.evidence] = (*found.get(entry.evidence, ()), heard)
    return found


def signatures_of(checked: Checked | None) -> Signatures:
    """What the signatures of a decision are worth: each person once, with however many keys they signed."""
    if checked is None:
        return Signatures()
    people = tuple(dict.fromkeys(key.partition("#")[0] for key in checked.keys))
    return Signatures(keys=people, unknown=checked.unknown, invalid=checked.invalid)


def people_keys(catalogue: Catalogue) -> dict[str, Trusted]:
    """Every key of every person, as ``<name in people>#<number>``."""
    return {
        f"{name}#{number}": pem
        for name, person in catalogue.people.items()
        for number, pem in enumerate(person.public_keys)
    }
