"""What refers to a staged image goes where the image goes: whole, merged with what is there, and within bounds."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest
from flywheel_assets.domain.errors import (
    PublicationError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Release
from flywheel_assets_tests.adapters.oci.images import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    PLATFORMS,
    PROOFS,
    REPOSITORY,
    blob_file,
    digest_of,
    envelopes,
    layouts,
    make_image,
    nothing,
    put,
    put_json,
    release_of,
)
from flywheel_assets_tests.adapters.oci.images import put_manifest as put_image
from flywheel_assets_tests.adapters.oci.registries import push, repositories
from flywheel_assets_tests.processes import Server

SBOM = "application/spdx+json"


@pytest.fixture
def image(tmp_path: Path) -> OciImage:
    return make_image(tmp_path / "staging")


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    return tmp_path / "staging" / REPOSITORY


def referrer(layout: Path, subject: dict[str, Any], note: str = "an SBOM") -> dict[str, Any]:
    """An artifact manifest as a builder's tool makes it; its entry in a list."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": SBOM,
        "config": put(layout, b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [put(layout, note.encode(), SBOM)],
        "subject": subject,
        "annotations": {"note": note},
    }
    return put_json(layout, manifest, MANIFEST, artifactType=SBOM, annotations={"note": note})


def subject_of(layout: Path, digest: object) -> dict[str, Any]:
    data = blob_file(layout, digest).read_bytes()
    return {"mediaType": json.loads(data)["mediaType"], "digest": str(digest), "size": len(data)}


def writable(layout: Path) -> OciLayout:
    found = OciLayout(layout)
    found.prepare()
    return found


def listing(layout: Path, subject: object, *entries: dict[str, Any]) -> None:
    writable(layout).list_referrers({"digest": str(subject)}, entries)


def signatures(layout: Path, image: OciImage, *names: str) -> None:
    """A manifest as cosign makes it, under its tag."""
    kind, said = "application/vnd.dev.cosign.simplesigning.v1+json", "dev.cosignproject.cosign/signature"
    config = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put_json(layout, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [put(layout, name.encode(), kind, annotations={said: name}) for name in names],
    }
    tag = f"sha256-{image.manifest.hex}.sig"
    writable(layout).set_names({tag: put_json(layout, manifest, MANIFEST)}, moving=[tag])


def surface_of(
    tmp_path: Path, target: Callable[[str], Repository] | None = None, limits: Limits = DEFAULT_LIMITS
) -> OciSurface:
    return OciSurface(target or layouts(tmp_path / "durable"), OciStaging(layouts(tmp_path / "staging")), limits)


def publish(surface: OciSurface, release: Release) -> None:
    plan = surface.plan(release)
    surface.copy(plan, nothing)
    surface.attach(plan, PROOFS)
    surface.reveal(plan)


def notes(repository: Repository, subject: object) -> set[str]:
    entries = repository.referrers(ManifestDigest(str(subject)))
    return {entry.get("annotations", {}).get("note", "") for entry in entries} - {""}


@pytest.mark.parametrize(
    "place",
    [
        "layouts",
        pytest.param("registry", marks=pytest.mark.peer("docker-registry")),
        pytest.param("referrers_registry", marks=pytest.mark.peer("olareg")),
    ],
)
def test_referrers_of_the_index_and_of_each_platform_travel_along(
    request: pytest.FixtureRequest, tmp_path: Path, image: OciImage, staged: Path, fresh_name: str, place: str
) -> None:
    sbom = referrer(staged, subject_of(staged, image.manifest))
    about_it = referrer(staged, {key: sbom[key] for key in ("mediaType", "digest", "size")}, "about the SBOM")
    platform = image.platforms[PLATFORMS[0]]
    scan = referrer(staged, subject_of(staged, platform), "a scan")
    for subject, entry in ((image.manifest, sbom), (sbom["digest"], about_it), (platform, scan)):
        listing(staged, subject, entry)
    signatures(staged, image, "one")
    targets = layouts(tmp_path / "durable") if place == "layouts" else None
    target = (targets or repositories(request.getfixturevalue(place), fresh_name))("released/dashboard")
    surface = surface_of(tmp_path, lambda _: target)
    publish(surface, release_of(image, "v1"))
    assert notes(target, image.manifest) == {"an SBOM"}
    assert notes(target, sbom["digest"]) == {"about the SBOM"}
    assert notes(target, platform) == {"a scan"}
    entry = next(each for each in target.referrers(image.manifest) if each["digest"] == sbom["digest"])
    assert entry["artifactType"] == SBOM
    assert b"".join(target.open_blob(ManifestDigest(digest_of(b"an SBOM")))) == b"an SBOM"
    assert target.tag(f"sha256-{image.manifest.hex}.sig") is not None
    assert envelopes(surface, release_of(image, "v1")) == sorted(proof.envelope for proof in PROOFS)


