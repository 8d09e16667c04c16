"""Build keys: the text is the partition key, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.builds import BuilderRun, BuildKey
from flywheel_assets_tests.domain.cases import RUNS


@given(RUNS)
def test_a_key_is_read_back_from_its_text(run: BuilderRun) -> None:
    assert BuildKey.parse(str(run.key)) == run.key
    assert run.order == (run.finished_at, str(run.key))


@pytest.mark.parametrize("text", ["", "1.1", "1..x", "../1.1.x", "1.0.x", "1.1.X", "1.1.x.y", "1.99999.x", "1.1.x\n"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a build is named <run>\.<attempt>\.<system>|BuildKey"):
        BuildKey.parse(text)


@given(st.text(max_size=30))
def test_no_text_fails_in_an_unforeseen_way(text: str) -> None:
    try:
        key = BuildKey.parse(text)
    except ValueError:
        return
    assert str(key) == text or key.attempt
