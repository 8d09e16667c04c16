"""A release on FlakeHub as a consumer meets it: ``flakehub:ORG/FLAKE/VERSION#attribute``, and nothing else known.

FlakeHub tells the revision and the store path of the attribute. Bytes and proofs lie in the publisher's Nix cache.
Neither need be believed: the proofs are signed, and speak of flake, version, revision, attribute and bytes.
"""

import re
from collections.abc import Callable
from functools import cached_property

from flywheel_assets.adapters.flakehub.releases import is_rolling, release_of, store_path_of
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.dispatches import FlakeVersion
from flywheel_assets.domain.errors import AbsentError, ReadBackError, UsageError, printable
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.publications import Attached, flake_resource
from flywheel_assets.ports import Progress, PublishedReader

Closure = Callable[[str, str], PublishedReader]
"""From a store path, and the resource of the release, to the reader of its closure and of the release's proofs."""

_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
_VERSION = r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]{1,100})?(?:\+[0-9A-Za-z.-]{1,100})?"
_ATTRIBUTE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}"
# Also as the address of the release that consumers write into their flakes.
_REFERENCE = re.compile(
    rf"(?:flakehub:|https://flakehub\.com/f/)({_PART}/{_PART})/=?({_VERSION})(?:\.tar\.gz)?#({_ATTRIBUTE})"
)


def is_flake_reference(text: str) -> bool:
    """Whether ``text`` means a release on FlakeHub, well or badly written."""
    return text.startswith(("flakehub:", "https://flakehub.com/"))


class PublishedFlake:
    """ports.PublishedReader on one output of a release. ``closure`` reads from the publisher's cache."""

    def __init__(self, reference: str, client: HttpClient, closure: Closure) -> None:
        """``client`` is at the base of FlakeHub's API. Raises UsageError for what is no reference."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise UsageError(
                f"{printable(reference)!r} is no release on FlakeHub: write flakehub:ORG/FLAKE/VERSION#attribute, with "
                "the exact version and an attribute such as packages.x86_64-linux.default."
            )
        self._name, self._version, self._attribute = match.groups()
        self._client, self._closure_of = client, closure

    def identity(self) -> str:
        """The store path. Raises AbsentError where there is no such release, ReadBackError when it was yanked."""
        return self._closure.identity()

    def revision(self) -> GitRevision:
        """The revision that FlakeHub says was released. Raises as ``identity``."""
        revision = self._release.revision
        if revision is None:
            raise ReadBackError(f"FlakeHub tells no revision of {self._name} {self._version}.")
        return revision

    def resource(self) -> str:
        """What a summary for this very release speaks of.

        One for ``rolling`` was signed before FlakeHub counted the commits: it vouches for the revision in a version of
        exactly FlakeHub's form, and not for the count, by which the newest is chosen.
        """
        revision = self.revision()
        rolls = is_rolling(self._version, revision)
        return flake_resource(self._name, None if rolls else self._version, revision, self._attribute)

    def proofs(self) -> tuple[Attached, ...]:
        """What lies beside the closure in the publisher's cache."""
        return self._closure.proofs()

    def read(self, artifact: Artifact, progress: Progress) -> tuple[Reading, ...]:
        """Every member of the closure, whole, from the publisher's cache."""
        return self._closure.read(artifact, progress)

    @cached_property
    def _release(self) -> FlakeVersion:
        release = release_of(self._client, self._name, self._version)
        if release is None:
            raise AbsentError(f"FlakeHub has no release {self._version} of {self._name}.")
        if release.yanked:
            raise ReadBackError(f"{self._name} {self._version} was yanked: FlakeHub no longer resolves to it.")
        if release.version != self._version:
            problem = f"FlakeHub has {release.version} of {self._name} for {self._version}"
            raise ReadBackError(f"{problem}, and a summary speaks of one version. Verify that one, in full.")
        return release

    @cached_property
    def _closure(self) -> PublishedReader:
        found = store_path_of(self._client, self._name, self._release.version, self._attribute)
        if found is None:
            raise AbsentError(
                f"FlakeHub tells no store path of {self._attribute} in {self._name} {self._version}: it has no such "
                "output, or was released without output paths. Evaluate it, and verify CACHE#/nix/store/… instead."
            )
        return self._closure_of(found, self.resource())