@pytest.mark.peer("docker-registry", "olareg")
def test_referrers_travel_from_a_registry_that_lists_them_to_one_that_does_not(
    tmp_path: Path, image: OciImage, staged: Path, fresh_name: str, referrers_registry: Server, registry: Server
) -> None:
    referrer(staged, subject_of(staged, image.manifest))  # listed by nobody: the registry finds it by its subject
    push(staged, referrers_registry, f"{fresh_name}/{REPOSITORY}")
    target = repositories(registry, fresh_name)
    surface = OciSurface(target, OciStaging(repositories(referrers_registry, fresh_name)))
    publish(surface, release_of(image, "v1"))
    assert notes(target("released/dashboard"), image.manifest) == {"an SBOM"}


def test_what_comes_later_is_added_to_what_is_there(tmp_path: Path, image: OciImage, staged: Path) -> None:
    surface, target = surface_of(tmp_path), OciLayout(tmp_path / "durable/released/dashboard")
    listing(staged, image.manifest, referrer(staged, subject_of(staged, image.manifest), "first"))
    signatures(staged, image, "one")
    publish(surface, release_of(image, "v1"))
    theirs = referrer(target.path, subject_of(staged, image.manifest), "theirs")
    listing(target.path, image.manifest, theirs)
    listing(staged, image.manifest, referrer(staged, subject_of(staged, image.manifest), "second"))
    signatures(staged, image, "two")
    publish(surface, release_of(image, "v1"))
    assert notes(target, image.manifest) == {"first", "second", "theirs"}
    found = target.tag(f"sha256-{image.manifest.hex}.sig")
    assert found is not None
    layers = json.loads(b"".join(target.open_manifest(found.digest)))["layers"]
    assert sorted(layer["annotations"]["dev.cosignproject.cosign/signature"] for layer in layers) == ["one", "two"]


def test_a_foreign_referrer_is_no_proof_of_ours(tmp_path: Path, image: OciImage, staged: Path) -> None:
    surface = surface_of(tmp_path)
    listing(staged, image.manifest, referrer(staged, subject_of(staged, image.manifest)))
    plan = surface.plan(release_of(image, "v1"))
    surface.copy(plan, nothing)
    assert surface.proofs(plan.release) == ()


def test_what_is_listed_and_gone_or_of_another_image_stays(tmp_path: Path, image: OciImage, staged: Path) -> None:
    gone = referrer(staged, subject_of(staged, image.manifest), "gone")
    strange = referrer(staged, subject_of(staged, image.platforms[PLATFORMS[0]]), "of another")
    odd = {**gone, "digest": "sha256:../../etc/passwd"}
    listing(staged, image.manifest, gone, strange, odd)
    blob_file(staged, gone["digest"]).unlink()
    publish(surface_of(tmp_path), release_of(image, "v1"))
    target = OciLayout(tmp_path / "durable/released/dashboard")
    assert notes(target, image.manifest) == set()
    assert target.blob_size(ManifestDigest(strange["digest"])) is None


