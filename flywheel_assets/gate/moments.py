"""The moments at which a verdict can change although no evidence does: all that the gate asks of the time."""

from datetime import datetime

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.evidence import EvidenceBundle
from flywheel_assets.gate.authenticity import CLOCK_SKEW
from flywheel_assets.gate.decisions import end_of


def moments(bundle: EvidenceBundle, catalogue: Catalogue) -> tuple[datetime, ...]:
    """Sorted. Between two neighbours the verdict is the same at every time, and so it is from the last one on.

    A run's end lets its receipt be believed; an exception, a hold or an approval ends, and so does a person's time.
    """
    output = catalogue.outputs[bundle.output]
    approvals = output.publication.approvals if output.publication else None
    found = {attested.receipt.run.finished_at - CLOCK_SKEW for attested in bundle.receipts}
    found |= {entry.until for entry in catalogue.exceptions.values() if entry.output == bundle.output}
    found |= {end for attested in bundle.decisions if (end := end_of(attested, approvals)) is not None}
    people = [catalogue.people[name] for name in (approvals.by if approvals else ())]
    found |= {person.valid_until for person in people if person.valid_until is not None}
    return tuple(sorted(found))
