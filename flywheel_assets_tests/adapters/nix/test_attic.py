"""What Attic's own API says, and what it may not say."""

import pytest

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.nix.attic import Retention, cache_config, retention_note
from flywheel_assets.domain.errors import FlywheelError, InvalidInputError, LimitExceededError, UnauthorisedError
from flywheel_assets_tests.scripted import Answer, Scripted

# As atticd b7c9056 answers, shortened.
CONFIG = b"""{"substituter_endpoint":"https://attic.example/main","api_endpoint":"https://attic.example/","keypair":null,
"public_key":"main:AAAA","is_public":false,"store_dir":"/nix/store","priority":41,"upstream_cache_key_names":[],
"retention_period":{"Period":5184000}}"""


@pytest.mark.parametrize("below", ["", "/behind/a/prefix"])
def test_the_configuration_is_asked_where_the_server_has_it(scripted: Scripted, below: str) -> None:
    scripted.answers[f"GET {below}/_api/v1/cache-config/main"] = Answer(body=CONFIG)
    client = HttpClient(f"{scripted.url}{below}/main")
    assert cache_config(client).retention_period == Retention.model_validate({"Period": 5184000})
    assert "for 60 days" in retention_note(client)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(401), UnauthorisedError),
        (Answer(body=b"no json"), InvalidInputError),
        (Answer(body=b'{"retention_period":{"Period":99999999999999}}'), InvalidInputError),
        (Answer(body=bytes(2**20)), LimitExceededError),
    ],
)
def test_another_answer_has_its_own_error(scripted: Scripted, answer: Answer, kind: type[FlywheelError]) -> None:
    scripted.otherwise = answer
    client = HttpClient(f"{scripted.url}/main")
    with pytest.raises(kind):
        cache_config(client)
    assert retention_note(client) == ""


def test_a_base_without_a_caches_name_is_asked_nothing(scripted: Scripted) -> None:
    with pytest.raises(InvalidInputError, match="names no cache"):
        cache_config(HttpClient(scripted.url))
    assert scripted.asked == []


def test_a_server_that_is_down_is_not_waited_for_because_of_a_note() -> None:
    assert retention_note(HttpClient("http://127.0.0.1:9/main")) == ""