@pytest.mark.parametrize("kind", ["layer", "manifest"])
def test_a_referrer_that_is_not_what_its_digest_says_is_refused(
    tmp_path: Path, image: OciImage, staged: Path, kind: str
) -> None:
    entry = referrer(staged, subject_of(staged, image.manifest))
    listing(staged, image.manifest, entry)
    path = blob_file(staged, entry["digest"] if kind == "manifest" else digest_of(b"an SBOM"))
    path.write_bytes(path.read_bytes().replace(b"SBOM", b"SBOX"))
    surface = surface_of(tmp_path)
    with pytest.raises(PublicationError):
        surface.copy(surface.plan(release_of(image, "v1")), nothing)


@pytest.mark.parametrize("limits", [Limits(referrers=2), Limits(referrer_depth=1), Limits(referrer_bytes=3000)])
def test_too_many_too_deep_and_too_large_are_refused(
    tmp_path: Path, image: OciImage, staged: Path, limits: Limits
) -> None:
    large = [referrer(staged, subject_of(staged, image.manifest), letter * 900) for letter in "ab"]
    below = referrer(staged, {key: large[0][key] for key in ("mediaType", "digest", "size")}, "below")
    listing(staged, image.manifest, *large)
    listing(staged, large[0]["digest"], below)
    surface = surface_of(tmp_path, limits=limits)
    with pytest.raises(PublicationError, match="brings"):
        surface.copy(surface.plan(release_of(image, "v1")), nothing)
    publish(surface_of(tmp_path), release_of(image, "v1"))


def test_a_source_that_has_lost_them_does_not_stop_a_repeated_promotion(
    tmp_path: Path, image: OciImage, staged: Path
) -> None:
    listing(staged, image.manifest, referrer(staged, subject_of(staged, image.manifest)))
    publish(surface_of(tmp_path), release_of(image, "v1"))
    blob_file(staged, digest_of(b"an SBOM")).unlink()
    publish(surface_of(tmp_path), release_of(image, "v1"))
    shutil.rmtree(tmp_path / "staging")
    publish(surface_of(tmp_path), release_of(image, "v1"))
    assert notes(OciLayout(tmp_path / "durable/released/dashboard"), image.manifest) == {"an SBOM"}


class Refusing:
    """A staging repository that does not give one manifest, as long as ``error`` is set."""

    def __init__(self, layout: OciLayout, digest: str) -> None:
        self._layout, self._digest = layout, digest
        self.error: ReadError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layout, name)

    def open_manifest(self, digest: ManifestDigest) -> Iterator[bytes]:
        if self.error is not None and str(digest) == self._digest:
            raise self.error
        return self._layout.open_manifest(digest)


def refusing(tmp_path: Path, digest: str) -> tuple[OciSurface, Refusing]:
    staging = Refusing(OciLayout(tmp_path / "staging", REPOSITORY), digest)
    source = OciStaging(lambda _: cast("Repository", staging))
    return OciSurface(layouts(tmp_path / "durable"), source), staging


