"""Connections that go only to addresses which were checked, and wait for nobody for ever."""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flywheel_assets.adapters.http.places import Address
from flywheel_assets.domain.deadlines import left
from flywheel_assets.domain.limits import KIB, MIB

Lookup = Callable[[str, int], list[Address]]
Octets = bytes | bytearray | memoryview
BUFFER = 256 * KIB
_HEAD_BUFFER = 64 * KIB  # with a small body; what is larger costs a trip to the kernel for its memory
_MAX_ADDRESSES = 8
_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect and for one read or write; and what must pass on average in each ``grace`` of waiting."""

    connect: float = 10
    idle: float = 60
    grace: float = 60
    bytes_per_second: int = KIB


class WireError(Exception):
    """Why a connection is of no use any more: half a sentence about the server, none of its own words."""


class HungUpError(WireError):
    """The server closed the connection."""


class CertificateRefusedError(WireError):
    """The server does not let in whoever shows this certificate, or none."""


class Connection:
    """An open connection: bytes one way, then the other. Not safe for threads.

    Methods raise WireError alone, and the connection is to be closed then. The time is kept over reads and writes: a
    server that sends or takes a byte now and then would never run into ``idle``. ``address`` is whose it is.
    """

    def __init__(self, sock: socket.socket, timeouts: Timeouts, address: str) -> None:
        sock.settimeout(timeouts.idle)
        self._sock, self._timeouts, self.address = sock, timeouts, address
        self._held, self._at = b"", 0  # received, and as far as it was asked for
        self._failure: OSError | None = None  # met while only looking
        self._moved, self._waited = 0, 0.0
        self._incoming, self._either = select.poll(), select.poll()
        self._incoming.register(sock, select.POLLIN)
        self._either.register(sock, select.POLLIN | select.POLLOUT)

    def close(self) -> None:
        """Close it; more than once does no harm."""
        self._sock.close()

    def is_quiet(self) -> bool:
        """Whether it is open, and nothing came that nobody asked for: another request may be sent."""
        return not self._has_arrived()

    def send(self, head: bytes, pieces: Iterable[Octets]) -> bool:
        """Send a request. False when the server answered or hung up before it had all; then no other can follow."""
        self._moved, self._waited = 0, 0.0
        is_whole = self._sent(head) and all(self._sent(piece) for piece in pieces)
        self._moved, self._waited = 0, 0.0  # the answer has a time of its own
        return is_whole

    def until(self, mark: bytes, most: int) -> bytes:
        """What comes before ``mark``, which is taken too. HungUpError when nothing comes, WireError over ``most``."""
        while (end := self._held.find(mark, self._at)) < 0:
            if len(self._held) - self._at >= most + len(mark):
                break
            more = self._received(_HEAD_BUFFER)
            if not more:
                raise HungUpError("it hung up " + ("half way" if self._at < len(self._held) else "without an answer"))
            self._held, self._at = self._held[self._at :] + more, 0
        if end < 0 or end - self._at > most:
            raise WireError(f"it sends headers of over {most:,} bytes")
        start, self._at = self._at, end + len(mark)
        return self._held[start:end]

    def take(self, most: int) -> bytes:
        """As many bytes as have come, at least one; none at the end."""
        if self._at < len(self._held):
            piece = self._held[self._at : self._at + most]
            self._at += len(piece)
            return piece
        return self._received(min(most, BUFFER))

    def _received(self, most: int) -> bytes:
        if self._failure is not None:
            raise worded(self._failure) from self._failure
        began = time.monotonic()
        self._sock.settimeout(_step(self._timeouts.idle))
        try:
            data = self._sock.recv(most)
        except OSError as error:
            raise worded(error) from error
        self._passed(len(data), began)
        return data

    def _sent(self, data: Octets) -> bool:
        view = memoryview(data)
        while view:
            began = time.monotonic()
            ready = self._either.poll(_step(self._timeouts.idle) * 1000)
            if not ready:
                raise WireError("it takes nothing more")
            if ready[0][1] != select.POLLOUT and self._has_arrived():
                return False
            count = 0
            if ready[0][1] & select.POLLOUT:
                try:
                    count = self._sock.send(view[:MIB])
                except (ConnectionError, ssl.SSLEOFError):
                    return False  # what it said before can still be read
                except OSError as error:
                    raise worded(error) from error
            view = view[count:]
            self._passed(count, began)
        return True

    def _has_arrived(self) -> bool:
        """Whether something came, its end included. TLS may only have had something to settle by itself."""
        if self._at < len(self._held):
            return True
        if not isinstance(self._sock, ssl.SSLSocket):
            return bool(self._incoming.poll(0))
        if not self._sock.pending() and not self._incoming.poll(0):
            return False
        self._sock.settimeout(0)
        try:
            self._held, self._at = self._sock.recv(BUFFER), 0
        except ssl.SSLWantReadError:
            return False
        except OSError as error:
            self._failure = error
        finally:
            self._sock.settimeout(self._timeouts.idle)
        return True

    def _passed(self, count: int, began: float) -> None:
        self._moved += count
        self._waited += time.monotonic() - began
        if self._waited <= self._timeouts.grace:
            return
        if self._moved < self._waited * self._timeouts.bytes_per_second:
            raise WireError(f"less than {self._timeouts.bytes_per_second:,} bytes a second pass")
        self._moved, self._waited = 0, 0.0  # what passed quickly before buys no slowness later


def connected(
    host: str, port: int, look_up: Lookup, timeouts: Timeouts, context: ssl.SSLContext | None = None
) -> Connection:
    """A connection to the first of the host's addresses that takes one; with TLS when there is a ``context``.

    Raises WireError, and what ``look_up`` raises.
    """
    failure: OSError = OSError("it has no address")
    for family, address in look_up(host, port)[:_MAX_ADDRESSES]:
        try:
            sock = _dialled(family, (address, port), timeouts.connect)
        except OSError as error:
            failure = error
        else:
            return Connection(_secured(sock, host, context) if context else sock, timeouts, address)
    raise worded(failure) from failure


def _dialled(family: socket.AddressFamily, address: tuple[str, int], seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(_step(seconds))
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _secured(sock: socket.socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        # An end without TLS's own goodbye may be an attacker's: a body without a length would just be shorter.
        return context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
    except (OSError, ValueError) as error:
        sock.close()
        raise worded(error) from error


def _step(seconds: float) -> float:
    """What one step may take. Raises WireError when the time for all of them is up."""
    found = left(seconds)
    if found <= 0:
        raise WireError("the time for this visit is up")
    return found


def worded(error: Exception) -> WireError:
    """A failure of socket or ssl in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return WireError(f"its certificate does not hold ({error.verify_message})")
    if isinstance(error, TimeoutError):
        return WireError("it does not answer in time")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError):
        return HungUpError("it hung up")
    reason = str(getattr(error, "reason", None) or "")
    if "ALERT" in reason and any(alert in reason for alert in _ALERTS):
        return CertificateRefusedError(f"it does not take the certificate of this client ({reason})")
    return WireError(reason or getattr(error, "strerror", None) or type(error).__name__)
