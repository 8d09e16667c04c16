"""What a builder says of an image that it has just pushed."""

from pathlib import Path

import pytest

from flywheel_assets.adapters.http.credentials import Credentials
from flywheel_assets.adapters.oci.builder import image_at
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, UnauthorisedError, UsageError
from flywheel_assets_tests.adapters.oci.images import REPOSITORY, layouts, make_image, nothing, release_of
from flywheel_assets_tests.adapters.oci.registries import push, repositories, stored
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.token_issuer import PASSWORD, USER


@pytest.mark.peer("docker-registry")
def test_a_pushed_image_is_described_by_tag_and_by_digest_and_a_tag_is_pinned(
    tmp_path: Path, registry: Server, fresh_name: str
) -> None:
    image = make_image(tmp_path)
    push(tmp_path / REPOSITORY, registry, fresh_name)
    host = registry.url.removeprefix("http://")
    by_tag = image_at(f"{host}/{fresh_name}:staged")
    assert (by_tag.repository, by_tag.manifest, by_tag.platforms) == (fresh_name, image.manifest, image.platforms)
    assert image_at(f"{host}/{fresh_name}@{image.manifest}", REPOSITORY) == image
    # The tag moves on; what was described stays what it was.
    other = make_image(tmp_path / "other", seed="newer")
    push(tmp_path / "other" / REPOSITORY, registry, fresh_name)
    assert image_at(f"{host}/{fresh_name}:staged").manifest == other.manifest != by_tag.manifest
    with pytest.raises(AbsentError, match="no image tagged 'none'"):
        image_at(f"{host}/{fresh_name}:none")


@pytest.mark.peer("docker-registry")
def test_a_closed_registry_takes_the_credentials_of_a_netrc_file(
    tmp_path: Path, registry_with_basic: Server, fresh_name: str
) -> None:
    image = make_image(tmp_path / "staging")
    release = release_of(image, "v1")
    surface = OciSurface(
        repositories(registry_with_basic, fresh_name, pusher=True), OciStaging(layouts(tmp_path / "staging"))
    )
    plan = surface.plan(release)
    surface.copy(plan, nothing)
    surface.reveal(plan)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n", encoding="utf-8")
    netrc.chmod(0o600)
    with pytest.raises(UnauthorisedError):
        image_at(plan.reference)
    assert image_at(plan.reference, credentials=Credentials(netrc=netrc)).manifest == image.manifest


@pytest.mark.peer("docker-registry")
def test_a_manifest_that_was_tampered_with_is_refused(tmp_path: Path, own_registry: Server, fresh_name: str) -> None:
    image = make_image(tmp_path)
    push(tmp_path / REPOSITORY, own_registry, fresh_name)
    child = next(iter(image.platforms.values()))
    for path in stored(own_registry, child):
        path.write_bytes(path.read_bytes().replace(b"layers", b"lavers"))
    with pytest.raises(InvalidInputError):
        image_at(f"{own_registry.url.removeprefix('http://')}/{fresh_name}:staged")


def test_a_layout_by_reference_needs_the_name_that_staging_gives_it(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    reference = f"oci:{tmp_path / REPOSITORY}:staged"
    assert image_at(reference, REPOSITORY) == image
    with pytest.raises(UsageError, match="no name of its own"):
        image_at(reference)
    with pytest.raises(UsageError, match="no published image"):
        image_at("org/name:latest")
