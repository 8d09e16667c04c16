"""FlakeHub as a surface: its one way in is the flake's own publishing workflow, its way out the releases API.

Publishing takes an identity that only a trusted CI platform gives (FlakeHub, "Publishing your flakes"), so a server of
one's own asks for the workflow and reads back what came of it.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from flywheel_assets.adapters.flakehub.releases import release_of, rolling_release_of, store_path_of
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.wire import Timeouts
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.dispatches import FlakeVersion, WorkflowRun
from flywheel_assets.domain.errors import NameTakenError, PublicationError, UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.publications import ROLLING, FlakeRelease, Plan, Proof, Release
from flywheel_assets.ports import Progress

CLOCK_SKEW = timedelta(days=1)  # between this clock and the forge's: no other run has the request in its name
TIMEOUTS = Timeouts(connect=5, idle=10, grace=15)
ATTEMPTS = 1
"""Whoever follows asks again in a minute: a server that hangs must not hold up what others have to tell."""


class Workflows(Protocol):
    """The workflows of a forge. Errors as of ports.PublishingWorkflow."""

    def start(self, repository: str, workflow: str, ref: str, inputs: Mapping[str, str]) -> WorkflowRun:
        """Start one, once."""
        ...

    def find(self, repository: str, workflow: str, request: str, since: datetime) -> WorkflowRun | None:
        """The run whose title holds ``request``."""
        ...

    def look(self, repository: str, workflow: str, run: str) -> WorkflowRun:
        """A run as it is now."""
        ...

    def cancel(self, repository: str, run: str) -> None:
        """Ask for its end."""
        ...


class FlakehubWorkflow:
    """ports.PublishingWorkflow; ``hub`` reads FlakeHub's API as consumers do.

    Each question is asked once: a failure is the caller's to repeat.
    """

    def __init__(self, workflows: Workflows, hub: HttpClient) -> None:
        self._workflows = workflows
        self._hub = hub

    def plan(self, release: Release) -> Plan:
        """What is wanted is one version.

        Raises NameTakenError when that has another revision, is yanked, or is there with other build metadata.
        """
        flake, found = _flake(release), self.released(release)
        if found is not None and found.revision not in {None, flake.revision}:
            has = f"{flake.name} {found.version} is released from {found.revision}, and {flake.revision} was approved."
            raise NameTakenError(f"{has} Give this revision another version: a release cannot be replaced.")
        if found is not None and flake.version not in {None, found.version}:
            has = f"{flake.name} {found.version} is released, and to consumers it is the same as {flake.version}."
            raise NameTakenError(f"{has} Give this revision another version.")
        if found is not None and found.yanked:
            has = f"{flake.name} {found.version} is there, and FlakeHub lists it not yet, or no more: it was yanked."
            raise NameTakenError(f"{has} Give this revision another version, unless it shows in a while.")
        version = found.version if found else flake.version or ROLLING
        return Plan(
            release=release,
            reference=f"flakehub:{flake.name}/{version}#{flake.attribute}",
            missing=() if found else (version,),
            present=(version,) if found else (),
            names=(),
        )

    def dispatch(self, release: Release, request: str, summary: Proof) -> WorkflowRun:
        """Ask for the run. PublicationError when the inputs are more than a workflow takes; else as of the port."""
        flake = _flake(release)
        inputs = {
            "request": request,
            "revision": str(flake.revision),
            "version": flake.version or ROLLING,
            "attribute": flake.attribute,
            "store_path": _closure(release).root,
            "vsa": b64encode(summary.envelope).decode("ascii"),
        }
        most, size = DEFAULT_LIMITS.workflow_input_chars, sum(map(len, inputs.values()))
        if size > most:
            problem = f"The inputs for {flake.workflow} have {size:,} characters, and a workflow takes {most:,}."
            raise PublicationError(f"{problem} The summary lists too many attestations.")
        return self._workflows.start(flake.repository, flake.workflow, flake.ref, inputs)

    def find(self, release: Release, request: str, since: datetime) -> WorkflowRun | None:
        """The run for ``request``, whose name holds it."""
        flake = _flake(release)
        return self._workflows.find(flake.repository, flake.workflow, request, since - CLOCK_SKEW)

    def look(self, release: Release, run: str) -> WorkflowRun:
        """A run as it is now."""
        flake = _flake(release)
        return self._workflows.look(flake.repository, flake.workflow, run)

    def cancel(self, release: Release, run: str) -> None:
        """Ask the forge to cancel a run."""
        self._workflows.cancel(_flake(release).repository, run)

    def released(self, release: Release) -> FlakeVersion | None:
        """The release, whatever revision it has; ``yanked`` where FlakeHub still tells of it."""
        flake = _flake(release)
        if flake.version is None:
            return rolling_release_of(self._hub, flake.name, flake.revision, attempts=ATTEMPTS)
        return release_of(self._hub, flake.name, flake.version, attempts=ATTEMPTS)

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:  # noqa: ARG002 - FlakeHub holds neither bodies nor proofs
        """What FlakeHub says: the revision of the release, and the store path of its attribute.

        Where it tells no store path the revision alone, whose ``detail`` says so: the publishing workflow always has
        output paths published, other ways to release need not. The closure itself is read back from its binary cache.
        """
        flake, found = _flake(release), self.released(release)
        member = f"flakehub:{flake.name}/{found.version if found else flake.version or ROLLING}"
        wanted = str(flake.revision)
        if found is None:
            detail = "FlakeHub lists no such release"
            return (Reading(member=member, state=ReadState.ABSENT, expected_digest=wanted, detail=detail),)
        if found.yanked:
            detail = "the release is yanked: no version requirement resolves to it"
            return (Reading(member=member, state=ReadState.ABSENT, expected_digest=wanted, detail=detail),)
        path = store_path_of(self._hub, flake.name, found.version, flake.attribute, attempts=ATTEMPTS)
        revision = Reading(member=member, state=ReadState.READ, expected_digest=wanted, digest=str(found.revision))
        root, output = _closure(release).root, f"{member}#{flake.attribute}"
        if path is None:
            detail = f"FlakeHub tells no store path of {flake.attribute}, so that the revision alone can be compared"
            return (revision.model_copy(update={"detail": detail}),)
        return (revision, Reading(member=output, state=ReadState.READ, expected_digest=root, digest=path))


def _flake(release: Release) -> FlakeRelease:
    if release.flake is None:
        raise UsageError(f"{release.output} names no flake to release. Give its publication a `flake`.")
    return release.flake


def _closure(release: Release) -> NixClosure:
    if not isinstance(release.artifact, NixClosure):
        raise UsageError(f"{release.output} is no Nix closure, and FlakeHub has releases of flakes alone.")
    return release.artifact
