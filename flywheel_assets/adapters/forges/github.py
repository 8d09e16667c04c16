"""GitHub's runs as a ``ports.RunSource``. Source: GitHub REST API 2022-11-28, "Actions".

A re-run is an attempt of its own; the list shows the latest, and the time of a run stays that of its first. The API
names a ref by the bare name of branch or tag. Steps of a composite action are one step.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ValidationError

from flywheel_assets.adapters.forges.archives import run_receipts
from flywheel_assets.adapters.forges.asking import Asking, line
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.errors import AbsentError, LimitExceededError, UnauthorisedError
from flywheel_assets.domain.platform_runs import EVENTS, Ending, PlatformRun, RunArtifact, RunJob, RunStep
from flywheel_assets.domain.statements import invalid
from flywheel_assets.domain.untrusted import JsonObject
from flywheel_assets.ports import Delivery, Listing, Sighting

PAGE = 100
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_REMEDY = "Point the source at the base of GitHub's REST API."
_ENDINGS = {"success": Ending.PASSED, "skipped": Ending.SKIPPED, "neutral": Ending.SKIPPED}
Document = TypeVar("Document", bound=BaseModel)


class _Person(BaseModel):
    login: str


class _Repository(BaseModel):
    id: int
    html_url: str = ""


class _Run(BaseModel):
    id: int
    run_attempt: int = 1
    status: str
    conclusion: str | None = None
    head_sha: GitRevision
    head_branch: str | None = None
    event: str
    actor: _Person | None = None
    triggering_actor: _Person | None = None
    repository: _Repository
    head_repository: _Repository | None = None
    created_at: AwareDatetime
    run_started_at: AwareDatetime | None = None
    updated_at: AwareDatetime


class _Runs(BaseModel):
    workflow_runs: tuple[_Run, ...]


class _Step(BaseModel):
    number: int
    name: str
    conclusion: str | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None


class _Job(BaseModel):
    name: str
    labels: tuple[str, ...] = ()
    conclusion: str | None = None
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    steps: tuple[_Step, ...] | None = ()


class _Jobs(BaseModel):
    total_count: int
    jobs: tuple[_Job, ...]


class _Artifact(BaseModel):
    id: int
    name: str
    size_in_bytes: int
    expired: bool
    digest: str | None = None


class _Artifacts(BaseModel):
    total_count: int
    artifacts: tuple[_Artifact, ...]


class GithubRuns:
    """ports.RunSource over the REST API. ``receipt_artifacts`` is the shell pattern of artifacts to be read."""

    def __init__(self, asking: Asking, receipt_artifacts: str | None = None) -> None:
        self._asking = asking
        self._pattern = receipt_artifacts

    def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
        """A page of the runs that were created between two times."""
        created = f"%3E%3D{in_query(floor)}" if upper is None else f"{in_query(floor)}..{in_query(upper)}"
        query = f"created={created}&exclude_pull_requests=true&per_page={PAGE}&page={page}"
        found = self._read(f"{repository_path(repository)}/actions/runs?{query}", f"the runs of {repository}", _Runs)
        sightings = tuple(
            Sighting(str(run.id), run.run_attempt, run.created_at, run.status == "completed")
            for run in found.workflow_runs
        )
        return Listing(sightings, is_full=len(sightings) >= PAGE)

    def run(self, repository: str, run: str, attempt: int) -> PlatformRun | None:
        """All about one attempt; None while it goes on."""
        what = f"run {run}.{attempt} of {repository}"
        target = f"{repository_path(repository)}/actions/runs/{run}/attempts/{attempt}?exclude_pull_requests=true"
        try:
            found = self._read(target, what, _Run)
        except AbsentError:
            demand_shown(self._asking, repository)
            raise
        if found.status != "completed":
            return None
        try:
            jobs, artifacts = self.jobs_of(repository, run, attempt), self.artifacts_of(repository, run)
            return _record(repository, found, attempt, jobs, artifacts)
        except ValidationError as error:
            raise invalid(error, what, _REMEDY) from error

    def jobs_of(self, repository: str, run: str, attempt: int) -> tuple[RunJob, ...]:
        """The jobs of an attempt with their steps. Raises as ``run``."""
        target, what = (
            f"{repository_path(repository)}/actions/runs/{run}/attempts/{attempt}/jobs",
            f"the jobs of run {run}",
        )
        return tuple(_job(job) for page in self._pages(target, what, _Jobs) for job in page.jobs)

    def artifacts_of(self, repository: str, run: str) -> tuple[RunArtifact, ...]:
        """The artifacts of a run, whichever attempt left them. Raises as ``run``."""
        target, what = f"{repository_path(repository)}/actions/runs/{run}/artifacts", f"the artifacts of run {run}"
        return tuple(_artifact(each) for page in self._pages(target, what, _Artifacts) for each in page.artifacts)

    def receipts(self, run: PlatformRun) -> Iterator[Delivery]:
        """The documents in artifacts of the pattern."""
        place = f"{repository_path(run.repository)}/actions/artifacts"
        return run_receipts(self._asking, run, self._pattern, lambda artifact: f"{place}/{artifact.id}/zip")

    def _pages(self, target: str, what: str, model: type[Document]) -> Iterator[Document]:
        """All pages of one run's jobs or artifacts. Raises LimitExceededError when there are more than is read."""
        limits = self._asking.limits
        most = min(limits.forge_jobs, limits.forge_artifacts) // PAGE
        for page in range(1, most + 1):
            found = self._read(f"{target}?per_page={PAGE}&page={page}", what, model)
            yield found
            if page * PAGE >= int(getattr(found, "total_count", 0)):
                return
        raise LimitExceededError(what, "total_count", f"is over {most * PAGE:,}", "Split the workflow.")

    def _read(self, target: str, what: str, model: type[Document]) -> Document:
        document: JsonObject = self._asking.json(target, what)
        try:
            return model.model_validate(document)
        except ValidationError as error:
            raise invalid(error, what, _REMEDY) from error


