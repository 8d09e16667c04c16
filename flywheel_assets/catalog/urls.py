"""What a URL in a catalogue must be so that a client can be made for it, and may be shown a token there."""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


def is_http(url: str) -> bool:
    """Whether it is asked over HTTP at all."""
    return url.startswith(("http://", "https://"))


def is_server(url: str) -> bool:
    """Whether an ``http`` or ``https`` URL names a host and a port that there can be."""
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(_HOST.fullmatch(parts.hostname or "")) and url.isascii() and url.isprintable()
    except ValueError:  # the port, or a bracket that is left open
        return False


def is_confidential(url: str) -> bool:
    """Whether nobody on the way can read what is shown to a server: https, or this very machine."""
    if url.startswith("https://") or not is_server(url):
        return True  # one that is no server is told as that
    host = urlsplit(url).hostname or ""
    return host == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
