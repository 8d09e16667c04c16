"""What GitHub's REST API answers about runs, as far as it is read here, and the records that are made of it."""

from pydantic import AwareDatetime, BaseModel

from flywheel_assets.adapters.forges.asking import line
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.platform_runs import EVENTS, Ending, PlatformRun, RunArtifact, RunJob, RunStep

_ENDINGS = {"success": Ending.PASSED, "skipped": Ending.SKIPPED, "neutral": Ending.SKIPPED}


class Person(BaseModel):
    """Who started something."""

    login: str


class Repository(BaseModel):
    """A repository, by the number that it keeps."""

    id: int
    html_url: str = ""


class Object(BaseModel):
    """What a tag points at."""

    sha: str
    type: str = ""


class RefAnswer(BaseModel):
    """A tag, or the object that an annotated one is."""

    object: Object


class Signature(BaseModel):
    """When somebody put a name to a commit."""

    date: AwareDatetime


class CommitAnswer(BaseModel):
    """A commit."""

    committer: Signature


class RunAnswer(BaseModel):
    """One attempt of a run."""

    id: int
    run_attempt: int = 1
    path: str = ""
    status: str
    conclusion: str | None = None
    head_sha: GitRevision
    head_branch: str | None = None
    event: str
    actor: Person | None = None
    triggering_actor: Person | None = None
    repository: Repository
    head_repository: Repository | None = None
    created_at: AwareDatetime
    run_started_at: AwareDatetime | None = None
    updated_at: AwareDatetime


class RunsAnswer(BaseModel):
    """A page of runs."""

    total_count: int = 0
    workflow_runs: tuple[RunAnswer, ...]


class Step(BaseModel):
    """A step of a job."""

    number: int
    name: str
    conclusion: str | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None


class Job(BaseModel):
    """A job of an attempt."""

    id: int
    name: str
    labels: tuple[str, ...] = ()
    runner_id: int | None = None
    runner_name: str | None = None
    conclusion: str | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    steps: tuple[Step, ...] | None = ()


class JobsAnswer(BaseModel):
    """A page of jobs."""

    total_count: int
    jobs: tuple[Job, ...]


class Artifact(BaseModel):
    """An artifact of a run."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool
    digest: str | None = None
    created_at: AwareDatetime | None = None


class ArtifactsAnswer(BaseModel):
    """A page of artifacts."""

    total_count: int
    artifacts: tuple[Artifact, ...]


def record_of(repository: str, run: RunAnswer, attempt: int, jobs: tuple[RunJob, ...]) -> PlatformRun:
    """The record of an attempt, without its artifacts, and with a branch for a ref."""
    started = run.run_started_at or run.created_at
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    head = run.head_repository
    actors = [line(person.login) for person in (run.actor, run.triggering_actor) if person is not None]
    return PlatformRun(
        repository=repository,
        run=str(run.id),
        attempt=attempt,
        workflow=line(run.path.partition("@")[0]),
        revision=run.head_sha,
        ref=line(f"refs/heads/{run.head_branch or ''}"),
        event=EVENTS.get(run.event, TriggerEvent.MANUAL),
        event_name=line(run.event),
        actors=tuple(dict.fromkeys(actors)),
        head_repository=line(head.html_url) if head else "",
        from_fork=head is None or head.id != run.repository.id,
        repository_url=line(run.repository.html_url),
        repository_id=str(run.repository.id),
        ending=ending(run.conclusion),
        started_at=started,
        finished_at=max(ends, default=max(started, run.updated_at)),
        jobs=jobs,
    )


def artifact_of(artifact: Artifact) -> RunArtifact:
    """An artifact as it is recorded."""
    return RunArtifact(
        id=str(artifact.id),
        name=line(artifact.name),
        size=artifact.size_in_bytes,
        expired=artifact.expired,
        digest=line(artifact.digest),
        made_at=artifact.created_at,
    )


def job_of(job: Job) -> RunJob:
    """A job as it is recorded."""
    return RunJob(
        id=str(job.id),
        name=line(job.name),
        labels=tuple(line(label).lower() for label in job.labels),
        runner=line(job.runner_name or job.runner_id or ""),
        ending=ending(job.conclusion),
        started_at=job.started_at,
        finished_at=job.completed_at,
        steps=tuple(
            RunStep(
                number=step.number,
                name=line(step.name),
                ending=ending(step.conclusion),
                started_at=step.started_at,
                finished_at=step.completed_at,
            )
            for step in job.steps or ()
        ),
    )


def ending(conclusion: str | None) -> Ending:
    """What GitHub's word for the end of a run, job or step means."""
    return _ENDINGS.get(conclusion or "", Ending.FAILED)
