"""GitHub's workflows, started by hand of a token and followed. Source: GitHub REST API 2022-11-28, "Workflows".

``ref`` of a dispatch is a branch or tag, never a commit. With ``return_run_details`` the answer names the run; an older
GitHub Enterprise refuses that key as one it does not know, and without it names none.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ValidationError

from flywheel_assets.adapters.forges.asking import Asking, UnprocessableError, line
from flywheel_assets.adapters.forges.github import demand_shown, in_query, repository_path
from flywheel_assets.adapters.forges.github_answers import ending
from flywheel_assets.domain.dispatches import WorkflowRun
from flywheel_assets.domain.errors import (
    AbsentError,
    AmbiguousError,
    InvalidInputError,
    LimitExceededError,
    PublicationError,
)
from flywheel_assets.domain.statements import canonical, invalid
from flywheel_assets.domain.untrusted import parse_json

PAGE = 100
WITHIN = timedelta(days=3)
"""A run is begun so soon after it was asked for, and after what a caller takes off for clocks that differ."""
_END = "Look for the run at the forge by its request. No other is asked for meanwhile."
_DETAILS = "return_run_details"
_REMEDY = "Point the forge at the base of GitHub's REST API."
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f\"'<>\\]{1,480}")
Document = TypeVar("Document", bound=BaseModel)


class _Workflow(BaseModel):
    state: str


class _Started(BaseModel):
    workflow_run_id: int
    html_url: str


class _Run(BaseModel):
    id: int
    html_url: str
    path: str
    event: str
    status: str
    conclusion: str | None = None
    name: str | None = None
    display_title: str = ""
    run_attempt: int = 1
    created_at: AwareDatetime


class _Runs(BaseModel):
    workflow_runs: tuple[_Run, ...]


class GithubWorkflows:
    """Runs of one file below ``.github/workflows`` of a repository, started and followed by a token."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def start(self, repository: str, workflow: str, ref: str, inputs: Mapping[str, str]) -> WorkflowRun:
        """Start the workflow as it is on ``ref``, once.

        Raises AmbiguousError when the forge may have started it, or did and names no run; ReadError and
        PublicationError when it has not: that a workflow can be started at all is asked before.
        """
        what = f"the start of {workflow} in {repository}"
        target = f"{repository_path(repository)}/actions/workflows/{workflow}"
        self._demand_active(repository, workflow, target)
        order = {"ref": ref, "inputs": dict(inputs)}
        try:
            data = self._asking.ordered(f"{target}/dispatches", canonical({**order, _DETAILS: True}), what)
        except UnprocessableError:
            # It has taken nothing; one that does not know the key takes the same order without it.
            data = self._asking.ordered(f"{target}/dispatches", canonical(order), what)
        if not data:
            raise AmbiguousError(f"{repository} took {what} and names no run. Look for it.")
        try:
            started = _parsed(parse_json(data, what), what, _Started)
            return WorkflowRun(id=str(started.workflow_run_id), url=_url(started.html_url, what))
        except (InvalidInputError, ValidationError) as error:
            raise AmbiguousError(f"{repository} took {what} and names no run in its answer. Look for it.") from error

    def find(self, repository: str, workflow: str, request: str, since: datetime) -> WorkflowRun | None:
        """The first run since then whose title holds ``request``; None when there is none.

        Raises ReadError, InvalidInputError: also for a list that goes on where it is read no further, without it.
        """
        found = []
        try:
            for run in self._listed(repository, workflow, since):
                if request in f"{run.display_title} {run.name or ''}" and run.event == "workflow_dispatch":
                    found.append(run)  # noqa: PERF401 - what was found before the list ended counts
        except LimitExceededError:
            if not found:
                raise
        return _record(min(found, key=lambda run: run.id), "a run of the list") if found else None

    def look(self, repository: str, workflow: str, run: str) -> WorkflowRun:
        """A run as it is now, its latest attempt. Raises ReadError, InvalidInputError for one of another workflow."""
        what = f"run {run} of {repository}"
        try:
            found = self._read(f"{repository_path(repository)}/actions/runs/{run}", what, _Run)
        except AbsentError:
            demand_shown(self._asking, repository)
            raise
        if str(found.id) != run or found.path.partition("@")[0].rpartition("/")[2] != workflow:
            raise InvalidInputError(what, "path", f"is not one of {workflow}", "Look at the repository's runs.")
        return _record(found, what)

    def cancel(self, repository: str, run: str) -> None:
        """Ask for the end of a run, which comes later or, where it was over already, not by this.

        Raises ReadError, PublicationError; AmbiguousError also for a run that cannot be cancelled any more (409).
        """
        what = f"the cancelling of run {run} of {repository}"
        self._asking.ordered(f"{repository_path(repository)}/actions/runs/{run}/cancel", b"", what)

    def _demand_active(self, repository: str, workflow: str, target: str) -> None:
        try:
            found = self._read(target, f"the workflow {workflow} of {repository}", _Workflow)
        except AbsentError:
            demand_shown(self._asking, repository)
            raise
        if found.state != "active":
            problem = f"The workflow {workflow} of {repository} is not active but {line(found.state, 60)}: enable it."
            raise PublicationError(problem)

    def _listed(self, repository: str, workflow: str, since: datetime) -> Iterator[_Run]:
        """The runs since then, newest first, and none of much later: the list must not grow with what is to come."""
        target = f"{repository_path(repository)}/actions/workflows/{workflow}/runs"
        created = f"{in_query(since)}..{in_query(since + WITHIN)}"
        query = f"event=workflow_dispatch&created={created}&exclude_pull_requests=true&per_page={PAGE}"
        for page in range(1, self._asking.limits.forge_finding_pages + 1):
            found = self._read(f"{target}?{query}&page={page}", f"the runs of {workflow} in {repository}", _Runs)
            yield from found.workflow_runs
            if len(found.workflow_runs) < PAGE:
                return
        most = self._asking.limits.forge_finding_pages * PAGE
        problem = f"has more than {most:,} runs of three days, since {since:%Y-%m-%d %H:%M} UTC"
        raise LimitExceededError(f"the list of runs of {workflow} in {repository}", "workflow_runs", problem, _END)

    def _read(self, target: str, what: str, model: type[Document]) -> Document:
        return _parsed(self._asking.json(target, what), what, model)


def _parsed(document: Mapping[str, object], what: str, model: type[Document]) -> Document:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error, what, _REMEDY) from error


def _record(run: _Run, what: str) -> WorkflowRun:
    is_over = run.status == "completed"
    try:
        return WorkflowRun(
            id=str(run.id),
            url=_url(run.html_url, what),
            attempt=run.run_attempt,
            ending=ending(run.conclusion) if is_over else None,
            conclusion=line(run.conclusion, 60) if is_over else "",
        )
    except ValidationError as error:
        raise invalid(error, what, _REMEDY) from error


def _url(text: str, what: str) -> str:
    """A link for people: nothing but a plain one."""
    if not _URL.fullmatch(text) or not text.isascii():
        raise InvalidInputError(what, "html_url", "is no plain URL", _REMEDY)
    return text
