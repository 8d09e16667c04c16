"""A publication that another workflow carries out: what was asked of it, and how far it has come.

Nothing here says that anything is published: that a record of ``domain.publications`` says, after the read-back.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.names import Line, OutputName
from flywheel_assets.domain.platform_runs import Ending, RunId
from flywheel_assets.domain.publications import FlakeRelease


class WorkflowRun(Closed):
    """A run of the publishing workflow, as its latest attempt: a person may have it run again under the same id.

    ``ending`` is None while it goes on; ``conclusion`` is the forge's own word.
    """

    id: RunId
    url: Annotated[str, Field(max_length=500)]
    attempt: Annotated[int, Field(ge=1)] = 1
    ending: Ending | None = None
    conclusion: Line = ""


class FlakeVersion(Closed):
    """A release as FlakeHub's API tells of it. ``yanked`` when it has dropped out of the list of releases.

    Of one that dropped out it may tell no revision.
    """

    version: Line
    revision: GitRevision | None
    published_at: AwareDatetime | None = None
    yanked: bool = False


class DispatchState(StrEnum):
    """How far a dispatched publication has come, as far as it was seen."""

    REQUESTED = "requested"
    """Written before the forge is asked, so that a crash or an ambiguous answer never makes a second run."""
    REFUSED = "refused"
    """The forge took nothing, for sure: asking again makes no second run."""
    DISPATCHED = "dispatched"
    """The forge named the run."""
    RUNNING = "running"
    STOPPING = "being cancelled"
    """It runs, and the gate lets the build out no more: the forge is asked to cancel it, look after look."""
    FAILED = "failed"
    """The run ended without success."""
    AWAITS_RELEASE = "awaits release"
    """The run succeeded, or the release is there without one that did; it does not read back yet."""
    WRONG_RELEASE = "released with another revision or store path"
    RELEASED = "released"
    """The release reads back as approved."""
    YANKED = "yanked"
    """Or not shown any more, look after look."""

    @property
    def is_open(self) -> bool:
        """Whether it may still change by itself, so that it is to be followed."""
        return self in {
            DispatchState.REQUESTED,
            DispatchState.DISPATCHED,
            DispatchState.RUNNING,
            DispatchState.STOPPING,
            DispatchState.AWAITS_RELEASE,
        }

    @property
    def is_out(self) -> bool:
        """Whether there is a release, or was: it is looked at again, day by day."""
        return self in {DispatchState.RELEASED, DispatchState.WRONG_RELEASE, DispatchState.YANKED}


class Dispatch(Closed):
    """One step of a dispatched publication, as it is kept in the output's log.

    ``id`` names the request: it goes to the workflow as an input and shows in its run's name, so that the run can be
    found again. ``vain`` counts looks that did not find in ``state`` what they looked for, and ``pathless`` those that
    found the release and no store path of it. ``detail`` is a sentence for people, and ``untaken`` why the forge does
    not take the order to cancel the run.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    output: OutputName
    build: BuildKey
    surface: OutputName
    artifact_digest: Sha256
    flake: FlakeRelease
    state: DispatchState
    at: AwareDatetime
    run: WorkflowRun | None = None
    release: FlakeVersion | None = None
    vain: int = 0
    pathless: int = 0
    detail: Line = ""
    untaken: Line = ""

    def is_for(self, surface: str, flake: FlakeRelease) -> bool:
        """Whether this asked for the very same release, by whatever workflow, and of whichever build."""
        return (self.surface, self.flake.resource) == (surface, flake.resource)
