"""What Attic says of a cache besides its contents: how long it keeps them.

Source: Attic, attic/src/api/v1/cache_config.rs: GET /_api/v1/cache-config/<cache>. FlakeHub Cache speaks the same.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.errors import FlywheelError, InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import invalid

_REMEDY = "Point the catalogue at an Attic server, as https://host/cache."


class Retention(BaseModel):
    """A period of this cache's own, seconds; zero is for ever."""

    model_config = ConfigDict(frozen=True)

    seconds: Annotated[int, Field(alias="Period", ge=0, le=2**31)]


class CacheConfig(BaseModel):
    """What is used of Attic's answer. ``retention_period`` is ``Global`` where the server's own holds."""

    model_config = ConfigDict(frozen=True)

    retention_period: Literal["Global"] | Retention | None = None


def cache_config(client: HttpClient, limits: Limits = DEFAULT_LIMITS) -> CacheConfig:
    """The configuration of the cache at the client's base, ``https://host/…/<cache>``.

    Raises ReadError by its kind, InvalidInputError for a base without a cache's name and for another answer.
    """
    head, _, cache = urlsplit(client.base).path.rpartition("/")
    if not cache:
        raise InvalidInputError(client.base, "path", "names no cache", _REMEDY)
    with client.request("GET", f"{head}/_api/v1/cache-config/{cache}") as response:
        if response.status != HTTPStatus.OK:
            raise refusal(response, "the cache's configuration", _REMEDY)
        data = response.read(limits.narinfo_bytes)
    try:
        return CacheConfig.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error, f"{client.base}: cache-config", _REMEDY) from error


def retention_note(client: HttpClient) -> str:
    """A sentence on why a path may have vanished, after a space; empty where the server does not say."""
    try:
        period = cache_config(client).retention_period
    except FlywheelError:
        return ""  # most caches are no Attic: that is no news, and no reason to fail
    if isinstance(period, Retention) and period.seconds:
        days = timedelta(seconds=period.seconds) / timedelta(days=1)
        return f" This cache collects what nobody fetched for {days:g} days: push it again, or let it keep longer."
    return ""
