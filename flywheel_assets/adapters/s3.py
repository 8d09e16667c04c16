"""Opening a bucket in S3, or in what speaks its protocol, through obstore's synchronous API.

Where it is and who asks comes from the environment that every S3 client reads (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
AWS_REGION, …), and obstore reads it itself.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from flywheel_assets.domain.errors import AbsentError, UnauthorisedError, UnreadableError, UsageError, printable

if TYPE_CHECKING:
    from obstore.store import S3Store


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
    except (BaseError, ValueError) as error:
        reason = printable(str(error), 300)
        raise UsageError(f"{printable(url)} cannot be opened: {reason}. Write s3://bucket/prefix.") from error


@contextmanager
def asking(told: str) -> Iterator[None]:
    """What obstore raises in the block is one of our errors about ``told``; its messages quote no credentials.

    Raises ReadError by its kind. AlreadyExistsError goes through: its meaning is the writer's.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except AlreadyExistsError:
        raise
    except (FileNotFoundError, BaseError) as error:
        # obstore has a type for what a request for an object is answered, and only words for a listing.
        status = re.search(r"status code: (\d{3})", str(error))
        kind = status[1] if status else ""
        if isinstance(error, FileNotFoundError) or kind == "404":
            raise AbsentError(f"{told} is not there.") from error
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or kind in {"401", "403"}:
            raise UnauthorisedError(f"{told} is refused to this reader or writer. Check its AWS_ variables.") from error
        reason = printable(str(error).partition("\n")[0], 300)
        raise UnreadableError(f"{told} failed: {reason}. Check AWS_ENDPOINT_URL and try again later.") from error
