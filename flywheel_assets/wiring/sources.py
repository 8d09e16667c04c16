"""Forges by what the catalogue says of them: kind, URL, token or app, hosts."""

from dataclasses import replace
from pathlib import Path

from flywheel_assets.adapters.forges.app import AppToken
from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import HEADERS, GithubRuns
from flywheel_assets.adapters.forges.gitlab import GitlabRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Secret
from flywheel_assets.catalog.models import Catalogue, ForgeSource, SourceKind
from flywheel_assets.ports import RunSource
from flywheel_assets.wiring.secrets import credentials, secret_source


def open_sources(home: Path, catalogue: Catalogue) -> dict[str, RunSource]:
    """The forges, by name. Nothing is asked of them yet."""
    return {name: _source(home, name, source) for name, source in catalogue.sources.items()}


def _source(home: Path, name: str, source: ForgeSource) -> RunSource:
    shown = credentials(home, source.credential, name)
    if source.app is not None:
        key = secret_source(home, source.app.private_key, name)
        trading = HttpClient(source.url, shown)
        token = AppToken(trading, source.app.id, source.app.installation, key)
        shown = replace(shown, bearer=Secret(token))
    client = HttpClient(source.url, shown, source.hosts)
    if source.kind is SourceKind.GITLAB:
        return GitlabRuns(Asking(client), source.receipt_artifacts)
    return GithubRuns(Asking(client, HEADERS), source.receipt_artifacts)
