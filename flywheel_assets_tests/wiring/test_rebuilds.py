"""The rebuilder as an installation opens it: only where it is catalogued, with a key of its own and no secrets."""

from pathlib import Path

from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.rebuilder import NixRebuilder
from flywheel_assets.ports import SourceCache
from flywheel_assets.wiring.rebuilds import open_rebuilder
from flywheel_assets_tests.fakes import FakeCache
from flywheel_assets_tests.promotion.rebuilds import catalogue


def test_without_a_rebuilder_in_the_catalogue_no_key_is_made(tmp_path: Path) -> None:
    assert open_rebuilder(tmp_path, catalogue(rebuilds=False), {}, {}) is None
    assert list(tmp_path.iterdir()) == []


def test_it_has_a_key_of_its_own_and_sees_no_secret(tmp_path: Path) -> None:
    environment = {"PATH": "/bin", "FORGE_TOKEN": "a secret", "HOME": "/root", "https_proxy": "http://proxy.example"}
    caches: dict[str, SourceCache] = {"attic": NixCache(tmp_path), "staging": FakeCache()}
    found = open_rebuilder(tmp_path, catalogue(), caches, environment)
    assert isinstance(found, NixRebuilder)
    assert found.environment == {"PATH": "/bin", "https_proxy": "http://proxy.example"}
    assert (tmp_path / "rebuilder.pub").read_text("ascii") == found.signer.public_key
    assert (tmp_path / "rebuilder.pem").stat().st_mode & 0o077 == 0
    assert set(found.caches) == {"attic"}
    assert found.seconds == 3600
