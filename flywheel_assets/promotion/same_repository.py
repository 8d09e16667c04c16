"""Whether a forge speaks of the repository that the catalogue means: names are changed, and given away again."""

import hashlib

from flywheel_assets.catalog.models import ForgeSource
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.promotion.flywheel import Flywheel


def other_name(repository: str, found: PlatformRun) -> str:
    """A sentence when the forge calls the repository otherwise by now; empty when it does not."""
    if found.repository_url.lower() in {"", repository.lower()}:
        return ""
    return f"{repository} is called {found.repository_url} now. Correct the catalogue."


def refuse_another(flywheel: Flywheel, source: ForgeSource, repository: str, found: PlatformRun) -> None:
    """Hold a repository to the number in the catalogue, or else the one that it had when it was first heard of.

    Raises InvalidInputError for another, EvidenceError.
    """
    if not found.repository_id:
        return
    slot = f"repository-{hashlib.sha256(repository.encode()).hexdigest()}"
    first = flywheel.evidence.slot(slot, found.repository_id.encode).decode()
    known = source.repository_ids.get(repository, first)
    if found.repository_id != known:
        problem = f"is {found.repository_id}, and was {known}: another repository has taken the name"
        remedy = "If that is meant, give the new number under `repository_ids` of the source."
        raise InvalidInputError(repository, "number", problem, remedy)
