"""Servers that do not keep to HTTP, or only just: what they send is refused, soon, and with little memory."""

import socket
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.heads import parsed
from flywheel_assets.adapters.http.wire import Timeouts, WireError
from flywheel_assets.domain.deadlines import left, within
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, MIB
from flywheel_assets_tests.adapters.http.talking import answering, flooding, head_of, talking, trickling
from flywheel_assets_tests.scripted import Answer, Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = Timeouts(idle=0.3, grace=0.2)
PATIENT = Timeouts()


def got(url: str, most: int = 1000, timeouts: Timeouts = PATIENT) -> bytes:
    with HttpClient(url, timeouts=timeouts).request("GET", "x") as response:
        return response.read(most)


# --- heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("<html>hello", "HTTP/1.1"),
        ("HTTP/2 200 OK", "HTTP/1.1"),
        ("HTTP/1.1 2 OK", "HTTP/1.1"),
        ("HTTP/1.1 20000 OK", "HTTP/1.1"),
        ("HTTP/1.1 099 OK", "HTTP/1.1"),
        ("HTTP/1.1  200 OK", "HTTP/1.1"),
        ("HTTP/1.1 200 OK\nContent-Length: 2", "HTTP/1.1"),
        ("HTTP/1.1 101 Switching Protocols", "changes the protocol"),
        ("HTTP/1.1 200 OK\r\nno colon", "header that is none"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n folded: c", "header that is none"),
        ("HTTP/1.1 200 OK\r\nA : b", "header that is none"),
        ("HTTP/1.1 200 OK\r\n: b", "header that is none"),
        ("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2", "header that is none"),
        ("HTTP/1.1 200 OK\r\nA: b\rc", "header that is none"),
        ("HTTP/1.1 200 OK\r\nA: \0", "header that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +2", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2_0", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x2", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: \u00b2", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length:", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 3", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999", "length that is none"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked", "both a length and chunks"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "transfer coding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "transfer coding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked", "transfer coding"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", "transfer coding"),
    ],
)
def test_a_head_that_is_none_or_can_be_read_in_two_ways_is_refused(lines: str, word: str) -> None:
    with talking(answering(f"{lines}\r\n\r\nok".encode("latin-1"))) as url:
        with pytest.raises(UnreadableError, match=word) as caught:
            got(url)
        assert lines not in str(caught.value)


@given(st.binary(max_size=60), st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: ", b""]))
def test_whatever_comes_as_a_head_is_a_head_or_an_error_of_the_wire(rest: bytes, start: bytes) -> None:
    try:
        head = parsed(start + rest, "GET")
    except WireError:
        return
    assert head is None or 200 <= head.status <= 999
    assert head is None or head.length is None or 0 <= head.length < 10**18


def test_headers_of_one_name_are_joined_and_may_hold_any_text() -> None:
    head = parsed("HTTP/1.1 200\r\nLink:  a\t\r\nlink: b\r\nX: h\u00e9\tl".encode("latin-1"), "GET")
    assert head is not None
    assert (head.headers["link"], head.headers["x"]) == ("a, b", "h\u00e9\tl")


def test_answers_for_the_time_being_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with talking(answering(interim + OK, interim + OK)) as url:
        client = HttpClient(url)
        for _ in range(2):
            with client.request("GET", "x") as response:
                assert response.read(10) == b"ok"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nA: ", b"a" * 1000),
        (b"", b"H" * 1000),
    ],
)
def test_heads_without_an_end_are_given_up_after_64_kib(start: bytes, piece: bytes) -> None:
    with talking(flooding(start, piece)) as url, pytest.raises(UnreadableError, match=r"headers of over"):
        got(url)


