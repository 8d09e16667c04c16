"""One answer: bounded, complete or an error, and its connection given back when it was read to the end."""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import Self

from flywheel_assets.adapters.http.heads import Head
from flywheel_assets.adapters.http.places import shown
from flywheel_assets.adapters.http.wire import BUFFER, Connection, WireError
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UnreadableError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, KIB

_WORTH_READING = 16 * KIB  # what an error page has; less work than a new connection
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?)")
_LINE_END = b"\r\n"


class Response:
    """``status``, ``location`` as requested at last, ``length`` as declared (bytes).

    ``idle`` takes the connection when the body was read to its end, and another request may follow on it.
    """

    def __init__(self, head: Head, connection: Connection, idle: deque[Connection] | None, location: str) -> None:
        self._head, self._connection, self._idle = head, connection, idle
        self.status, self.location, self.length = head.status, location, head.length
        self._ahead: int | None = 0 if head.is_chunked else head.ahead  # of the body, or of its present chunk
        self._chunked = head.is_chunked  # and further chunks are to come
        self._extra = DEFAULT_LIMITS.http_head_bytes  # what chunks may say besides their bytes
        self._is_first = True
        self._is_open = True
        self._finish_if_read()

    @cached_property
    def url(self) -> str:
        """Where the answer comes from, fit for messages."""
        return shown(self.location)

    def header(self, name: str) -> str:
        """The header's value; empty when there is none."""
        return self._head.headers.get(name.lower(), "")

    def read(self, most: int) -> bytes:
        """The whole body. LimitExceededError when it is over ``most`` bytes, UnreadableError when it is cut short.

        InvalidInputError when it is compressed, which was not asked for.
        """
        return b"".join(self.chunks(most))

    def chunks(self, most: int) -> Iterator[bytes]:
        """The body in pieces of at most 1 MiB; errors as of ``read``. Its connection is dropped if left early."""
        with self:
            size = 0
            if self.length is not None and self.length > most and self._ahead:
                raise self._too_large(most)
            while data := self._gathered():
                size += len(data)
                if size > most:
                    raise self._too_large(most)
                yield data

    def close(self) -> None:
        """Give the connection back, or close it when there is more to come than is worth reading."""
        if self._is_open and not self._chunked and self._ahead is not None and self._ahead <= _WORTH_READING:
            with suppress(WireError):
                while self._ahead:
                    self._account(len(self._connection.take(self._ahead)))
        if self._is_open:
            self._is_open = False
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gathered(self) -> bytes:
        """The next piece: what has come, small ones joined; none at the end."""
        parts: list[bytes] = []
        size = 0
        try:
            while size < BUFFER and (room := self._room(BUFFER - size)):
                data = self._connection.take(room)
                self._account(len(data))
                parts.append(data)
                size += len(data)
        except WireError as error:
            raise self._broken(str(error)) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _room(self, most: int) -> int:
        """How many bytes of the body may be taken now; 0 at its end."""
        if self._ahead == 0 and self._chunked:
            self._begin_chunk()
        if self._ahead != 0:
            self._require_plain()
        return most if self._ahead is None else min(most, self._ahead)

    def _account(self, count: int) -> None:
        if count == 0 and self._ahead is not None:
            declared = "" if self.length is None else f" of {self.length:,} declared"
            raise WireError(f"{self._ahead:,}{declared} bytes are missing")
        self._ahead = self._ahead - count if self._ahead is not None else (None if count else 0)
        self._finish_if_read()

    def _begin_chunk(self) -> None:
        """Read the head of a chunk (RFC 9112, 7.1), after the last one the trailers too, which nobody uses."""
        if not self._is_first and self._connection.until(_LINE_END, 0):
            raise WireError("a chunk does not end where it says")
        self._is_first = False
        match = _SIZE.fullmatch(self._connection.until(_LINE_END, self._extra))
        if match is None:
            raise WireError("it sends a chunk without a size")
        self._extra -= len(match[2])
        self._ahead = int(match[1], 16)
        if self._ahead == 0:
            while line := self._connection.until(_LINE_END, self._extra):
                self._extra -= len(line) + len(_LINE_END)
            self._chunked = False
            self._finish_if_read()

    def _finish_if_read(self) -> None:
        """After the last byte the connection can serve another request; only once."""
        if self._ahead != 0 or self._chunked or not self._is_open:
            return
        self._is_open = False
        if self._idle is None or self._head.is_last:
            self._connection.close()
        else:
            self._idle.append(self._connection)

    def _require_plain(self) -> None:
        coding = self.header("Content-Encoding")
        if coding and coding.lower() != "identity":
            self._drop()
            problem = "is compressed, though nobody asked for that"
            raise InvalidInputError(self.url, "Content-Encoding", problem, "Let the server send what it stores.")

    def _broken(self, problem: str) -> UnreadableError:
        self._drop()
        return UnreadableError(f"{self.url} broke off while it was read: {problem}. Try again later.")

    def _drop(self) -> None:
        self._is_open = False
        self._connection.close()

    def _too_large(self, most: int) -> LimitExceededError:
        declared = "" if self.length is None else f", {self.length:,} declared"
        return LimitExceededError(
            self.url, "size", f"is over {most:,} bytes{declared}, which is all that is read", "Look at what lies there."
        )
