"""Questions and orders to a forge's REST API: bounded JSON, answers that did not change, and limits that are kept.

Sources: GitHub REST, "Best practices for using the REST API" (conditional requests, primary and secondary limits);
GitLab, "User and IP rate limits" (response headers).
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from flywheel_assets.adapters.http.answers import next_page, refusal, retry_after
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.retrying import unless_limited
from flywheel_assets.domain.errors import (
    AmbiguousError,
    FlywheelError,
    InvalidInputError,
    PublicationError,
    RateLimitedError,
    UnreadableError,
    printable,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS, KIB, MIB, Limits
from flywheel_assets.domain.untrusted import JsonObject, parse_json

ATTEMPTS = 4
ITEMS: Final = "items"
_REMEMBERED_BYTES = 32 * MIB
_LEFT = ("x-ratelimit-remaining", "ratelimit-remaining")
_RESET = ("x-ratelimit-reset", "ratelimit-reset")
_LIMITED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# Of an order: no other answer says for sure that nothing was taken, not even a redirect.
_NOT_TAKEN = frozenset({400, 401, 403, 404, 410, 422, 429})
_LONGEST_WAIT, _UNTOLD_WAIT = 3600.0, 60.0  # GitHub: "wait for at least one minute"
_MAY_ORDER = "Give the forge a token that may write actions of this repository."
_NONE: Mapping[str, str] = MappingProxyType({})


class UnprocessableError(PublicationError):
    """The forge does not understand a part of an order, and has taken nothing (422)."""


class Asking:
    """GET requests below the base of ``client``, at most ``attempts`` times each.

    While a limit is on, nothing is asked: RateLimitedError at once.
    """

    def __init__(
        self,
        client: HttpClient,
        headers: Mapping[str, str] = _NONE,
        limits: Limits = DEFAULT_LIMITS,
        *,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.client = client
        self.limits = limits
        self._attempts = attempts
        self._headers = dict(headers)
        # An answer may be deep and its strings (commit messages, names) are anybody's: only its size is bounded.
        self._json_limits = replace(limits, string_chars=limits.forge_answer_bytes)
        self._known: OrderedDict[str, tuple[str, bytes, str]] = OrderedDict()
        self._wait_until = 0.0

    def json(self, target: str, what: str) -> JsonObject:
        """The object at ``target``; a list as the object whose ``items`` it is. ``what`` names it in errors.

        Raises ReadError by its kind, InvalidInputError when it is no JSON within the limits.
        """
        return self.page(target, what)[0]

    def page(self, target: str, what: str) -> tuple[JsonObject, str]:
        """The same, and where the list goes on; empty where it ends. Raises as ``json``."""
        data, following = unless_limited(lambda: self._asked(target, what), attempts=self._attempts)
        wrapped = b'{"%s":%s}' % (ITEMS.encode(), data) if data.lstrip()[:1] == b"[" else data
        most = self.limits.forge_answer_bytes + KIB
        return parse_json(wrapped, what, max_bytes=most, limits=self._json_limits), following

    def download(self, target: str, what: str, read: Callable[[Response], Any]) -> Any:
        """What ``read`` makes of a good answer, on whatever allowed host that ends. Raises as ``json``.

        The answers 404 and 410 are handed to ``read`` too: a forge tells by them what was deleted and what expired.
        """
        passed_on = {HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}

        def once() -> Any:
            with self._got(target, {}) as response:
                if response.status not in passed_on:
                    raise self._error(response, what)
                return read(response)

        return unless_limited(once, attempts=self._attempts)

    def ordered(self, target: str, body: bytes, what: str) -> bytes:
        """What the forge answers to a POST of JSON that is sent once, and once alone; empty for 204.

        Raises AmbiguousError when it may have done it: any failure on the way, and any answer that does not say for
        sure that it has not. Else as ``json``, PublicationError, and UnprocessableError for 422: then it has not.
        """
        self._demand_no_limit()
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            with self.client.request("POST", target, headers=headers, body=body) as response:
                self._heed_what_is_left(response)
                if response.status in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED}:
                    return response.read(self.limits.forge_answer_bytes)
                if response.status == HTTPStatus.NO_CONTENT:
                    return b""
                if response.status not in _NOT_TAKEN:
                    raise _ambiguous(what, f"{response.url} answered {response.status}")
                refused = self._limited(response, what) or refusal(response, what, _MAY_ORDER)
        except AmbiguousError:
            raise
        except (UnreadableError, InvalidInputError) as error:
            # Whether it broke off before or after the forge took it cannot be told from here.
            raise _ambiguous(what, str(error)) from error
        if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise UnprocessableError(str(refused))
        raise refused

    def _asked(self, target: str, what: str) -> tuple[bytes, str]:
        etag, known, after_known = self._known.get(target, ("", b"", ""))
        headers = {"If-None-Match": etag} if etag else {}
        with self._got(target, headers) as response:
            if response.status == HTTPStatus.NOT_MODIFIED and etag:
                self._known.move_to_end(target)
                return known, after_known
            if response.status != HTTPStatus.OK:
                raise self._error(response, what)
            data, following = response.read(self.limits.forge_answer_bytes), next_page(response)
            self._remember(target, response.header("ETag"), data, following)
            return data, following

    def _got(self, target: str, headers: Mapping[str, str]) -> Response:
        self._demand_no_limit()
        response = self.client.request("GET", target, headers={**self._headers, **headers})
        self._heed_what_is_left(response)
        return response

    def _demand_no_limit(self) -> None:
        wait = self._wait_until - time.time()
        if wait > 0:
            raise RateLimitedError(f"{self.client.base} limits its callers: nothing is asked for {wait:.0f} s.", wait)

    def _heed_what_is_left(self, response: Response) -> None:
        if _number(response, _LEFT) == 0:
            self._wait_until = time.time() + _until_reset(response)

    def _error(self, response: Response, what: str) -> FlywheelError:
        """What an answer means; a limit is one also where it is told as a refusal."""
        limited = self._limited(response, what)
        if limited is not None:
            return limited
        error = refusal(response, what, "Give this source a token that may read runs, artifacts and contents.")
        if isinstance(error, PublicationError):
            status = str(response.status)
            return InvalidInputError(response.url, "status", status, "Point the source at the base of a forge's API.")
        return error

    def _limited(self, response: Response, what: str) -> RateLimitedError | None:
        """A limit is one also where it is told as a refusal; None when the answer is about something else."""
        wait = self._limit(response)
        if wait is None:
            return None
        self._wait_until = max(self._wait_until, time.time() + wait)
        response.close()
        return RateLimitedError(f"{response.url}: {what} has to wait for {wait:.0f} s: a rate limit.", wait)

    @staticmethod
    def _limit(response: Response) -> float | None:
        """Seconds to wait; None when the answer is about something else."""
        if response.status not in _LIMITED:
            return None
        told = retry_after(response)
        if told is not None:
            return told
        if _number(response, _LEFT) == 0:
            return _until_reset(response)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            return _UNTOLD_WAIT
        try:
            text = response.read(64 * KIB).lower()
        except FlywheelError:
            return None
        return _UNTOLD_WAIT if b"rate limit" in text else None

    def _remember(self, target: str, etag: str, data: bytes, following: str) -> None:
        if not etag:
            return
        self._known[target] = (etag, data, following)
        self._known.move_to_end(target)
        while sum(len(each) for _, each, _ in self._known.values()) > _REMEMBERED_BYTES:
            self._known.popitem(last=False)


def line(text: object, most: int = 400) -> str:
    """Somebody's text as one line of a record."""
    return printable(str(text or ""), most)


def _ambiguous(what: str, problem: str) -> AmbiguousError:
    return AmbiguousError(
        f"Whether {what} was taken is not known: {problem.removesuffix('.')}. Look before asking again."
    )


def _number(response: Response, names: tuple[str, ...]) -> int | None:
    for name in names:
        text = response.header(name).strip()
        if text.isascii() and text.isdecimal():
            return int(text[:20])
    return None


def _until_reset(response: Response) -> float:
    reset = _number(response, _RESET)
    if reset is None:
        return _UNTOLD_WAIT
    return min(max(reset - time.time(), 1.0), _LONGEST_WAIT)
