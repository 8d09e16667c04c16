"""What people decided, for people: who, what, until when, and whether it counts and why not. The gate decides that."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceError, printable
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt, EvidenceBundle
from flywheel_assets.gate.approvals import why_not_approving
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import end_of, why_not_counted
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.deciding import Standing, marks_of, standing
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.opening import authentic_receipt
from flywheel_assets.promotion.reading import one_reading

_NO_BUILD = BuildKey(run="none", attempt=1, system="none")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A decision, when it ends, and why it does not count now (empty: it counts).

    ``build`` is the one of which it was weighed: an approval counts for one build and not for another.
    """

    attested: AttestedDecision
    until: datetime | None
    why_not: str
    build: str = ""

    @property
    def decision(self) -> Decision:
        """What was decided."""
        return self.attested.decision

    @property
    def who(self) -> str:
        """The people who signed it, by their names in the catalogue, or in one before it."""
        return ", ".join(self.attested.signers)

    @property
    def what(self) -> str:
        """What it bears on, digests shortened: whole ones would push the rest of a table out of sight."""
        subject = printable(self.decision.scope.subject, 200)
        return re.sub(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", subject)

    @property
    def counts(self) -> str:
        """``yes``, or ``no`` and why not."""
        return f"no: {self.why_not}" if self.why_not else "yes"

    def document(self) -> dict[str, Any]:
        """As `flywheel decisions --json` prints it (docs/json.md)."""
        decision = self.decision
        return {
            "id": str(decision.id),
            "evidence": str(self.attested.evidence),
            "act": decision.act.value,
            "scope": decision.scope.model_dump(mode="json", exclude_defaults=True),
            "build": self.build,
            "who": list(self.attested.signers),
            "reason": decision.reason,
            "made_at": decision.made_at.isoformat(),
            "arrived_at": self.attested.arrived_at.isoformat(),
            "until": self.until.isoformat() if self.until else "",
            "counts": not self.why_not,
            "why_not": self.why_not,
        }


def weighed(bundle: EvidenceBundle, catalogue: Catalogue, now: datetime) -> tuple[Weighed, ...]:
    """The decisions that bear on a build, in the order of arrival."""
    case = Case(bundle, catalogue, catalogue.outputs[bundle.output], now)
    return tuple(_weighed(case, attested) for attested in bundle.decisions)


def decisions_on(flywheel: Flywheel, output: str | None = None) -> list[Weighed]:
    """All that people decided, or what bears on an output; an approval once for each build of its artifact.

    Raises EvidenceError when any of it cannot be read: what is not shown may be a hold.
    """
    flywheel = one_reading(flywheel)
    heard = standing(flywheel)
    if heard.damaged:
        raise EvidenceCorruptError(heard.damaged[0])
    found = heard.all if output is None else _on_output(flywheel, output, heard)
    by_id = {each.decision.id: each for each in heard.all}
    builds: dict[str, dict[str, list[BuildKey]]] = {}
    rows = []
    for attested in found:
        scope = attested.decision.scope
        about = scope.output if scope.output in flywheel.catalogue.outputs else next(iter(flywheel.catalogue.outputs))
        of_artifact = []
        if attested.decision.act is Act.APPROVE and scope.digest is not None and about == scope.output:
            builds[about] = builds.get(about) or _builds_by_digest(flywheel, about)
            of_artifact = builds[about].get(scope.digest.hex, [])
        named = by_id.get(scope.decision) if scope.decision else None
        around = (attested, *heard.revoking(attested), *([named] if named else []))
        bundles = [assemble(flywheel, about, build) for build in of_artifact]
        for bundle in bundles or [EvidenceBundle(output=about, build=_NO_BUILD, decisions=around)]:
            case = Case(bundle, flywheel.catalogue, flywheel.output(about), flywheel.clock())
            rows.append(_weighed(case, attested))
    return rows


def same_decision(flywheel: Flywheel, decision: Decision, by: Iterable[str] = ()) -> Weighed | None:
    """A decision of the same scope that counts already, by one of these people if any are named.

    None too where decisions cannot be read: it is signed anew then, as damage must keep nobody from deciding.
    """
    about, names = (decision.act, decision.scope), set(by)
    with suppress(EvidenceError):
        if any((each.decision.act, each.decision.scope) == about for each in standing(flywheel).all):
            same = (e for e in decisions_on(flywheel) if (e.decision.act, e.decision.scope) == about and not e.why_not)
            return next((each for each in same if not names or names & set(each.attested.signers)), None)
    return None


def _on_output(flywheel: Flywheel, output: str, heard: Standing) -> tuple[AttestedDecision, ...]:
    """What bears on any of its builds, through what they are built from too, or would on one to come."""
    found = {each.evidence for each in heard.on(marks_of(flywheel.catalogue, output, (), ()))}
    for build in builds_of(flywheel, output):
        found |= {each.evidence for each in assemble(flywheel, output, build).decisions}
    return tuple(each for each in heard.all if each.evidence in found)


def _weighed(case: Case, attested: AttestedDecision) -> Weighed:
    of_build = case.bundle.build != _NO_BUILD
    is_approval = attested.decision.act is Act.APPROVE and of_build
    return Weighed(
        attested=attested,
        until=end_of(attested, case.output.publication.approvals if case.output.publication else None),
        why_not=why_not_approving(case, attested) if is_approval else why_not_counted(case, attested),
        build=str(case.bundle.build) if of_build else "",
    )


def _receipts(flywheel: Flywheel, output: str) -> Iterator[tuple[BuildKey, AttestedReceipt]]:
    for entry in flywheel.evidence.entries(output_log(output)):
        attested = authentic_receipt(flywheel, entry) if entry.kind == RECEIPT else None
        if attested is not None:
            yield BuildKey.parse(entry.subject), attested


def _builds_by_digest(flywheel: Flywheel, output: str) -> dict[str, list[BuildKey]]:
    found: dict[str, list[BuildKey]] = {}
    for build, attested in _receipts(flywheel, output):
        builds = found.setdefault(attested.receipt.artifact.digest.hex, [])
        builds += [build] if build not in builds else []
    return found
