"""What a catalogue may say of surfaces over the network: where they are, who may see what, which hosts they lead to."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import flywheel_assets
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import Credential
from flywheel_assets.domain.errors import CatalogError

PACKAGE = Path(flywheel_assets.__file__).parent
BASE = PACKAGE / "catalog" / "gloriousflywheel.yaml"
DURABLE = "role: durable, owner: platform, retention: never, authority: true, protocol: nix"


def complaints(tmp_path: Path, text: str) -> str:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text)
    with pytest.raises(CatalogError) as refused:
        load_catalogue([BASE, overlay])
    return str(refused.value)


def load(tmp_path: Path, text: str) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text)
    load_catalogue([BASE, overlay])


@pytest.mark.parametrize(
    "url",
    [
        "https://cache.example/main",
        "http://127.0.0.1:5000",
        "s3://bucket/prefix",
        "file:surfaces/nix",
    ],
)
def test_a_durable_nix_cache_may_be_at_any_of_these(url: str, tmp_path: Path) -> None:
    load(tmp_path, f"surfaces: {{own: {{{DURABLE}, visibility: public, url: '{url}'}}}}")


@pytest.mark.parametrize("url", ["ftp://cache.example", "https://user:pw@cache.example", "https://c.example/?t=1", "x"])
def test_a_url_with_a_secret_or_of_an_unknown_scheme_is_refused(url: str, tmp_path: Path) -> None:
    found = complaints(tmp_path, f"surfaces: {{own: {{{DURABLE}, visibility: public, url: '{url}'}}}}")
    assert "overlay.yaml:1: surfaces.own.url" in found


def test_only_a_durable_nix_cache_can_be_in_s3(tmp_path: Path) -> None:
    found = complaints(tmp_path, "surfaces: {attic-main: {url: 's3://bucket'}}")
    assert "surfaces.attic-main.url is in S3, where only a durable Nix cache can be" in found


@pytest.mark.parametrize("field", ["credential", "read_credential"])
def test_a_credential_that_s3_would_not_be_shown_is_refused(field: str, tmp_path: Path) -> None:
    text = f"surfaces: {{own: {{{DURABLE}, visibility: private, url: 's3://bucket', {field}: {{bearer: 'env:T'}}}}}}"
    assert f"surfaces.own.{field} is not for S3" in complaints(tmp_path, text)


@pytest.mark.parametrize("url", ["s3://bucket", "file:surfaces/nix"])
def test_hosts_where_nothing_leads_to_another_host_are_refused(url: str, tmp_path: Path) -> None:
    text = f"surfaces: {{own: {{{DURABLE}, visibility: public, url: '{url}', hosts: [a.example]}}}}"
    assert "surfaces.own.hosts is for surfaces over HTTP" in complaints(tmp_path, text)


TWO = """surfaces:
  own: {{{durable}, visibility: public, url: '{kept}'}}
  filled: {{role: mutable, protocol: nix, owner: platform, url: '{filled}'}}
