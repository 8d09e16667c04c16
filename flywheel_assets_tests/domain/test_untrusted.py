"""parse_json: limits before parsing, and nothing but a plain object comes through."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.untrusted import parse_json

TEN_MB = 10 * 2**20


def refused(data: bytes) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as error:
        parse_json(data, "a.json")
    return error.value


def test_a_plain_object_comes_through() -> None:
    assert parse_json(b'{"a": [1, 2.5, "\xc3\xa9", null, true, {}]}', "a.json") == {"a": [1, 2.5, "é", None, True, {}]}


def test_size_is_looked_at_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: object, **__: object) -> None:
        raise AssertionError("was parsed")

    monkeypatch.setattr(json, "loads", parsed)
    error = refused(b"\xff" * (DEFAULT_LIMITS.receipt_bytes + 1))
    assert isinstance(error, LimitExceededError)
    assert (error.field, error.problem) == ("size", "4,194,305 bytes, and at most 4,194,304 are read")


def test_the_bound_itself_is_read() -> None:
    data = b'{"a": 1}'
    assert parse_json(data, "a.json", max_bytes=len(data)) == {"a": 1}
    with pytest.raises(LimitExceededError, match="8 bytes, and at most 7 are read"):
        parse_json(data, "a.json", max_bytes=len(data) - 1)


@pytest.mark.parametrize("bomb", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 33 + b"]" * 33])
def test_a_deep_document_is_refused_before_it_is_parsed(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("was parsed"))
    error = refused(bomb)
    assert isinstance(error, LimitExceededError)
    assert (error.field, error.problem) == ("nesting", "deeper than 32 levels")


def test_the_depth_bound_itself_is_read_and_brackets_in_strings_do_not_count() -> None:
    assert parse_json(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}", "a.json")
    assert parse_json(b'{"a": "\\"' + b"[" * 100 + b'"}', "a.json") == {"a": '"' + "[" * 100}


@pytest.mark.parametrize("data", [b'{"a": 1, "a": 1}', b'{"b": {"a": 1, "a": 2}}', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_appears_twice_is_refused(data: bytes) -> None:
    assert (refused(data).field, refused(data).problem) == ("a", "appears twice in one object")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(constant: str) -> None:
    error = refused(f'{{"a": {constant}}}'.encode())
    assert (error.field, error.problem) == (constant, "is not a JSON number (RFC 8259, section 6)")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0"])
def test_a_number_that_becomes_infinite_is_refused(number: str) -> None:
    assert "is larger than any number" in refused(f'{{"a": {number}}}'.encode()).problem


def test_an_integer_of_very_many_digits_is_refused() -> None:
    error = refused(b'{"a": ' + b"9" * 100_000 + b"}")
    assert error.field == "JSON"
    assert "Exceeds the limit" in error.problem


def test_a_very_long_string_is_refused_wherever_it_stands() -> None:
    limits = replace(DEFAULT_LIMITS, receipt_bytes=2 * TEN_MB)
    long = "x" * TEN_MB
    for document in ({"a": long}, {"a": [{"b": long}]}, {long: 1}):
        with pytest.raises(LimitExceededError, match=r"a string of 10,485,760 characters, over 65,536"):
            parse_json(json.dumps(document).encode(), "a.json", limits=limits)


def test_the_payload_of_an_envelope_may_be_long() -> None:
    assert parse_json(json.dumps({"payload": "x" * 100_000}).encode(), "a.json")


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    error = refused(b'{"a": "\xff"}')
    assert (error.field, error.problem) == ("byte 7", "not UTF-8")
    assert refused('{"a": 1}'.encode("utf-16")).problem == "not UTF-8"


def test_a_byte_order_mark_is_refused() -> None:
    assert refused(b'\xef\xbb\xbf{"a": 1}').field == "JSON"


@pytest.mark.parametrize("data", [b"[]", b"1", b'"a"', b"null", b"true"])
def test_what_is_no_object_at_top_level_is_refused(data: bytes) -> None:
    assert refused(data).problem == "is not an object"


@pytest.mark.parametrize("data", [b"", b" ", b"{", b"{'a': 1}", b'{"a": 1,}', b'{"a": 01}', b'{"a": "\n"}', b"{}x"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    assert refused(data).problem.startswith("cannot be parsed: ")


def test_a_lone_surrogate_does_no_harm_in_an_error() -> None:
    parsed = parse_json(b'{"\\ud800": "\\udfff"}', "a.json")
    assert parsed == {"\ud800": "\udfff"}
    error = refused(b'{"\\ud800": 1, "\\ud800": 1}')
    assert error.field == "\\xd800"
    str(error).encode()


JSON_LIKE = st.text(st.sampled_from('{}[]":,\\eE+-.0123456789truefalsnI \n\ud800u'), max_size=60)


@given(st.binary(max_size=200) | JSON_LIKE.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        parse_json(data, "a.json")
    except InvalidInputError as error:
        str(error).encode()
