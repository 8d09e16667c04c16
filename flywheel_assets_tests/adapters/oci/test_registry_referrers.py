"""Lists of referrers in registries: by their API, by the fallback tag, and what some registries answer instead."""

import json
from typing import Any

import pytest

from flywheel_assets.adapters.oci.documents import OCI_INDEX
from flywheel_assets.adapters.oci.registry import Registry, RegistryRepository
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import (
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
)
from flywheel_assets_tests.adapters.oci.images import MANIFEST, digest_of
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

SUBJECT = ManifestDigest.of(b"subject")
BY_API = f"/v2/a/b/referrers/{SUBJECT}"
BY_TAG = f"/v2/a/b/manifests/sha256-{SUBJECT.hex}"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def repository(scripted: Scripted) -> RegistryRepository:
    return Registry(scripted.url, pauses=(0, 0)).repository("a/b")


def entry(name: str) -> dict[str, Any]:
    return {"mediaType": MANIFEST, "digest": digest_of(name.encode()), "size": len(name), "annotations": {"n": name}}


def index(*entries: object, **headers: str) -> Answer:
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return Answer(headers={"Content-Type": OCI_INDEX, **headers}, body=body)


def test_all_pages_of_the_api_are_read(scripted: Scripted) -> None:
    scripted.answers[f"GET {BY_API}"] = lambda asked: (
        index(entry("b")) if asked.query else index(entry("a"), Link=f'<{BY_API}?page=2>; rel="next"')
    )
    assert repository(scripted).referrers(SUBJECT) == [entry("a"), entry("b")]


def test_pages_without_an_end_and_pages_elsewhere_are_refused(scripted: Scripted) -> None:
    scripted.answers[f"GET {BY_API}"] = index(entry("a"), Link=f'<{BY_API}?page=2>; rel="next"')
    with pytest.raises(LimitExceededError):
        repository(scripted).referrers(SUBJECT)
    scripted.answers[f"GET {BY_API}"] = index(entry("a"), Link='<https://elsewhere.invalid/>; rel="next"')
    with pytest.raises(LedAstrayError):
        repository(scripted).referrers(SUBJECT)


@pytest.mark.parametrize("number", [300, 3], ids=["too many", "too large"])
def test_all_pages_together_are_bounded_like_one(scripted: Scripted, number: int) -> None:
    padding = {str(part): "x" * 60_000 for part in range(12 if number == 3 else 0)}
    entries = [{**entry(str(each)), "more": padding} for each in range(number)]
    scripted.answers[f"GET {BY_API}"] = lambda asked: (
        index(*entries) if asked.query else index(*entries, Link=f'<{BY_API}?page=2>; rel="next"')
    )
    with pytest.raises(LimitExceededError, match="more than 512 or"):
        repository(scripted).referrers(SUBJECT)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_list_on_a_host_that_is_not_allowed_is_not_taken_for_no_referrers(scripted: Scripted, status: int) -> None:
    """303 leads to something else than what was asked for, all others to the list itself."""
    scripted.answers[f"GET {BY_API}"] = Answer(status, {"Location": "https://elsewhere.invalid/list"})
    scripted.answers[f"GET {BY_TAG}"] = index(entry("a"))
    with pytest.raises(LedAstrayError):
        repository(scripted).referrers(SUBJECT)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(400),
        Answer(303, {"Location": "https://elsewhere.invalid/login"}),
        Answer(303, {"Location": "/login"}),
        Answer(200, {"Content-Type": "text/html"}, b"<html>"),
        Answer(200, {"Content-Type": "application/json"}, b"{}"),
    ],
)
def test_all_but_an_index_is_no_api_and_the_fallback_tag_is_read(scripted: Scripted, answer: Answer) -> None:
    scripted.answers[f"GET {BY_API}"] = answer
    scripted.answers["GET /login"] = Answer(200, {"Content-Type": "text/html"}, b"<html>")
    assert repository(scripted).referrers(SUBJECT) == []
    scripted.answers[f"GET {BY_TAG}"] = index(entry("a"))
    assert repository(scripted).referrers(SUBJECT) == [entry("a")]


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorisedError), (403, UnauthorisedError), (429, RateLimitedError)]
)
def test_a_refusal_is_not_taken_for_no_referrers(scripted: Scripted, status: int, error: type[Exception]) -> None:
    scripted.answers[f"GET {BY_API}"] = Answer(status)
    with pytest.raises(error):
        repository(scripted).referrers(SUBJECT)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"manifests": 7}', b'{"manifests": [7]}', b'{"manifests": [{"digest": 7}]}', b'{"mediaType": "x"}'],
)
def test_what_is_no_list_is_an_error_and_not_no_referrers(scripted: Scripted, body: bytes) -> None:
    scripted.answers[f"GET {BY_TAG}"] = Answer(headers={"Content-Type": OCI_INDEX}, body=body)
    with pytest.raises(InvalidInputError):
        repository(scripted).referrers(SUBJECT)


