"""A Nix cache on a web server that lies, breaks off, leads elsewhere or knows nobody: each has its own reading."""

import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
import stamina

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import DISTANT_THREADS, LOCAL_THREADS
from flywheel_assets.adapters.nix.remote import RemoteFiles
from flywheel_assets.domain.errors import AbsentError, UnauthorisedError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import KIB
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets_tests.adapters.nix.make_vectors import FOLDER
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, ignored, made, store_path
from flywheel_assets_tests.scripted import Answer, Asked, Scripted
from flywheel_assets_tests.servers import Delayed, WebServer

LIB = made("lib")
APP = made("app", [LIB.path, store_path("app")])
TOKEN = Credentials(bearer=Secret("attic-token"))
CONFIG = "GET /_api/v1/cache-config/main"


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """As Attic serves it: no hash or size of files, names by store path."""
    found = Cache(tmp_path / "main")
    for path in (LIB, APP):
        name = f"nar/{store_path_hash(path.path)}.nar"
        found.add(path, file_hash=None, file_size=None)
        found.body(path.path).rename(found.folder / name)
        found.add(path, file_hash=None, file_size=None, url=name)
    return found


@pytest.fixture
def server(cache: Cache, scripted: Scripted) -> Scripted:
    """Serves the cache at /main; tests script other answers before that."""
    scripted.otherwise = lambda asked: served(cache, asked)
    return scripted


def served(cache: Cache, asked: Asked) -> Answer:
    file = cache.folder.parent / asked.path.removeprefix("/")
    return Answer(body=file.read_bytes()) if file.is_file() else Answer(404)


def narinfo(path: Made) -> str:
    return f"GET /main/{store_path_hash(path.path)}.narinfo"


def nar_of(path: Made) -> str:
    return f"GET /main/nar/{store_path_hash(path.path)}.nar"


def inspect(server: Scripted, credentials: Credentials = TOKEN, hosts: tuple[str, ...] = ()) -> dict[str, Reading]:
    reader = NixCache(RemoteFiles(HttpClient(f"{server.url}/main", credentials, hosts)))
    return {reading.member: reading for reading in reader.inspect(closure(APP, LIB), ignored)}


def for_whoever_knows(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Attic's answer to strangers, and the other one to those who show the token."""
    knows = "Bearer attic-token"
    return lambda asked: answer(asked) if asked.headers["Authorization"] == knows else Answer(401)


def test_a_closure_as_attic_serves_it_is_read_whole(server: Scripted) -> None:
    for reading in inspect(server).values():
        assert reading.state is ReadState.READ
        assert reading.digest == reading.expected_digest
        assert reading.index_problems == ()


def test_a_cache_on_a_real_server_is_read_whole(cache: Cache, nginx: WebServer) -> None:
    cache.folder.rename(nginx.folder / "main")
    readings = NixCache(RemoteFiles(HttpClient(f"{nginx.url}/main"))).inspect(closure(APP, LIB), ignored)
    assert [(reading.state, reading.index_problems) for reading in readings] == [(ReadState.READ, ())] * 2


def test_a_miss_on_a_private_cache_is_absent_and_not_refused(cache: Cache, server: Scripted) -> None:
    server.otherwise = for_whoever_knows(lambda asked: served(cache, asked))
    server.answers[narinfo(LIB)] = Answer(401, body=b'{"code":401,"error":"Unauthorized","message":"Unauthorized."}')
    readings = inspect(server)
    assert readings[LIB.path].state is ReadState.ABSENT
    assert readings[APP.path].state is ReadState.READ


def test_a_size_that_is_refused_is_a_miss_only_to_a_reader_who_is_known(cache: Cache, server: Scripted) -> None:
    server.otherwise = for_whoever_knows(lambda asked: served(cache, asked))
    server.answers["HEAD /main/nar/none"] = Answer(403)
    with pytest.raises(AbsentError, match="nar/none is not there"):
        RemoteFiles(HttpClient(f"{server.url}/main", TOKEN)).size("nar/none")
    with pytest.raises(UnauthorisedError):
        RemoteFiles(HttpClient(f"{server.url}/main")).size("nar/none")


def test_a_reader_that_is_not_known_at_all_is_refused(cache: Cache, server: Scripted) -> None:
    server.otherwise = for_whoever_knows(lambda asked: served(cache, asked))
    for credentials in (Credentials(), Credentials(bearer=Secret("stale"))):
        readings = inspect(server, credentials)
        assert {reading.state for reading in readings.values()} == {ReadState.UNAUTHORISED}
        assert "stale" not in str(readings)


def test_a_nar_that_is_refused_is_unauthorised(server: Scripted) -> None:
    server.answers[nar_of(LIB)] = Answer(403)
    assert inspect(server)[LIB.path].state is ReadState.UNAUTHORISED


def test_a_path_that_vanished_is_told_with_the_days_that_attic_keeps(server: Scripted) -> None:
    server.answers[narinfo(LIB)] = Answer(404)
    server.answers[CONFIG] = Answer(body=b'{"retention_period":{"Period":1209600},"public_key":"main:x","priority":41}')
    reading = inspect(server)[LIB.path]
    assert reading.state is ReadState.ABSENT
    assert "collects what nobody fetched for 14 days" in reading.detail
    assert [asked.headers["Authorization"] for asked in server.asked if "_api" in asked.path] == ["Bearer attic-token"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(500),
        Answer(body=b"<html>"),
        Answer(body=b'{"retention_period":"Global"}'),
        Answer(body=b'{"retention_period":{"Period":0}}'),
        Answer(body=b'{"retention_period":{"Period":-1}}'),
        Answer(body=repeat(b"[" * KIB)),
    ],
)
def test_a_server_that_says_nothing_of_retention_changes_nothing(server: Scripted, answer: Answer) -> None:
    server.answers |= {narinfo(LIB): Answer(404), CONFIG: answer}
    reading = inspect(server)[LIB.path]
    assert reading.state is ReadState.ABSENT
    assert reading.detail.endswith("is not there.")


