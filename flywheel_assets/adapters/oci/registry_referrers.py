"""What refers to an image in a registry: its referrers API, else the index under the fallback tag.

Source: OCI distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema". Some registries answer the API with a
page for people, or with 303 See Other, which leads to one: all but an index is no API. Who is refused, or has to wait,
is told so; and so is who is led by any other redirect to a host that the surface does not list, for there the list is.
"""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING

from flywheel_assets.adapters.http.answers import next_page, refusal
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.adapters.oci.documents import OCI_INDEX
from flywheel_assets.adapters.oci.fallback import entries_of, includes, with_entries
from flywheel_assets.adapters.oci.referrers import Descriptor, fallback_tag
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import LedAstrayError, LimitExceededError, PublicationError, ReadError

if TYPE_CHECKING:
    from flywheel_assets.adapters.oci.registry import RegistryRepository

MAX_PAGES = 20


def listed(repository: "RegistryRepository", subject: ManifestDigest) -> list[Descriptor]:
    """Entries as they are listed. Raises ReadError, and InvalidInputError for what is no list."""
    found = _by_api(repository, subject)
    return _by_tag(repository, subject) if found is None else found


def list_beside(repository: "RegistryRepository", subject: Descriptor, entries: Sequence[Descriptor]) -> None:
    """Until all ``entries`` are listed. PublicationError when they are not after a while.

    Another writer of the fallback tag can overwrite ours between two requests: so it is read again, and written again.
    """
    if not entries:
        return
    digest = ManifestDigest(subject["digest"])
    with repository.locked(fallback_tag(digest)):
        for _ in chain((None,), repository.waits()):
            if _is_listed(repository, digest, entries):
                return
    raise PublicationError(
        f"{repository.place} does not list {entries[0]['digest']} as a referrer of {digest}, though it was stored. "
        "Promote again; if it stays so, look at the registry."
    )


def _is_listed(repository: "RegistryRepository", subject: ManifestDigest, entries: Sequence[Descriptor]) -> bool:
    """Whether all are listed, after having done something about those that were not."""
    by_api = _by_api(repository, subject)
    if by_api is not None:
        lacking = [entry for entry in entries if not includes(by_api, [entry])]
        for entry in lacking:  # a registry that was pushed to by many at once, or got its API later, may lack some
            repository.put(entry["digest"], repository.stored(ManifestDigest(entry["digest"])), entry["mediaType"])
        return not lacking or includes(_by_api(repository, subject) or (), lacking)
    present = _by_tag(repository, subject)
    if includes(present, entries):
        return True
    repository.put(fallback_tag(subject), with_entries(repository, present, entries), OCI_INDEX)
    return includes(_by_tag(repository, subject), entries)


def _by_tag(repository: "RegistryRepository", subject: ManifestDigest) -> list[Descriptor]:
    tag = fallback_tag(subject)
    found = patiently(lambda: repository.manifest(tag))
    if found is None:
        return []
    return entries_of(found[1], f"{repository.place}:{tag}", repository.registry.limits)


def _by_api(repository: "RegistryRepository", subject: ManifestDigest) -> list[Descriptor] | None:
    """Entries of all pages, which are bounded as if they were one; None where there is no such API."""
    entries: list[Descriptor] = []
    limits, size = repository.registry.limits, 0
    target = f"/v2/{repository.name}/referrers/{subject}"
    for number in range(MAX_PAGES):
        try:
            page = patiently(partial(_page, repository, target))
        except LedAstrayError:
            if number or not patiently(partial(_is_for_people, repository, target)):
                raise
            return None
        if page is None:
            return None
        data, location, following = page
        entries += entries_of(data, location, limits)
        size += len(data)
        if size > limits.manifest_bytes or len(entries) > limits.proofs:
            raise _too_much(repository, f"are more than {limits.proofs} or {limits.manifest_bytes:,} bytes of list")
        if not following:
            return entries
        target = following
    raise _too_much(repository, f"go on for more than {MAX_PAGES} pages")


def _too_much(repository: "RegistryRepository", problem: str) -> LimitExceededError:
    return LimitExceededError(repository.place, "referrers", problem, "Delete those that nobody needs.")


def _is_for_people(repository: "RegistryRepository", target: str) -> bool:
    """Whether the API leads to something else than what was asked for (RFC 9110, 15.4.4): a page to log in."""
    with repository.get(target, {"Accept": OCI_INDEX}, follow=False) as response:
        return response.status == HTTPStatus.SEE_OTHER


def _page(repository: "RegistryRepository", target: str) -> tuple[bytes, str, str] | None:
    """One page, its location, and that of the next one; None when this is none."""
    with repository.get(target, {"Accept": OCI_INDEX}) as response:
        if response.status != HTTPStatus.OK:
            error = refusal(response, "the list of referrers")
            if isinstance(error, ReadError) and response.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                raise error
            return None
        if response.header("Content-Type").partition(";")[0].strip() != OCI_INDEX:
            return None
        data = response.read(repository.registry.limits.manifest_bytes)
        return data, response.url, next_page(response)
