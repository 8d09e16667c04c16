"""The platform's catalogue and the sample's overlay: that they load, and what merging means."""

from pathlib import Path

import pytest

import flywheel_assets
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import (
    BuilderLevel,
    Claim,
    DurableSurface,
    MutableSurface,
    TrustedKey,
    Visibility,
)
from flywheel_assets.ports import Identity
from flywheel_assets.promotion.flywheel import trusted
from flywheel_assets_tests.gate.cases import a_public_key

PACKAGE = Path(flywheel_assets.__file__).parent
BASE, OVERLAY = PACKAGE / "catalog" / "gloriousflywheel.yaml", PACKAGE / "sample" / "overlay.yaml"


def test_the_platforms_catalogue_loads_alone_and_under_the_samples_overlay() -> None:
    alone, both = load_catalogue([BASE]), load_catalogue([BASE, OVERLAY])
    assert set(alone.outputs) < set(both.outputs)
    assert alone.digest != both.digest
    assert load_catalogue([BASE, OVERLAY]).digest == both.digest


def test_the_platform_trusts_no_key_and_publishes_only_what_its_notes_say() -> None:
    alone = load_catalogue([BASE])
    assert alone.keys == {}
    assert [name for name, output in alone.outputs.items() if output.publication] == ["runner-dashboard-image"]
    assert alone.builders["linux-xr-docker"].level is BuilderLevel.ADDITIVE_CANARY


def test_no_surface_is_both_mutable_and_durable() -> None:
    surfaces = load_catalogue([BASE, OVERLAY]).surfaces
    assert {name for name, found in surfaces.items() if isinstance(found, MutableSurface)} == {
        "attic-main",
        "bazel-cache",
        "oci-staging",
    }
    assert {name for name, found in surfaces.items() if isinstance(found, DurableSurface)} == {
        "ghcr",
        "flakehub",
        "durable-nix",
    }


def test_asking_for_a_surface_of_the_other_role_is_an_error() -> None:
    both = load_catalogue([BASE, OVERLAY])
    assert both.durable("ghcr").visibility is Visibility.PUBLIC
    assert both.mutable("attic-main").role == "mutable"
    with pytest.raises(TypeError, match="attic-main is not a durable surface"):
        both.durable("attic-main")
    with pytest.raises(TypeError, match="ghcr is not a mutable surface"):
        both.mutable("ghcr")


def merged(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "overlay.yaml"
    file.write_text(text, "utf-8")
    return file


def test_an_overlay_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    file = merged(tmp_path, "builders:\n  tinyland-nix:\n    trusted_claims: [source]\n")
    before, after = load_catalogue([BASE]), load_catalogue([BASE, file])
    assert after.builders["tinyland-nix"].trusted_claims == (Claim.SOURCE,)
    assert after.builders["tinyland-nix"].makes == before.builders["tinyland-nix"].makes
    assert after.outputs == before.outputs


def test_a_list_of_an_overlay_replaces_the_list_before_it(tmp_path: Path) -> None:
    file = merged(tmp_path, "outputs:\n  runner-dashboard:\n    validations: [one]\n")
    assert load_catalogue([BASE, file]).outputs["runner-dashboard"].validations == ("one",)


def test_null_takes_an_optional_part_away(tmp_path: Path) -> None:
    file = merged(tmp_path, "outputs:\n  runner-dashboard-image:\n    publication: null\n")
    assert load_catalogue([BASE, file]).outputs["runner-dashboard-image"].publication is None


def test_the_last_overlay_has_the_last_word(tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(f"owners:\n  platform:\n    name: {name}\n", "utf-8")
    assert load_catalogue([BASE, *files]).owners["platform"].name == "second"
    assert load_catalogue([BASE, *files[::-1]]).owners["platform"].name == "first"


def test_comments_and_order_do_not_change_the_digest(tmp_path: Path) -> None:
    text = BASE.read_text("utf-8")
    file = merged(tmp_path, "# another comment\n" + text)
    assert load_catalogue([file]).digest == load_catalogue([BASE]).digest


def test_a_key_file_beside_the_catalogue_is_the_key(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.pub").write_text(a_public_key("a"), "utf-8")
    file = merged(
        tmp_path,
        "keys:\n  mine:\n    public_key_file: keys/a.pub\n    builders: [tinyland-nix]\n"
        "    repositories: [https://github.com/tinyland-inc/GloriousFlywheel]\n",
    )
    key = load_catalogue([BASE, file]).keys["mine"]
    assert isinstance(key, TrustedKey)
    assert key.public_key == a_public_key("a").strip()
    assert not key.isolated


def test_a_keyless_signer_and_the_trust_root_come_from_beside_the_catalogue(tmp_path: Path) -> None:
    vectors = Path(__file__).parents[1] / "vectors" / "sigstore"
    (tmp_path / "trusted_root.json").write_bytes((vectors / "trusted_root.json").read_bytes())
    text = (
        "trust_root_file: trusted_root.json\n"
        "keys:\n  mine:\n    issuer: https://issuer.example\n    identity: https://x.example/publish.yml@main\n"
        "    builders: [tinyland-nix]\n    repositories: [https://github.com/tinyland-inc/GloriousFlywheel]\n"
    )
    found = load_catalogue([BASE, merged(tmp_path, text)])
    assert found.trust_root == (vectors / "trusted_root.json").read_text()
    signer = trusted(found.keys["mine"])
    assert signer == Identity(
        "https://issuer.example",
        "https://x.example/publish.yml@main",
        ("https://github.com/tinyland-inc/GloriousFlywheel",),
    )
