"""Requests, connections and credentials. Bytes that are no HTTP are in test_hostile_answers.py."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from flywheel_assets.adapters.http import wire
from flywheel_assets.adapters.http.client import MAX_REDIRECTS, HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.adapters.http.wire import Connection, Timeouts
from flywheel_assets.domain.errors import InvalidInputError, LedAstrayError, UnreadableError, UsageError
from flywheel_assets.domain.limits import MIB
from flywheel_assets_tests.adapters.http.talking import Talk, answering, head_of, talking
from flywheel_assets_tests.scripted import Answer, Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.1"
BEARER = Credentials(bearer=Secret("s3cret"))
QUICK = Timeouts(connect=1, idle=0.3, grace=0.3)


def got(client: HttpClient, target: str = "x", method: str = "GET") -> bytes:
    with client.request(method, target) as response:
        return response.read(1000)


def elsewhere(scripted: Scripted, path: str) -> str:
    """The same server as another host."""
    return f"http://localhost:{scripted.port}{path}"


# --- requests -----------------------------------------------------------------------------------


def test_a_request_says_what_it_is_told_to(scripted: Scripted) -> None:
    scripted.otherwise = Answer(201, {"X-Found": "yes"}, b"body")
    client = HttpClient(f"{scripted.url}/base")
    with client.request("PUT", "a?b=c", headers={"X-Sent": "1"}, body=b"data") as response:
        assert (response.status, response.header("x-found"), response.length) == (201, "yes", 4)
        assert response.read(4) == b"body"
    [asked] = scripted.asked
    assert (asked.method, asked.target, asked.body) == ("PUT", "/base/a?b=c", b"data")
    assert (asked.headers["X-Sent"], asked.headers["Accept-Encoding"]) == ("1", "identity")
    assert asked.headers["Host"] == f"127.0.0.1:{scripted.port}"
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("PUT", "0"), ("GET", None), ("DELETE", None)])
def test_a_request_without_a_body_says_so_where_one_is_expected(
    scripted: Scripted, method: str, length: str | None
) -> None:
    got(HttpClient(scripted.url), method=method)
    assert scripted.asked[0].headers["Content-Length"] == length


def test_a_body_is_streamed_with_its_length(scripted: Scripted) -> None:
    pieces = [bytes([index]) * (3 * MIB) for index in range(3)]
    with HttpClient(scripted.url).request("PUT", "x", body=iter([*pieces, b""]), length=9 * MIB) as response:
        assert response.status == 404
    assert scripted.asked[0].body == b"".join(pieces)


def receiving(received: list[bytes]) -> Talk:
    """Keeps what comes after the head, up to the end of the connection."""

    def talk(sock: socket.socket) -> None:
        head_of(sock)
        while data := sock.recv(MIB):
            received.append(data)

    return talk


@pytest.mark.parametrize(("pieces", "word"), [([b"123", b"4"], "shorter"), ([b"123", b"456"], "longer"), ([], "5 b")])
def test_a_body_that_is_not_as_long_as_announced_never_counts_as_sent(pieces: list[bytes], word: str) -> None:
    received: list[bytes] = []
    with talking(receiving(received), answering(OK)) as url:
        client = HttpClient(url)
        with pytest.raises(UsageError, match=word):
            client.request("PUT", "x", body=iter(pieces), length=5)
        assert got(client) == b"ok"
    assert len(b"".join(received)) < 5


def test_what_a_body_raises_is_passed_on_as_it_is_and_the_connection_is_dropped() -> None:
    received: list[bytes] = []
    ended = threading.Event()

    def talk(sock: socket.socket) -> None:
        receiving(received)(sock)
        ended.set()

    def broken() -> Iterator[bytes]:
        yield b"12"
        raise OSError("the disk is gone")

    with talking(talk) as url:
        with pytest.raises(OSError, match="the disk is gone") as caught:
            HttpClient(url).request("PUT", "x", body=broken(), length=5)
        assert ended.wait(2)  # by the client, not by chance when the error and all it holds is forgotten
        assert caught.value.__cause__ is None
    assert b"".join(received) == b"12"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0", "\u00e9", "a\x7f"])
def test_a_header_that_would_be_more_than_one_is_never_sent_nor_shown(scripted: Scripted, value: str) -> None:
    with pytest.raises(InvalidInputError, match="holds characters that no header can carry") as caught:
        HttpClient(scripted.url).request("GET", "x", authorization=f"Bearer s3cret{value}")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidInputError):
        HttpClient(scripted.url).request("GET", "x", headers={f"X{value}": "1"})
    assert scripted.asked == []


# --- redirects and credentials ------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_an_allowed_host_is_followed_without_the_credential(scripted: Scripted, status: int) -> None:
    scripted.answers = {
        "/x": Answer(status, {"Location": elsewhere(scripted, "/y?signed=1")}),
        "/y": Answer(body=b"found"),
    }
    client = HttpClient(scripted.url, BEARER, [f"localhost:{scripted.port}"])
    with client.request("GET", "x") as response:
        assert response.read(10) == b"found"
        assert response.url == elsewhere(scripted, "/y")
        assert response.location == elsewhere(scripted, "/y?signed=1")
    assert [asked.headers["Authorization"] for asked in scripted.asked] == ["Bearer s3cret", None]


def test_an_authorization_given_for_one_request_is_not_shown_elsewhere_either(scripted: Scripted) -> None:
    scripted.answers = {"/x": Answer(302, {"Location": elsewhere(scripted, "/y")})}
    client = HttpClient(scripted.url, BEARER, [f"localhost:{scripted.port}"])
    client.request("GET", "x", authorization="Bearer other").close()
    client.request("GET", elsewhere(scripted, "/y"), authorization="Bearer other").close()
    assert [asked.headers["Authorization"] for asked in scripted.asked] == ["Bearer other", None, None]


def test_a_redirect_on_the_same_origin_keeps_the_credential(scripted: Scripted) -> None:
    scripted.answers = {"/x": Answer(302, {"Location": "/y"})}
    HttpClient(scripted.url, BEARER).request("HEAD", "x").close()
    assert [(asked.path, asked.headers["Authorization"]) for asked in scripted.asked] == [
        ("/x", "Bearer s3cret"),
        ("/y", "Bearer s3cret"),
    ]


def test_no_credential_is_sent_when_none_is_asked_for(scripted: Scripted) -> None:
    HttpClient(scripted.url, BEARER).request("GET", "x", authorization=None).close()
    assert scripted.asked[0].headers["Authorization"] is None


def test_a_redirect_to_a_host_that_is_not_listed_is_not_followed(scripted: Scripted) -> None:
    scripted.answers = {"/x": Answer(302, {"Location": elsewhere(scripted, "/y?token=s3cret")})}
    with pytest.raises(LedAstrayError, match=r"may not lead to.*`hosts`") as caught:
        HttpClient(scripted.url).request("GET", "x")
    assert "s3cret" not in str(caught.value)
    assert len(scripted.asked) == 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, one address a look-up, the last one for good; all are reached on this machine."""
    found: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        address = found[host].pop(0) if len(found[host]) > 1 else found[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def dialled(family: socket.AddressFamily, address: tuple[str, int], seconds: float) -> socket.socket:
        return real(family, ("127.0.0.1", address[1]), seconds)

    real = wire._dialled
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(wire, "_dialled", dialled)
    return found


def test_a_redirect_of_a_public_surface_to_a_private_address_is_not_followed(
    scripted: Scripted, names: dict[str, list[str]]
) -> None:
    names.update({"cache.example": [PUBLIC, PRIVATE], "blobs.example": [PRIVATE]})
    scripted.answers = {"/x": Answer(302, {"Location": f"http://blobs.example:{scripted.port}/y"})}
    client = HttpClient(f"http://cache.example:{scripted.port}", hosts=[f"blobs.example:{scripted.port}"])
    with pytest.raises(LedAstrayError, match="private address"):
        client.request("GET", "x")
    assert [asked.path for asked in scripted.asked] == ["/x"]


@pytest.mark.parametrize("addresses", [[PUBLIC], [PUBLIC, PRIVATE]])
def test_no_credential_goes_over_plain_http_to_a_public_address(
    scripted: Scripted, names: dict[str, list[str]], addresses: list[str]
) -> None:
    names["cache.example"] = addresses
    with pytest.raises(UsageError, match="not https"):
        HttpClient(f"http://cache.example:{scripted.port}", BEARER).request("GET", "x")
    assert scripted.asked == []


def test_it_is_the_address_of_the_very_connection_that_decides_on_a_credential(
    scripted: Scripted, names: dict[str, list[str]]
) -> None:
    # A name that answers otherwise the second time (rebinding) gains nothing.
    names["cache.example"] = [PRIVATE, PUBLIC]
    scripted.otherwise = Answer(200, {"Connection": "close"})
    client = HttpClient(f"http://cache.example:{scripted.port}", BEARER)
    got(client)
    with pytest.raises(UsageError, match="not https"):
        got(client)
    assert [asked.headers["Authorization"] for asked in scripted.asked] == ["Bearer s3cret"]


def test_a_credential_in_the_headers_of_a_request_goes_over_plain_http_to_no_public_address_either(
    scripted: Scripted, names: dict[str, list[str]]
) -> None:
    names.update({"cache.example": [PRIVATE], "tokens.example": [PUBLIC]})
    client = HttpClient(f"http://cache.example:{scripted.port}", hosts=[f"tokens.example:{scripted.port}"])
    url, headers = f"http://tokens.example:{scripted.port}/token", {"Authorization": "Basic x"}
    got(client)  # the surface is private, and that excuses nothing
    with pytest.raises(LedAstrayError, match=r"tokens\.example.*not https"):
        client.request("GET", url, headers=headers, authorization=None)
    assert [asked.path for asked in scripted.asked] == ["/x"]


def test_redirects_without_an_end_are_given_up(scripted: Scripted) -> None:
    scripted.otherwise = Answer(302, {"Location": "/again"})
    with pytest.raises(LedAstrayError, match="redirects more than 5 times"):
        HttpClient(scripted.url).request("GET", "x")
    assert len(scripted.asked) == MAX_REDIRECTS + 1


def test_what_is_no_redirect_to_follow_is_returned(scripted: Scripted) -> None:
    scripted.otherwise = Answer(307, {"Location": "/y"})
    client = HttpClient(scripted.url)
    assert client.request("PUT", "x", body=b"1").status == 307
    assert client.request("GET", "x", follow=False).status == 307
    scripted.otherwise = Answer(301)
    assert client.request("GET", "x").status == 301
    assert len(scripted.asked) == 3


# --- connections --------------------------------------------------------------------------------


def test_a_connection_serves_one_request_after_the_other() -> None:
    with talking(answering(OK, OK, OK)) as url:
        client = HttpClient(url)
        assert [got(client) for _ in range(3)] == [b"ok"] * 3


def test_an_error_page_is_read_away_and_its_connection_used_again() -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\npage"
    with talking(answering(page, OK)) as url:
        client = HttpClient(url)
        client.request("GET", "x").close()
        assert got(client) == b"ok"


def test_a_body_left_early_drops_its_connection(scripted: Scripted) -> None:
    scripted.answers["/large"] = Answer(body=itertools.repeat(b"x" * MIB), length=1000 * MIB)
    scripted.answers["/x"] = Answer(body=b"ok")
    client = HttpClient(scripted.url)
    for _ in client.request("GET", "large").chunks(2000 * MIB):
        break
    assert got(client) == b"ok"


def test_a_connection_that_the_server_closed_in_the_meantime_is_replaced_without_a_word() -> None:
    with talking(answering(OK), answering(OK)) as url:
        client = HttpClient(url)
        assert got(client) == b"ok"
        time.sleep(0.05)
        # Nothing was sent on the old one, so even what must not be repeated is sent.
        assert got(client, method="POST") == b"ok"


def closing_on_request(sock: socket.socket) -> None:
    """Answers one request, and closes on the next one: what a server does whose patience ends that moment."""
    answering(OK)(sock)
    head_of(sock)


def test_a_request_that_meets_a_closing_connection_is_repeated_once() -> None:
    with talking(closing_on_request, answering(OK)) as url:
        client = HttpClient(url)
        assert [got(client), got(client)] == [b"ok", b"ok"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_have_had_its_effect_is_not_repeated(method: str) -> None:
    with talking(closing_on_request, answering(OK)) as url:
        client = HttpClient(url)
        got(client)
        with pytest.raises(UnreadableError, match="hung up without an answer"):
            got(client, method=method)


def test_a_stream_that_was_begun_is_not_repeated() -> None:
    with talking(closing_on_request, answering(OK)) as url:
        client = HttpClient(url)
        got(client)
        with pytest.raises(UnreadableError):
            client.request("PUT", "x", body=iter([b"1"]), length=1)


def test_a_fresh_connection_that_hangs_up_is_unreadable_and_not_tried_again() -> None:
    with talking(head_of_and_close, answering(OK)) as url:
        client = HttpClient(url)
        with pytest.raises(UnreadableError, match=r"/x cannot be reached: it hung up without an answer\. Try again"):
            got(client)
        assert got(client) == b"ok"


def head_of_and_close(sock: socket.socket) -> None:
    head_of(sock)


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x", b"\r\n"])
def test_bytes_after_an_answer_are_never_the_answer_to_another_request(extra: bytes) -> None:
    together = answering(OK + extra, OK)

    def later(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(OK)
        time.sleep(0.05)
        sock.sendall(extra)
        sock.recv(1)

    for talk in (together, later):
        with talking(talk, answering(OK)) as url:
            client = HttpClient(url)
            assert got(client) == b"ok"
            time.sleep(0.1)
            assert got(client) == b"ok"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none_and_one_that_comes_all_the_same_is_no_answer(status: str) -> None:
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(evil)}\r\n\r\n".encode() + evil
    with talking(answering(answer, OK), answering(OK)) as url:
        client = HttpClient(url)
        assert got(client) == b""
        assert got(client) == b"ok"


def test_a_head_answer_tells_the_length_and_has_no_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"
    with talking(answering(answer, answer, OK)) as url:
        client = HttpClient(url)
        assert client.request("HEAD", "x").length == 5_000_000_000
        assert got(client, method="HEAD") == b""
        assert got(client) == b"ok"


def test_a_connection_is_not_used_again_when_the_server_says_so() -> None:
    said = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok"
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for first in (said, old):
        with talking(answering(first, OK.replace(b"ok", b"no")), answering(OK)) as url:
            client = HttpClient(url)
            assert [got(client), got(client)] == [b"ok", b"ok"]


def test_threads_share_a_client_and_each_gets_its_own_answer(scripted: Scripted) -> None:
    scripted.otherwise = lambda asked: Answer(body=asked.path.encode())
    client = HttpClient(scripted.url)
    names = [f"file-{index}" for index in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda name: got(client, name), names)) == [f"/{name}".encode() for name in names]


def test_idle_connections_can_be_closed() -> None:
    ended = threading.Event()

    def talk(sock: socket.socket) -> None:
        answering(OK)(sock)
        if sock.recv(1) == b"":
            ended.set()

    with talking(talk) as url:
        client = HttpClient(url)
        got(client)
        client.close()
        assert ended.wait(2)


# --- a server that answers before it was sent everything ----------------------------------------

REFUSED = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"


def answers_at_once(sock: socket.socket) -> None:
    """Takes nothing for a while, and then another request for one."""
    head_of(sock)
    sock.sendall(REFUSED)
    time.sleep(0.2)
    while data := sock.recv(MIB):
        if b"GET " in data:
            sock.sendall(OK.replace(b"ok", b"no"))


def answers_and_closes(sock: socket.socket) -> None:
    head_of(sock)
    sock.sendall(REFUSED)
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("talk", [answers_at_once, answers_and_closes])
@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_an_answer_in_the_middle_of_an_upload_is_seen(talk: Talk, kind: str) -> None:
    size = 64 * MIB
    taken: list[int] = []

    def stream() -> Iterator[bytes]:
        for index in range(64):
            taken.append(index)
            yield bytes(MIB)

    with talking(talk, answering(OK)) as url:
        client = HttpClient(url, timeouts=Timeouts(idle=5))
        body = bytes(size) if kind == "bytes" else stream()
        began = time.monotonic()
        with client.request("PUT", "x", body=body, length=size) as response:
            assert response.status == 413
        assert time.monotonic() - began < 4
        assert len(taken) < 64
        assert got(client) == b"ok"  # on another connection: the rest of the body is still owed on the first


class Breaking(socket.socket):
    """Breaks when it is written to, and can still be read."""

    def send(self, *_: object) -> int:
        raise BrokenPipeError


def test_what_a_server_said_before_it_broke_is_still_read() -> None:
    ours, theirs = socket.socketpair()
    with Breaking(fileno=ours.detach()) as sock, theirs:
        connection = Connection(sock, Timeouts(idle=1), PRIVATE)
        assert not connection.send(b"GET / HTTP/1.1\r\n\r\n", [])
        theirs.sendall(REFUSED)
        assert connection.until(b"\r\n", 100) == b"HTTP/1.1 413 Content Too Large"


def test_an_answer_for_the_time_being_in_the_middle_of_an_upload_is_not_waited_on() -> None:
    def talk(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.recv(1)
        time.sleep(0.3)

    with talking(talk) as url, pytest.raises(UnreadableError, match="for the time being"):
        HttpClient(url).request("PUT", "x", body=bytes(64 * MIB))


def test_a_server_that_takes_nothing_more_is_not_waited_for(scripted: Scripted) -> None:
    def talk(sock: socket.socket) -> None:
        head_of(sock)
        time.sleep(0.6)

    with talking(talk) as url, pytest.raises(UnreadableError, match="takes nothing more"):
        HttpClient(url, timeouts=QUICK).request("PUT", "x", body=bytes(64 * MIB))


def test_a_server_that_takes_too_little_is_not_waited_for() -> None:
    def talk(sock: socket.socket) -> None:
        head_of(sock)
        while sock.recv(MIB):
            time.sleep(0.02)

    timeouts = Timeouts(connect=1, idle=2, grace=0.2, bytes_per_second=1 << 40)
    with talking(talk) as url, pytest.raises(UnreadableError, match="bytes a second"):
        HttpClient(url, timeouts=timeouts).request("PUT", "x", body=bytes(64 * MIB))


def test_a_server_may_take_as_long_to_answer_as_it_took_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(step=0.5)  # half of one for each read and write
    monkeypatch.setattr(wire, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, Timeouts(grace=0.8, bytes_per_second=MIB), PRIVATE)
        assert connection.send(b"GET / HTTP/1.1\r\n\r\n", [])
        theirs.sendall(OK)
        assert connection.until(b"\r\n", 100) == b"HTTP/1.1 200 OK"


def test_an_upload_to_a_server_that_hangs_up_is_unreadable() -> None:
    with talking(head_of_and_close) as url, pytest.raises(UnreadableError, match="hung up"):
        HttpClient(url).request("PUT", "x", body=itertools.repeat(bytes(MIB)), length=1 << 40)


def test_nothing_that_listens_is_unreadable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnreadableError, match=rf"http://127\.0\.0\.1:{port}/x cannot be reached: Connection refused"):
        got(HttpClient(f"http://127.0.0.1:{port}"))


# --- netrc --------------------------------------------------------------------------------------


def test_a_netrc_entry_of_the_surfaces_host_is_shown_to_it(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\nmachine other login x password y\n")
    got(HttpClient(scripted.url, Credentials(netrc=tmp_path / "netrc")))
    assert scripted.asked[0].headers["Authorization"] == "Basic bWU6czNjcmV0"
