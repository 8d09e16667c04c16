"""Makes image layouts as a builder's tool would, without the code under test."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.publications import Form, Proof, Release
from flywheel_assets.ports import PublicationSurface

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REPOSITORY = "platform/dashboard"
PLATFORMS = ("linux/amd64", "linux/arm64/v8")


def envelope(payload: str) -> bytes:
    """A signed envelope, but for who signed it."""
    fields = {"payload": payload, "payloadType": "application/vnd.in-toto+json"}
    signed = {**fields, "signatures": [{"keyid": "", "sig": "c2ln"}]}
    return json.dumps(signed, separators=(",", ":")).encode()


PROOFS = (
    Proof(name="vsa", predicate_type="https://slsa.dev/verification_summary/v1", envelope=envelope("dnNh")),
    Proof(name="provenance", predicate_type="https://slsa.dev/provenance/v1", envelope=envelope("c2xzYQ==")),
)


def envelopes(surface: PublicationSurface, release: Release) -> list[bytes]:
    """Those that lie beside an image, sorted: an envelope is there as a bundle too."""
    return sorted(attached.data for attached in surface.proofs(release) if attached.form is Form.DSSE)


def nothing(count: int) -> None:
    """A progress that nobody watches."""


def layouts(folder: Path) -> Callable[[str], OciLayout]:
    """How a surface or a cache finds the layout of a repository in a folder."""
    return lambda repository: OciLayout(folder, repository)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_file(layout: Path, digest: object) -> Path:
    return layout / "blobs" / "sha256" / str(digest).removeprefix("sha256:")


def put(layout: Path, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Store a blob; its descriptor."""
    path = blob_file(layout, digest_of(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def put_json(layout: Path, value: Any, media_type: str, **more: Any) -> dict[str, Any]:
    return put(layout, json.dumps(value).encode(), media_type, **more)


def tar_layer(name: str, content: bytes) -> tuple[bytes, str]:
    """A compressed layer and its diff id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0), digest_of(buffer.getvalue())


def platform_fields(platform: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def put_manifest(layout: Path, platform: str, seed: str = "", **more: Any) -> dict[str, Any]:
    """An image of two layers, the first shared by all platforms."""
    layers = [tar_layer("etc/base", b"the same everywhere"), tar_layer("bin/app", f"{platform}{seed}".encode())]
    config = {
        **platform_fields(platform),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put_json(layout, config, CONFIG),
        "layers": [put(layout, data, LAYER) for data, _ in layers],
    }
    return put_json(layout, manifest, MANIFEST, platform=platform_fields(platform), **more)


def put_attestation(layout: Path) -> dict[str, Any]:
    """As docker buildx adds it to an index."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put_json(layout, {"os": "unknown", "architecture": "unknown"}, CONFIG),
        "layers": [put(layout, b'{"_type":"x"}', "application/vnd.in-toto+json")],
    }
    return put_json(layout, manifest, MANIFEST, platform=platform_fields("unknown/unknown"))


def put_index(layout: Path, children: list[dict[str, Any]]) -> dict[str, Any]:
    return put_json(layout, {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}, INDEX)


def seal(layout: Path, *named: tuple[str, dict[str, Any]]) -> None:
    """Write oci-layout and index.json with these names."""
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entries = [
        {**entry, "annotations": {"org.opencontainers.image.ref.name": name}} if name else entry
        for name, entry in named
    ]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def image_of(digest: object, platforms: dict[str, Any]) -> OciImage:
    return OciImage(
        repository=REPOSITORY,
        manifest=ManifestDigest(str(digest)),
        platforms={name: ManifestDigest(str(each)) for name, each in platforms.items()},
    )


def make_image(root: Path, seed: str = "", repository: str = REPOSITORY) -> OciImage:
    """A two-platform image with an attestation, tagged ``staged``, in ``root/<repository>``."""
    layout = root / repository
    children = [put_manifest(layout, platform, seed) for platform in PLATFORMS]
    index = put_index(layout, [*children, put_attestation(layout)])
    seal(layout, ("staged", index))
    return image_of(index["digest"], dict(zip(PLATFORMS, (c["digest"] for c in children), strict=True)))


def release_of(image: OciImage, *tags: str, moving: tuple[str, ...] = ()) -> Release:
    return Release(
        output="dashboard",
        build=BuildKey(run="7", attempt=1, system="x86_64-linux"),
        artifact=image,
        repository="released/dashboard",
        tags=tags,
        moving=moving,
    )
