"""A staging folder of OCI layouts, one per repository, that builders push into: read-only, mutable, untrusted."""

from pathlib import Path

from flywheel_assets.adapters.files import state_of
from flywheel_assets.adapters.oci.bodies import Body
from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.domain.artifacts import Artifact, OciImage
from flywheel_assets.domain.errors import InvalidInputError, UsageError
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress


class OciStaging:
    """ports.SourceCache over ``root/<repository>/``, each an OCI image layout."""

    def __init__(self, root: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._root = root
        self._limits = limits

    def layout(self, repository: str) -> OciLayout:
        """The layout of a repository; InvalidInputError when its name cannot be a folder of its own."""
        return OciLayout(self._root, repository, self._limits)

    def inspect(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """A reading for the index, and for each manifest, config and layer of each platform.

        Raises UsageError for what is no OCI image; what the folder holds is said in readings.
        """
        if not isinstance(artifact, OciImage):
            raise UsageError(f"{artifact.name} is no OCI image, and OCI staging holds nothing else.")
        try:
            layout = self.layout(artifact.repository)
        except InvalidInputError as error:
            body = Body(state_of(error), detail=str(error))
            return (body.reading(f"index {artifact.manifest}", artifact.manifest, None),)
        return image_readings(layout, artifact, self._limits, progress)
