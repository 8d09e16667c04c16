"""What a forge's own API says of a run: facts that the job itself had no hand in.

One record is one attempt. Names of jobs and steps are what the workflow calls them; which of them prove something is
the catalogue's matter.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from flywheel_assets.domain.builds import BuilderRun, Closed, TriggerEvent
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision
from flywheel_assets.domain.names import Line, RepositoryUri

RunId = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
Attempt = Annotated[int, Field(ge=1, le=9999)]

# What GitHub and GitLab call the event that started a run, in the receipt's words; all others are MANUAL.
EVENTS = {
    "push": TriggerEvent.PUSH,
    "tag": TriggerEvent.TAG,
    "release": TriggerEvent.TAG,
    "schedule": TriggerEvent.SCHEDULE,
    "pull_request": TriggerEvent.PULL_REQUEST,
    "pull_request_target": TriggerEvent.PULL_REQUEST,
    "pull_request_review": TriggerEvent.PULL_REQUEST,
    "pull_request_review_comment": TriggerEvent.PULL_REQUEST,
    "merge_group": TriggerEvent.PULL_REQUEST,
    "merge_request_event": TriggerEvent.PULL_REQUEST,
    "external_pull_request_event": TriggerEvent.PULL_REQUEST,
}


class Ending(StrEnum):
    """How a run, a job or a step ended. Whatever is neither a success nor left out is FAILED."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class RunStep(Closed):
    """One step of a job, in the order of ``number``."""

    number: int
    name: Line
    ending: Ending
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None


class RunJob(Closed):
    """One job, with the labels of the runner that it asked for, and which ``runner`` it got where the forge says so."""

    name: Line
    labels: tuple[Line, ...]
    ending: Ending
    runner: Line = ""
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    steps: tuple[RunStep, ...] = ()


class RunArtifact(Closed):
    """What the run left with the forge. ``digest`` is the forge's own word; empty where it gives none."""

    id: RunId
    name: Line
    size: Annotated[int, Field(ge=0)]
    expired: bool
    digest: Line = ""


class PlatformRun(Closed):
    """One finished attempt of a run. ``ref`` is full, or the bare branch or tag name where the forge says no more.

    ``actors`` are all who started it or parts of it. ``version`` tells apart records of an attempt that went on after
    it had finished, as a GitLab pipeline does when one of its jobs is retried; the last record counts.
    """

    repository: RepositoryUri
    run: RunId
    attempt: Attempt
    version: Line = ""
    revision: GitRevision
    ref: Line
    event: TriggerEvent
    actors: tuple[Line, ...]
    head_repository: Line
    from_fork: bool
    ending: Ending
    started_at: AwareDatetime
    finished_at: AwareDatetime
    jobs: tuple[RunJob, ...]
    artifacts: tuple[RunArtifact, ...] = ()

    def on(self, label: str) -> tuple[RunJob, ...]:
        """The jobs that really ran on runners of this label."""
        return tuple(job for job in self.jobs if label in job.labels and job.ending is not Ending.SKIPPED)

    def disagreement(self, claimed: BuilderRun) -> str:
        """What a builder says of this run and the forge says otherwise, as a sentence; empty when there is nothing."""
        return next(self._disagreements(claimed), "")

    def _disagreements(self, claimed: BuilderRun) -> Iterator[str]:
        source, trigger = claimed.source, claimed.trigger
        if source.repository != self.repository:
            yield f"it says that it was built from {source.repository}, and the run is one of {self.repository}"
        if not self.on(claimed.builder):
            yield f"it says that {claimed.builder} built it, and no job of the run was there"
        if _kind(self.event) is not _kind(trigger.event):
            yield f"it says that the run was started by {trigger.event.value}, and it was by {self.event.value}"
        if self.from_fork and not trigger.from_fork:
            yield f"it says nothing of a fork, and the run came from {self.head_repository or 'one that is gone'}"
        if self.event is TriggerEvent.PULL_REQUEST:
            return  # a proposal is built from a merge that no branch holds, and never goes on
        if source.revision != self.revision:
            yield f"it says that it was built from {source.revision}, and the run was of {self.revision}"
        if not _same_ref(self.ref, source.ref):
            yield f"it says that it was built from {source.ref}, and the run was of {self.ref}"
        if trigger.actor.lower() not in {actor.lower() for actor in self.actors}:
            yield f"it says that {trigger.actor} started it, and it was {' or '.join(self.actors)}"


class AbsentRun(Closed):
    """The forge was asked for an attempt by name, and answered that it has none."""

    repository: RepositoryUri
    run: Line
    attempt: Attempt


class RecordedRun(Closed):
    """What is in evidence of a run: its record, or that the forge has none."""

    evidence: EvidenceDigest
    found: PlatformRun | AbsentRun

    def is_of(self, claimed: BuilderRun) -> bool:
        """Whether this is about the run that a builder names."""
        mine = (self.found.repository, self.found.run, self.found.attempt)
        return mine == (claimed.source.repository, claimed.key.run, claimed.key.attempt)


def _kind(event: TriggerEvent) -> TriggerEvent:
    """To GitHub the push of a tag is a push."""
    return TriggerEvent.PUSH if event is TriggerEvent.TAG else event


def _same_ref(known: str, claimed: str) -> bool:
    if known.startswith("refs/"):
        return claimed == known
    return claimed in {f"refs/heads/{known}", f"refs/tags/{known}"}
