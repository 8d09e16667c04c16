"""Opening a bucket in S3, or in what speaks its protocol, through obstore's synchronous API.

Where it is and who asks comes from the environment that every S3 client reads (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
AWS_REGION, …), and obstore reads it itself. Its errors repeat what the server said, which may be what it was sent,
credentials included: nothing of them leaves this module but the status.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
    printable,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

# What obstore writes before the server's own words.
_STATUS = re.compile(r"Server returned [a-z0-9 -]*status code: ([0-9]{3})\b")
_ELSEWHERE = "Received redirect without LOCATION"
_REFUSED, _SLOW_DOWN = range(300, 500), {429, 503}
# Rust writes a name that it takes for no path within quotes, and escapes it: the name cannot end the quotes itself.
_NAME = re.compile(r'\bpath: "((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_REMEDY = "Check AWS_REGION, AWS_ENDPOINT_URL and the credential, which may have expired or be missing."


class UnaddressableError(UnreadableError):
    """A listing that holds ``key``, which obstore takes for no path, and so names nothing of that page; "" for none."""

    def __init__(self, told: str, key: str) -> None:
        super().__init__(f'{told} holds "{printable(key, 300)}", a name that nothing can address. Remove that object.')
        self.key = key


def open_bucket(url: str, *, anonymous: bool = False) -> "S3Store":
    """The store at ``s3://bucket/prefix``; nothing is asked of it yet. Raises UsageError for what is no such URL.

    With ``anonymous`` no credential is used, whatever the environment holds.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    try:
        return S3Store.from_url(
            url,
            config={"skip_signature": True} if anonymous else None,
            retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=2)},
        )
    except (BaseError, ValueError):
        raise UsageError(
            f"{printable(url)} cannot be opened. Write s3://bucket/prefix, and check the AWS_ variables."
        ) from None


@contextmanager
def asking(told: str, *, writes: bool = False) -> Iterator[None]:
    """What obstore raises in the block is one of our errors about ``told``; ``writes`` says what a refusal is.

    Raises ReadError by its kind, InvalidInputError, or PublicationError where the block ``writes``.
    """
    from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError:
        raise AbsentError(f"{told} is not there.") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise _unauthorised(told) from None
    except InvalidPathError as error:
        raise UnaddressableError(told, _unaddressable(str(error))) from None
    except BaseError as error:
        raise _failure(told, str(error), writes=writes) from None


def _unaddressable(message: str) -> str:
    """The name in what obstore says of one that is no path: of its debug form, which comes last."""
    found = _NAME.search(message, message.rfind("\n\nDebug source:\n"))
    if found is None:
        return ""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)) if m[1] else _CONTROLS.get(m[2], m[2]), found[1])


def _unauthorised(told: str) -> UnauthorisedError:
    return UnauthorisedError(f"{told} is refused to this reader or writer. Check its AWS_ variables.")


def _failure(told: str, message: str, *, writes: bool) -> FlywheelError:
    """The error that obstore's ``message`` means for ``told``; S3 says SlowDown with 503.

    obstore has a type for what a request for an object is answered, and only words for a listing.
    """
    found = _STATUS.search(message)
    status = int(found[1]) if found else 0
    is_elsewhere = found is None and _ELSEWHERE in message.partition("\n")[0]
    if status == 404:  # noqa: PLR2004 - as HTTP has it, like those below
        return AbsentError(f"{told} is not there.")
    if status in {401, 403}:
        return _unauthorised(told)
    if status in _SLOW_DOWN:
        return RateLimitedError(f"{told} has to wait: the server limits its callers ({status}).")
    if status not in _REFUSED and not is_elsewhere:
        reason = f" (status {status})" if status else ""
        return UnreadableError(
            f"{told} failed{reason}. Check AWS_ENDPOINT_URL (AWS_ALLOW_HTTP=true for http) and try again later."
        )
    problem = f"was answered with status {status}" if status else "is said to be in another region"
    if writes:
        return PublicationError(f"{told} {problem}. {_REMEDY}")
    return InvalidInputError(told, "status", problem, _REMEDY)
