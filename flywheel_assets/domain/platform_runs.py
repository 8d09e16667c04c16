"""What a forge's own API says of a run: facts that the job itself had no hand in.

One record is one attempt. Names of jobs and steps are what the workflow calls them; which of them prove something is
the catalogue's matter.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from flywheel_assets.domain.builds import BuilderRun, Closed, TriggerEvent
from flywheel_assets.domain.digests import EvidenceDigest, GitRevision, Sha256
from flywheel_assets.domain.names import Line, RepositoryUri
from flywheel_assets.domain.triggers import TRIGGERS

RunId = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
Attempt = Annotated[int, Field(ge=1, le=9999)]

# What GitHub and GitLab call the event that started a run, in the receipt's words. Others are MANUAL in these words,
# and count only where the catalogue names them: a `workflow_run` may build what a stranger proposes, secrets at hand.
EVENTS = {name: TriggerEvent(word) for name, word in TRIGGERS.items()}
# How far apart the clocks of a builder and of its forge may be.
SKEW = timedelta(minutes=5)
# A forge is behind at times: only what it does not have twice, so far apart, it does not have.
ABSENT_AGAIN_AFTER = timedelta(minutes=5)


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
    """One job, with the labels of the runner that it asked for and the name of the one that took it, if any did."""

    id: Line = ""
    name: Line
    labels: tuple[Line, ...]
    runner: Line = ""
    ending: Ending
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    steps: tuple[RunStep, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether a runner ever took it: one that was cancelled before proves nothing by its labels."""
        return self.runner != "" and self.ending is not Ending.SKIPPED


class RunArtifact(Closed):
    """What the run left with the forge. ``digest`` and time are the forge's own word, empty where it gives none."""

    id: RunId
    name: Line
    size: Annotated[int, Field(ge=0)]
    expired: bool
    digest: Line = ""
    made_at: AwareDatetime | None = None


class WorkflowProvenance(Closed):
    """The forge's own build provenance about what this run made, verified when the run was recorded.

    ``evidence`` is its bundle, ``issuer`` and ``identity`` say who signed it, ``digest`` what it is about; ``revision``
    and ``ref`` (in full) are those of the certificate, empty where it names none.
    """

    evidence: EvidenceDigest
    issuer: Line
    identity: Line
    digest: Sha256
    revision: Line
    ref: Line

    def disagreement(self, claimed: BuilderRun) -> str:
        """What a builder says of its source and this says otherwise, as a sentence; empty when there is nothing."""
        for told, claims in ((self.revision, str(claimed.source.revision)), (self.ref, claimed.source.ref)):
            if told not in {"", claims}:
                return f"it says that it was built from {claims}, and {self.identity} attests {told}"
        return ""


class PlatformRun(Closed):
    """One finished attempt of a run. ``ref`` is full; ``event_name`` is what the forge itself calls the event.

    ``actors`` are all who started it or parts of it. ``version`` tells apart records of an attempt that went on after
    it had finished, as a GitLab pipeline does when one of its jobs is retried; the last record counts. ``workflow`` is
    the file that says what ran, ``committed_at`` when its revision was, ``repository_url`` what the repository is
    called now and ``repository_id`` what it stays whatever it is called: each empty where the forge does not say.
    ``unlisted`` is how many more artifacts there are than were listed.
    """

    repository: RepositoryUri
    run: RunId
    attempt: Attempt
    version: Line = ""
    workflow: Line = ""
    revision: GitRevision
    committed_at: AwareDatetime | None = None
    ref: Line
    event: TriggerEvent
    event_name: Line = ""
    actors: tuple[Line, ...]
    head_repository: Line
    from_fork: bool
    repository_url: Line = ""
    repository_id: Line = ""
    ending: Ending
    started_at: AwareDatetime
    finished_at: AwareDatetime
    jobs: tuple[RunJob, ...]
    artifacts: tuple[RunArtifact, ...] = ()
    unlisted: int = 0
    provenance: tuple[WorkflowProvenance, ...] = ()

    @property
    def name(self) -> str:
        """How deliveries of it begin: by it, what could not be taken in is found and read again (``run_named``)."""
        return f"{self.repository} run {self.run}.{self.attempt}"

    @property
    def is_proposal(self) -> bool:
        """Whether it built what somebody proposes: from a fork, or for a pull request."""
        return self.from_fork or self.event is TriggerEvent.PULL_REQUEST

    def on(self, label: str) -> tuple[RunJob, ...]:
        """The jobs that really ran on runners of this label."""
        return tuple(job for job in self.jobs if label in job.labels and job.ran)

    def jobs_of(self, claimed: BuilderRun) -> tuple[RunJob, ...]:
        """The jobs that a builder may mean: those that fit what it says of its job; all that ran where it says nothing.

        The forge knows a job by its number and by the name of its runner. One runner may take several, one by one: then
        the job is among those that were there when the builder says that it ended.
        """
        ran = tuple(job for job in self.jobs if job.ran)
        if claimed.job is not None:
            ran = tuple(job for job in ran if job.id == claimed.job)
        if claimed.runner is not None:
            there = (job for job in ran if job.runner == claimed.runner)
            ran = tuple(job for job in there if _within(claimed.finished_at, job.started_at, job.finished_at))
        return ran

    def has_passed(self, claimed: BuilderRun) -> bool:
        """Whether the builder's job passed, or where it names none all that ran.

        A pipeline that waits for somebody's click has not ended as a whole: its jobs tell.
        """
        jobs = self.jobs_of(claimed)
        if claimed.names_its_job or self.ending is Ending.SKIPPED:
            return bool(jobs) and all(job.ending is Ending.PASSED for job in jobs)
        return self.ending is Ending.PASSED

    def disagreement(self, claimed: BuilderRun) -> str:
        """What a builder says of this run and the forge says otherwise, as a sentence; empty when there is nothing."""
        return next(self._disagreements(claimed), "")

    def _disagreements(self, claimed: BuilderRun) -> Iterator[str]:
        source, trigger = claimed.source, claimed.trigger
        if source.repository != self.repository:
            yield f"it says that it was built from {source.repository}, and the run is one of {self.repository}"
        if not self.on(claimed.builder):
            yield f"it says that {claimed.builder} built it, and no job of the run was there"
        if claimed.names_its_job and not any(claimed.builder in job.labels for job in self.jobs_of(claimed)):
            named = " on ".join(filter(None, (f"job {claimed.job}" if claimed.job else "a job", claimed.runner)))
            yield f"it says that {named} built it, and the forge knows no such job on {claimed.builder} at that time"
        if _kind(self.event) is not _kind(trigger.event):
            yield f"it says that the run was started by {trigger.event.value}, and it was by {self.event.value}"
        if self.from_fork and not trigger.from_fork:
            yield f"it says nothing of a fork, and the run came from {self.head_repository or 'one that is gone'}"
        if self.event is TriggerEvent.PULL_REQUEST:
            return  # a proposal is built from a merge that no branch holds, and never goes on
        if source.revision != self.revision:
            yield f"it says that it was built from {source.revision}, and the run was of {self.revision}"
        if source.ref != self._full_ref:
            yield f"it says that it was built from {source.ref}, and the run was of {self._full_ref}"
        if trigger.actor.lower() not in {actor.lower() for actor in self.actors}:
            yield f"it says that {trigger.actor} started it, and it was {' or '.join(self.actors)}"
        yield from self._other_times(claimed)

    def _other_times(self, claimed: BuilderRun) -> Iterator[str]:
        for what, time in (("started", claimed.started_at), ("finished", claimed.finished_at)):
            if not _within(time, self.started_at, self.finished_at):
                bounds = f"{self.started_at:%Y-%m-%d %H:%M:%S} to {self.finished_at:%Y-%m-%d %H:%M:%S}Z"
                yield f"it says that it {what} at {time:%Y-%m-%d %H:%M:%S}Z, and the run was from {bounds}"
        told, known = claimed.source.committed_at, self.committed_at
        if told is not None and known is not None and told != known:
            yield f"it says that its revision was committed at {told:%Y-%m-%d %H:%M:%S}Z, and it was at {known:%F %T}Z"

    @property
    def _full_ref(self) -> str:
        """A bare name is a branch's: only what the forge calls a tag is one."""
        return self.ref if self.ref.startswith("refs/") else f"refs/heads/{self.ref}"


