"""GitHub's runs as a ``ports.RunSource``. Source: GitHub REST API 2022-11-28, "Actions".

A re-run is an attempt of its own; the list shows the latest, and the time of a run stays that of its first. Steps of a
composite action are one step. A run names its ref by the bare name of branch or tag: it is a tag's where there is a tag
of that name at the run's revision, and else a branch's.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from flywheel_assets.adapters.forges.archives import run_receipts
from flywheel_assets.adapters.forges.asking import Asking, line
from flywheel_assets.adapters.forges.attestations import attestations_about
from flywheel_assets.adapters.forges.github_answers import (
    ArtifactsAnswer,
    CommitAnswer,
    JobsAnswer,
    RefAnswer,
    RunAnswer,
    RunsAnswer,
    artifact_of,
    job_of,
    record_of,
)
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import AbsentError, LimitExceededError, UnauthorisedError
from flywheel_assets.domain.platform_runs import PlatformRun, RunArtifact, RunJob
from flywheel_assets.domain.statements import invalid
from flywheel_assets.domain.untrusted import JsonObject
from flywheel_assets.ports import Delivery, Listing, Sighting

PAGE = 100
_COMMITS = 1000  # whose times are remembered
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_REMEDY = "Point the source at the base of GitHub's REST API."
Document = TypeVar("Document", bound=BaseModel)


class GithubRuns:
    """ports.RunSource over the REST API. ``receipt_artifacts`` is the shell pattern of artifacts to be read."""

    def __init__(self, asking: Asking, receipt_artifacts: str | None = None) -> None:
        self._asking = asking
        self._pattern = receipt_artifacts
        self._committed: dict[str, datetime] = {}

    def listed(self, repository: str, floor: datetime, upper: datetime | None, page: int) -> Listing:
        """A page of the runs that were created between two times."""
        created = f"%3E%3D{in_query(floor)}" if upper is None else f"{in_query(floor)}..{in_query(upper)}"
        query = f"created={created}&exclude_pull_requests=true&per_page={PAGE}&page={page}"
        found = self._read(
            f"{repository_path(repository)}/actions/runs?{query}", f"the runs of {repository}", RunsAnswer
        )
        sightings = tuple(
            Sighting(str(run.id), run.run_attempt, run.created_at, run.status == "completed")
            for run in found.workflow_runs
        )
        # A page may be short though more lies behind it: GitHub leaves out what it then finds not to be shown.
        return Listing(sightings, is_full=len(sightings) >= PAGE or page * PAGE < found.total_count)

    def run(self, repository: str, run: str, attempt: int) -> PlatformRun | None:
        """All about one attempt; None while it goes on."""
        what = f"run {run}.{attempt} of {repository}"
        target = f"{repository_path(repository)}/actions/runs/{run}/attempts/{attempt}?exclude_pull_requests=true"
        try:
            found = self._read(target, what, RunAnswer)
        except AbsentError:
            demand_shown(self._asking, repository)
            raise
        if found.status != "completed":
            return None
        try:
            record = record_of(repository, found, attempt, self.jobs_of(repository, run, attempt))
            if record.is_proposal:  # it never goes on, and nothing that it left is read
                return record
            artifacts, unlisted = self.artifacts_of(repository, run)
            more = {"ref": self._full_ref(repository, found), "artifacts": artifacts, "unlisted": unlisted}
            return record.model_copy(update={**more, "committed_at": self.commit_time(repository, found.head_sha)})
        except ValidationError as error:
            raise invalid(error, what, _REMEDY) from error

    def jobs_of(self, repository: str, run: str, attempt: int) -> tuple[RunJob, ...]:
        """The jobs of an attempt with their steps. Raises as ``run``."""
        target = f"{repository_path(repository)}/actions/runs/{run}/attempts/{attempt}/jobs"
        what = f"the jobs of run {run}"
        return tuple(job_of(job) for page in self._pages(target, what, JobsAnswer) for job in page.jobs)

    def artifacts_of(self, repository: str, run: str) -> tuple[tuple[RunArtifact, ...], int]:
        """The artifacts of a run, whichever attempt left them, and how many more there are. Raises as ``run``."""
        target, what = f"{repository_path(repository)}/actions/runs/{run}/artifacts", f"the artifacts of run {run}"
        found: list[RunArtifact] = []
        for page in range(1, self._asking.limits.forge_artifacts // PAGE + 1):
            read = self._read(f"{target}?per_page={PAGE}&page={page}", what, ArtifactsAnswer)
            found += map(artifact_of, read.artifacts)
            if page * PAGE >= read.total_count:
                return tuple(found), 0
        return tuple(found), max(read.total_count - len(found), 0)

    def commit_time(self, repository: str, revision: GitRevision) -> datetime | None:
        """When a revision was committed, which no later answer changes; None when it is gone. Raises as ``run``."""
        if str(revision) not in self._committed:
            try:
                target = f"{repository_path(repository)}/git/commits/{revision}"
                found = self._read(target, f"the commit {revision} of {repository}", CommitAnswer)
            except AbsentError:
                return None
            while len(self._committed) >= _COMMITS:
                del self._committed[next(iter(self._committed))]
            self._committed[str(revision)] = found.committer.date
        return self._committed[str(revision)]

    def tagged(self, repository: str, tag: str) -> str:
        """The revision at which an annotated tag, an object of its own, is. Raises as ``run``."""
        target = f"{repository_path(repository)}/git/tags/{quote(tag, safe='')}"
        return self._read(target, f"the tag {tag} of {repository}", RefAnswer).object.sha

    def _full_ref(self, repository: str, run: RunAnswer) -> str:
        """``refs/tags/…`` where that is a tag at the run's revision: only the forge can tell it from a branch."""
        name = line(run.head_branch)
        target = f"{repository_path(repository)}/git/ref/tags/{quote(run.head_branch or '', safe='/')}"
        try:
            found = self._read(target, f"the tag {name} of {repository}", RefAnswer).object
            sha = self.tagged(repository, found.sha) if found.type == "tag" else found.sha
        except AbsentError:
            return f"refs/heads/{name}"
        return f"refs/{'tags' if sha == str(run.head_sha) else 'heads'}/{name}"

    def receipts(self, run: PlatformRun) -> Iterator[Delivery]:
        """The documents in artifacts of the pattern."""
        place = f"{repository_path(run.repository)}/actions/artifacts"
        return run_receipts(self._asking, run, self._pattern, lambda artifact: f"{place}/{artifact.id}/zip")

    def attestations(self, repository: str, digest: Sha256) -> Iterator[Delivery]:
        """The bundles of SLSA provenance that GitHub keeps about a digest in this repository."""
        try:
            yield from attestations_about(self._asking, repository_path(repository), digest)
        except AbsentError:
            demand_shown(self._asking, repository)

    def _pages(self, target: str, what: str, model: type[Document]) -> Iterator[Document]:
        """All pages of one run's jobs. Raises LimitExceededError when there are more than is read."""
        most = self._asking.limits.forge_jobs // PAGE
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
