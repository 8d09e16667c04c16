"""Attestations that GitHub keeps by the digest of what they are about. Source: GitHub REST, "Artifact attestations".

An entry holds its bundle, as older servers send it, or the URL where it lies packed: a signed one, on another host.
Where a page ends before the list does, its header `Link` says where that goes on.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.snappy import unpacked
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError, LedAstrayError, UnreadableError, printable
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.statements import PROVENANCE_V1, invalid
from flywheel_assets.ports import Delivery

PAGE = 100  # GitHub gives no more at once
_SNAPPY = "application/x-snappy"
_REMEDY = "Point the source at the base of GitHub's REST API."


class _Attestation(BaseModel):
    bundle: dict[str, Any] | None = None
    bundle_url: str | None = None


class _Attestations(BaseModel):
    attestations: tuple[_Attestation, ...] = ()


def attestations_about(asking: Asking, place: str, digest: Sha256) -> Iterator[Delivery]:
    """The bundles of SLSA provenance about a digest; ``place`` is the repository's in the API.

    What cannot be read, and that there are more than are read, is one with a problem. Raises ReadError: AbsentError
    where there is none, or the repository is not shown.
    """
    most, left = asking.limits.attestations, asking.limits.attestations
    name = f"{place.removeprefix('repos/')}, attestations of {digest}"
    query = f"per_page={min(most, PAGE)}&predicate_type={quote(PROVENANCE_V1, safe='')}"
    target = f"{place}/attestations/sha256:{digest.hex}?{query}"
    for _ in range(asking.limits.attestation_pages):
        try:
            document, target = asking.page(target, name)
            found = _Attestations.model_validate(document).attestations
        except (ValidationError, InvalidInputError) as error:
            problem = invalid(error, name, _REMEDY) if isinstance(error, ValidationError) else error
            yield Delivery(name, None, printable(str(problem), 400))
            return
        for number, each in enumerate(found[:left], start=most - left + 1):
            yield _bundle(asking, each, f"{name}, {number}")
        if len(found) > left or (target and len(found) == left):
            yield Delivery(name, None, f"{name} are more than {most:,}, and no more than {most:,} are read.")
            return
        left -= len(found)
        if not target:
            return
    pages = f"{asking.limits.attestation_pages:,} pages"
    yield Delivery(name, None, f"{name} go on for more than {pages}, and what is behind them is not read.")


def _bundle(asking: Asking, entry: _Attestation, name: str) -> Delivery:
    if entry.bundle is not None:
        return Delivery(name, json.dumps(entry.bundle, sort_keys=True, separators=(",", ":")).encode())
    if not entry.bundle_url:
        return Delivery(name, None, f"{name} holds neither a bundle nor its URL.")
    is_packed = urlsplit(entry.bundle_url).path.endswith(".sn")
    try:
        found: Delivery = asking.download(
            entry.bundle_url, name, lambda answer: _read(answer, name, asking.limits, is_packed=is_packed)
        )
    except LedAstrayError as error:
        # The forge itself chose the host: with it among the source's `hosts`, another try reads it.
        raise UnreadableError(str(error)) from error
    except InvalidInputError as error:
        return Delivery(name, None, printable(str(error), 400))
    return found


def _read(answer: Response, name: str, limits: Limits, *, is_packed: bool) -> Delivery:
    if answer.status != HTTPStatus.OK:
        return Delivery(name, None, f"{name} was deleted at the forge before it was read.")
    media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
    data = answer.read(limits.signed_bytes)
    if is_packed or media_type == _SNAPPY:
        data = unpacked(data, name, limits.signed_bytes)
    return Delivery(name, data)
