"""Recipes: what a verdict stands on, as one small document that names all evidence by digest.

A recipe's own digest is the verdict's basis. It is kept with the verdict, so that the evidence bundle of then can be
put together again, whatever the logs hold by now.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Protocol

from pydantic import AwareDatetime

from flywheel_assets import __version__
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.evidence import AttestedDecision, ChannelHead, EvidenceBundle, Heard
from flywheel_assets.domain.names import OutputName
from flywheel_assets.domain.statements import canonical
from flywheel_assets.gate.moments import moments

DECIDES = ("catalog", "domain", "gate", "promotion")  # the packages that a verdict and its recipe come from


class Ingredient(Closed):
    """One document by its digest, with its time of arrival where that counts; of a decision who was heard by then."""

    evidence: EvidenceDigest
    arrived_at: AwareDatetime | None = None
    heard: tuple[Heard, ...] = ()


class Recipe(Closed):
    """Which document went into which part of an evidence bundle, in its order.

    ``catalogue`` is the digest of the part that can bear on the output, ``moments`` how many of the gate's moments had
    come. What signatures are worth is not in it: that follows from the documents and the catalogue.
    """

    output: OutputName
    build: BuildKey
    catalogue: EvidenceDigest
    moments: int
    receipts: tuple[Ingredient, ...] = ()
    witnesses: tuple[Ingredient, ...] = ()
    starters: tuple[Ingredient, ...] = ()
    dependencies: tuple[Ingredient, ...] = ()
    tests: tuple[EvidenceDigest, ...] = ()
    inspections: tuple[EvidenceDigest, ...] = ()
    platform_runs: tuple[EvidenceDigest, ...] = ()
    decisions: tuple[Ingredient, ...] = ()
    disagreements: tuple[EvidenceDigest, ...] = ()
    comparisons: tuple[EvidenceDigest, ...] = ()
    channel: ChannelHead | None = None
    canonical: ChannelHead | None = None
    damaged: tuple[str, ...] = ()

    @property
    def digest(self) -> EvidenceDigest:
        """Digest of its canonical JSON: the basis of a verdict. When it is unchanged, so is the verdict."""
        return EvidenceDigest.of(canonical(self.model_dump(mode="json", exclude_defaults=True)))


class _Named(Protocol):
    @property
    def evidence(self) -> EvidenceDigest: ...


class _Arrived(_Named, Protocol):
    @property
    def arrived_at(self) -> datetime | None: ...


def recipe_of(bundle: EvidenceBundle, catalogue: Catalogue, now: datetime) -> Recipe:
    """Of the time it holds only what the gate asks of it: how many of its moments have come."""
    return Recipe(
        output=bundle.output,
        build=bundle.build,
        catalogue=catalogue.digest_for(bundle.output),
        moments=sum(moment <= now for moment in moments(bundle, catalogue)),
        receipts=_arrived(bundle.receipts),
        witnesses=_arrived(bundle.witnesses),
        starters=_arrived(bundle.starters),
        dependencies=_arrived(bundle.dependencies),
        tests=_named(bundle.tests),
        inspections=_named(bundle.inspections),
        platform_runs=_named(bundle.platform_runs),
        decisions=tuple(_of_decision(each) for each in bundle.decisions),
        disagreements=_named(bundle.disagreements),
        comparisons=_named(bundle.comparisons),
        channel=bundle.channel,
        canonical=bundle.canonical,
        damaged=bundle.damaged,
    )


def next_moment(bundle: EvidenceBundle, catalogue: Catalogue, now: datetime) -> datetime | None:
    """When the verdict can change although no evidence does; None when time alone changes nothing any more."""
    return next((moment for moment in moments(bundle, catalogue) if moment > now), None)


@cache
def program() -> str:
    """The version of what judges: the package's, and a digest of the code that a verdict and its recipe come from."""
    package, digest = files("flywheel_assets"), sha256()
    for folder in DECIDES:
        sources = (path for path in package.joinpath(folder).iterdir() if path.name.endswith(".py"))
        for path in sorted(sources, key=lambda path: path.name):
            digest.update(path.read_bytes())
    return f"{__version__} {digest.hexdigest()[:16]}"


def _arrived(found: Iterable[_Arrived]) -> tuple[Ingredient, ...]:
    return tuple(Ingredient(evidence=each.evidence, arrived_at=each.arrived_at) for each in found)


def _of_decision(attested: AttestedDecision) -> Ingredient:
    return Ingredient(evidence=attested.evidence, arrived_at=attested.arrived_at, heard=attested.heard)


def _named(found: Iterable[_Named]) -> tuple[EvidenceDigest, ...]:
    return tuple(each.evidence for each in found)