CUT = APP.body[:20]
LIES = {
    "fails on the server": (Answer(503, body=b'{"code":503,"error":"IncompleteNar"}'), ReadState.UNREADABLE, "503"),
    "breaks off after 200": (Answer(body=[b"x"], length=500), ReadState.UNREADABLE, "broke off"),
    "claims more than there is": (Answer(body=CUT, length=10**6), ReadState.UNREADABLE, "broke off"),
    "is empty": (Answer(body=b""), ReadState.EMPTY, "no byte"),
    "is cut off cleanly": (Answer(body=(FOLDER / "truncated.nar.zst").read_bytes()), ReadState.TRUNCATED, "ends early"),
    "is endless": (Answer(body=repeat(bytes(64 * KIB))), ReadState.UNDECODABLE, "not zstd"),
    "has a huge window": (Answer(body=(FOLDER / "huge-window.nar.zst").read_bytes()), ReadState.UNDECODABLE, "2^24"),
    "is a bomb": (Answer(body=(FOLDER / "bomb.nar.zst").read_bytes()), ReadState.TOO_LARGE, "declared bytes"),
    "has to wait": (Answer(429, {"Retry-After": "7000"}), ReadState.RATE_LIMITED, "429"),
    "leads to a file": (Answer(302, {"Location": "file:///etc/passwd"}), ReadState.MALFORMED, "etc/passwd"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", LIES)
def test_each_way_in_which_a_nar_fails_has_its_own_state(server: Scripted, case: str) -> None:
    answer, state, detail = LIES[case]
    server.answers[nar_of(APP)] = answer
    reading = inspect(server)[APP.path]
    assert reading.state is state
    assert detail in reading.detail


@pytest.mark.timeout(30)
@pytest.mark.parametrize("body", [repeat(b"x" * KIB), b"x" * 300 * KIB])
def test_an_endless_narinfo_is_too_large(server: Scripted, body: bytes) -> None:
    server.answers[narinfo(APP)] = Answer(body=body)
    assert inspect(server)[APP.path].state is ReadState.TOO_LARGE


def test_an_absolute_url_on_the_caches_own_host_is_followed(cache: Cache, server: Scripted) -> None:
    cache.add(APP, url=f"{server.url}{nar_of(APP).removeprefix('GET ')}")
    assert inspect(server)[APP.path].state is ReadState.READ


def test_a_url_on_another_host_is_not_asked_unless_the_catalogue_lists_it(cache: Cache, server: Scripted) -> None:
    elsewhere = f"localhost:{server.port}"
    cache.add(APP, url=f"http://{elsewhere}{nar_of(APP).removeprefix('GET ')}")
    reading = inspect(server)[APP.path]
    assert reading.state is ReadState.MALFORMED
    assert "a host that the surface may not lead to" in reading.detail
    assert all(asked.headers["Host"] != elsewhere for asked in server.asked)
    assert inspect(server, hosts=(elsewhere,))[APP.path].state is ReadState.READ
    assert [asked.headers["Authorization"] for asked in server.asked if asked.headers["Host"] == elsewhere] == [None]


@pytest.mark.parametrize("url", ["//localhost/x", "/etc/passwd", "ftp://x/y", "nar/../../x", "nar/x?y", "http:x"])
def test_a_url_that_is_no_plain_name_is_malformed(cache: Cache, server: Scripted, url: str) -> None:
    cache.add(APP, url=url)
    assert inspect(server)[APP.path].state is ReadState.MALFORMED


def test_a_server_nearby_gets_few_requests_at_once_and_a_distant_one_many(nginx: WebServer, delayed: Delayed) -> None:
    name = nginx.url.rpartition("/")[2]
    far = delayed(nginx.process.port, 0.01)
    for _ in range(2):  # a new cache, and one that is there
        assert RemoteFiles(HttpClient(nginx.url)).threads == LOCAL_THREADS
        assert RemoteFiles(HttpClient(f"http://127.0.0.1:{far}/{name}")).threads == DISTANT_THREADS
        (nginx.folder / "nix-cache-info").write_text("StoreDir: /nix/store\n")


def test_a_server_that_was_down_is_measured_again(server: Scripted) -> None:
    files = RemoteFiles(HttpClient(f"{server.url}/main"))

    def slowly(_: Asked) -> Answer:
        time.sleep(0.02)
        return Answer(body=b"StoreDir: /nix/store\n")

    server.answers["GET /main/nix-cache-info"] = Answer(500)
    assert files.threads == LOCAL_THREADS
    server.answers["GET /main/nix-cache-info"] = slowly
    assert files.threads == DISTANT_THREADS


def test_a_file_that_is_no_narinfo_keeps_its_own_error(server: Scripted) -> None:
    files = RemoteFiles(HttpClient(f"{server.url}/main"))
    with pytest.raises(AbsentError, match="attestations/x"):
        files.read("attestations/x", KIB)
    assert not [asked for asked in server.asked if "_api" in asked.path]
