"""Everything a use case needs, gathered once by ``wiring`` and handed on as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from flywheel_assets.catalog.models import Catalogue, Output, TrustedKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.evidence import Signatures
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.receipts import Receipt, TestOutcome
from flywheel_assets.ports import (
    BuildSource,
    EvidenceStore,
    Identity,
    PublicationSurface,
    PublishingWorkflow,
    Rebuilder,
    RunSource,
    Signer,
    SourceCache,
    Trusted,
    Verifier,
)

if TYPE_CHECKING:
    from flywheel_assets.promotion.deciding import Standing


class Gist(NamedTuple):
    """What is remembered of a receipt that is not opened again for every other build.

    ``source`` is its revision and system, ``artifact`` a hex digest, ``actor`` who triggered it as the receipt says, in
    small letters. Two from one source whose ``says`` is the same differ in nothing but which run they are of, and when.
    Authentic is it for the catalogue with that digest.
    """

    catalogue: EvidenceDigest
    is_authentic: bool
    source: tuple[str, str]
    artifact: str
    says: str
    actor: str


@dataclass(frozen=True, slots=True)
class Flywheel:
    """The catalogue, the ports, the keys and the clock.

    ``caches`` are mutable caches by catalogue name. ``surfaces`` are publication surfaces by (surface, cache):
    a surface copies from one cache. ``verifier_signer`` signs what this project observed and concluded,
    ``release_signer`` what it publishes. ``runs`` are the forges in the catalogue's ``sources``, by name, ``rebuilder``
    what builds again where the catalogue has one. ``workflows`` are the surfaces that only a workflow can publish to,
    by name.

    What this process remembers: ``opened`` parsed documents by digest, ``gists`` what is asked of each
    receipt for other builds, ``seen`` the versions of deliveries that are in evidence, ``standing`` what people
    decided, by the digest of the catalogue that names these people, ``catalogues`` which of them are in evidence.
    """

    catalogue: Catalogue
    evidence: EvidenceStore
    inbox: BuildSource
    caches: Mapping[str, SourceCache]
    surfaces: Mapping[tuple[str, str], PublicationSurface]
    verifier: Verifier
    verifier_signer: Signer
    release_signer: Signer
    clock: Callable[[], datetime]
    limits: Limits = DEFAULT_LIMITS
    opened: dict[EvidenceDigest, tuple[Signatures, Receipt | TestOutcome]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    gists: dict[EvidenceDigest, Gist] = field(default_factory=dict)
    standing: "dict[EvidenceDigest, Standing]" = field(default_factory=dict)
    catalogues: set[EvidenceDigest] = field(default_factory=set)
    runs: Mapping[str, RunSource] = field(default_factory=dict)
    workflows: Mapping[str, PublishingWorkflow] = field(default_factory=dict)
    rebuilder: Rebuilder | None = None

    @property
    def trusted_keys(self) -> Mapping[str, Trusted]:
        """The signers in the catalogue's ``keys`` by name: public keys and keyless identities."""
        return {name: trusted(key) for name, key in self.catalogue.keys.items()}

    def output(self, name: str) -> Output:
        """The catalogued output called ``name``; KeyError otherwise."""
        return self.catalogue.outputs[name]


def under(flywheel: Flywheel, catalogue: Catalogue) -> Flywheel:
    """The same under another catalogue, with its trust root, and nothing remembered of what the last one made of it."""
    return replace(
        flywheel,
        catalogue=catalogue,
        verifier=flywheel.verifier.under(catalogue.trust_root),
        opened={},
        gists={},
        standing={},
    )


def trusted(key: TrustedKey) -> Trusted:
    """A catalogued signer as verifiers take it."""
    if key.public_key is not None:
        return key.public_key
    return Identity(str(key.issuer), str(key.identity), key.repositories)


def silent(_: int) -> None:
    """A progress callback for callers that show none."""
