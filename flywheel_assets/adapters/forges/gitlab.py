"""GitLab's pipelines as a ``ports.RunSource``. Source: GitLab REST API v4, "Pipelines", "Jobs", "Job artifacts".

A pipeline has one attempt: a job that is retried changes it, and it is recorded again. GitLab shows no steps, so a job
is its own one step, and the labels of its runner are its tags. Artifacts belong to jobs.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlsplit

from pydantic import AwareDatetime, BaseModel, ValidationError

from flywheel_assets.adapters.forges.archives import run_receipts
from flywheel_assets.adapters.forges.asking import Asking, line
from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import AbsentError, LimitExceededError, UnauthorisedError
from flywheel_assets.domain.platform_runs import EVENTS, Ending, PlatformRun, RunArtifact, RunJob, RunStep
from flywheel_assets.domain.statements import invalid
from flywheel_assets.ports import Delivery, Listing, Sighting

PAGE = 100
_REMEDY = "Point the source at the base of GitLab's REST API, such as https://gitlab.example/api/v4."
# One that waits for a click or an hour has ended for now; going on changes it, and it is recorded again.
_FINISHED = {"success", "failed", "canceled", "skipped", "manual", "scheduled"}
_ENDINGS = {"success": Ending.PASSED, "skipped": Ending.SKIPPED, "manual": Ending.SKIPPED}
_ENDINGS |= dict.fromkeys(("created", "scheduled"), Ending.SKIPPED)
_SECOND = timedelta(seconds=1)  # the bounds of the list leave out their own moment
Document = TypeVar("Document", bound=BaseModel)


class _Person(BaseModel):
    username: str


class _Listed(BaseModel):
    id: int
    status: str
    updated_at: AwareDatetime


class _Pipelines(BaseModel):
    items: tuple[_Listed, ...]


class _Runner(BaseModel):
    id: int
    description: str | None = None


class _Pipeline(_Listed):
    project_id: int = 0
    web_url: str = ""
    sha: GitRevision
    ref: str
    tag: bool
    source: str
    user: _Person | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None


class _File(BaseModel):
    filename: str
    size: int | None = 0


class _Job(BaseModel):
    id: int
    name: str
    status: str
    tag_list: tuple[str, ...] = ()
    user: _Person | None = None
    runner: _Runner | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    artifacts_file: _File | None = None
    artifacts_expire_at: AwareDatetime | None = None


class _Jobs(BaseModel):
    items: tuple[_Job, ...]


class GitlabRuns:
    """ports.RunSource over the REST API. ``receipt_artifacts`` is a shell pattern of jobs whose artifacts are read."""

    def __init__(self, asking: Asking, receipt_artifacts: str | None = None) -> None:
        self._asking = asking
        self._pattern = receipt_artifacts

    def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
        """A page of the pipelines that changed last between two times."""
        query = f"order_by=updated_at&sort=desc&per_page={PAGE}&page={page}&updated_after={_time(floor - _SECOND)}"
        if upper is not None:
            query += f"&updated_before={_time(upper + _SECOND)}"
        found = self._read(f"{_path(repository)}/pipelines?{query}", f"the pipelines of {repository}", _Pipelines)
        sightings = tuple(
            Sighting(str(each.id), 1, each.updated_at, each.status in _FINISHED, _version(each)) for each in found.items
        )
        return Listing(sightings, is_full=len(sightings) >= PAGE)

    def run(self, repository: str, run: str, attempt: int) -> PlatformRun | None:
        """All about a pipeline; None while it goes on."""
        place, what = f"{_path(repository)}/pipelines/{run}", f"pipeline {run} of {repository}"
        if attempt != 1:
            raise AbsentError(f"{what} has no attempt {attempt}: a pipeline has one.")
        try:
            found = self._read(place, what, _Pipeline)
        except AbsentError:
            self._show(repository)
            raise
        if found.status not in _FINISHED:
            return None
        try:
            return _record(repository, found, list(self._jobs(place, what)))
        except ValidationError as error:
            raise invalid(error, what, _REMEDY) from error

    def receipts(self, run: PlatformRun) -> Iterator[Delivery]:
        """The documents in the artifacts of jobs of the pattern."""
        place = f"{_path(run.repository)}/jobs"
        return run_receipts(self._asking, run, self._pattern, lambda artifact: f"{place}/{artifact.id}/artifacts")

    def attestations(self, repository: str, digest: Sha256) -> Iterator[Delivery]:  # noqa: ARG002 - as the port has it
        """None: what GitLab attests, behind an experimental flag, is provenance of its own form and never a receipt."""
        return iter(())

    def _show(self, repository: str) -> None:
        """Tell a pipeline that is not there from a project that this token is not shown: both are a 404."""
        try:
            self._asking.json(_path(repository), f"the project {repository}")
        except AbsentError as error:
            problem = f"{repository} is not there, or not shown to this token. Give the source one that may read it."
            raise UnauthorisedError(problem) from error

    def _jobs(self, place: str, what: str) -> Iterator[_Job]:
        """All jobs, each as it was run last. Raises LimitExceededError when there are more than is read."""
        most = self._asking.limits.forge_jobs // PAGE
        for page in range(1, most + 1):
            found = self._read(f"{place}/jobs?per_page={PAGE}&page={page}", what, _Jobs)
            yield from found.items
            if len(found.items) < PAGE:
                return
        raise LimitExceededError(what, "jobs", f"are over {most * PAGE:,}", "Split the pipeline.")

    def _read(self, target: str, what: str, model: type[Document]) -> Document:
        try:
            return model.model_validate(self._asking.json(target, what))
        except ValidationError as error:
            raise invalid(error, what, _REMEDY) from error


def _record(repository: str, found: _Pipeline, jobs: list[_Job]) -> PlatformRun:
    started = found.started_at or found.created_at
    people = [found.user, *(job.user for job in jobs)]
    return PlatformRun(
        repository=repository,
        run=str(found.id),
        attempt=1,
        version=_version(found),
        revision=found.sha,
        ref=_ref(found),
        event=TriggerEvent.TAG if found.tag and found.source == "push" else _event(found.source),
        event_name=line(found.source),
        actors=tuple(dict.fromkeys(line(person.username) for person in people if person is not None)),
        head_repository=repository,
        from_fork=False,  # a fork's pipelines are its own project's
        repository_url=line(found.web_url.partition("/-/")[0]),
        repository_id=str(found.project_id or ""),
        ending=_ENDINGS.get(found.status, Ending.FAILED),
        started_at=started,
        finished_at=max(started, found.finished_at or found.updated_at),
        jobs=tuple(_job(job) for job in jobs),
        # What had a time to expire at, and has no file any more, has expired.
        artifacts=tuple(_artifact(job) for job in jobs if job.artifacts_file or job.artifacts_expire_at),
    )


def _job(job: _Job) -> RunJob:
    name, ending = line(job.name), _ENDINGS.get(job.status, Ending.FAILED)
    step = RunStep(number=1, name=name, ending=ending, started_at=job.started_at, finished_at=job.finished_at)
    return RunJob(
        id=str(job.id),
        name=name,
        labels=tuple(line(tag).lower() for tag in job.tag_list),
        runner=_runner(job),
        ending=ending,
        started_at=job.started_at,
        finished_at=job.finished_at,
        steps=(step,),
    )


def _runner(job: _Job) -> str:
    """What took the job; a runner that was removed since is not named any more, and only a job that it took began."""
    if job.runner is not None:
        return line(job.runner.description or job.runner.id)
    return "a runner that is gone" if job.started_at is not None else ""


def _artifact(job: _Job) -> RunArtifact:
    size = job.artifacts_file.size if job.artifacts_file else 0
    return RunArtifact(id=str(job.id), name=line(job.name), size=size or 0, expired=job.artifacts_file is None)


def _ref(found: _Pipeline) -> str:
    if _event(found.source) is TriggerEvent.PULL_REQUEST and found.ref.startswith("refs/merge-requests/"):
        return line(found.ref)
    return line(f"refs/tags/{found.ref}" if found.tag else f"refs/heads/{found.ref}")


def _event(source: str) -> TriggerEvent:
    return EVENTS.get(source, TriggerEvent.MANUAL)


def _version(found: _Listed) -> str:
    return found.updated_at.astimezone(UTC).isoformat()


def _path(repository: str) -> str:
    return f"projects/{quote(urlsplit(repository).path.strip('/'), safe='')}"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
