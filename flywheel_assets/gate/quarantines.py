"""Which signers and runs people called compromised: a key under any name, and all that came of a run."""

from collections.abc import Iterable
from dataclasses import dataclass

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.decisions import Act, Decision, Scope
from flywheel_assets.domain.disagreements import Side
from flywheel_assets.domain.evidence import AttestedDecision, AttestedReceipt
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import counting


@dataclass(frozen=True, slots=True)
class _Origin:
    """What signed something, by name and by fingerprint, and which run it came of."""

    keys: frozenset[str]
    fingerprints: frozenset[str]
    repository: str | None = None
    run: str = ""


def quarantine_of(case: Case, attested: AttestedReceipt) -> AttestedDecision | None:
    """The first decision that says that what signed or ran it is compromised."""
    origin = _origin(case.catalogue, attested)
    return next((d for d in counting(case, Act.QUARANTINE) if _is_about(d.decision.scope, origin)), None)


def stops(catalogue: Catalogue, decision: Decision, attested: AttestedReceipt) -> bool:
    """Whether a decision about a maker, should it count, is about the maker of a receipt's artifact."""
    if decision.act is Act.HOLD:
        return decision.scope.builder == attested.receipt.run.builder
    return _is_about(decision.scope, _origin(catalogue, attested))


def is_side_quarantined(case: Case, side: Side) -> bool:
    """Whether what signed or ran one side of a disagreement is said to be compromised."""
    origin = _Origin(frozenset(side.keys), frozenset(side.fingerprints), side.repository, side.build.run)
    return any(_is_about(decided.decision.scope, origin) for decided in counting(case, Act.QUARANTINE))


def quarantined_keys(case: Case) -> frozenset[str]:
    """The names of signers that are said to be compromised."""
    scopes = [decided.decision.scope for decided in counting(case, Act.QUARANTINE)]
    if not scopes:
        return frozenset()
    origins = ((name, _Origin(frozenset({name}), fingerprints(case.catalogue, {name}))) for name in case.catalogue.keys)
    return frozenset(name for name, origin in origins if any(_is_about(scope, origin) for scope in scopes))


def fingerprints(catalogue: Catalogue, names: Iterable[str]) -> frozenset[str]:
    """What the catalogue's keys of these names are, under any name."""
    return frozenset(catalogue.keys[name].fingerprint for name in names if name in catalogue.keys)


def _origin(catalogue: Catalogue, attested: AttestedReceipt) -> _Origin:
    names, run = frozenset(attested.signatures.keys), attested.receipt.run
    return _Origin(names, fingerprints(catalogue, names), run.source.repository, run.key.run)


def _is_about(scope: Scope, origin: _Origin) -> bool:
    """Whether the compromised key signed it, or it came of the compromised run.

    A key goes by its name alone where that is all that was signed, before fingerprints were.
    """
    if scope.fingerprint is not None:
        return scope.fingerprint in origin.fingerprints
    if scope.key is not None:
        return scope.key in origin.keys
    return (scope.repository, scope.run) == (origin.repository, origin.run)
