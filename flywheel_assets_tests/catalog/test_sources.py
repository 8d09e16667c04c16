"""What a catalogue may say of forges: which repositories they know, who asks, and what their runs' steps prove."""

from pathlib import Path

import pytest

from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import Catalogue, SourceKind
from flywheel_assets.domain.errors import CatalogError
from flywheel_assets_tests.catalog.test_surfaces import BASE

REPOSITORIES = sorted(load_catalogue([BASE]).repositories)
FORGE = f"kind: github, url: 'https://api.github.example', repositories: ['{REPOSITORIES[0]}']"


def load(tmp_path: Path, text: str) -> Catalogue:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text)
    return load_catalogue([BASE, overlay])


def complaints(tmp_path: Path, text: str) -> str:
    with pytest.raises(CatalogError) as refused:
        load(tmp_path, text)
    return str(refused.value)


def test_a_forge_is_found_by_the_repositories_whose_runs_it_knows(tmp_path: Path) -> None:
    steps = "steps: {bootstrap: ['Run vendor/install*'], validations: {'nix build': 'Run nix build*'}}"
    catalogue = load(tmp_path, f"sources: {{forge: {{{FORGE}, {steps}, receipt_artifacts: 'receipt-*'}}}}")
    found = catalogue.source_of(REPOSITORIES[0])
    assert found is not None
    assert (found.kind, found.look_back_days) == (SourceKind.GITHUB, 35)
    assert found.steps.validations == {"nix build": "Run nix build*"}
    assert catalogue.source_of("https://github.com/example/unheard-of") is None


def test_a_repository_that_is_not_catalogued_is_refused(tmp_path: Path) -> None:
    strange = FORGE.replace(REPOSITORIES[0], "https://github.com/example/unheard-of")
    found = complaints(tmp_path, f"sources: {{forge: {{{strange}}}}}")
    assert "overlay.yaml:1: sources.forge.repositories.0 names" in found
    assert "which is not in repositories" in found


def test_a_repository_has_one_forge(tmp_path: Path) -> None:
    found = complaints(tmp_path, f"sources: {{forge: {{{FORGE}}}, other: {{{FORGE}}}}}")
    assert "which is of the source 'forge' already" in found


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("credential: {bearer: a-token}", "sources.forge.credential.bearer"),
        (
            "credential: {user: me, password: 'env:T'}",
            "sources.forge.credential has a user and a password, and a forge",
        ),
        ("app: {id: 1, installation: 2, private_key: PEM}", "sources.forge.app.private_key"),
        (
            "credential: {bearer: 'env:T'}, app: {id: 1, installation: 2, private_key: 'env:K'}",
            "give an app, or a credential that says who asks, not both",
        ),
        ("kind: gitlab, app: {id: 1, installation: 2, private_key: 'env:K'}", "an app belongs to a source of the kind"),
        ("look_back_days: 0", "sources.forge.look_back_days"),
        ("hosts: ['*']", "sources.forge.hosts.0"),
        ("hosts: ['a.*.example']", "sources.forge.hosts.0"),
        ("repository_ids: {'https://github.com/example/unheard-of': '7'}", "is not in the source's repositories"),
        ("kind: gitlab, steps: {workflows: ['x.yml']}", "GitLab does not say which file a pipeline is of"),
        ("url: 'https://user:pw@api.example'", "sources.forge.url"),
        ("steps: {validations: ['x']}", "sources.forge.steps.validations"),
    ],
)
def test_what_would_give_a_secret_away_or_means_nothing_is_refused(more: str, told: str, tmp_path: Path) -> None:
    kept = [part for part in FORGE.split(", ") if part.partition(":")[0] not in more]
    assert told in complaints(tmp_path, f"sources: {{forge: {{{', '.join([*kept, more])}}}}}")


def test_an_app_may_come_with_a_certificate_for_the_forges_own_network(tmp_path: Path) -> None:
    app = "app: {id: 1, installation: 2, private_key: 'env:K'}, credential: {ca: 'file:ca.pem'}"
    assert load(tmp_path, f"sources: {{forge: {{{FORGE}, {app}}}}}").sources["forge"].app is not None
