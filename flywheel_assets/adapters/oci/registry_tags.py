"""Which tags of a repository in a registry name one manifest (OCI distribution-spec 1.1, "Listing Tags").

A registry does not tell that the other way round: all tags are listed, and each is asked what it names.
"""

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from flywheel_assets.adapters.http.answers import next_page, refusal
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.adapters.oci.bodies import in_parallel
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.names import OciTag
from flywheel_assets.domain.untrusted import parse_json

if TYPE_CHECKING:
    from flywheel_assets.adapters.oci.registry import RegistryRepository

MAX_PAGES = 200
_PAGE = 1000
_TAGS = TypeAdapter(tuple[OciTag, ...])
_REMEDY = "Look at the registry."


def tags_of(repository: "RegistryRepository", digest: Sha256) -> tuple[str, ...]:
    """The tags that name it, in the registry's order. Raises ReadError, and InvalidInputError for what is no list.

    AbsentError for 404: that says no tags, an unknown repository, or one whose tags are not for this reader.
    """
    names = _listed(repository)
    held = in_parallel(lambda name: _is_at(repository, name, digest), names)
    return tuple(name for name, is_it in zip(names, held, strict=True) if is_it)


def _is_at(repository: "RegistryRepository", name: str, digest: Sha256) -> bool:
    found = patiently(lambda: repository.manifest(name))
    return found is not None and Sha256.of(found[1]).hex == digest.hex


def _listed(repository: "RegistryRepository") -> tuple[str, ...]:
    found: dict[str, None] = {}
    target, bound = f"/v2/{repository.name}/tags/list?n={_PAGE}", repository.registry.limits.tags
    for _ in range(MAX_PAGES):
        tags, target = patiently(partial(_page, repository, target))
        found |= dict.fromkeys(tags)
        if len(found) > bound:
            break
        if not target:
            return tuple(found)
    problem = f"are more than {bound:,}, or go on for more than {MAX_PAGES} pages"
    raise LimitExceededError(repository.place, "tags", problem, "Delete those that nobody needs.")


def _page(repository: "RegistryRepository", target: str) -> tuple[tuple[str, ...], str]:
    """The tags of one page, and where the next one is."""
    with repository.get(target, {"Accept": "application/json"}) as response:
        if response.status != HTTPStatus.OK:
            raise refusal(response, "the list of tags", "Give this surface a credential that may list tags.")
        limits = repository.registry.limits
        document = parse_json(response.read(limits.manifest_bytes), response.url, limits=limits)
        tags = document.get("tags")
        try:
            return _TAGS.validate_python(() if tags is None else tags), next_page(response)
        except ValidationError as error:
            raise InvalidInputError(response.url, "tags", "is no list of tags", _REMEDY) from error
