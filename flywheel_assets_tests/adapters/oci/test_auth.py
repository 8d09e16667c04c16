"""Tokens: asked for once, for what is needed, kept until they end, and shown to nobody else."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.adapters.http.places import EVERYWHERE
from flywheel_assets.adapters.oci.auth import Access, Challenge, parse_challenge, scope
from flywheel_assets.domain.errors import (
    FlywheelError,
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

PULL = (scope("a/b", "pull"),)
USER = Credentials(user="someone", password=Secret("opens-nothing"))
BASIC = "Basic " + base64.b64encode(b"someone:opens-nothing").decode()


def registry(scripted: Scripted, realm: str = "", lifetime: object = 300) -> list[str]:
    """A registry that lets in whoever shows the newest token of its own service; the tokens that it gave."""
    given: list[str] = []

    def token(asked: Asked) -> Answer:
        given.append(f"token-{len(given)}")
        return Answer(body=json.dumps({"token": given[-1], "expires_in": lifetime}).encode())

    def resource(asked: Asked) -> Answer:
        if given and asked.headers.get("Authorization") == f"Bearer {given[-1]}":
            return Answer(body=b"content")
        return Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm or scripted.url}/token",service="a service"'})

    scripted.answers["GET /token"] = token
    scripted.otherwise = resource
    return given


def access(scripted: Scripted, credentials: Credentials = ANONYMOUS, *hosts: str) -> Access:
    return Access(HttpClient(scripted.url, credentials, hosts))


def get(to: Access) -> int:
    with to.request("GET", "/v2/a/b/manifests/v1", PULL, headers={}) as response:
        return response.status


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="b",scope="c"', Challenge("bearer", "https://a/t", "b")),
        ('bearer service=b, Realm = "https://a/t?x=1,2"', Challenge("bearer", "https://a/t?x=1,2", "b")),
        ('Basic realm="x"', Challenge("basic")),
        ('Bearer service="b"', None),
        ('Basic realm="x", Bearer realm="https://a/t",service="s"', Challenge("bearer", "https://a/t", "s")),
        ('Bearer realm="https://a/t", Basic realm="https://b/t"', Challenge("bearer", "https://a/t")),
        ('Negotiate, Bearer service="",realm="https://a/t"', Challenge("bearer", "https://a/t")),
        ('Negotiate YWJj==, basic realm=""', Challenge("basic")),
        ('Digest realm="Basic, Bearer realm=x"', None),
        ('realm="https://a/t", Bearer', None),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_challenges_are_read(header: str, expected: Challenge | None) -> None:
    assert parse_challenge(header) == expected


def test_anonymous_readers_get_a_token_too_and_keep_it(scripted: Scripted) -> None:
    given = registry(scripted)
    to = access(scripted)
    assert [get(to), get(to), get(to)] == [200, 200, 200]
    assert len(given) == 1
    [asked] = [each for each in scripted.asked if each.path == "/token"]
    assert asked.query == {"service": ["a service"], "scope": ["repository:a/b:pull"]}
    assert asked.headers.get("Authorization") is None


def test_user_and_password_are_shown_to_the_token_service_and_the_token_to_the_registry(scripted: Scripted) -> None:
    registry(scripted)
    assert get(access(scripted, USER)) == 200
    shown = [(each.path, each.headers.get("Authorization")) for each in scripted.asked]
    assert shown == [("/v2/", None), ("/token", BASIC), ("/v2/a/b/manifests/v1", "Bearer token-0")]


def test_many_threads_share_one_token(scripted: Scripted) -> None:
    given = registry(scripted)
    to = access(scripted)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: get(to), range(32))) == {200}
    assert len(given) == 1


def test_a_token_is_renewed_before_it_ends(scripted: Scripted) -> None:
    given = registry(scripted, lifetime=100)
    now = [0.0]
    to = Access(HttpClient(scripted.url), clock=lambda: now[0])
    for now[0], tokens in ((0.0, 1), (80.0, 1), (95.0, 2)):
        assert get(to) == 200
        assert len(given) == tokens
    assert [each for each in scripted.asked if each.path != "/token"][0:1] != [], "the first one learns what to show"
    refused = [each for each in scripted.asked if each.headers.get("Authorization") == "Bearer token-0"]
    assert len(refused) == 2, "the old one is not shown once its time is nearly over"


def test_a_token_that_is_refused_is_replaced_once(scripted: Scripted) -> None:
    given = registry(scripted)
    to = access(scripted)
    assert get(to) == 200
    given.append("a token that somebody else got")
    assert get(to) == 200
    scripted.otherwise = Answer(401, {"WWW-Authenticate": f'Bearer realm="{scripted.url}/token"'})
    before = len(scripted.asked)
    assert get(to) == 401
    assert len(scripted.asked) - before == 3, "one more token and one more try, and no more"


def test_a_body_that_streams_is_never_sent_twice(scripted: Scripted) -> None:
    registry(scripted)
    to = access(scripted)
    with to.request("PUT", "/v2/a/b/blobs/x", PULL, headers={}, body=iter([b"ab"]), length=2) as response:
        assert response.status == 401
    assert [each.body for each in scripted.asked] == [b"ab"]


def test_basic_auth_is_shown_once_it_is_asked_for(scripted: Scripted) -> None:
    def resource(asked: Asked) -> Answer:
        ok = asked.headers.get("Authorization") == BASIC
        return Answer(body=b"content") if ok else Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})

    scripted.otherwise = resource
    assert get(access(scripted, USER)) == 200
    assert get(access(scripted)) == 401
    assert scripted.asked[0].headers.get("Authorization") is None


def test_a_bearer_credential_is_shown_as_it_is(scripted: Scripted) -> None:
    given = registry(scripted)
    given.append("given by hand")
    assert get(access(scripted, Credentials(bearer=Secret("given by hand")))) == 200
    assert [each.path for each in scripted.asked] == ["/v2/", "/v2/a/b/manifests/v1"]


def hiding(asked: Asked) -> Answer:
    """A registry that tells strangers of nothing but its API."""
    if asked.headers.get("Authorization") == BASIC:
        return Answer(body=b"content")
    return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'}) if asked.path == "/v2/" else Answer(404)


def test_what_a_registry_hides_from_strangers_is_seen_with_a_credential(scripted: Scripted) -> None:
    scripted.otherwise = hiding
    to = access(scripted, USER)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: get(to), range(8))) == {200}
    assert [each.path for each in scripted.asked].count("/v2/") == 1
    assert get(access(scripted)) == 404


@pytest.mark.parametrize("status", [200, 404])
def test_a_registry_whose_api_asks_for_nothing_may_still_ask_later(scripted: Scripted, status: int) -> None:
    registry(scripted)
    scripted.answers["GET /v2/"] = Answer(status)
    to = access(scripted, USER)
    assert [get(to), get(to)] == [200, 200]
    assert [each.path for each in scripted.asked].count("/v2/") == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(429), RateLimitedError),
        (Answer(503), UnreadableError),
        (Answer(403), UnauthorisedError),
        (Answer(401, {"WWW-Authenticate": "Negotiate"}), UnauthorisedError),
    ],
)
def test_a_registry_that_does_not_say_what_to_show_is_an_error_and_is_asked_again(
    scripted: Scripted, answer: Answer, error: type[Exception]
) -> None:
    scripted.otherwise = hiding
    scripted.answers["GET /v2/"] = answer
    to = access(scripted, USER)
    with pytest.raises(error):
        get(to)
    assert [each.path for each in scripted.asked] == ["/v2/"]
    del scripted.answers["GET /v2/"]
    assert get(to) == 200


@pytest.mark.parametrize("asks_for", ['Bearer realm="{}/token"', 'Basic realm="x"'])
@pytest.mark.parametrize("hosts", [EVERYWHERE, ("localhost",)])
def test_a_host_that_the_registry_leads_to_cannot_ask_for_a_credential(
    scripted: Scripted, asks_for: str, hosts: tuple[str, ...]
) -> None:
    with serving(Scripted()) as store:
        blobs = f"http://localhost:{store.port}"
        store.answers["GET /token"] = Answer(body=b'{"token": "stolen"}')
        store.otherwise = Answer(401, {"WWW-Authenticate": asks_for.format(blobs)})
        registry(scripted)
        scripted.answers["GET /v2/a/b/blobs/x"] = Answer(307, {"Location": f"{blobs}/blob"})
        to = access(scripted, USER, *(f"{host}:{store.port}" if host != "*" else host for host in hosts))
        for _ in range(2):
            assert get(to) == 200, "the registry itself is asked as ever"
            with to.request("GET", "/v2/a/b/blobs/x", PULL, headers={}) as response:
                assert response.status == 401
        assert [(each.path, each.headers.get("Authorization")) for each in store.asked] == [("/blob", None)] * 2


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", BASIC), ("localhost", None)])
def test_a_registry_that_may_lead_anywhere_gets_a_password_for_its_own_host_alone(
    scripted: Scripted, host: str, shown: str | None
) -> None:
    with serving(Scripted()) as tokens:
        tokens.answers["GET /token"] = Answer(body=b'{"token": "token-0"}')
        registry(scripted, realm=f"http://{host}:{tokens.port}").append("token-0")
        assert get(access(scripted, USER, *EVERYWHERE)) == 200
        assert [each.headers.get("Authorization") for each in tokens.asked] == [shown]


def test_a_realm_on_another_host_is_refused_unless_it_is_allowed(scripted: Scripted) -> None:
    with serving(Scripted()) as elsewhere:
        elsewhere.answers["GET /token"] = Answer(body=b'{"access_token": "token-0"}')
        given = registry(scripted, realm=elsewhere.url)
        given.append("token-0")
        with pytest.raises(LedAstrayError, match="may not lead to"):
            get(access(scripted, USER))
        assert elsewhere.asked == []
        assert get(access(scripted, USER, f"127.0.0.1:{elsewhere.port}")) == 200
        assert [each.headers.get("Authorization") for each in elsewhere.asked] == [BASIC]


def test_a_redirect_of_the_token_service_carries_nothing_away(scripted: Scripted) -> None:
    with serving(Scripted()) as elsewhere:
        registry(scripted)
        scripted.answers["GET /token"] = Answer(307, {"Location": f"{elsewhere.url}/token"})
        with pytest.raises(FlywheelError):
            get(access(scripted, USER, f"127.0.0.1:{elsewhere.port}"))
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(body=b"{}"), InvalidInputError),
        (Answer(body=b"[]"), InvalidInputError),
        (Answer(body=b'{"token": 7}'), InvalidInputError),
        (Answer(body=b'{"token": "a\\r\\nX: y"}'), InvalidInputError),
        (Answer(body=b'{"token": "' + b"x" * 70_000 + b'"}'), LimitExceededError),
        (Answer(401), UnauthorisedError),
        (Answer(403, body=b'{"errors": [{"code": "DENIED"}]}'), UnauthorisedError),
        (Answer(429, {"Retry-After": "7"}), RateLimitedError),
        (Answer(302, {"Location": "/login"}), InvalidInputError),
    ],
)
def test_what_the_token_service_answers_otherwise_is_told(
    scripted: Scripted, answer: Answer, error: type[Exception]
) -> None:
    registry(scripted)
    scripted.answers["GET /token"] = answer
    with pytest.raises(error) as caught:
        get(access(scripted, USER))
    assert "opens-nothing" not in str(caught.value)


@pytest.mark.parametrize("lifetime", [0, -1, None, True, "long"])
def test_a_token_that_does_not_say_how_long_it_lasts_lasts_a_minute(scripted: Scripted, lifetime: object) -> None:
    given = registry(scripted, lifetime=lifetime)
    now = [0.0]
    to = Access(HttpClient(scripted.url), clock=lambda: now[0])
    for now[0], tokens in ((0.0, 1), (49.0, 1), (51.0, 2)):
        assert get(to) == 200
        assert len(given) == tokens
