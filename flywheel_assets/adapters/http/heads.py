"""Heads of HTTP/1.1 messages: written for requests, read strictly from answers (RFC 9112).

Two readers of one connection must never disagree where an answer ends. So what the RFC lets a reader mend (two lengths,
a length beside chunks, folded or bare line ends) is refused here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from flywheel_assets.adapters.http.places import shown
from flywheel_assets.adapters.http.wire import WireError
from flywheel_assets.domain.errors import InvalidInputError

HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,18}")  # fits 64 bits
_EMPTY = {204, 304}  # and answers to HEAD: no body follows, whatever their headers say


@dataclass(frozen=True, slots=True)
class Head:
    """Of an answer: ``headers`` by lower-case name, values of one name joined by a comma; ``length`` as declared.

    ``ahead`` is how many bytes follow, None when it has to be found out: by chunks, or where the connection ends.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    ahead: int | None
    is_chunked: bool
    is_last: bool


def written(method: str, url: SplitResult, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request. Raises InvalidInputError for what would be more than one; it does not show the value."""
    lines = [f"{method} {path} HTTP/1.1\r\nHost: {url.netloc}"]
    for name, value in headers.items():
        if not (_TOKEN.fullmatch(name) and value.isascii() and value.isprintable()):
            problem = "holds characters that no header can carry"
            raise InvalidInputError(shown(url.geturl()), f"header {name}", problem, "Look at where it comes from.")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def parsed(block: bytes, method: str) -> Head | None:
    """The head in ``block``, which ends before its empty line; None for one that is only followed by another.

    Raises WireError for what is no HTTP/1.0 or 1.1, or may be read in two ways.
    """
    first, *lines = block.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise WireError("it does not answer in HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and _TOKEN.fullmatch(name)) or _CONTROL.search(value):
            raise WireError("it sends a header that is none")
        key, value = name.lower(), value.strip(" \t")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    status = int(match[2])
    if status < 200:  # noqa: PLR2004 - RFC 9110, 15.2: informational
        if status == 101:  # noqa: PLR2004 - as above
            raise WireError("it changes the protocol though nobody asked")
        return None
    is_old = match[1] == "0"
    length = _length(headers)
    is_chunked = _is_chunked(headers, is_old=is_old)
    is_empty = method == "HEAD" or status in _EMPTY
    ahead = 0 if is_empty else length
    is_last = is_old or "close" in headers.get("connection", "").lower() or (ahead is None and not is_chunked)
    return Head(status, headers, length, ahead, is_chunked and not is_empty, is_last)


def _length(headers: Mapping[str, str]) -> int | None:
    declared = headers.get("content-length")
    if declared is None:
        return None
    if not _LENGTH.fullmatch(declared):
        raise WireError("it declares a length that is none")
    return int(declared)


def _is_chunked(headers: Mapping[str, str], *, is_old: bool) -> bool:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked" or is_old:
        raise WireError("it sends in a transfer coding that nobody asked for")
    if "content-length" in headers:
        raise WireError("it declares both a length and chunks")
    return True
