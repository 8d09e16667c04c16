"""What was read from a mutable cache: one reading per member of an artifact, whole bodies hashed.

An inspection is this project's own observation and is signed with the verifier's key before it is stored.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, NonNegativeInt

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.names import OutputName


class ReadState(StrEnum):
    """How reading one member ended. Only READ says anything about content."""

    READ = "read"
    ABSENT = "absent"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    MALFORMED = "malformed"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    UNAUTHORISED = "unauthorised"
    RATE_LIMITED = "rate limited"


class Reading(Closed):
    """One member, its whole body read.

    ``digest`` and ``size`` are of the uncompressed body as read; ``expected_digest`` and ``expected_size``
    what the signed receipt (or, for a layer, the verified manifest above it) says. ``index_problems`` lists
    where the cache's own index (narinfo, action result) differs from the signed manifest, and
    ``added_references`` the references that only the index knows. ``vouched_by`` names the trusted upstream
    key of a closure member that the receipt does not list.
    """

    member: Annotated[str, Field(max_length=1200)]
    state: ReadState
    expected_digest: str = ""
    expected_size: int | None = None
    digest: str = ""
    size: NonNegativeInt = 0
    index_problems: tuple[str, ...] = ()
    added_references: tuple[str, ...] = ()
    vouched_by: str = ""
    detail: Annotated[str, Field(max_length=600)] = ""


class Inspection(Closed):
    """All readings of one artifact, at one time, from one cache."""

    output: OutputName
    build: BuildKey
    cache: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    readings: tuple[Reading, ...]

    @property
    def bytes_read(self) -> int:
        """Uncompressed bytes that were hashed."""
        return sum(reading.size for reading in self.readings)
