"""A published image by its reference alone."""

from pathlib import Path

import pytest

from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.adapters.oci.reader import PublishedImage, is_reference
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.errors import AbsentError, UnauthorisedError, UsageError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.publications import Form
from flywheel_assets_tests.adapters.oci.images import PROOFS, digest_of, layouts, make_image, nothing, release_of
from flywheel_assets_tests.adapters.oci.registries import repositories
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.token_issuer import PASSWORD, USER

DIGEST = digest_of(b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"ghcr.io/org/name@{DIGEST}", True),
        ("ghcr.io/org/name:v1.2", True),
        ("localhost:5000/name:v1", True),
        ("127.0.0.1:5000/a/b/c:v1", True),
        ("localhost/name:v1", True),
        (f"oci:/folder@{DIGEST}", True),
        ("oci:/folder:v1", True),
        ("ghcr.io/org/name", False),
        ("name:v1", False),
        ("org/name:v1", False),
        ("ghcr.io/Org/name:v1", False),
        ("ghcr.io/org/../name:v1", False),
        ("https://ghcr.io/org/name:v1", False),
        ("user@ghcr.io/org/name:v1", False),
        ("ghcr.io/org/name@sha256:12", False),
        ("file:///x#/nix/store/y", False),
    ],
)
def test_references_are_told_from_other_texts(text: str, expected: bool) -> None:
    assert is_reference(text) == expected
    if not expected:
        with pytest.raises(UsageError):
            PublishedImage(text)


def test_a_public_registry_is_spoken_to_over_https_and_one_on_this_machine_is_not() -> None:
    assert PublishedImage("ghcr.io/a/b:v1").repository.place == "ghcr.io/a/b"
    for host, scheme in (
        ("ghcr.io", "https"),
        ("localhost:5000", "http"),
        ("127.0.0.1:1", "http"),
        ("127.evil.io", "https"),
    ):
        repository = PublishedImage(f"{host}/a/b:v1").repository
        assert repository.registry.origin == f"{scheme}://{host}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["registry", "registry_with_basic"])
@pytest.mark.peer("docker-registry")
def test_an_image_in_a_registry_is_read_whole_by_digest_and_by_tag(
    request: pytest.FixtureRequest, tmp_path: Path, fresh_name: str, kind: str
) -> None:
    server: Server = request.getfixturevalue(kind)
    is_closed = kind == "registry_with_basic"
    image = make_image(tmp_path / "staging")
    surface = OciSurface(repositories(server, fresh_name, pusher=is_closed), OciStaging(layouts(tmp_path / "staging")))
    plan = surface.plan(release_of(image, "v1"))
    surface.copy(plan, nothing)
    surface.attach(plan, PROOFS)
    surface.reveal(plan)
    shown = Credentials(user=USER, password=Secret(PASSWORD))
    for reference in (plan.reference, plan.reference.replace(f"@{image.manifest}", ":v1")):
        reader = PublishedImage(reference, credentials=shown)
        assert reader.identity() == image.manifest.hex
        assert {reading.state for reading in reader.read(image, nothing)} == {ReadState.READ}
        found = {proof.data for proof in reader.proofs() if proof.form is Form.DSSE}
        assert found == {proof.envelope for proof in PROOFS}
    absent = plan.reference.replace(f"@{image.manifest}", ":v2")
    with pytest.raises(UnauthorisedError if is_closed else AbsentError):
        PublishedImage(absent).identity()
