"""Files by plain GET, on a server that lies and on nginx."""

from collections.abc import Callable, Iterator

import pytest
import stamina

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.files import HttpFiles
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LimitExceededError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import MIB
from flywheel_assets_tests.scripted import Answer, Asked, Scripted
from flywheel_assets_tests.servers import WebServer


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def files_of(server: Scripted | WebServer) -> HttpFiles:
    return HttpFiles(HttpClient(server.url))


def test_a_file_on_a_real_server_is_read_in_each_way(nginx: WebServer) -> None:
    content = bytes(range(256)) * (3 * 4096)
    (nginx.folder / "sub").mkdir()
    (nginx.folder / "sub/file").write_bytes(content)
    files = files_of(nginx)
    assert files.place == nginx.url
    assert files.read("sub/file", len(content)) == content
    assert b"".join(files.chunks("sub/file")) == content
    assert files.size("sub/file") == len(content)
    with pytest.raises(LimitExceededError):
        files.read("sub/file", len(content) - 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, AbsentError),
        (401, UnauthorisedError),
        (429, RateLimitedError),
        (500, UnreadableError),
        (400, InvalidInputError),
        (204, InvalidInputError),
        (301, InvalidInputError),
    ],
)
@pytest.mark.parametrize("way", ["read", "chunks", "size"])
def test_each_failure_has_its_type(scripted: Scripted, status: int, kind: type[FlywheelError], way: str) -> None:
    scripted.otherwise = Answer(status)
    files = files_of(scripted)
    ways: dict[str, Callable[[], object]] = {
        "read": lambda: files.read("x", 9),
        "chunks": lambda: list(files.chunks("x")),
        "size": lambda: files.size("x"),
    }
    with pytest.raises(kind, match=f"{scripted.url}/x"):
        ways[way]()


@pytest.mark.parametrize("failure", [Answer(500), Answer(429), Answer(body=b"1", length=10)])
def test_reading_is_tried_again(scripted: Scripted, failure: Answer) -> None:
    answers = iter([failure, failure, Answer(body=b"content")])
    scripted.otherwise = lambda _: next(answers)
    assert files_of(scripted).read("x", 100) == b"content"


def test_a_stream_that_was_begun_is_not_begun_again(scripted: Scripted) -> None:
    scripted.otherwise = Answer(body=bytes(MIB), length=2 * MIB)
    with pytest.raises(UnreadableError, match="broke off"):
        list(files_of(scripted).chunks("x"))
    assert len(scripted.asked) == 1


def test_a_size_that_is_not_said_is_unreadable(scripted: Scripted) -> None:
    scripted.otherwise = lambda _: Answer(body=iter([b""]))
    with pytest.raises(UnreadableError, match="does not say how large it is"):
        files_of(scripted).size("x")


def test_a_size_is_asked_for_without_the_file(scripted: Scripted) -> None:
    def large(asked: Asked) -> Answer:
        return Answer(length=10**12)

    scripted.otherwise = large
    assert files_of(scripted).size("x") == 10**12
    assert [asked.method for asked in scripted.asked] == ["HEAD"]
