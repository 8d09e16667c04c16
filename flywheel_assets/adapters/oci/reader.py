"""A published image as a consumer meets it: in a layout, or in a registry.

``oci:<folder>@sha256:…``, ``oci:<folder>:<tag>``, ``host/name@sha256:…`` or ``host/name:tag``. Registries are spoken to
over https, but those on this machine (localhost, 127.0.0.1) over http.
"""

import re
from pathlib import Path

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
from flywheel_assets.adapters.http.places import EVERYWHERE
from flywheel_assets.adapters.oci.image_readings import image_readings
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.proofs import find_proofs
from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.artifacts import Artifact, OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import AbsentError, UsageError, printable
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached
from flywheel_assets.ports import Progress

_VERSION = r"(?:@(sha256:[0-9a-f]{64})|:([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))"
_IN_LAYOUT = re.compile(rf"oci:(/?[^\x00-\x1f:@]+){_VERSION}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
# A host has a dot or a port, or is this machine: everything else would be a short name that each tool reads otherwise.
_IN_REGISTRY = re.compile(
    rf"((?:[a-z0-9-]+\.)+[a-z0-9-]+(?::[0-9]{{1,5}})?|[a-z0-9-]+:[0-9]{{1,5}}|localhost)/({_PART}(?:/{_PART})*){_VERSION}"
)
_THIS_MACHINE = re.compile(r"(localhost|127\.[0-9.]+)(:[0-9]+)?")


def is_reference(text: str) -> bool:
    """Whether ``text`` has the form of a published image's reference."""
    return bool(_IN_LAYOUT.fullmatch(text) or _IN_REGISTRY.fullmatch(text))


class PublishedImage:
    """ports.PublishedReader on one image. ``credentials`` are for a registry that not everybody may read."""

    def __init__(self, reference: str, limits: Limits = DEFAULT_LIMITS, credentials: Credentials = ANONYMOUS) -> None:
        """Raises UsageError for what is no reference."""
        self.repository: Repository
        if match := _IN_LAYOUT.fullmatch(reference):
            self.repository = OciLayout(Path(match[1]), limits=limits)
            self._digest, self._tag = match[2], match[3]
        elif match := _IN_REGISTRY.fullmatch(reference):
            scheme = "http" if _THIS_MACHINE.fullmatch(match[1]) else "https"
            self.repository = Registry(f"{scheme}://{match[1]}", credentials, EVERYWHERE, limits).repository(match[2])
            self._digest, self._tag = match[3], match[4]
        else:
            raise UsageError(
                f"{printable(reference)!r} is no published image: write oci:/layout@sha256:…, oci:/layout:tag, "
                "host/name@sha256:… or host/name:tag."
            )
        self._limits = limits

    def identity(self) -> str:
        """The SHA-256 of the manifest or index, in hex."""
        return self.manifest().hex

    def revision(self) -> None:
        """A registry tells of none."""

    def resource(self) -> None:
        """Any: it may be a mirror."""

    def proofs(self) -> tuple[Attached, ...]:
        """What lies beside the image and fits its digest."""
        found = find_proofs(self.repository, self.manifest(), self._limits, lambda _: None)
        return tuple(item.attached for item in found if item.attached is not None)

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Every platform: index, manifests, configs, layers."""
        if not isinstance(artifact, OciImage):
            raise UsageError(f"The provenance speaks of {artifact.name}, which is no image.")
        return image_readings(self.repository, artifact, self._limits, progress)

    def manifest(self) -> ManifestDigest:
        """The digest that the reference names now. AbsentError when nothing has its tag."""
        self.repository.check()
        if self._digest:
            return ManifestDigest(self._digest)
        found = self.repository.tag(self._tag)
        if found is None:
            raise AbsentError(f"{self.repository.place} has no image tagged {self._tag!r}.")
        return found.digest
