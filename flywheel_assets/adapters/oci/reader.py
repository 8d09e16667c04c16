"""A published image as a consumer meets it: ``oci:<layout folder>@sha256:…`` or ``oci:<layout folder>:<tag>``."""

import re
from pathlib import Path

from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.proofs import find_proofs
from flywheel_assets.domain.artifacts import Artifact, OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import AbsentError, UsageError, printable
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.ports import Progress

_REFERENCE = re.compile(r"oci:(/?[^\x00-\x1f:@]+)(?:@(sha256:[0-9a-f]{64})|:([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))")


class PublishedImage:
    """ports.PublishedReader on an OCI image layout in a folder."""

    def __init__(self, reference: str, limits: Limits = DEFAULT_LIMITS) -> None:
        """Raises UsageError for what is no reference."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise UsageError(
                f"{printable(reference)!r} is no published image: write oci:/layout@sha256:… or oci:/layout:tag."
            )
        self._layout, self._limits = OciLayout(Path(match[1]), limits=limits), limits
        self._digest, self._tag = match[2], match[3]

    def identity(self) -> str:
        """The SHA-256 of the manifest or index, in hex."""
        return self._manifest().hex

    def proofs(self) -> tuple[bytes, ...]:
        """The envelopes that the referrers of the image lead to."""
        found = find_proofs(self._layout, self._manifest(), self._limits, lambda _: None)
        return tuple(item.envelope for item in found if item.envelope is not None)

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Every platform: index, manifests, configs, layers."""
        if not isinstance(artifact, OciImage):
            raise UsageError(f"The provenance speaks of {artifact.name}, which is no image.")
        return image_readings(self._layout, artifact, self._limits, progress)

    def _manifest(self) -> ManifestDigest:
        self._layout.check()
        if self._digest:
            return ManifestDigest(self._digest)
        found = self._layout.tag(self._tag)
        if found is None:
            raise AbsentError(f"{self._layout.path} has no image tagged {self._tag!r}.")
        return found.digest
