"""Staging repositories that builders push into, layouts or a registry: read-only, mutable, untrusted."""

from collections.abc import Callable

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.oci.bodies import Body
from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.artifacts import Artifact, OciImage
from flywheel_assets.domain.errors import InvalidInputError, UsageError
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress


class OciStaging:
    """ports.SourceCache. ``repository`` finds one by its name; InvalidInputError when there can be none of it."""

    def __init__(self, repository: Callable[[str], Repository], limits: Limits = DEFAULT_LIMITS) -> None:
        self.repository = repository
        self._limits = limits

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """A reading for the index, and for each manifest, config and layer of each platform.

        Raises UsageError for what is no OCI image; what the repository holds is said in readings.
        """
        if not isinstance(artifact, OciImage):
            raise UsageError(f"{artifact.name} is no OCI image, and OCI staging holds nothing else.")
        try:
            repository = self.repository(artifact.repository)
        except InvalidInputError as error:
            body = Body(state_of(error), detail=str(error))
            return (body.reading(f"index {artifact.manifest}", artifact.manifest, None),)
        return image_readings(repository, artifact, self._limits, progress)