"""


@pytest.mark.parametrize(
    ("filled", "kept"),
    [
        ("https://cache.example/main", "https://cache.example/main"),
        ("https://Cache.example:443/main/", "https://cache.example/main"),
        ("http://cache.example", "https://cache.example/durable"),
        ("https://cache.example/a/%6dain/../main", "https://cache.example/a/main/below"),
        ("https://cache.example//main", "https://cache.example/main"),
        ("file:surfaces", "file:surfaces/nix"),
        ("file:///var/cache/", "file:/var/cache"),
        ("file:.", "file:surfaces/nix"),
    ],
)
def test_a_cache_that_holds_a_durable_nix_cache_is_refused(filled: str, kept: str, tmp_path: Path) -> None:
    found = complaints(tmp_path, TWO.format(durable=DURABLE, filled=filled, kept=kept))
    assert "surfaces.filled.url holds the durable surface 'own'" in found


@pytest.mark.parametrize(
    ("filled", "kept"),
    [
        ("https://cache.example/main", "https://cache.example/main-releases"),
        ("https://cache.example/main", "https://cache.example:8443/main"),
        ("file:surfaces/nix-cache", "file:surfaces/nix"),
        ("https://cache.example/main", "s3://cache.example/main"),
    ],
)
def test_caches_side_by_side_may_share_a_server(filled: str, kept: str, tmp_path: Path) -> None:
    load(tmp_path, TWO.format(durable=DURABLE, filled=filled, kept=kept))


def test_a_surface_that_is_not_public_says_how_its_consumers_read_it(tmp_path: Path) -> None:
    text = f"surfaces: {{own: {{{DURABLE}, visibility: private, url: 'https://c.example'}}}}"
    assert "surfaces.own.read_credential is needed" in complaints(tmp_path, text)
    load(tmp_path, text.replace("url:", "read_credential: {bearer: 'env:READ'}, url:"))


def test_a_public_surface_is_read_back_anonymously(tmp_path: Path) -> None:
    text = f"surfaces: {{own: {{{DURABLE}, visibility: public, read_credential: {{bearer: 'env:R'}}, "
    text += "url: 'https://c.example'}}"
    assert "surfaces.own.read_credential is not for a public surface" in complaints(tmp_path, text)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "give one of bearer"),
        ({"user": "ci"}, "user and password belong together"),
        ({"password": "env:P"}, "user and password belong together"),
        ({"bearer": "env:T", "netrc": "file:n"}, "give one of bearer"),
        ({"bearer": "env:T", "user": "ci", "password": "env:P"}, "give one of bearer"),
        ({"certificate": "file:c"}, "certificate and certificate_key belong together"),
    ],
)
def test_a_credential_says_one_thing(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Credential.model_validate(fields)


@pytest.mark.parametrize("secret", ["hunter2", "env:", "env:1X", "env:A B", "file:"])
def test_a_secret_itself_cannot_stand_in_a_catalogue(secret: str) -> None:
    with pytest.raises(ValidationError):
        Credential.model_validate({"bearer": secret})


def test_what_belongs_to_observing_is_refused_for_other_ways(tmp_path: Path) -> None:
    found = complaints(
        tmp_path,
        "outputs: {runner-dashboard-image: {publication: {way: copies, attestations: [scan], signers: [nobody]}}}",
    )
    assert "has signers or attestations, which belong to the way `observes`" in found
    assert "names the key 'nobody', which is not in keys" in found


def test_attestations_are_believed_only_of_named_signers(tmp_path: Path) -> None:
    found = complaints(tmp_path, "outputs: {runner-dashboard-image: {publication: {attestations: [scan]}}}")
    assert "publication.attestations are believed only of signers: name them" in found


def test_a_surface_that_an_overlay_points_elsewhere_does_not_take_its_credential_along(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("surfaces: {ghcr: {url: 'https://registry.example'}}")
    moved, before = load_catalogue([BASE, overlay]).durable("ghcr"), load_catalogue([BASE]).durable("ghcr")
    assert before.credential is not None
    assert before.hosts
    assert (moved.credential, moved.read_credential, moved.hosts) == (None, None, ())
    overlay.write_text("surfaces: {ghcr: {url: 'https://registry.example', credential: {bearer: 'env:T'}}}")
    assert load_catalogue([BASE, overlay]).durable("ghcr").credential == Credential(bearer="env:T")
    overlay.write_text("surfaces: {ghcr: {visibility: public}}")
    assert load_catalogue([BASE, overlay]).durable("ghcr") == before


FORGE = "url: 'https://old.example', credential: {bearer: 'env:T'}, hosts: [a.example]"
AGAIN = "is to be given again: an overlay gives another url here, and what was for the old one is not for it."


def with_forge(tmp_path: Path, overlay: str, forge: str = FORGE) -> list[Path]:
    """The platform's catalogue, one that gives FlakeHub a forge, and ``overlay``."""
    files = {
        tmp_path / "forge.yaml": f"surfaces: {{flakehub: {{forge: {{{forge}}}}}}}",
        tmp_path / "over.yaml": overlay,
    }
    for file, text in files.items():
        file.write_text(text)
    return [BASE, *files]


