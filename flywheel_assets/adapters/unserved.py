"""Stands for a cache that the catalogue declares and this version cannot read: everything in it is unreadable."""

from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.ports import Progress


class UnservedCache:
    """ports.SourceCache that never answers, so that the gate cannot determine anything from it."""

    def __init__(self, url: str) -> None:
        """``url`` is for the sentence only; nothing is ever sent there."""
        self._url = url

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """One reading that says why nothing was read."""
        del progress
        detail = f"this version reads caches in folders only, not {self._url}"
        return (Reading(member=artifact.name, state=ReadState.UNREADABLE, detail=detail),)
