"""What others' signatures and attestations say of an image. Whether they may be believed is decided elsewhere.

Sources: in-toto attestation framework v0.1 and v1; cosign, specs/SIGNATURE_SPEC.md, and the statement of `cosign sign`
since 3.0; GitHub, actions/attest-build-provenance.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import (
    MESSAGE_DIGEST,
    PAYLOAD_TYPE,
    PROVENANCE_V1,
    SIMPLE_SIGNING,
    TEST_RESULT_V01,
    JsonValue,
    invalid,
)
from flywheel_assets.domain.untrusted import parse_json

COSIGN_SIGN_V1 = "https://sigstore.dev/cosign/sign/v1"
WORKFLOW_BUILD = "https://actions.github.io/buildtypes/workflow/v1"
REMEDY = "Let its own tool write it again."


class _Foreign(BaseModel):
    """Others' documents may say more than what is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Subject(_Foreign):
    digest: Annotated[dict[str, str], Field(max_length=16)]


class Attestation(_Foreign):
    """An in-toto Statement by somebody else, v0.1 or v1."""

    type_: Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"] = Field(alias="_type")
    subject: Annotated[tuple[_Subject, ...], Field(min_length=1, max_length=20_000)]
    predicate_type: Annotated[str, Field(alias="predicateType", max_length=500)]
    predicate: dict[str, JsonValue] | None = None

    def is_about(self, digest: Sha256) -> bool:
        """Whether one of its subjects has this SHA-256."""
        return any(subject.digest.get("sha256") == digest.hex for subject in self.subject)

    @property
    def has_failed(self) -> bool:
        """Whether it is an in-toto test result v0.1 that says anything but PASSED or WARNED, or names a failed test."""
        said = self.predicate or {}
        has_passed = said.get("result") in ("PASSED", "WARNED") and not said.get("failedTests")
        return self.predicate_type == TEST_RESULT_V01 and not has_passed

    @property
    def is_workflow_provenance(self) -> bool:
        """Whether it is SLSA provenance v1 of a GitHub Actions workflow."""
        definition = (self.predicate or {}).get("buildDefinition")
        build_type = definition.get("buildType") if isinstance(definition, dict) else None
        return self.predicate_type == PROVENANCE_V1 and build_type == WORKFLOW_BUILD


class _Image(_Foreign):
    digest: Annotated[str, Field(alias="docker-manifest-digest", max_length=200)]


class _Critical(_Foreign):
    type_: Literal["cosign container image signature"] = Field(alias="type")
    image: _Image


class _SimpleSigning(_Foreign):
    critical: _Critical


def read_attestation(payload: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> Attestation:
    """The Statement in ``payload``. Raises InvalidInputError naming the field that is wrong."""
    try:
        return Attestation.model_validate(parse_json(payload, document, limits=limits))
    except ValidationError as error:
        raise invalid(error, document, REMEDY) from error


def is_signature_of(
    payload: bytes, payload_type: str, digest: Sha256, document: str, limits: Limits = DEFAULT_LIMITS
) -> bool:
    """Whether what was signed is an image signature over exactly this digest; False for whatever else it is."""
    try:
        if payload_type == SIMPLE_SIGNING:
            signed = _SimpleSigning.model_validate(parse_json(payload, document, limits=limits))
            return signed.critical.image.digest == f"sha256:{digest.hex}"
        if payload_type == PAYLOAD_TYPE:
            statement = read_attestation(payload, document, limits)
            return statement.predicate_type == COSIGN_SIGN_V1 and statement.is_about(digest)
    except (ValidationError, InvalidInputError):
        return False
    return payload_type == MESSAGE_DIGEST and payload.hex() == digest.hex
