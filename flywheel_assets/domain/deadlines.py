"""How long all that one visit asks of others may take together, however slowly each of them goes on.

Whoever talks to a server keeps to it (adapters.http); nobody in between need know of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_END: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is asked in here, by this thread, is given up that many seconds from now; an outer end may come before."""
    outer, end = _END.get(), monotonic() + seconds
    token = _END.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _END.reset(token)


def left(most: float) -> float:
    """Seconds that one step may take, at most ``most``; 0 or less when the time is up."""
    end = _END.get()
    return most if end is None else min(most, end - monotonic())