def test_as_many_headers_as_allowed_are_read_and_not_a_byte_more() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: "
    padding = b"a" * (DEFAULT_LIMITS.http_head_bytes - len(start))
    with talking(answering(start + padding + b"\r\n\r\nok")) as url:
        assert got(url) == b"ok"
    with (
        talking(answering(start + padding + b"a\r\n\r\nok")) as url,
        pytest.raises(UnreadableError, match="headers of"),
    ):
        got(url)


# --- slowness -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (CHUNKED, b"1\r\na\r\n"),
        (CHUNKED + b"1;", b"a"),
        (CHUNKED + b"0\r\nA: ", b"a"),
    ],
)
def test_a_server_that_only_trickles_is_given_up(start: bytes, piece: bytes) -> None:
    with talking(trickling(start, piece)) as url, pytest.raises(UnreadableError, match="bytes a second"):
        got(url, 1_000_000, QUICK)


@pytest.mark.parametrize("start", [b"", CHUNKED])
def test_all_that_a_visit_asks_ends_with_its_time_however_quick_each_answer_is(start: bytes) -> None:
    talk = flooding(start, b"400\r\n" + b"a" * 1024 + b"\r\n") if start else trickling(b"", b"H")
    began = time.monotonic()
    with talking(talk, talk) as url, within(0.3):
        for _ in range(2):
            with pytest.raises(UnreadableError, match=r"the time for this visit is up|does not answer in time"):
                got(url, 1_000_000_000)
    assert time.monotonic() - began < 3


def test_an_inner_time_is_no_longer_than_the_outer_one_and_both_end() -> None:
    with within(5), within(60):
        assert left(100) <= 5
    with within(60), within(5):
        assert left(100) <= 5
    assert left(100) == 100


def test_a_server_that_was_quick_before_is_given_up_when_it_trickles_all_the_same() -> None:
    def talk(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(4 * MIB))
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.02)

    with talking(talk) as url, pytest.raises(UnreadableError, match="bytes a second"):
        got(url, 9_000_000, QUICK)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"])
def test_a_server_that_falls_silent_is_given_up(start: bytes) -> None:
    def talk(sock: socket.socket) -> None:
        answering(start)(sock)
        sock.recv(1)

    with talking(talk) as url, pytest.raises(UnreadableError, match="does not answer in time"):
        got(url, timeouts=QUICK)


def test_a_reader_that_takes_its_time_is_not_held_against_the_server(scripted: Scripted) -> None:
    scripted.otherwise = Answer(body=iter([b"x" * 40] * 8), length=320)
    client = HttpClient(scripted.url, timeouts=Timeouts(idle=1, grace=0.1, bytes_per_second=1 << 40))
    with client.request("GET", "x") as response:
        time.sleep(0.3)
        assert len(response.read(1000)) == 320


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        CHUNKED + b"9\r\n12345",
        CHUNKED + b"5\r\n12345\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\n",
        CHUNKED,
    ],
)
def test_a_body_that_is_cut_short_is_unreadable(answer: bytes) -> None:
    with talking(answering(answer)) as url, pytest.raises(UnreadableError, match="broke off while it was read"):
        got(url)


@pytest.mark.parametrize(
    "body",
    [
        b"-5\r\n12345\r\n0\r\n\r\n",
        b"+5\r\n12345\r\n0\r\n\r\n",
        b"0x5\r\n12345\r\n0\r\n\r\n",
        b" 5\r\n12345\r\n0\r\n\r\n",
        b"1_0\r\n1234567890123456\r\n0\r\n\r\n",
        b"\r\n12345\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n12345",
        b"5\n12345\n0\n\n",
        b"3\r\n12345\r\n0\r\n\r\n",
        b"5;a\nb\r\n12345\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_do_not_say_their_size_plainly_are_refused(body: bytes) -> None:
    with talking(answering(CHUNKED + body)) as url, pytest.raises(UnreadableError, match="broke off"):
        got(url)


def test_chunks_with_extensions_and_trailers_are_read_and_the_connection_is_used_again() -> None:
    body = b"5;name=value\r\n12345\r\nA ; x\r\n1234567890\r\n000\r\nTrailer: x\r\n\r\n"
    with talking(answering(CHUNKED + body, OK)) as url:
        client = HttpClient(url)
        with client.request("GET", "x") as response:
            assert response.read(15) == b"123451234567890"
        assert client.request("GET", "x").read(2) == b"ok"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + b"1;", b"x" * 1000),
        (CHUNKED, b"1;" + b"x" * 1000 + b"\r\na\r\n"),
        (CHUNKED + b"0\r\n", b"A: b\r\n" * 100),
        (CHUNKED + b"0\r\nA: ", b"b" * 1000),
    ],
)
def test_what_chunks_say_besides_their_bytes_is_given_up_after_64_kib(start: bytes, piece: bytes) -> None:
    with talking(flooding(start, piece)) as url, pytest.raises(UnreadableError, match="headers of over"):
        got(url, MIB)


