"""What `flywheel receipt` takes from a CI's variables."""

import pytest

from flywheel_assets.cli.emitting import ref_of_ci, repository_of_ci

VARIABLES = (
    "GITHUB_REF",
    "GITHUB_SERVER_URL",
    "GITHUB_REPOSITORY",
    "CI_COMMIT_TAG",
    "CI_COMMIT_BRANCH",
    "CI_PROJECT_URL",
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value", "ref"),
    [
        ("GITHUB_REF", "refs/heads/main", "refs/heads/main"),
        ("CI_COMMIT_BRANCH", "main", "refs/heads/main"),
        ("CI_COMMIT_TAG", "v1.2.0", "refs/tags/v1.2.0"),
    ],
)
def test_a_ref_is_full_whichever_ci_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str, ref: str) -> None:
    assert ref_of_ci() == ""
    monkeypatch.setenv(name, value)
    assert ref_of_ci() == ref


def test_a_repository_is_its_https_uri_whichever_ci_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert repository_of_ci() == ""
    monkeypatch.setenv("CI_PROJECT_URL", "https://gitlab.com/org/lamp")
    assert repository_of_ci() == "https://gitlab.com/org/lamp"
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/lamp")
    assert repository_of_ci() == "https://github.com/org/lamp"
