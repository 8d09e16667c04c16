"""The catalogue's inbox, opened: a folder, or a prefix in S3."""

from pathlib import Path

import pytest
from obstore.store import S3Store

from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.domain.errors import CatalogError
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.adapters.nix.making import s3_environment
from flywheel_assets_tests.processes import Server


def overlay(folder: Path, url: str) -> tuple[Path, ...]:
    file = folder / "overlay.yaml"
    file.write_text(f"inbox: {url}\n", encoding="utf-8")
    return (*SAMPLE_CATALOGUE, file)


def test_receipts_in_s3_become_builds(
    s3: Server, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment(s3.url).items():
        monkeypatch.setenv(name, value)
    store = S3Store.from_url(f"s3://{s3_bucket}/inbox")
    for path in (SAMPLE / "inbox").iterdir():
        store.put(path.name, path.read_bytes())
    flywheel = open_flywheel(Settings(tmp_path / "home", overlay(tmp_path, f"s3://{s3_bucket}/inbox")))
    taken = take_in(flywheel)
    assert (len(taken.builds), taken.tests, taken.unknown_outputs, taken.dead_letters) == (23, 1, 1, 1)
    assert take_in(flywheel).total == 0


@pytest.mark.parametrize("url", ["https://inbox.example", "s3:bucket", "/inbox", "s3://bucket/in?box"])
def test_an_inbox_is_a_folder_or_a_prefix_and_nothing_else(tmp_path: Path, url: str) -> None:
    with pytest.raises(CatalogError, match="inbox"):
        load_catalogue(list(overlay(tmp_path, url)))
