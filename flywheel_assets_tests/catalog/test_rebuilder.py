"""What a catalogue may say of a rebuilder: a builder of its own, a key of its own, a store of its own."""

import json
from pathlib import Path

import pytest

from flywheel_assets.catalog.models import MutableSurface
from flywheel_assets_tests.catalog.test_sources import REPOSITORIES, complaints, load
from flywheel_assets_tests.gate.cases import a_public_key

REPOSITORY = REPOSITORIES[0]
STORE = "local?root=/var/lib/rebuilds"
REBUILDER = f"builder: again, nix: /usr/bin/nix, store: '{STORE}'"
BUILDER = """
builders:
  again:
    {class: nix, level: installation-owned, owner: platform, makes: [MAKES], must_prove_bootstrap_for: []}
"""


def overlay(more: str = "", *, makes: str = "nix", named: tuple[str, ...] = ("again",)) -> str:
    public = json.dumps(a_public_key("again"))
    key = f"{{public_key: {public}, builders: [{', '.join(named)}], repositories: ['{REPOSITORY}'], isolated: true}}"
    return f"rebuilder: {{{REBUILDER}{more}}}{BUILDER.replace('MAKES', makes)}keys:\n  again: {key}\n"


def test_a_rebuilder_is_off_unless_it_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, "owners: {}").rebuilder is None
    found = load(tmp_path, overlay()).rebuilder
    assert found is not None
    assert (found.store, found.substituters, found.systems, found.a_day) == (STORE, (), ("x86_64-linux",), 10)


def test_its_label_is_a_builder_that_makes_nix(tmp_path: Path) -> None:
    said = "is no builder in builders that makes nix"
    assert said in complaints(tmp_path, overlay(makes="oci"))
    assert said in complaints(tmp_path, overlay().replace("  again:\n", "  other:\n", 1).replace("[again]", "[other]"))


def test_whoever_speaks_for_it_speaks_for_nobody_else(tmp_path: Path) -> None:
    """No forge is asked about its runs, so a job's key could go past the forge under its label."""
    others = next(iter(load(tmp_path, "owners: {}").builders))
    said = "speaks for the rebuilder, and may then speak for nobody else"
    assert said in complaints(tmp_path, overlay(named=("again", others)))


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mutable_cache_gives_it_nothing(tmp_path: Path, slash: str) -> None:
    surfaces = load(tmp_path, "owners: {}").surfaces.values()
    url = next(s.url for s in surfaces if isinstance(s, MutableSurface) and s.protocol.value == "nix")
    said = "is a mutable cache, which would answer for itself"
    assert said in complaints(tmp_path, overlay(f", substituters: ['{url.rstrip('/')}{slash}']"))
    assert load(tmp_path, overlay(", substituters: ['https://upstream.example']")).rebuilder


@pytest.mark.parametrize("store", ["daemon", "local", "auto", "ssh://builder", "local?root=/x&trusted=1", "/nix/store"])
def test_a_store_that_others_fill_is_refused(tmp_path: Path, store: str) -> None:
    assert "rebuilder.store" in complaints(tmp_path, overlay().replace(STORE, store))


@pytest.mark.parametrize("url", ["ext::sh", "ssh://git@x/y", "git@x:y", "http://x/y", "/srv/git", "--upload-pack=x"])
def test_a_source_is_fetched_by_https_or_from_a_folder(tmp_path: Path, url: str) -> None:
    text = f", fetch_from: {{'{REPOSITORY}': '{url}'}}"
    assert "rebuilder.fetch_from" in complaints(tmp_path, overlay(text))
