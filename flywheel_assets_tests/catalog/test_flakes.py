"""What a catalogue may say of a flake that a workflow releases: each piece of nonsense is told with its line."""

from pathlib import Path

import pytest

from flywheel_assets.catalog.flakes import unlikely
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.domain.errors import CatalogError
from flywheel_assets.wiring import SAMPLE_CATALOGUE
from flywheel_assets_tests.catalog.test_catalogue import BASE

GOOD = """surfaces:
  mine: {role: durable, protocol: nix, url: file:durable, owner: platform,
    visibility: public, retention: never, authority: true}
  flakehub:
    url: https://api.flakehub.com
    visibility: public
    forge:
      url: https://api.github.com
      credential: {bearer: env:TOKEN}
outputs:
  thing:
    type: nix
    definition: packages.x86_64-linux.thing
    role: package
    audience: user-facing
    consumption: See it.
    owner: platform
    repository: https://github.com/tinyland-inc/GloriousFlywheel
    cache: attic-main
    publication:
      surface: flakehub
      way: triggers
      promotion: automatic
      flake:
        name: tinyland-inc/thing
        versions: tag
        ref: main
        workflow: publish.yml
        binaries: mine
"""


def problems(tmp_path: Path, old: str, new: str) -> list[str]:
    """What is told of the good catalogue with one line of it changed."""
    assert GOOD.count(old) == 1
    file = tmp_path / "overlay.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(CatalogError) as refused:
        load_catalogue([BASE, file])
    return [line.replace(f"{file}:", "") for line in str(refused.value).splitlines() if str(file) in line]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("file:durable", "https://cache.example.org", []),
        ("file:durable", "s3://releases/cache", []),
        ("name: tinyland-inc/thing\n", "name: Tinyland-Inc/thing\n", ["binaries"]),
        ("name: tinyland-inc/thing\n", "name: example-org/thing\n", ["name", "binaries"]),
    ],
)
def test_what_flakehub_or_a_runner_will_hardly_take_is_told_and_not_refused(
    old: str, new: str, told: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "overlay.yaml"
    assert GOOD.count(old) == 1
    file.write_text(GOOD.replace(old, new))
    found = list(unlikely(load_catalogue([BASE, file])))
    assert [each.partition(":")[0] for each in found] == [f"outputs.thing.publication.flake.{field}" for field in told]


def test_of_a_stand_in_nothing_is_told() -> None:
    assert not list(unlikely(load_catalogue([*SAMPLE_CATALOGUE])))


def test_the_catalogue_that_is_spoilt_below_is_a_good_one(tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    for ref in ("main", "refs/heads/main", "release/2026.4", "v1.2.3"):
        file.write_text(GOOD.replace("ref: main", f"ref: {ref}"))
        assert load_catalogue([BASE, file]).outputs["thing"].publication is not None


@pytest.mark.parametrize(
    "ref", ["''", "a" * 40, "'a b'", "a..b", "'a~1'", "'a^'", "'a:b'", "-x", "a/", "a//b", ".a", "a.lock", "'a@{1}'"]
)
def test_a_ref_that_no_branch_or_tag_can_have_is_refused(ref: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "ref: main", f"ref: {ref}")
    assert "27: outputs.thing.publication.flake.ref " in found


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("x86_64-linux.thing", "x86 $(x)", 13, "outputs.thing.definition is no attribute of a flake"),
        ("promotion: a", "tags: [v1]\n      promotion: a", 23, "outputs.thing.publication.tags belongs to an image"),
        ("promotion: a", "repository: a/b\n      promotion: a", 23, "publication.repository belongs to an image"),
        ("promotion: a", "moving_tags: [main]\n      promotion: a", 23, "publication.moving_tags belongs to an image"),
        (
            "    visibility: public\n    f",
            "    credential: {bearer: env:T}\n    f",
            6,
            "flakehub.credential is not for",
        ),
        (
            "credential: {bearer: env:TOKEN}",
            "credential: {user: me, password: env:TOKEN}",
            9,
            "surfaces.flakehub.forge.credential has a user and a password, and a forge takes a token: give it as",
        ),
        (
            "credential: {bearer: env:TOKEN}",
            "credential: {ca: 'file:ca.pem'}",
            9,
            "surfaces.flakehub.forge.credential has no token, and nobody else may start a workflow",
        ),
        ("    visibility: public\n    f", "    visibility: private\n    f", 4, "flakehub.read_credential is needed"),
        ("https://api.flakehub.com", "file:x/y", 5, "surfaces.flakehub.url is FlakeHub's API: https, or http on this"),
        ("https://api.flakehub.com", "http://api.flakehub.com", 5, "surfaces.flakehub.url is FlakeHub's API: https"),
        ("https://api.github.com", "http://api.github.com", 8, "forge.url would show the forge's token to all who are"),
        ("https://api.github.com", "https://x:99999", 8, "surfaces.flakehub.forge.url names no server"),
        ("https://api.flakehub.com", "https://x:99999", 5, "surfaces.flakehub.url names no server"),
        ("https://api.flakehub.com", "'https://[::1'", 5, "surfaces.flakehub.url names no server"),
        (
            "authority: true}",
            "authority: true, forge: {credential: {bearer: env:T}}}",
            3,
            "mine.forge belongs to a flakeh",
        ),
    ],
)
def test_nonsense_is_told_with_its_line(old: str, new: str, line: int, sentence: str, tmp_path: Path) -> None:
    found = problems(tmp_path, old, new)
    assert [each for each in found if each.startswith(f"{line}: ") and sentence in each], found


def test_a_forge_on_this_machine_may_be_asked_over_http(tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    for host in ("127.0.0.1:8080", "[::1]:8080", "localhost"):
        file.write_text(GOOD.replace("https://api.github.com", f"'http://{host}'"))
        load_catalogue([BASE, file])


@pytest.mark.parametrize("url", ["https://x:99999", "https://x:0", "http://x:port", "https://ä.example", "https://a,b"])
def test_a_url_of_no_server_is_told_when_the_catalogue_is_loaded_and_not_by_every_command(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "overlay.yaml"
    for text in (
        f"surfaces: {{attic-main: {{url: '{url}'}}}}",
        f"sources: {{f: {{kind: github, url: '{url}', repositories: [https://github.com/tinyland-inc/GloriousFlywheel]}}}}",
    ):
        file.write_text(text, "utf-8")
        with pytest.raises(CatalogError, match=r"overlay\.yaml:1: .*url names no server"):
            load_catalogue([BASE, file])
