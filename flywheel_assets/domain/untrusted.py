"""Reading untrusted JSON: the limits policy first, then a strict parser, then nothing else.

What the standard parser lets through and this refuses: duplicate keys, NaN and infinities, deep nesting,
very long strings, bytes that are not UTF-8.
"""

import json
import math
import re
from typing import Any, NoReturn

from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits

JsonObject = dict[str, Any]

# Up to its end, or that of the text. Possessive, so that nothing is gone over twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(
    data: bytes, document: str, *, max_bytes: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> JsonObject:
    """The JSON object in ``data``.

    Raises LimitExceededError before parsing what is too large or too deep, InvalidInputError for the rest.
    ``document`` names the bytes in errors.
    """
    bound = limits.receipt_bytes if max_bytes is None else max_bytes
    if len(data) > bound:
        raise LimitExceededError(
            document, "size", f"{len(data):,} bytes, and at most {bound:,} are read", "Make it smaller."
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(document, f"byte {error.start}", "not UTF-8", "Encode it as UTF-8.") from error
    if _depth(text) > limits.json_depth:
        raise LimitExceededError(
            document, "nesting", f"deeper than {limits.json_depth} levels", "Flatten the document."
        )

    def refuse_constant(name: str) -> NoReturn:
        raise InvalidInputError(document, name, "is not a JSON number (RFC 8259, section 6)", "Use a number.")

    def unique_keys(pairs: list[tuple[str, Any]]) -> JsonObject:
        result: JsonObject = {}
        for key, value in pairs:
            if key in result:
                raise InvalidInputError(document, key, "appears twice in one object", "Keep one of them.")
            result[key] = value
        return result

    try:
        value = json.loads(text, parse_constant=refuse_constant, parse_float=_finite, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise InvalidInputError(document, "JSON", f"cannot be parsed: {error}", "Emit valid JSON.") from error
    if not isinstance(value, dict):
        raise InvalidInputError(document, "JSON", "is not an object", "Emit a JSON object at top level.")
    _check_strings(value, document, limits)
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:40]} is larger than any number")
    return value


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings; linear, and safe before any recursive parser runs."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _check_strings(value: object, document: str, limits: Limits, field: str = "$") -> None:
    if isinstance(value, str):
        # The payload of an envelope is one string; its decoded form has the receipt's own bound.
        if len(value) > limits.string_chars and not field.endswith(".payload"):
            raise LimitExceededError(
                document,
                field,
                f"a string of {len(value):,} characters, over {limits.string_chars:,}",
                "Shorten it.",
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key, document, limits, f"{field} (a key)")
            _check_strings(item, document, limits, f"{field}.{key}"[:200])
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_strings(item, document, limits, f"{field}[{number}]"[:200])