class AbsentRun(Closed):
    """The forge was asked for an attempt by name, and answered that it has none."""

    repository: RepositoryUri
    run: Line
    attempt: Attempt
    asked_at: AwareDatetime | None = None


def is_absent(answers: list[AbsentRun]) -> bool:
    """Whether a forge that never knew a run was asked often enough, and far enough apart, to be believed."""
    times = [each.asked_at for each in answers if each.asked_at is not None]
    return len(times) < len(answers) or (bool(times) and max(times) - min(times) >= ABSENT_AGAIN_AFTER)


class RecordedRun(Closed):
    """What is in evidence of a run: its record, or that the forge has none."""

    evidence: EvidenceDigest
    found: PlatformRun | AbsentRun

    @property
    def provenance(self) -> tuple[WorkflowProvenance, ...]:
        """The workflow's own provenance that was found with it."""
        return self.found.provenance if isinstance(self.found, PlatformRun) else ()

    def is_of(self, claimed: BuilderRun) -> bool:
        """Whether this is about the run that a builder names."""
        mine = (self.found.repository, self.found.run, self.found.attempt)
        return mine == (claimed.source.repository, claimed.key.run, claimed.key.attempt)


_NAME = re.compile(r"(https://\S+) run ([0-9]{1,20})\.([1-9][0-9]{0,3})(?![0-9])")


def run_named(delivery: str) -> tuple[str, str, int] | None:
    """The repository, run and attempt that a delivery is of; None for one that is of no run."""
    found = _NAME.match(delivery)
    return (found[1], found[2], int(found[3])) if found else None


# GitHub's URL of an attempt. GitLab's certificates name a job: whether it is one of the run's, its record tells.
_ATTEMPT = re.compile(r"/actions/runs/[0-9]+/attempts/[0-9]+")


def attempt_url(repository: str, run: str, attempt: int) -> str:
    """The URL by which certificates that GitHub's issuer vouches for name an attempt."""
    return f"{repository}/actions/runs/{run}/attempts/{attempt}"


def is_another_run(invocation: str, repository: str, run: str, attempt: int) -> bool:
    """Whether a certificate's URL names an attempt, and another one than this."""
    return _ATTEMPT.search(invocation) is not None and invocation != attempt_url(repository, run, attempt)


def is_strange_job(invocation: str, found: PlatformRun) -> bool:
    """Whether a certificate's URL names a job of GitLab, and none of this pipeline's."""
    place, marker, job = invocation.rpartition("/-/jobs/")
    return marker != "" and (place != found.repository or job not in {each.id for each in found.jobs})


def _kind(event: TriggerEvent) -> TriggerEvent:
    """To GitHub the push of a tag is a push."""
    return TriggerEvent.PUSH if event is TriggerEvent.TAG else event


def _within(time: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or start - SKEW <= time) and (end is None or time <= end + SKEW)
