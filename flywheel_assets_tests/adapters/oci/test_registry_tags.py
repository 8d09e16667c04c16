"""Which tags of a registry's repository name a manifest, whatever the registry answers."""

import json

import pytest

from flywheel_assets.adapters.oci import registry_tags
from flywheel_assets.adapters.oci.registry import Registry, RegistryRepository
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets_tests.adapters.oci.images import MANIFEST
from flywheel_assets_tests.scripted import Answer, Scripted

IMAGE = b'{"schemaVersion": 2}'
DIGEST = ManifestDigest.of(IMAGE)
LIST = "/v2/a/b/tags/list"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def repository(scripted: Scripted, **tags: bytes) -> RegistryRepository:
    for name, data in tags.items():
        scripted.answers[f"GET /v2/a/b/manifests/{name}"] = Answer(headers={"Content-Type": MANIFEST}, body=data)
    return Registry(scripted.url, pauses=(0, 0)).repository("a/b")


def listing(*names: object, **headers: str) -> Answer:
    return Answer(headers=headers, body=json.dumps({"name": "a/b", "tags": names}).encode())


def test_tags_of_all_pages_that_name_it_are_found_and_those_of_others_are_not(scripted: Scripted) -> None:
    scripted.answers[f"GET {LIST}"] = lambda asked: (
        listing("last")
        if "last" in asked.query
        else listing("first", "other", "gone", Link=f'<{LIST}?last=x>; rel="next"')
    )
    assert repository(scripted, first=IMAGE, other=b"{}", last=IMAGE).tags_of(DIGEST) == ("first", "last")


def test_a_repository_without_tags_has_none(scripted: Scripted) -> None:
    scripted.answers[f"GET {LIST}"] = Answer(body=b'{"name": "a/b", "tags": null}')
    assert repository(scripted).tags_of(DIGEST) == ()


@pytest.mark.parametrize("tags", [["../../evil"], ["a", 1], "main", {"a": "b"}, 5])
def test_what_is_no_list_of_tags_is_refused(scripted: Scripted, tags: object) -> None:
    scripted.answers[f"GET {LIST}"] = Answer(body=json.dumps({"tags": tags}).encode())
    with pytest.raises(InvalidInputError):
        repository(scripted, m=IMAGE).tags_of(DIGEST)


@pytest.mark.parametrize(("status", "error"), [(403, UnauthorisedError), (500, UnreadableError), (404, AbsentError)])
def test_a_list_that_cannot_be_read_is_not_no_tags(scripted: Scripted, status: int, error: type[Exception]) -> None:
    scripted.answers[f"GET {LIST}"] = Answer(status)
    with pytest.raises(error):
        repository(scripted).tags_of(DIGEST)


@pytest.mark.parametrize(("status", "error"), [(403, UnauthorisedError), (500, UnreadableError)])
def test_a_tag_that_cannot_be_read_is_not_one_that_names_another(
    scripted: Scripted, status: int, error: type[Exception]
) -> None:
    scripted.answers[f"GET {LIST}"] = listing("main")
    scripted.answers["GET /v2/a/b/manifests/main"] = Answer(status)
    with pytest.raises(error):
        repository(scripted).tags_of(DIGEST)


def test_pages_without_an_end_pages_elsewhere_and_too_many_tags_are_refused(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_tags, "MAX_PAGES", 3)
    scripted.answers[f"GET {LIST}"] = listing(Link=f'<{LIST}?last=x>; rel="next"')
    with pytest.raises(LimitExceededError, match="for more than 3 pages"):
        repository(scripted).tags_of(DIGEST)
    scripted.answers[f"GET {LIST}"] = listing(*(f"t{number}" for number in range(10_001)))
    with pytest.raises(LimitExceededError, match="more than 10,000"):
        repository(scripted).tags_of(DIGEST)
    scripted.answers[f"GET {LIST}"] = listing(Link='<https://elsewhere.invalid/>; rel="next"')
    with pytest.raises(LedAstrayError):
        repository(scripted).tags_of(DIGEST)