ERRORS = [UnreadableError("x"), RateLimitedError("x", 7), UnauthorisedError("x")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_signature_that_could_not_be_carried_is_not_lost_on_the_next_run(
    tmp_path: Path, image: OciImage, staged: Path, error: ReadError
) -> None:
    entry = referrer(staged, subject_of(staged, image.manifest))
    listing(staged, image.manifest, entry)
    surface, staging = refusing(tmp_path, entry["digest"])
    staging.error = error
    for _ in range(2):
        plan = surface.plan(release_of(image, "v1"))
        with pytest.raises(type(error)):
            surface.copy(plan, nothing)
    assert plan.missing == (), "the image itself is there by then"
    staging.error = None
    publish(surface, release_of(image, "v1"))
    assert notes(OciLayout(tmp_path / "durable/released/dashboard"), image.manifest) == {"an SBOM"}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_published_image_needs_no_source_that_refuses_but_one_that_fails_is_asked_again(
    tmp_path: Path, image: OciImage, staged: Path, error: ReadError
) -> None:
    entry = referrer(staged, subject_of(staged, image.manifest))
    listing(staged, image.manifest, entry)
    surface, staging = refusing(tmp_path, entry["digest"])
    publish(surface, release_of(image, "v1"))
    staging.error = error
    if isinstance(error, UnauthorisedError):
        publish(surface, release_of(image, "v1"))
        return
    with pytest.raises(type(error)):
        publish(surface, release_of(image, "v1"))


def artifact(layout: Path, subject: object, config: str, layer: str, **more: Any) -> dict[str, Any]:
    """What refers to an image and is of these media types; its entry in a list."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put_json(layout, {"os": "linux", "architecture": "amd64"}, config),
        "layers": [put(layout, f"{config} {layer}".encode(), layer)],
        "subject": subject,
        **more,
    }
    return put_json(layout, manifest, MANIFEST)


@pytest.mark.parametrize(
    ("config", "more"),
    [
        (CONFIG, {}),
        (CONFIG, {"artifactType": SBOM}),
        ("application/vnd.docker.container.image.v1+json", {}),
        ("application/vnd.docker.plugin.v1+json", {}),
        ("application/vnd.cncf.helm.config.v1+json", {"artifactType": SBOM}),
        ("application/vnd.wasm.config.v0+json", {}),
    ],
)
def test_what_could_be_run_or_installed_does_not_travel_as_a_referrer(
    tmp_path: Path, image: OciImage, staged: Path, config: str, more: dict[str, Any]
) -> None:
    smuggled = artifact(staged, subject_of(staged, image.manifest), config, LAYER, **more)
    listing(staged, image.manifest, smuggled, referrer(staged, subject_of(staged, image.manifest)))
    publish(surface_of(tmp_path), release_of(image, "v1"))
    target = OciLayout(tmp_path / "durable/released/dashboard")
    assert target.manifest_size(ManifestDigest(smuggled["digest"])) is None
    assert smuggled["digest"] not in {entry["digest"] for entry in target.referrers(image.manifest)}
    assert notes(target, image.manifest) == {"an SBOM"}, "and what may travel does"


def test_an_index_does_not_travel_as_a_referrer(tmp_path: Path, image: OciImage, staged: Path) -> None:
    subject = subject_of(staged, image.manifest)
    fields = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [put_image(staged, "linux/s390x")],
        "subject": subject,
    }
    smuggled = put_json(staged, fields, INDEX, artifactType=SBOM)
    listing(staged, image.manifest, smuggled)
    publish(surface_of(tmp_path), release_of(image, "v1"))
    target = OciLayout(tmp_path / "durable/released/dashboard")
    assert target.manifest_size(ManifestDigest(smuggled["digest"])) is None


@pytest.mark.parametrize(
    ("suffix", "layer", "travels"),
    [
        ("sig", LAYER, False),
        ("sig", "application/x-unknown", False),
        ("att", LAYER, False),
        ("sbom", LAYER, False),
        ("sbom", "application/vnd.docker.image.rootfs.diff.tar.gzip", False),
        ("sig", "application/vnd.dev.cosign.simplesigning.v1+json", True),
        ("att", "application/vnd.dsse.envelope.v1+json", True),
        ("sbom", "text/spdx+json", True),
    ],
)
def test_what_could_be_run_does_not_travel_under_a_tag_of_cosigns(
    tmp_path: Path, image: OciImage, staged: Path, suffix: str, layer: str, *, travels: bool
) -> None:
    tag = f"sha256-{image.manifest.hex}.{suffix}"
    writable(staged).set_names({tag: artifact(staged, None, CONFIG, layer)}, moving=[tag])
    surface = surface_of(tmp_path)
    plan = surface.plan(release_of(image, "v1"))
    surface.copy(plan, nothing)
    found = OciLayout(tmp_path / "durable/released/dashboard").tag(tag)
    assert (found is not None) == travels
