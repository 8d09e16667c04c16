"""printable, and that every error's text is one a terminal may show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.errors import FlywheelError, InvalidInputError, LimitExceededError, printable


@given(st.text(max_size=400), st.integers(1, 200))
def test_whatever_comes_in_is_printable_and_short_when_it_goes_out(text: str, limit: int) -> None:
    clean = printable(text, limit)
    assert clean.isprintable()
    assert len(clean) <= limit
    clean.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é ✓", "plain é ✓"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\x00", "a\\x0ab\\x0d\\x00"),
        ("\x9b0m", "\\x9b0m"),
        ("\u202egnp.exe", "\\x202egnp.exe"),
        ("\ud800", "\\xd800"),
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 159 + "…"),
    ],
)
def test_control_characters_are_spelled_out_and_long_text_is_cut(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(), st.text(), st.text(), st.text())
def test_the_sentence_of_an_invalid_input_is_printable(document: str, field: str, problem: str, remedy: str) -> None:
    error = InvalidInputError(document, field, problem, remedy)
    assert str(error).isprintable()
    assert str(error) == f"{error.document}: {error.field}: {error.problem.removesuffix('.')}. {error.remedy}"


def test_a_limit_that_is_exceeded_is_an_invalid_input_too() -> None:
    assert issubclass(LimitExceededError, InvalidInputError)
    assert issubclass(InvalidInputError, FlywheelError)
    assert not issubclass(FlywheelError, ValueError)