def test_a_list_that_is_too_long_is_refused(scripted: Scripted) -> None:
    scripted.answers[f"GET {BY_TAG}"] = index(*(entry(str(number)) for number in range(600)))
    with pytest.raises(LimitExceededError):
        repository(scripted).referrers(SUBJECT)


class Tagged:
    """A fallback tag as a registry keeps it; others write over it ``stolen`` times."""

    def __init__(self, scripted: Scripted, *entries: object, stolen: int = 0) -> None:
        self.answer, self.stolen, self.first = index(*entries), stolen, index(*entries)
        scripted.answers[BY_TAG] = self.asked

    def asked(self, asked: Asked) -> Answer:
        if asked.method != "PUT":
            return self.answer
        self.stolen -= 1
        self.answer = self.first if self.stolen >= 0 else Answer(headers={"Content-Type": OCI_INDEX}, body=asked.body)
        return Answer(201)


def listed(scripted: Scripted) -> set[str]:
    return {each["annotations"]["n"] for each in repository(scripted).referrers(SUBJECT)}


def test_ours_are_listed_beside_those_of_others_and_what_is_gone_is_dropped(scripted: Scripted) -> None:
    Tagged(scripted, entry("theirs"), entry("gone"))
    scripted.answers[f"HEAD /v2/a/b/manifests/{entry('theirs')['digest']}"] = Answer(length=5)
    repository(scripted).list_referrers({"digest": str(SUBJECT)}, [entry("ours")])
    assert listed(scripted) == {"theirs", "ours"}


def test_what_is_listed_already_is_not_written_again(scripted: Scripted) -> None:
    Tagged(scripted, entry("ours"), entry("theirs"))
    repository(scripted).list_referrers({"digest": str(SUBJECT)}, [entry("ours")])
    repository(scripted).list_referrers({"digest": str(SUBJECT)}, [])
    assert {each.method for each in scripted.asked} == {"GET"}


def test_a_list_that_others_write_over_is_written_again(scripted: Scripted) -> None:
    Tagged(scripted, stolen=2)
    repository(scripted).list_referrers({"digest": str(SUBJECT)}, [entry("ours")])
    assert listed(scripted) == {"ours"}


def test_a_list_that_never_holds_is_told(scripted: Scripted) -> None:
    Tagged(scripted, stolen=99)
    with pytest.raises(PublicationError, match="does not list"):
        repository(scripted).list_referrers({"digest": str(SUBJECT)}, [entry("ours")])


def test_a_registry_with_the_api_keeps_the_list_itself_and_is_given_time(scripted: Scripted) -> None:
    looks = iter([index(), index(), index(), index(entry("ours"))])
    scripted.answers[f"GET {BY_API}"] = lambda asked: next(looks)
    at = f"/v2/a/b/manifests/{entry('ours')['digest']}"
    scripted.answers[f"GET {at}"] = Answer(headers={"Content-Type": MANIFEST}, body=b"ours")
    scripted.answers[f"PUT {at}"] = Answer(201)
    repository(scripted).list_referrers({"digest": str(SUBJECT)}, [entry("ours")])
    assert not [each for each in scripted.asked if each.path == BY_TAG]
    assert [each.body for each in scripted.asked if each.method == "PUT"] == [b"ours"] * 2, "pushed again, to be listed"