def demand_shown(asking: Asking, repository: str) -> None:
    """Tell what is not there from a repository that this token is not shown: GitHub says 404 to both."""
    try:
        asking.json(repository_path(repository), f"the repository {repository}")
    except AbsentError as error:
        problem = f"{repository} is not there, or not shown to this token. Give the source one that may read it."
        raise UnauthorisedError(problem) from error


def repository_path(repository: str) -> str:
    """Where a repository's API is, below the base."""
    return f"repos{urlsplit(repository).path}"


def in_query(time: datetime) -> str:
    """A time as GitHub's search takes it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def ending(conclusion: str | None) -> Ending:
    """What GitHub's word for the end of a run, job or step means."""
    return _ENDINGS.get(conclusion or "", Ending.FAILED)


def _record(
    repository: str, run: _Run, attempt: int, jobs: tuple[RunJob, ...], kept: tuple[RunArtifact, ...]
) -> PlatformRun:
    started = run.run_started_at or run.created_at
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    head = run.head_repository
    actors = [line(person.login) for person in (run.actor, run.triggering_actor) if person is not None]
    return PlatformRun(
        repository=repository,
        run=str(run.id),
        attempt=attempt,
        revision=run.head_sha,
        ref=line(run.head_branch),
        event=EVENTS.get(run.event, TriggerEvent.MANUAL),
        actors=tuple(dict.fromkeys(actors)),
        head_repository=line(head.html_url) if head else "",
        from_fork=head is None or head.id != run.repository.id,
        ending=ending(run.conclusion),
        started_at=started,
        finished_at=max(ends, default=max(started, run.updated_at)),
        jobs=jobs,
        artifacts=kept,
    )


def _artifact(artifact: _Artifact) -> RunArtifact:
    return RunArtifact(
        id=str(artifact.id),
        name=line(artifact.name),
        size=artifact.size_in_bytes,
        expired=artifact.expired,
        digest=line(artifact.digest),
    )


def _job(job: _Job) -> RunJob:
    return RunJob(
        name=line(job.name),
        labels=tuple(line(label).lower() for label in job.labels),
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
