"""Builds container images without a daemon, into OCI image layouts, one folder per repository."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from recording.tools import output

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAG = "org.opencontainers.image.ref.name"


class Layout:
    """An OCI image layout on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def index(self) -> dict[str, Any]:
        """The layout's entry point."""
        found: dict[str, Any] = json.loads((self.folder / "index.json").read_bytes())
        return found

    def tagged(self, tag: str) -> dict[str, Any]:
        """The descriptor that ``tag`` leads to."""
        found: dict[str, Any] = next(
            item for item in self.index["manifests"] if item.get("annotations", {}).get(TAG) == tag
        )
        return found

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob."""
        return (self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()

    def add_blob(self, body: bytes, media_type: str) -> dict[str, Any]:
        """Write a blob; the answer is its descriptor."""
        found = hashlib.sha256(body).hexdigest()
        (self.folder / "blobs" / "sha256" / found).write_bytes(body)
        return {"mediaType": media_type, "digest": f"sha256:{found}", "size": len(body)}

    def tag(self, descriptor: dict[str, Any], tag: str) -> None:
        """Let ``tag`` lead to a blob that is there."""
        index = self.index
        index["manifests"].append({**descriptor, "annotations": {TAG: tag}})
        body = json.dumps(index, separators=(",", ":")).encode()
        (self.folder / "index.json").write_bytes(body)

    def image(self, repository: str, tag: str) -> OciImage:
        """What ``tag`` leads to, as a receipt names it."""
        top = self.tagged(tag)
        if top["mediaType"] == INDEX:
            children = json.loads(self.blob(top["digest"]))["manifests"]
            platforms = {
                f"{child['platform']['os']}/{child['platform']['architecture']}": child["digest"] for child in children
            }
        else:
            config = json.loads(self.blob(json.loads(self.blob(top["digest"]))["config"]["digest"]))
            platforms = {f"{config['os']}/{config['architecture']}": top["digest"]}
        return OciImage(
            repository=repository,
            manifest=ManifestDigest(top["digest"]),
            platforms={name: ManifestDigest(digest) for name, digest in sorted(platforms.items())},
        )


class Buildah:
    """Buildah with storage of its own."""

    def __init__(self, work: Path) -> None:
        self._home = work / "buildah-home"
        self._home.mkdir()
        self._command = (
            "buildah",
            "--root",
            work / "buildah-storage",
            "--runroot",
            work / "buildah-run",
            "--storage-driver",
            "vfs",
        )

    def build(
        self, definition: Path, name: str, *, platforms: tuple[str, ...], created: datetime, layout: Path, tag: str
    ) -> None:
        """Build ``definition`` in its folder and write the image, or the index of several, into ``layout``."""
        several = len(platforms) > 1
        seconds = str(int(created.timestamp()))
        options = (
            "--isolation",
            "chroot",
            "--format",
            "oci",
            "--timestamp",
            seconds,
            "--platform",
            ",".join(platforms),
        )
        target = ("--manifest" if several else "--tag", name)
        self._run("build", *options, *target, "--file", definition, definition.parent)
        layout.parent.mkdir(parents=True, exist_ok=True)
        push = ("manifest", "push", "--all") if several else ("push",)
        self._run(*push, "--format", "oci", name, f"oci:{layout}:{tag}")

    def _run(self, *arguments: str | Path) -> None:
        output(*self._command, *arguments, home=self._home)


def copied(source: Path, source_tag: str, target: Path, target_tag: str, work: Path) -> Layout:
    """Copy an image from layout to layout, byte for byte."""
    target.parent.mkdir(parents=True, exist_ok=True)
    output(
        "skopeo",
        "--insecure-policy",
        "--tmpdir",
        work,
        "copy",
        "--all",
        "--preserve-digests",
        f"oci:{source}:{source_tag}",
        f"oci:{target}:{target_tag}",
        home=work,
    )
    return Layout(target)
