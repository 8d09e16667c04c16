"""What FlakeHub's API tells, read: tampered answers, statuses, limits, places."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.flakehub.releases import release_of, rolling_release_of, store_path_of
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import FlakeVersion
from flywheel_assets.domain.errors import (
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets_tests.scripted import Answer, Scripted, serving

VECTORS = Path(__file__).parents[2] / "vectors" / "flakehub"
FLAKE, ATTRIBUTE = "octo-org/octo-repo", "packages.x86_64-linux.default"
LIST = f"GET /f/{FLAKE}/releases"
OUTPUT = f"GET /f/{FLAKE}/%3D1.2.3/output/{ATTRIBUTE}"
VERSION = f"GET /version/{FLAKE}/%3D1.2.3"
STORE_PATH = "/nix/store/0c0p0a2k8n1m8b5v7f3q4h9s6r2x1y0z-app"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def answered(scripted: Scripted, place: str, vector: str) -> HttpClient:
    scripted.answers[place] = Answer(200, {"Content-Type": "application/json"}, (VECTORS / vector).read_bytes())
    return HttpClient(scripted.url)


def test_releases_are_read_as_they_are_listed(scripted: Scripted) -> None:
    client = answered(scripted, LIST, "releases.json")
    tagged, rolling = release_of(client, FLAKE, "1.2.3"), rolling_release_of(client, FLAKE, GitRevision("b" * 40))
    assert tagged is not None
    assert rolling is not None
    assert [(each.version, str(each.revision)[:1], each.yanked) for each in (tagged, rolling)] == [
        ("1.2.3", "a", False),
        (f"0.1.7+rev-{'b' * 40}", "b", False),
    ]
    assert rolling_release_of(client, FLAKE, GitRevision("a" * 40)) is None


def test_a_store_path_is_asked_for_under_the_exact_version(scripted: Scripted) -> None:
    client = answered(scripted, OUTPUT, "output.json")
    assert store_path_of(client, FLAKE, "1.2.3", ATTRIBUTE) == STORE_PATH
    assert store_path_of(client, FLAKE, "1.2.4", ATTRIBUTE) is None


def test_a_plus_and_a_slash_stay_in_their_step_of_the_path(scripted: Scripted) -> None:
    client = HttpClient(scripted.url)
    assert store_path_of(client, FLAKE, "0.1.7+rev-b", "a/../b+c") is None
    assert scripted.asked[-1].path == f"/f/{FLAKE}/%3D0.1.7%2Brev-b/output/a%2F..%2Fb%2Bc"


@pytest.mark.parametrize("vector", sorted(path.name for path in VECTORS.glob("bad-releases-*")))
def test_a_tampered_list_is_invalid_and_never_one_without_the_release(scripted: Scripted, vector: str) -> None:
    client = answered(scripted, LIST, vector)
    with pytest.raises(InvalidInputError) as refused:
        release_of(client, FLAKE, "1.2.3")
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("vector", sorted(path.name for path in VECTORS.glob("bad-output-*")))
def test_a_tampered_output_is_invalid_and_never_one_without_a_path(scripted: Scripted, vector: str) -> None:
    client = answered(scripted, OUTPUT, vector)
    with pytest.raises(InvalidInputError):
        store_path_of(client, FLAKE, "1.2.3", ATTRIBUTE)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401), UnauthorisedError),
        (Answer(403), UnauthorisedError),
        (Answer(429), RateLimitedError),
        (Answer(429, {"Retry-After": "3000"}), RateLimitedError),
        (Answer(500), UnreadableError),
        (Answer(503, {"Retry-After": "3000"}), RateLimitedError),
        (Answer(200, {}, b"[", length=10), UnreadableError),
        (Answer(418), InvalidInputError),
        (Answer(302, {"Location": "http://elsewhere.example/"}), LedAstrayError),
    ],
    ids=["401", "403", "429", "429 with a wait", "500", "503 with a wait", "cut", "418", "astray"],
)
def test_an_answer_that_is_none_has_its_own_error_and_never_means_absent(
    scripted: Scripted, answer: Answer, error: type[Exception]
) -> None:
    scripted.otherwise = answer
    client = HttpClient(scripted.url)
    for call in (
        lambda: release_of(client, FLAKE, "1.2.3"),
        lambda: rolling_release_of(client, FLAKE, GitRevision("a" * 40)),
        lambda: store_path_of(client, FLAKE, "1.2.3", ATTRIBUTE),
    ):
        with pytest.raises(error):
            call()


def test_a_failure_that_passes_is_sat_out(scripted: Scripted) -> None:
    client = answered(scripted, LIST, "releases.json")
    good, calls = scripted.answers[LIST], iter([Answer(502), Answer(502)])
    assert isinstance(good, Answer)
    scripted.answers[LIST] = lambda _asked: next(calls, good)
    assert release_of(client, FLAKE, "1.2.3") is not None


def test_nobody_waits_for_a_limit(scripted: Scripted) -> None:
    scripted.answers[LIST] = Answer(429, {"Retry-After": "1"})
    with pytest.raises(RateLimitedError) as limited:
        release_of(HttpClient(scripted.url), FLAKE, "1.2.3")
    assert limited.value.retry_after == 1
    assert len(scripted.asked) == 1


def test_a_list_without_end_is_not_read(scripted: Scripted) -> None:
    scripted.answers[LIST] = Answer(200, {}, (b" " * 65536 for _ in iter(int, 1)))
    with pytest.raises(LimitExceededError):
        release_of(HttpClient(scripted.url), FLAKE, "1.2.3")


def test_more_releases_than_are_read_are_invalid(scripted: Scripted) -> None:
    one = b'{"version":"1.2.3","revision":"%s"}' % (b"a" * 40)
    scripted.answers[LIST] = Answer(200, {}, b"[" + b",".join([one] * (DEFAULT_LIMITS.flake_releases + 1)) + b"]")
    with pytest.raises(InvalidInputError, match="items"):
        release_of(HttpClient(scripted.url), FLAKE, "1.2.3")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('{"version": "1.2.3", "revision": "%s"}' % ("a" * 40), True),
        ('{"version": "1.2.4", "revision": "%s"}' % ("a" * 40), False),
    ],
    ids=["the same version", "another version"],
)
def test_a_release_is_yanked_where_it_is_not_listed_and_still_told_of(
    scripted: Scripted, told: str, expected: bool
) -> None:
    scripted.answers[LIST] = Answer(200, {}, b"[]")
    scripted.answers[VERSION] = Answer(200, {}, told.encode())
    found = release_of(HttpClient(scripted.url), FLAKE, "1.2.3")
    wanted = FlakeVersion(version="1.2.3", revision=GitRevision("a" * 40), yanked=True)
    assert found == (wanted if expected else None)


def test_a_release_that_is_not_listed_is_yanked_also_where_its_revision_is_not_told(scripted: Scripted) -> None:
    scripted.answers[LIST] = Answer(200, {}, b"[]")
    scripted.answers[VERSION] = Answer(200, {}, b'{"version": "1.2.3", "project": "octo-repo"}')
    assert release_of(HttpClient(scripted.url), FLAKE, "1.2.3") == FlakeVersion(
        version="1.2.3", revision=None, yanked=True
    )


ODD = [
    {"version": "nightly", "revision": "a" * 40},
    {"version": "v0.9", "revision": "main"},
    {"version": "2.0.0", "revision": None},
]


def test_an_odd_release_stops_nobody_who_cannot_have_asked_for_it(scripted: Scripted) -> None:
    good = json.loads((VECTORS / "releases.json").read_bytes())
    scripted.answers[LIST] = Answer(200, {}, json.dumps([*ODD, *good]).encode())
    client = HttpClient(scripted.url)
    tagged = release_of(client, FLAKE, "1.2.3")
    assert tagged is not None
    assert tagged.version == "1.2.3"
    assert rolling_release_of(client, FLAKE, GitRevision("b" * 40)) is not None
    with pytest.raises(InvalidInputError, match="revision"):
        release_of(client, FLAKE, "2.0.0")


@pytest.mark.parametrize(
    "version", ["9.9.9+rev-{}", "1.5.0+rev-{}", "0.2.1+rev-{}", "0.1.1-x+rev-{}", "0.1.1+rev-{}.1"]
)
def test_a_version_that_only_ends_in_the_revision_is_no_rolling_one(scripted: Scripted, version: str) -> None:
    revision = GitRevision("a" * 40)
    told = [{"version": version.format(revision), "revision": str(revision)}]
    scripted.answers[LIST] = Answer(200, {}, json.dumps(told).encode())
    assert rolling_release_of(HttpClient(scripted.url), FLAKE, revision) is None


@pytest.fixture(scope="module")
def shared() -> Iterator[Scripted]:
    with serving(Scripted()) as server:
        yield server


@given(body=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_comes_is_read_or_refused_by_an_error_of_ours(shared: Scripted, body: bytes) -> None:
    shared.otherwise = Answer(200, {}, body)
    client = HttpClient(shared.url)
    for call in (
        lambda: release_of(client, FLAKE, "1.2.3"),
        lambda: store_path_of(client, FLAKE, "1.2.3", ATTRIBUTE),
    ):
        try:
            assert call() is None
        except (InvalidInputError, ReadError):
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("a" * 40) | st.just("1.2.3"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["version", "revision", "published_at", "yanked", "items"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(document=json_values)
def test_a_release_that_is_read_has_a_full_revision_and_the_version_asked_for(
    shared: Scripted, document: object
) -> None:
    shared.otherwise = Answer(200, {}, json.dumps(document).encode())
    try:
        found = release_of(HttpClient(shared.url), FLAKE, "1.2.3")
    except (InvalidInputError, ReadError):
        return
    if found is not None:
        assert str(found.revision) == "a" * 40
        assert found.version.partition("+")[0] == "1.2.3"
