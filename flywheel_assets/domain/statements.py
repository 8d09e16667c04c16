"""in-toto Statements: the envelope-free form of receipts, test results and verification summaries.

Sources: in-toto attestation framework v1 (statement.md), SLSA provenance v1, in-toto test-result v0.1.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import Line
from flywheel_assets.domain.untrusted import parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PROVENANCE_V1 = "https://slsa.dev/provenance/v1"
TEST_RESULT_V01 = "https://in-toto.io/attestation/test-result/v0.1"
VSA_V1 = "https://slsa.dev/verification_summary/v1"

# What else than a statement is signed: cosign's first format for images, and the bare SHA-256 of something.
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
MESSAGE_DIGEST = "sha256"

JsonValue = Any


class Wire(BaseModel):
    """A closed wire object: camelCase names by alias, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ResourceDescriptor(Wire):
    """in-toto ResourceDescriptor v1, as far as statements here use it."""

    name: Line | None = None
    uri: Annotated[str, Field(max_length=1000)] | None = None
    digest: Annotated[dict[Line, Line], Field(max_length=4)] = {}
    annotations: Annotated[dict[Line, JsonValue], Field(max_length=16)] = {}


class Subject(Wire):
    """A subject: name and digest set."""

    name: Line
    digest: Annotated[dict[Line, Line], Field(min_length=1, max_length=4)]


class Statement(Wire):
    """The outer form; the predicate is read by whoever knows its type."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=20_000)]
    predicate_type: Annotated[str, Field(alias="predicateType", max_length=200)]
    predicate: dict[str, JsonValue]


def canonical(value: JsonValue) -> bytes:
    """RFC 8785 bytes of a JSON value: equal values, equal bytes."""
    return rfc8785.dumps(value)


def statement_bytes(
    subjects: Sequence[tuple[str, Mapping[str, str]]], predicate_type: str, predicate: JsonValue
) -> bytes:
    """A canonical Statement about ``subjects`` (name, digest set)."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": dict(digest)} for name, digest in subjects],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def parse_statement(payload: bytes, document: str, remedy: str, limits: Limits = DEFAULT_LIMITS) -> Statement:
    """A Statement out of untrusted bytes, its predicate not looked at. Raises InvalidInputError naming the field."""
    try:
        return Statement.model_validate(parse_json(payload, document, limits=limits))
    except ValidationError as error:
        raise invalid(error, document, remedy) from error


def invalid(error: ValidationError, document: str, remedy: str) -> InvalidInputError:
    """The first complaint of pydantic as our error: the field by its path, never the value's repr."""
    detail: ErrorDetails = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in detail["loc"]) or "$"
    return InvalidInputError(document, field, detail["msg"], remedy)
