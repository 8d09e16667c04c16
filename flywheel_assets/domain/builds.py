"""A builder run: who built, from what, when, and what it says of its own steps."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.names import BuilderLabel, Line, OutputName, RepositoryUri, StorePath


class Closed(BaseModel):
    """Frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)


class BuildKey(Closed):
    """Identity of one witness: run, attempt and system. Its text is the Dagster partition key."""

    run: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    attempt: Annotated[int, Field(ge=1, le=9999)]
    system: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=40)]

    def __str__(self) -> str:
        """``<run>.<attempt>.<system>``."""
        return f"{self.run}.{self.attempt}.{self.system}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that ``str`` spelled; ValueError otherwise."""
        match = re.fullmatch(r"([^.]+)\.([1-9][0-9]{0,3})\.([^.]+)", text)
        if match is None:
            raise ValueError(f"a build is named <run>.<attempt>.<system>, not {text[:80]!r}")
        return cls(run=match[1], attempt=int(match[2]), system=match[3])


class Source(Closed):
    """Where the build came from, exactly enough to fetch it again."""

    repository: RepositoryUri
    revision: GitRevision
    ref: Line
    dirty: bool
    committed_at: AwareDatetime | None = None


class LockedInput(Closed):
    """A lock file or a fetched input, by digest."""

    name: Line
    digest: Sha256


class TriggerEvent(StrEnum):
    """What started the run, in words that both GitHub Actions and GitLab CI can be mapped to."""

    PUSH = "push"
    TAG = "tag"
    SCHEDULE = "schedule"
    MANUAL = "manual"
    PULL_REQUEST = "pull_request"


class Trigger(Closed):
    """What started the run, and whether from a fork."""

    event: TriggerEvent
    actor: Line
    from_fork: bool = False


class Bootstrap(Closed):
    """The proof that the lane installed and verified its toolchain (phase 0)."""

    tool: Line
    installed_by: Line
    verified_version: Line
    finished_at: AwareDatetime


class ValidationResult(StrEnum):
    """in-toto test-result v0.1, field ``result``, and what a workflow step can end as."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


class Validation(Closed):
    """One named validation and how it ended."""

    name: Line
    result: ValidationResult


class Dependency(Closed):
    """Another output of this platform that went into this build, by store path and NAR hash."""

    output: OutputName
    store_path: StorePath
    digest: Sha256


class BuilderRun(Closed):
    """Everything about the run that is not the artifact itself.

    ``job`` and ``runner`` are what the forge calls the job (its number) and the machine that took it: by them the job
    is found among those of the run. Receipts may leave both out.
    """

    key: BuildKey
    builder: BuilderLabel
    job: Line | None = None
    runner: Line | None = None
    invocation: Annotated[str, StringConstraints(pattern=r"^https://[^\s\x00-\x1f]+$", max_length=500)]
    source: Source
    definition: Line | None
    locked_inputs: tuple[LockedInput, ...]
    trigger: Trigger
    started_at: AwareDatetime
    finished_at: AwareDatetime
    bootstrap: Bootstrap | None
    validations: tuple[Validation, ...]
    dependencies: tuple[Dependency, ...] = ()

    @property
    def names_its_job(self) -> bool:
        """Whether it says which job of the run it was."""
        return self.job is not None or self.runner is not None

    @property
    def order(self) -> tuple[datetime, str]:
        """Sorts runs by when they finished."""
        return (self.finished_at, str(self.key))
