"""Whether the pattern for artifacts that hold receipts fits any: by one that fits none, nothing would be taken in.

Only runs that should have left receipts count: of the catalogued workflows, where there are any, that passed, are no
proposals, and whose artifacts have not all expired.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from flywheel_assets.catalog.models import Catalogue, ForgeSource
from flywheel_assets.domain.platform_runs import Ending, PlatformRun
from flywheel_assets.promotion.walking import Place


def has_fitting(source: ForgeSource, run: PlatformRun) -> bool | None:
    """Whether an artifact of a run is called as receipts are; None where the run tells nothing of that."""
    pattern, workflows = source.receipt_artifacts, source.steps.workflows
    if pattern is None or run.is_proposal or (workflows and run.workflow not in workflows):
        return None
    if any(fnmatchcase(each.name, pattern) for each in run.artifacts):
        return True
    has_kept = not all(each.expired for each in run.artifacts)
    return False if has_kept and run.ending is Ending.PASSED else None


def of_patterns(catalogue: Catalogue, places: Mapping[str, Place]) -> Iterator[str]:
    """A sentence about each source whose pattern fitted no artifact of any run since it was first read with it."""
    for name, source in catalogue.sources.items():
        mine = [places[uri] for uri in source.repositories if uri in places]
        unfitted = sum(place.unfitted for place in mine)
        if unfitted and all(place.fitted is False for place in mine):
            runs = "1 run that left artifacts has" if unfitted == 1 else f"{unfitted:,} runs that left artifacts have"
            yield (
                f"{runs} none called {source.receipt_artifacts}, so no receipt was read of the source {name}: "
                f"correct sources.{name}.receipt_artifacts, or the name under which the workflow uploads receipts."
            )