def test_a_body_up_to_the_end_of_the_connection_is_read() -> None:
    with talking(answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as url:
        assert got(url) == b"until the end"


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    ],
)
def test_a_body_without_an_end_is_read_no_further_than_allowed_and_not_kept(start: bytes) -> None:
    with talking(flooding(start, b"x" * MIB)) as url:
        tracemalloc.start()
        with pytest.raises(LimitExceededError, match="is over 1,048,576 bytes"):
            got(url, MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
        tracemalloc.stop()


def test_endless_chunks_are_read_no_further_than_allowed() -> None:
    talk = flooding(CHUNKED, b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    with talking(talk) as url, pytest.raises(LimitExceededError, match=r"is over 1,000,000 bytes, which"):
        got(url, 1_000_000)


def test_a_limit_is_the_last_size_that_is_read() -> None:
    with talking(answering(OK)) as url:
        assert got(url, 2) == b"ok"
    with talking(answering(OK)) as url, pytest.raises(LimitExceededError, match="is over 1 bytes, 2 declared"):
        got(url, 1)
    with talking(answering(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")) as url, pytest.raises(LimitExceededError):
        got(url, 1)


def test_a_body_that_is_declared_too_large_is_not_waited_for() -> None:
    def talk(sock: socket.socket) -> None:
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")(sock)
        sock.recv(1)

    with talking(talk) as url, pytest.raises(LimitExceededError, match="1,001 declared"):
        got(url, 1000, QUICK)


@pytest.mark.parametrize("coding", ["gzip", "br", "x-anything", "gzip, identity"])
def test_a_body_that_is_compressed_though_nobody_asked_is_refused(coding: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 2\r\n\r\nok".encode()
    with talking(answering(answer)) as url, pytest.raises(InvalidInputError, match="compressed"):
        got(url)


def test_the_status_of_a_compressed_answer_is_still_seen() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"
    with talking(answering(answer)) as url:
        assert HttpClient(url).request("GET", "x").status == 404


@pytest.mark.parametrize("pieces", [[b"x" * 100_000], [b"ab"] * 50, [b"x" * (MIB + 1), b"y"]])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_both_ways_of_reading_give_the_same_bytes(scripted: Scripted, pieces: list[bytes], is_chunked: bool) -> None:
    whole = b"".join(pieces)
    scripted.otherwise = lambda _: Answer(body=iter(pieces), length=None if is_chunked else len(whole))
    client = HttpClient(scripted.url)
    assert client.request("GET", "x").read(len(whole)) == whole
    parts = list(client.request("GET", "x").chunks(len(whole)))
    assert b"".join(parts) == whole
    assert max(map(len, parts)) <= MIB


def test_an_empty_body_is_empty_however_it_is_read(scripted: Scripted) -> None:
    scripted.otherwise = Answer(200)
    client = HttpClient(scripted.url)
    assert client.request("GET", "x").read(0) == b""
    assert list(client.request("GET", "x").chunks(0)) == []
