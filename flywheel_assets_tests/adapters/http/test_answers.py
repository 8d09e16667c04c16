"""What a status means, how long to wait, and what is tried again."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.http.answers import refusal, retry_after
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.retrying import ATTEMPTS, patiently
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets_tests.adapters.http.talking import answering, talking
from flywheel_assets_tests.scripted import Answer, Scripted


class Said:
    """An answer that consists of one header."""

    def __init__(self, text: str) -> None:
        self.text = text

    def header(self, name: str) -> str:
        return self.text if name == "Retry-After" else ""


def wait(text: str) -> float | None:
    return retry_after(Said(text))  # type: ignore[arg-type]


# --- statuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, AbsentError),
        (410, AbsentError),
        (401, UnauthorisedError),
        (403, UnauthorisedError),
        (407, UnauthorisedError),
        (408, UnreadableError),
        (425, UnreadableError),
        (429, RateLimitedError),
        (500, UnreadableError),
        (502, UnreadableError),
        (503, UnreadableError),
        (599, UnreadableError),
        (204, PublicationError),
        (301, PublicationError),
        (400, PublicationError),
        (409, PublicationError),
        (413, PublicationError),
        (999, UnreadableError),
    ],
)
def test_each_status_has_its_error(scripted: Scripted, status: int, kind: type[FlywheelError]) -> None:
    scripted.otherwise = Answer(status, body=b"" if status == 204 else b"echo of s3cret")
    response = HttpClient(scripted.url).request("GET", "x?sig=s3cret")
    error = refusal(response, "the blob")
    assert type(error) is kind
    assert str(error).startswith(f"{scripted.url}/x: the blob ")
    assert "s3cret" not in str(error)
    assert str(error).endswith(".")


def test_a_503_that_says_how_long_to_wait_is_a_limit(scripted: Scripted) -> None:
    scripted.otherwise = Answer(503, {"Retry-After": "7"})
    error = refusal(HttpClient(scripted.url).request("GET", "x"), "the blob")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 7
    assert "for 7 s" in str(error)


def test_a_refused_answer_gives_its_connection_back() -> None:
    absent = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\npage"
    with talking(answering(absent, absent)) as url:
        client = HttpClient(url)
        # Kept alive, so that nothing but the refusal itself can close it.
        responses = []
        for _ in range(2):
            responses.append(client.request("GET", "x"))
            assert isinstance(refusal(responses[-1], "the blob"), AbsentError)


def test_a_remedy_is_for_what_only_the_owner_can_mend(scripted: Scripted) -> None:
    for status, is_told in ((401, True), (400, True), (404, False), (500, False)):
        scripted.otherwise = Answer(status)
        error = refusal(HttpClient(scripted.url).request("GET", "x"), "the blob", "Do this.")
        assert str(error).endswith("Do this.") is is_told


# --- Retry-After --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 5000, 3600),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u00b2", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 3600),
        ("Wed, 32 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_a_wait_is_seconds_or_a_date_and_an_hour_at_most(text: str, seconds: float | None) -> None:
    assert wait(text) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_date_is_a_wait_until_then(zone: object) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    found = wait(format_datetime(moment if zone else moment.replace(tzinfo=None)))
    assert found is not None
    assert 80 < found <= 90


@given(st.text() | st.text("Mon, 0123456789:+-GMT JanFeb.()\\\"'", max_size=40) | st.integers().map(str))
def test_whatever_a_server_says_is_a_wait_within_bounds_or_none(text: str) -> None:
    seconds = wait(text)
    assert seconds is None or 0 <= seconds <= 3600


# --- patience -----------------------------------------------------------------------------------


@pytest.fixture
def without_waiting() -> Iterator[None]:
    """The attempts as they are, and no time between them."""
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


class Failing:
    """Raises ``errors`` one after the other, then returns ``"done"``."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.usefixtures("without_waiting")
def test_what_may_pass_is_tried_again() -> None:
    call = Failing(UnreadableError("a"), RateLimitedError("b"), RateLimitedError("c", 1.0), UnreadableError("d"))
    assert patiently(call) == "done"
    assert call.calls == ATTEMPTS


@pytest.mark.usefixtures("without_waiting")
def test_the_last_error_is_raised_when_patience_ends() -> None:
    call = Failing(*(UnreadableError(str(index)) for index in range(9)))
    with pytest.raises(UnreadableError, match=r"^4$"):
        patiently(call)
    assert call.calls == ATTEMPTS


@pytest.mark.usefixtures("without_waiting")
@pytest.mark.parametrize(
    "error", [AbsentError("x"), UnauthorisedError("x"), PublicationError("x"), OSError("x"), RateLimitedError("x", 121)]
)
def test_what_will_not_pass_soon_is_raised_at_once(error: Exception) -> None:
    call = Failing(error)
    with pytest.raises(type(error)):
        patiently(call)
    assert call.calls == 1


@pytest.mark.usefixtures("without_waiting")
def test_a_failure_of_another_kind_ends_patience() -> None:
    call = Failing(UnreadableError("a"), AbsentError("gone"))
    with pytest.raises(AbsentError):
        patiently(call)
    assert call.calls == 2


def test_one_attempt_is_one_call() -> None:
    call = Failing(UnreadableError("a"))
    with pytest.raises(UnreadableError):
        patiently(call, attempts=1)
    assert call.calls == 1


def test_another_try_says_nothing_on_stdout_where_structlog_is_installed() -> None:
    # The first import of stamina decides, so this needs a process of its own.
    program = """
import structlog
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.domain.errors import RateLimitedError
errors = [RateLimitedError("a", 0.0)]
def call():
    if errors:
        raise errors.pop()
    print("done")
patiently(call)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_the_wait_that_a_server_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    assert patiently(Failing(RateLimitedError("a", 90.0), RateLimitedError("b", 0.0))) == "done"
    assert waits == [90.0, 0.0]
