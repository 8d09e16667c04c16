"""Where a surface may lead: redirects, upload locations, token realms, URLs in indexes.

A surface's own host is its operator's choice and may be anywhere. Another host has to be on the surface's list; one at
a private address is refused all the same, unless the surface itself is at one.
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import SplitResult, urljoin, urlsplit

from flywheel_assets.domain.errors import LedAstrayError, UnreadableError, UsageError, printable

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")
_USER, _REST = re.compile(r"//[^/]*@"), re.compile("[?#]")
_ALLOW = "If it is meant to, add the host to `hosts` of the surface in the catalogue."
Address = tuple[socket.AddressFamily, str]


EVERYWHERE = ("*",)
"""Hosts for a reader that verifies all that it reads: any, but at a private address only as above."""


class Places:
    """The places that one surface may lead to. ``base`` is its URL, http or https."""

    def __init__(self, base: str, hosts: Collection[str] = ()) -> None:
        """Raises UsageError when ``base`` is no URL of a server."""
        self.base = base.rstrip("/")
        # Only what follows the last @: before it may be a password.
        problem = f"{shown(base.rpartition('@')[2])!r} is no URL of a server"
        try:
            parts = urlsplit(self.base)
            self.home = authority(parts)
        except ValueError:
            raise UsageError(f"{problem}: write https://host/path.") from None
        is_url = parts.scheme in _PORTS and _HOST.fullmatch(self.home[0]) and base.isascii() and base.isprintable()
        if not is_url or "@" in parts.netloc or parts.query or parts.fragment:
            raise UsageError(f"{problem}: write https://host/path, without user.")
        self.scheme, self.origin = parts.scheme, f"{parts.scheme}://{parts.netloc}"
        self._home_is_public: set[bool] = set()  # of each address that it ever had here
        self._allows_all = tuple(hosts) == EVERYWHERE
        named = () if self._allows_all else tuple(map(_listed, hosts))
        self._allowed = {self.home, *(place for place in named if not place[0].startswith("*."))}
        self._below = {(host[1:], port) for host, port in named if host.startswith("*.")}

    def resolve(self, target: str, start: str | None = None) -> SplitResult:
        """The URL that ``target`` means, read from ``start`` (the surface's own URL). Raises LedAstrayError.

        ``target`` is a name below the base, a path on the base's host, or an absolute URL.
        """
        try:
            if start is None and not target.startswith(("/", "http://", "https://")):
                url = urlsplit(f"{self.base}/{target}")
            else:
                url = urlsplit(urljoin(start or self.origin, target))
            place = authority(url)
        except ValueError:
            raise self._astray(target, "is no URL", "Let its operator mend that.") from None
        if url.scheme not in _PORTS or url.username is not None:
            raise self._astray(target, "is no plain http or https URL", "Let its operator mend that.")
        if _UNSENDABLE.search(url.netloc + url.path + url.query):
            raise self._astray(target, "holds characters that no request can carry", "Let its operator mend that.")
        if self.scheme == "https" and url.scheme == "http":
            raise self._astray(target, "leads from https to http", "Let its operator serve it over https.")
        if not (place in self._allowed or self._allows_all or self._is_below(place)):
            raise self._astray(target, "is on a host that the surface may not lead to", _ALLOW)
        return url

    def _is_below(self, place: tuple[str, int]) -> bool:
        """Whether a host is below one of the domains that stand on the list as ``*.domain``."""
        return any(place[0].endswith(domain) and place[1] == port for domain, port in self._below)

    def is_home(self, url: SplitResult) -> bool:
        """Whether ``url`` has the surface's own scheme, host and port: the only ones that see its credential."""
        return url.scheme == self.scheme and authority(url) == self.home

    def is_named(self, url: SplitResult) -> bool:
        """Whether an operator named the host of ``url``, as the surface's or on its list; not so with EVERYWHERE."""
        return not self._allows_all or authority(url)[0] == self.home[0]

    def addresses(self, host: str, port: int) -> list[Address]:
        """The addresses to connect to, looked up once for each connection.

        Raises LedAstrayError for private ones that are not the surface's own, UnreadableError when there are none.
        """
        found = _looked_up(host, port)
        if (host, port) == self.home:
            self._home_is_public.update(is_public(address) for _, address in found)
            return found
        private = [address for _, address in found if not is_public(address)]
        if private and not self.is_private:
            raise self._astray(host, f"has the private address {private[0]}", "Nothing is sent there.")
        return found

    @property
    def is_private(self) -> bool:
        """Whether all that was ever connected to as the surface itself was at private addresses; not before that.

        Its name is not asked once more for this: who answers for it could say another address than before.
        """
        return self._home_is_public == {False}

    def _astray(self, target: str, problem: str, remedy: str) -> LedAstrayError:
        return LedAstrayError(self.base, shown(target), problem, remedy)


def shown(url: str) -> str:
    """A URL for messages: without its user, query and fragment, which may be secrets."""
    return printable(_USER.sub("//", _REST.split(url, 1)[0]), 300)


def authority(url: SplitResult) -> tuple[str, int]:
    """Host, in lower case, and port. Raises ValueError for a port that is none."""
    return _authority(url.scheme, url.netloc)


@lru_cache(maxsize=256)  # asked several times a request, of a handful of servers
def _authority(scheme: str, netloc: str) -> tuple[str, int]:
    url = SplitResult(scheme, netloc, "", "", "")
    return url.hostname or "", url.port or _PORTS.get(scheme, 0)


def _listed(host: str) -> tuple[str, int]:
    return authority(urlsplit(f"https://{host}"))


def is_public(address: str) -> bool:
    """Whether anybody on the internet may be at this IP address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # What carries an IPv4 address is as public as that one; of the rest only global unicast is.
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _GLOBAL_UNICAST and found.is_global
        found = inner
    return found.is_global and not found.is_multicast


def _looked_up(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreadableError(f"The host {printable(host)} has no address: {error}. Check its name and DNS.") from error
    return [(family, str(address[0])) for family, _, _, _, address in found]
