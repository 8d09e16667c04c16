"""People with keys, a catalogue that asks them, and what they decide."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.catalog.models import Approvals, Catalogue, Person
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.deciding import decide
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.hearing import DECISIONS, HEARD
from flywheel_assets.promotion.proposing import approval_of, case_of
from flywheel_assets.promotion.unpublishing import Carried
from flywheel_assets_tests.promotion.installation import sample_catalogue

NAMES = ("alva", "bo", "cleo")
ACTS = ("approve", "meet", "hold", "withdraw", "quarantine")
NOTHING = Carried([], [])
"""What is carried out where nothing is left to do, and nothing failed."""


@cache
def key_of(name: str) -> DsseSigner:
    """The same Ed25519 key in every test of a process; of strangers too."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return DsseSigner(pem, name)


def person(name: str, **changes: Any) -> Person:
    said = {"name": name.title(), "contact": f"{name}@example.org", "forge_names": [f"{name}-forge"], "may": ACTS}
    return Person.model_validate({**said, "keys": [key_of(name).public_key], **changes})


def with_people(
    output: str = "tide-clock", needed: int = 2, catalogue: Catalogue | None = None, by: Sequence[str] = NAMES
) -> Catalogue:
    """A catalogue in which all three people may decide everything, and ``needed`` of ``by`` must approve an output."""
    catalogue = catalogue or sample_catalogue()
    entry = catalogue.outputs[output]
    assert entry.publication
    approvals = Approvals(needed=needed, by=tuple(by)) if needed else None
    target = entry.publication.model_copy(update={"approvals": approvals})
    return catalogue.model_copy(
        update={
            "people": {name: person(name) for name in NAMES},
            "outputs": {**catalogue.outputs, output: entry.model_copy(update={"publication": target})},
        }
    )


def entered(flywheel: Flywheel) -> list[LogEntry]:
    """The entries of decisions, without those that say who was heard."""
    return [entry for entry in flywheel.evidence.entries(DECISIONS) if entry.kind != HEARD]


def approve(flywheel: Flywheel, name: str, output: str, build: BuildKey, *accepts: str, days: int = 7) -> Decision:
    decision = approval_of(case_of(flywheel, output, build), "Read and tried.", timedelta(days=days), accepts)
    decide(flywheel, decision, key_of(name))
    return decision


def decided(flywheel: Flywheel, name: str, act: Act, until: timedelta | None = None, **scope: Any) -> Decision:
    now = flywheel.clock()
    end = now + until if until else None
    decision = Decision(act=act, scope=Scope(**scope), reason="It must be so.", made_at=now, expires_at=end)
    decide(flywheel, decision, key_of(name))
    return decision
