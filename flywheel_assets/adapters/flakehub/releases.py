"""What FlakeHub's API tells of a flake's releases: bounded, and each of its strings is somebody's data.

Source: the requests of FlakeHub's own command line, ``fh`` (src/cli/cmd/mod.rs). In ``/version`` and ``/output`` a
version is a constraint (Cargo's), so ``=`` goes before it, and what comes back is compared again.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.retrying import unless_limited
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import FlakeVersion
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, PublicationError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, KIB
from flywheel_assets.domain.names import Line, SemanticVersion, StorePath
from flywheel_assets.domain.statements import invalid
from flywheel_assets.domain.untrusted import parse_json

ATTEMPTS = 3
_HEADERS = {"Accept": "application/json"}
_REMEDY = "Point the surface at the base of FlakeHub's API, https://api.flakehub.com."
_CREDENTIAL = "Give the surface a read_credential that is shown this flake."
Document = TypeVar("Document", bound=BaseModel)


class _Release(BaseModel):
    version: SemanticVersion
    revision: GitRevision
    published_at: AwareDatetime | None = None
    yanked: bool = False

    def told(self) -> FlakeVersion:
        return FlakeVersion(
            version=self.version, revision=self.revision, published_at=self.published_at, yanked=self.yanked
        )


class _Releases(BaseModel):
    """The list as it came: each release is read for itself, so that an odd one stops no other."""

    items: Annotated[tuple[object, ...], Field(max_length=DEFAULT_LIMITS.flake_releases)]


class _Version(BaseModel):
    """The answer of ``/version``; ``revision`` is not in all of them, and ``fh`` itself reads none."""

    version: SemanticVersion
    revision: GitRevision | None = None


class _Output(BaseModel):
    attribute_path: Line
    store_path: StorePath


def is_rolling(version: str, revision: GitRevision) -> bool:
    """Whether ``version`` is as FlakeHub makes it for ``revision``; nobody vouches for the count of commits in it."""
    return re.fullmatch(rf"0\.1\.(0|[1-9][0-9]{{0,8}})\+rev-{revision}", version) is not None


def release_of(client: HttpClient, name: str, version: str, *, attempts: int = ATTEMPTS) -> FlakeVersion | None:
    """The release ``version``; ``yanked`` when it is known and not in the list any more, then perhaps of no revision.

    A listed release whose version differs in build metadata alone comes back where ``version`` itself is not listed: to
    a consumer who asks for ``version`` it is the same one, but it is not what was asked for.
    Raises ReadError by its kind, InvalidInputError for an answer that is none of this API, and for an odd release that
    may be the one asked for.
    """
    listed = _listed(client, name, _core(version), attempts)
    same = (each for each in listed if each.version == version)
    alike = (each for each in listed if "+" not in version and _core(each.version) == version)
    return next(same, None) or next(alike, None) or _unlisted(client, name, version, attempts)


def rolling_release_of(
    client: HttpClient, name: str, revision: GitRevision, *, attempts: int = ATTEMPTS
) -> FlakeVersion | None:
    """The rolling release of ``revision``, whose version ends in it; the first in the list. Raises as ``release_of``.

    Its whole version is not known before, so a yanked one cannot be told from one that never was: None.
    """
    mine = (each for each in _listed(client, name, str(revision), attempts) if is_rolling(each.version, revision))
    return next(mine, None)


def store_path_of(
    client: HttpClient, name: str, version: str, attribute: str, *, attempts: int = ATTEMPTS
) -> str | None:
    """The store path that the release says its output has; None when it was published without, or has no such one.

    Raises as ``release_of``.
    """
    what = f"the output {attribute} of {name} {version}"
    target = f"f/{name}/{_step('=' + version)}/output/{_step(attribute)}"
    try:
        found = _read(client, target, what, _Output, attempts)
    except AbsentError:
        return None
    if found.attribute_path != attribute:
        problem = f"is {found.attribute_path}, and {attribute} was asked for"
        raise InvalidInputError(what, "attribute_path", problem, _REMEDY)
    return found.store_path


def _listed(client: HttpClient, name: str, part: str, attempts: int) -> tuple[FlakeVersion, ...]:
    """The releases that resolve and have ``part`` in their version; none when FlakeHub knows no such flake.

    The others may be as odd as they like: only one without a version in text could be anybody's.
    """
    what = f"the releases of {name}"
    try:
        found = _read(client, f"f/{name}/releases", what, _Releases, attempts)
    except AbsentError:
        return ()
    told = []
    for item in found.items:
        version = item.get("version") if isinstance(item, dict) else None
        if not isinstance(version, str) or part in version:
            told.append(_parsed(_Release, item, what).told())
    return tuple(told)


def _core(version: str) -> str:
    """A version without build metadata."""
    return version.partition("+")[0]


def _unlisted(client: HttpClient, name: str, version: str, attempts: int) -> FlakeVersion | None:
    """A release that dropped out of the list, if FlakeHub still tells of it under its exact version."""
    what = f"the release {version} of {name}"
    try:
        found = _read(client, f"version/{name}/{_step('=' + version)}", what, _Version, attempts)
    except AbsentError:
        return None
    if _core(found.version) != _core(version):
        return None
    return FlakeVersion(version=found.version, revision=found.revision, yanked=True)


def _read(client: HttpClient, target: str, what: str, model: type[Document], attempts: int) -> Document:
    data = unless_limited(_asking(client, target, what), attempts=attempts)
    is_list = data.lstrip()[:1] == b"["
    most = DEFAULT_LIMITS.forge_answer_bytes + KIB
    document = parse_json(b'{"items":%s}' % data if is_list else data, what, max_bytes=most)
    return _parsed(model, document, what)


def _parsed(model: type[Document], document: object, what: str) -> Document:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error, what, _REMEDY) from error


def _asking(client: HttpClient, target: str, what: str) -> Callable[[], bytes]:
    def once() -> bytes:
        with client.request("GET", target, headers=_HEADERS) as response:
            if response.status == HTTPStatus.OK:
                return response.read(DEFAULT_LIMITS.forge_answer_bytes)
            error = refusal(response, what, _CREDENTIAL)
            if isinstance(error, PublicationError):
                raise InvalidInputError(response.url, "status", str(response.status), _REMEDY)
            raise error

    return once


def _step(text: str) -> str:
    """One step of a path: a ``+`` or ``/`` in it is no space and no further step."""
    return quote(text, safe="")
