"""What an answer's status means, as one of our errors (RFC 9110, section 15).

The server's own words are not passed on: it may repeat what it was sent, credentials included.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin

from flywheel_assets.adapters.http.response import Response
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)

_ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY}
_LONGEST_WAIT = 3600.0
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?')


def refusal(response: Response, what: str, remedy: str = "") -> FlywheelError:
    """The error that ``response`` means for ``what``, a thing of the surface such as ``the blob sha256:…``.

    ``remedy`` is for what only its owner can mend: other statuses say themselves what to do. The response is closed.
    """
    status, after = response.status, retry_after(response)
    response.close()
    told = f"{response.url}: {what}"
    if status in _ABSENT:
        return AbsentError(f"{told} is not there.")
    if status in _REFUSED:
        advice = remedy or "Give this surface a credential that may do that."
        return UnauthorisedError(f"{told} is refused to this reader or writer ({_named(status)}). {advice}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and after is not None):
        wait = f" for {after:.0f} s" if after is not None else ""
        return RateLimitedError(f"{told} has to wait{wait}: the server limits its callers ({_named(status)}).", after)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return UnreadableError(f"{told} failed on the server ({_named(status)}). Try again later.")
    return PublicationError(f"{told} was answered with {_named(status)}. {remedy or 'Look at the server.'}")


def retry_after(response: Response) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3), at most an hour; None when the server says nothing, or nonsense."""
    text = response.header("Retry-After").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        # A date without a zone is Greenwich's, as RFC 9110 has them all.
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def next_page(response: Response) -> str:
    """Where the answer says that its list goes on (RFC 8288, `rel="next"`); empty where it ends."""
    match = _NEXT.search(response.header("Link"))
    return urljoin(response.location, match[1]) if match else ""


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
