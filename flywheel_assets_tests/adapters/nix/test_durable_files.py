"""Writing a durable cache: the same promises in a folder, on a web server and in S3."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.nix.bucket import Bucket
from flywheel_assets.adapters.nix.cache_files import DurableFiles
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.opening import cache_files, durable_files
from flywheel_assets.adapters.nix.remote import RemoteDurable, RemoteFiles
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
)
from flywheel_assets.domain.limits import MIB
from flywheel_assets_tests.adapters.nix.making import s3_environment
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

KINDS = ["folder", pytest.param("http", marks=pytest.mark.peer("nginx")), "s3"]


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DurableFiles:
    ask: Callable[[str], Any] = request.getfixturevalue
    if request.param == "s3":
        for name, value in s3_environment(ask("s3").url).items():
            monkeypatch.setenv(name, value)
        url = f"s3://{ask('s3_bucket')}/some/prefix"
    else:
        url = f"file:{tmp_path}" if request.param == "folder" else ask("nginx").url
    found = durable_files(url)
    found.prepare("nar")
    return found


def whole(files: DurableFiles, name: str) -> bytes:
    return b"".join(files.chunks(name))


def test_what_was_put_is_read_in_each_way(files: DurableFiles) -> None:
    files.put("nar/a", b"first")
    files.put("nar/a", b"second")
    files.put("nar/a", b"second", settled=False)
    files.settle()
    assert files.read("nar/a", 6) == whole(files, "nar/a") == b"second"
    assert files.size("nar/a") == 6
    with pytest.raises(LimitExceededError):
        files.read("nar/a", 5)
    assert cache_files(files.place).read("nar/a", 6) == b"second"


def test_what_is_not_there_is_absent(files: DurableFiles) -> None:
    for ask in (files.size, lambda name: files.read(name, 9), lambda name: list(files.chunks(name))):
        with pytest.raises(AbsentError, match="nar/none"):
            ask("nar/none")


def test_only_the_first_to_put_once_is_told_that_it_did(files: DurableFiles) -> None:
    assert files.put_once("nar/a", b"first")
    assert not files.put_once("nar/a", b"first")
    assert not files.put_once("nar/a", b"other")
    assert files.read("nar/a", 9) == b"first"


def test_a_large_file_is_uploaded_piece_by_piece(files: DurableFiles) -> None:
    pieces = [bytes([number]) * MIB for number in range(20)]
    files.upload("nar/large", 20 * MIB, iter(pieces))
    assert files.size("nar/large") == 20 * MIB
    assert whole(files, "nar/large") == b"".join(pieces)
    assert all(len(piece) <= MIB for piece in files.chunks("nar/large"))


@pytest.mark.parametrize("count", [1, 12])
def test_an_upload_that_fails_leaves_nothing_and_its_own_error(files: DurableFiles, count: int) -> None:
    def failing() -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(MIB)
        raise PublicationError("not what was approved")

    with pytest.raises(PublicationError, match="not what was approved"):
        files.upload("nar/bad", 20 * MIB, failing())
    with pytest.raises(AbsentError):
        files.size("nar/bad")


def test_an_upload_over_an_old_file_that_fails_leaves_the_old_one(files: DurableFiles) -> None:
    files.put("nar/a", b"old")

    def failing() -> Iterator[bytes]:
        yield bytes(MIB)
        raise UnreadableError("broke off")

    with pytest.raises(UnreadableError, match="broke off"):
        files.upload("nar/a", 2 * MIB, failing())
    assert files.read("nar/a", 9) == b"old"


def test_urls_lead_to_their_kind_and_say_where_they_are(tmp_path: Path) -> None:
    kinds = {f"file://{tmp_path}": DurableFolder, "https://cache.example/x": RemoteDurable, "s3://bucket/x": Bucket}
    for url, kind in kinds.items():
        assert isinstance(durable_files(url), kind)
        assert durable_files(url).place == cache_files(url).place == url
    assert type(cache_files("https://cache.example/x")) is RemoteFiles
    for url in ("https://user@cache.example/x", "s3://"):
        with pytest.raises(UsageError):
            durable_files(url)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UnauthorisedError), (403, UnauthorisedError), (405, PublicationError), (507, UnreadableError)],
)
@pytest.mark.parametrize("way", ["put", "put_once", "upload"])
def test_a_server_that_does_not_take_a_file_says_so(
    scripted: Scripted, status: int, kind: type[FlywheelError], way: str
) -> None:
    scripted.answers["PUT /nar/a"] = Answer(status)
    files = RemoteDurable(HttpClient(scripted.url))
    with pytest.raises(kind, match=rf"writing nar/a.*{status}"):
        files.upload("nar/a", 1, iter([b"x"])) if way == "upload" else getattr(files, way)("nar/a", b"x")


def test_where_the_server_heeds_the_condition_nothing_is_overwritten(scripted: Scripted) -> None:
    scripted.answers["PUT /a"] = lambda asked: Answer(412 if asked.headers["If-None-Match"] == "*" else 201)
    assert not RemoteDurable(HttpClient(scripted.url)).put_once("a", b"x")


def test_a_file_that_another_publisher_wrote_meanwhile_is_seen(scripted: Scripted) -> None:
    scripted.answers |= {"PUT /a": Answer(201), "GET /a": Answer(body=b"theirs, and longer")}
    assert not RemoteDurable(HttpClient(scripted.url)).put_once("a", b"mine")
    scripted.answers["GET /a"] = Answer(body=b"same")
    assert not RemoteDurable(HttpClient(scripted.url)).put_once("a", b"mine")


def test_an_upload_of_which_the_server_kept_only_a_part_is_refused(scripted: Scripted) -> None:
    scripted.answers |= {"PUT /a": Answer(201), "HEAD /a": Answer(body=b"x")}
    with pytest.raises(PublicationError, match="has 1 bytes on the server, and 2 were sent"):
        RemoteDurable(HttpClient(scripted.url)).upload("a", 2, iter([b"xx"]))


def test_what_s3_refuses_to_a_stranger_is_absent_where_the_cache_is_public(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment(scripted.url).items():
        monkeypatch.setenv(name, value)
    scripted.otherwise = Answer(403)
    consumer = Bucket("s3://bucket/prefix", anonymous=True)
    asking = (lambda: consumer.read("a", 9), lambda: consumer.size("a"))
    for ask in asking:
        with pytest.raises(UnauthorisedError):
            ask()
    stamp = {"Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT", "ETag": '"x"'}
    scripted.answers["HEAD /bucket/prefix/nix-cache-info"] = Answer(headers=stamp, body=b"x")
    for ask in asking:
        with pytest.raises(AbsentError):
            ask()
    assert {asked.headers["Authorization"] for asked in scripted.asked} == {None}


def repeating(status: int) -> Callable[[Asked], Answer]:
    """As S3 answers to a signature that is wrong: with all that it was sent."""
    names = ("Authorization", "x-amz-security-token")
    return lambda asked: Answer(status, body="\x1b ".join(str(asked.headers[name]) for name in names).encode())


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (400, InvalidInputError, PublicationError),
        (301, InvalidInputError, PublicationError),
        (403, UnauthorisedError, UnauthorisedError),
        (404, AbsentError, AbsentError),
        (409, InvalidInputError, PublicationError),
        (429, RateLimitedError, RateLimitedError),
        (500, UnreadableError, UnreadableError),
        (503, RateLimitedError, RateLimitedError),
    ],
)
def test_what_s3_answers_has_its_own_error_that_repeats_none_of_its_words(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    reading: type[FlywheelError],
    writing: type[FlywheelError],
) -> None:
    for name, value in (s3_environment(scripted.url) | {"AWS_SESSION_TOKEN": "s3ss1on"}).items():
        monkeypatch.setenv(name, value)
    scripted.otherwise = repeating(status)
    bucket = Bucket("s3://bucket/prefix")
    ways: list[tuple[type[FlywheelError], Callable[[], object]]] = [
        (reading, lambda: bucket.size("a")),
        (reading, lambda: bucket._range("a", 0, 1)),
        (writing, lambda: bucket.put("a", b"x")),
        (writing, lambda: bucket.upload("a", 9 * MIB, iter([bytes(9 * MIB)]))),
    ]
    for kind, ask in ways:
        with pytest.raises(kind, match="s3://bucket/prefix/") as raised:
            ask()
        told = "".join(traceback.format_exception(raised.value))
        assert not [word for word in ("s3ss1on", "anybody", "\x1b", "x1b") if word in told]
        assert ("again later" in told) is (status == 500)


def test_an_s3_that_cannot_be_reached_is_unreadable_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x"}
    for name, value in {**environment, "AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnreadableError, match="AWS_ENDPOINT_URL") as raised:
        Bucket("s3://bucket").size("a")
    assert "s3cr3t" not in str(raised.value)
