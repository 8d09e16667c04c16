"""Reading an HTTP cache: who may read it, what hostile ones answer, and what is asked of it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from flywheel_assets.adapters.bazel.cache import BazelCache
from flywheel_assets.adapters.bazel.entries import HttpEntries
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.domain.digests import CasDigest
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets_tests.adapters.bazel.caches import ACTION, BODIES, Cache, Remote, flat, outputs
from flywheel_assets_tests.certificates import Certificates
from flywheel_assets_tests.scripted import Answer, Scripted
from flywheel_assets_tests.servers import WebServer
from flywheel_assets_tests.token_issuer import PASSWORD, USER

ACCOUNT = Credentials(user=USER, password=Secret(PASSWORD))
APP = CasDigest.of(BODIES["bin/app"])


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    """What may pass is tried again, as always, but at once."""
    with stamina.set_testing(testing=True, attempts=2):
        yield


def entries_in(folder: Path, client: HttpClient) -> HttpEntries:
    Cache(flat(folder), lambda limits: HttpEntries(client, limits)).fill()
    return HttpEntries(client)


def inspect(entries: HttpEntries) -> tuple[Reading, ...]:
    return BazelCache(entries).inspect(outputs(BODIES), lambda _: None)


def states(readings: tuple[Reading, ...]) -> set[ReadState]:
    return {reading.state for reading in readings if reading.member != "cas bin/empty"}


def test_basic_auth_opens_a_cache_and_without_it_everything_is_unauthorised(nginx_with_basic: WebServer) -> None:
    served = nginx_with_basic
    assert states(inspect(entries_in(served.folder, HttpClient(served.url, ACCOUNT)))) == {ReadState.READ}
    wrong = Credentials(user=USER, password=Secret("no-such-password"))
    for credentials in (ANONYMOUS, wrong):
        readings = inspect(HttpEntries(HttpClient(served.url, credentials)))
        assert states(readings) == {ReadState.UNAUTHORISED}
        assert "no-such-password" not in str(readings)


def test_a_client_certificate_opens_a_cache_that_asks_for_one(
    nginx_with_certificates: WebServer, certificates: Certificates
) -> None:
    served, pair = nginx_with_certificates, certificates.client
    shown = Credentials(certificate=pair.certificate, certificate_key=pair.key, ca=certificates.ca)
    assert states(inspect(entries_in(served.folder, HttpClient(served.url, shown)))) == {ReadState.READ}
    readings = inspect(HttpEntries(HttpClient(served.url, Credentials(ca=certificates.ca))))
    assert ReadState.READ not in states(readings)


def test_an_instance_is_a_cache_of_its_own(tmp_path: Path, scripted: Scripted) -> None:
    url = Remote(tmp_path, scripted).url
    assert states(inspect(entries_in(tmp_path, HttpClient(url, ACCOUNT)))) == {ReadState.READ}
    assert states(inspect(HttpEntries(HttpClient(f"{url}-2", ACCOUNT)))) == {ReadState.ABSENT}


def test_no_other_form_of_the_action_result_is_asked_for(tmp_path: Path, scripted: Scripted) -> None:
    inspect(entries_in(tmp_path, HttpClient(Remote(tmp_path, scripted).url, ACCOUNT)))
    assert {asked.method for asked in scripted.asked} == {"GET"}
    assert not any("json" in asked.headers.get("Accept", "") for asked in scripted.asked)
    named = {asked.path.rsplit("/", 1)[1] for asked in scripted.asked}
    assert named == {ACTION.hex, *(CasDigest.of(body).hex for body in BODIES.values() if body)}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(body=itertools.repeat(b"x" * 65536)), ReadState.TOO_LARGE),
        (Answer(body=BODIES["bin/app"], length=1 << 50), ReadState.TOO_LARGE),
        (Answer(body=BODIES["bin/app"][:-1]), ReadState.TRUNCATED),
        (Answer(body=BODIES["bin/app"][:-1], length=len(BODIES["bin/app"])), ReadState.UNREADABLE),
        (Answer(), ReadState.EMPTY),
        (Answer(404), ReadState.ABSENT),
        (Answer(403), ReadState.UNAUTHORISED),
        (Answer(429, {"Retry-After": "3600"}), ReadState.RATE_LIMITED),
        (Answer(204), ReadState.MALFORMED),
        (Answer(302, {"Location": "http://169.254.169.254/latest"}), ReadState.MALFORMED),
    ],
)
def test_whatever_a_cache_answers_for_a_blob_is_told(
    tmp_path: Path, scripted: Scripted, answer: Answer, state: ReadState
) -> None:
    remote = Remote(tmp_path, scripted)
    entries = entries_in(tmp_path, HttpClient(remote.url, ACCOUNT))
    scripted.answers[f"{remote.url.removeprefix(scripted.url)}/cas/{APP.hex}"] = answer
    [action, app, *others] = inspect(entries)
    assert app.state is state
    assert app.digest != app.expected_digest
    assert {action.state, *(r.state for r in others)} == {ReadState.READ}


def test_a_cache_that_is_down_is_unreadable(scripted: Scripted) -> None:
    scripted.otherwise = Answer(500)
    assert states(inspect(HttpEntries(HttpClient(scripted.url)))) == {ReadState.UNREADABLE}
