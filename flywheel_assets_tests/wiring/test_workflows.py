"""Who is shown what where a workflow publishes: the forge its token, and FlakeHub nothing where anybody may read."""

from pathlib import Path

import pytest

import flywheel_assets
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.wiring.surfaces import open_workflows
from flywheel_assets_tests.flakes import FLAKE, REQUEST, SUMMARY, flake_release
from flywheel_assets_tests.scripted import Answer, Scripted

BASE = Path(flywheel_assets.__file__).parent / "catalog" / "gloriousflywheel.yaml"
RELEASE = flake_release()
STARTED = b'{"workflow_run_id": 1, "html_url": "https://github.com/octo-org/octo-repo/actions/runs/1"}'


def workflow(home: Path, scripted: Scripted, visibility: str) -> PublishingWorkflow:
    scripted.answers[f"POST /api/repos/{FLAKE}/actions/workflows/build.yml/dispatches"] = Answer(200, {}, STARTED)
    scripted.answers[f"GET /api/repos/{FLAKE}/actions/workflows/build.yml"] = Answer(200, {}, b'{"state": "active"}')
    scripted.answers[f"GET /hub/f/{FLAKE}/releases"] = Answer(200, {}, b"[]")
    (home / "starting").write_text("of-the-forge")
    (home / "reading").write_text("of-the-reader")
    overlay = home / "overlay.yaml"
    overlay.write_text(f"""
surfaces:
  flakehub:
    url: {scripted.url}/hub
    visibility: {visibility}
    read_credential: {{bearer: "file:reading"}}
    forge: {{url: "{scripted.url}/api", credential: {{bearer: "file:starting"}}}}
""")
    return open_workflows(home, load_catalogue([BASE, overlay]))["flakehub"]


@pytest.mark.parametrize(("visibility", "shown"), [("public", None), ("private", "Bearer of-the-reader")])
def test_the_forge_is_shown_its_token_and_flakehub_what_its_readers_show(
    tmp_path: Path, scripted: Scripted, visibility: str, shown: str | None
) -> None:
    found = workflow(tmp_path, scripted, visibility)
    assert found.dispatch(RELEASE, REQUEST, SUMMARY).id == "1"
    assert found.released(RELEASE) is None
    seen = {(asked.path.split("/")[1], asked.headers["Authorization"]) for asked in scripted.asked}
    assert seen == {("api", "Bearer of-the-forge"), ("hub", shown)}


def test_what_declares_no_forge_has_no_workflow(tmp_path: Path) -> None:
    assert open_workflows(tmp_path, load_catalogue([BASE])) == {}
