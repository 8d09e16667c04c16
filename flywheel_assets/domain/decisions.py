"""A decision: what a person signed about builds and what they came from. The gate weighs it as evidence.

It is an in-toto Statement whose predicate says what is decided; its subject is the artifact where it is about one, and
else the scope itself, by the digest of its canonical JSON. What a decision bears on is written in its scope and
nowhere else, so that a signature can never be carried over to something that its signer did not see.
"""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.names import BuilderLabel, Line, OutputName, RepositoryUri
from flywheel_assets.domain.statements import Statement, canonical, invalid, statement_bytes

DECISION_V1 = "urn:flywheel-assets:decision:v1"
SHORT_ID = 12
REMEDY = "Write it with `flywheel approve`, `hold`, `withdraw`, `quarantine` or `revoke`."


class Act(StrEnum):
    """What is decided."""

    APPROVE = "approve"
    """This artifact may go to this surface, under this reference and authority, until a stated time."""
    MEET = "meet"
    """A gate of a declared change of release authority is met."""
    HOLD = "hold"
    """Nothing in scope goes out until this is revoked, or its time is over."""
    WITHDRAW = "withdraw"
    """This digest shall not be public, and never passes again."""
    QUARANTINE = "quarantine"
    """This signer's key, or this run, is compromised, and so is all that came of it."""
    REVOKE = "revoke"
    """An earlier decision of the same catalogue is taken back. A withdrawal cannot be."""


_Bound = Annotated[str, Field(min_length=1, max_length=1000)]


class Scope(Closed):
    """What a decision bears on; which fields are given depends on the act.

    approve: ``output``, ``digest``, ``resource`` (surface and reference, as ``gate.approvals.resource_of`` writes
    them), ``urls``, ``tags``, ``moving_tags`` and ``release`` (as ``gate.approvals.bound_of`` takes them from the
    catalogue), ``authority`` (the output that speaks for the product, the output itself where there is no product),
    ``accepts`` (reason codes that need an approval and are accepted). meet: ``product``, ``output`` (the one that the
    change is to), ``condition``, ``change`` (which declaration of it, as ``gate.decisions.declaration_of`` digests it).
    hold: ``output`` or ``builder``; neither means everything. withdraw: ``output`` and ``digest``. quarantine: ``key``
    (its name in the catalogue) with its ``fingerprint``, or ``repository`` and ``run``. revoke: ``decision`` (its
    ``id``).
    """

    output: OutputName | None = None
    digest: Sha256 | None = None
    resource: Annotated[str, Field(max_length=1000)] | None = None
    authority: OutputName | None = None
    urls: Annotated[tuple[_Bound, ...], Field(max_length=2)] = ()
    tags: Annotated[tuple[_Bound, ...], Field(max_length=64)] = ()
    moving_tags: Annotated[tuple[_Bound, ...], Field(max_length=64)] = ()
    release: Annotated[tuple[_Bound, ...], Field(max_length=2)] = ()
    accepts: Annotated[tuple[Line, ...], Field(max_length=8)] = ()
    product: OutputName | None = None
    condition: Annotated[str, Field(max_length=2000)] | None = None
    change: Sha256 | None = None
    builder: BuilderLabel | None = None
    key: OutputName | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    repository: RepositoryUri | None = None
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None
    decision: EvidenceDigest | None = None

    @property
    def subject(self) -> str:
        """A line that says what it is, for people."""
        named = (value for name, value in self if name not in _UNSAID and value)
        return " ".join(str(value) for value in named)[:200] or "everything"


_BOUND = frozenset({"urls", "tags", "moving_tags", "release"})
_UNSAID = _BOUND | {"resource", "authority", "accepts", "change", "fingerprint"}
_NEEDS: dict[Act, tuple[frozenset[str], ...]] = {
    Act.APPROVE: (frozenset({"output", "digest", "resource", "authority"}),),
    Act.MEET: (frozenset({"product", "output", "condition"}),),
    Act.HOLD: (frozenset(), frozenset({"output"}), frozenset({"builder"})),
    Act.WITHDRAW: (frozenset({"output", "digest"}),),
    # By its name alone a key was in quarantine before fingerprints were bound.
    Act.QUARANTINE: (frozenset({"key", "fingerprint"}), frozenset({"key"}), frozenset({"repository", "run"})),
    Act.REVOKE: (frozenset({"decision"}),),
}
_MAY: dict[Act, frozenset[str]] = {
    Act.APPROVE: _BOUND | {"accepts"},
    Act.MEET: frozenset({"change"}),
}
"""What may be given beside: no tags are to be bound where there are none. What was signed before ``urls`` and
``change`` were bound is still read, and the gate says that it counts no more."""


class Decision(Closed):
    """What somebody decided, why, when, and until when. An approval always ends."""

    act: Act
    scope: Scope
    reason: Annotated[Line, Field(min_length=1)]
    made_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    @property
    def id(self) -> EvidenceDigest:
        """Digest of its statement: the same however, and however often, it was wrapped and signed."""
        return EvidenceDigest.of(decision_statement(self))

    @property
    def short_id(self) -> str:
        """The first digits of its id: the one form in which people are shown it, and may give it to `revoke`."""
        return self.id.hex[:SHORT_ID]

    @model_validator(mode="after")
    def _scope_fits_the_act(self) -> Self:
        given = frozenset(name for name, value in self.scope if value not in {None, ()}) - _MAY.get(
            self.act, frozenset()
        )
        if given not in _NEEDS[self.act]:
            wanted = " or ".join(", ".join(sorted(fields)) or "nothing" for fields in _NEEDS[self.act])
            raise ValueError(f"the scope of {self.act.value} is {wanted}, not {', '.join(sorted(given)) or 'nothing'}")
        if self.act is Act.APPROVE and self.expires_at is None:
            raise ValueError("an approval needs the time at which it expires")
        if self.expires_at is not None and self.act not in {Act.APPROVE, Act.HOLD}:
            raise ValueError(f"{self.act.value} does not expire")
        if self.expires_at is not None and self.expires_at <= self.made_at:
            raise ValueError("it would expire before it was made")
        return self


def decision_statement(decision: Decision) -> bytes:
    """The canonical Statement that is signed."""
    predicate = decision.model_dump(mode="json", exclude_defaults=True)
    scope = predicate.setdefault("scope", {})
    digest = decision.scope.digest or Sha256.of(canonical(scope))
    name = decision.scope.output or decision.act.value
    return statement_bytes([(name, {"sha256": digest.hex})], DECISION_V1, predicate)


def read_decision(statement: Statement, document: str) -> Decision:
    """The decision in a Statement. Raises InvalidInputError naming the field that is wrong."""
    predicate: dict[str, Any] = statement.predicate
    try:
        decision = Decision.model_validate_json(canonical(predicate))
    except ValidationError as error:
        raise invalid(error, document, REMEDY) from error
    if canonical(statement.model_dump(mode="json", by_alias=True, exclude_none=True)) != decision_statement(decision):
        raise InvalidInputError(document, "subject", "it is not the one that its scope gives", REMEDY)
    return decision