@pytest.mark.parametrize(
    ("moved", "again"),
    [
        ("surfaces: {flakehub: {forge: {url: 'https://forge.example'}}}", ["credential"]),
        ("surfaces: {flakehub: {url: 'https://hub.example'}}", ["credential", "url"]),
        (
            "surfaces: {flakehub: {url: 'https://hub.example', forge: {url: 'https://forge.example'}}}",
            ["credential"],
        ),
        ("surfaces: {flakehub: {url: 'https://hub.example', forge: {hosts: [b.example]}}}", ["credential", "url"]),
        ("surfaces: {flakehub: {url: 'https://hub.example', forge: {credential: {bearer: 'env:NEW'}}}}", ["url"]),
    ],
    ids=["the forge", "the surface", "both", "the surface, and hosts", "the surface, and a new token"],
)
def test_a_forge_that_is_pointed_elsewhere_shows_no_token_to_a_place_it_was_not_given_for(
    moved: str, again: list[str], tmp_path: Path
) -> None:
    files = with_forge(tmp_path, moved)
    with pytest.raises(CatalogError) as caught:
        load_catalogue(files)
    told = [f"{files[-1]}:1: surfaces.flakehub.forge.{field} {AGAIN}" for field in again]
    assert sorted(str(caught.value).splitlines()[-len(again) :]) == told


def test_a_forge_that_is_given_anew_with_its_surface_is_as_it_was_given(tmp_path: Path) -> None:
    given = "url: 'https://hub.example', forge: {url: 'https://new.example', credential: {bearer: 'env:NEW'}}"
    forge = load_catalogue(with_forge(tmp_path, f"surfaces: {{flakehub: {{{given}}}}}")).durable("flakehub").forge
    assert forge is not None
    assert (forge.url, forge.credential, forge.hosts) == ("https://new.example", Credential(bearer="env:NEW"), ())


def test_a_forge_that_never_had_a_url_of_its_own_keeps_to_the_default(tmp_path: Path) -> None:
    given = "url: 'https://hub.example', forge: {credential: {bearer: 'env:NEW'}}"
    files = with_forge(tmp_path, f"surfaces: {{flakehub: {{{given}}}}}", "credential: {bearer: 'env:T'}")
    forge = load_catalogue(files).durable("flakehub").forge
    assert forge is not None
    assert forge.url == "https://api.github.com"


def test_consumers_of_a_private_surface_that_is_pointed_elsewhere_are_given_their_credential_again(
    tmp_path: Path,
) -> None:
    base, overlay = tmp_path / "base.yaml", tmp_path / "overlay.yaml"
    base.write_text("surfaces: {ghcr: {visibility: private, read_credential: {bearer: 'env:R'}}}")
    overlay.write_text("surfaces:\n  ghcr:\n    url: https://registry.example\n")
    with pytest.raises(CatalogError) as caught:
        load_catalogue([BASE, base, overlay])
    assert str(caught.value) == f"{overlay}:3: surfaces.ghcr.read_credential {AGAIN}"


def test_a_source_that_is_pointed_elsewhere_does_not_take_its_credential_along(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.yaml", tmp_path / "overlay.yaml"
    repository = "https://github.com/tinyland-inc/GloriousFlywheel"
    text = f"kind: github, url: 'https://api.github.com', repositories: ['{repository}'], hosts: [a.example]"
    for shown in ("credential: {bearer: 'env:T'}", "app: {id: 1, installation: 2, private_key: 'env:K'}"):
        base.write_text(f"sources: {{forge: {{{text}, {shown}}}}}")
        overlay.write_text("sources: {forge: {url: 'https://forge.example'}}")
        moved = load_catalogue([BASE, base, overlay]).sources["forge"]
        assert (moved.credential, moved.app, moved.hosts) == (None, None, ())
