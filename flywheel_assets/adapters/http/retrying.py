"""Patience with surfaces: what may pass is tried again, what will not is raised at once."""

from collections.abc import Callable
from typing import TypeVar

import stamina
import stamina.instrumentation

from flywheel_assets.domain.errors import RateLimitedError, UnreadableError

ATTEMPTS = 5
PATIENCE_SECONDS = 120.0
Result = TypeVar("Result")
# Where structlog is installed, as with Dagster, stamina would tell of each retry on stdout: among a command's JSON.
stamina.instrumentation.set_on_retry_hooks(())


def patiently(call: Callable[[], Result], *, attempts: int = ATTEMPTS) -> Result:
    """``call()``, again after a failure that may pass: UnreadableError, RateLimitedError after the wait it asks for.

    The last error is raised after ``attempts``, or at once when the wait would go beyond two minutes.
    """
    try:
        return call()  # stamina's own bookkeeping costs as much as a small request
    except (UnreadableError, RateLimitedError) as error:
        failed: list[Exception] = [error]
    for attempt in stamina.retry_context(
        on=_wait_for, attempts=attempts, timeout=PATIENCE_SECONDS, wait_initial=0.2, wait_max=10.0, wait_jitter=0.2
    ):
        with attempt:
            if failed:
                raise failed.pop()  # what happened above was the first attempt
            return call()
    raise AssertionError("stamina ends by returning or raising")


def unless_limited(call: Callable[[], Result], *, attempts: int) -> Result:
    """As ``patiently`` with failures alone: RateLimitedError at once, for its wait is not one to sit through."""

    def limited_or_not() -> Result | RateLimitedError:
        try:
            return call()
        except RateLimitedError as error:
            return error

    found = patiently(limited_or_not, attempts=attempts)
    if isinstance(found, RateLimitedError):
        raise found
    return found


def _wait_for(error: Exception) -> bool | float:
    if isinstance(error, RateLimitedError):
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= PATIENCE_SECONDS else False
    return isinstance(error, UnreadableError)
