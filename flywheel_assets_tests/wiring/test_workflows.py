"""Who is shown what where a workflow publishes: the forge its token, and FlakeHub nothing where anybody may read."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import flywheel_assets
from flywheel_assets.adapters.flakehub.workflow import TIMEOUTS
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.orchestration.bounds import INTAKE_SECONDS
from flywheel_assets.ports import PublishingWorkflow
from flywheel_assets.wiring import surfaces
from flywheel_assets.wiring.surfaces import open_workflows
from flywheel_assets_tests.flakes import FLAKE, REPOSITORY, REQUEST, SUMMARY, flake_release
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

BASE = Path(flywheel_assets.__file__).parent / "catalog" / "gloriousflywheel.yaml"
RELEASE = flake_release()
STARTED = b'{"workflow_run_id": 1, "html_url": "https://github.com/octo-org/octo-repo/actions/runs/1"}'


def workflow(home: Path, scripted: Scripted, visibility: str) -> PublishingWorkflow:
    file = f"/api/repos/{REPOSITORY}/actions/workflows/build.yml"
    scripted.answers[f"POST {file}/dispatches"] = Answer(200, {}, STARTED)
    scripted.answers[f"GET {file}"] = Answer(200, {}, b'{"state": "active"}')
    scripted.answers[f"GET /hub/f/{FLAKE}/releases"] = Answer(200, {}, b"[]")
    (home / "starting").write_text("of-the-forge")
    (home / "reading").write_text("of-the-reader")
    overlay = home / "overlay.yaml"
    overlay.write_text(f"""
surfaces:
  flakehub:
    url: {scripted.url}/hub
    visibility: {visibility}
    {"" if visibility == "public" else 'read_credential: {bearer: "file:reading"}'}
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


def test_a_server_that_takes_a_connection_and_says_nothing_is_left_soon(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TIMEOUTS.idle + TIMEOUTS.connect <= INTAKE_SECONDS, "it would outlast the tick that follows"
    monkeypatch.setattr(surfaces, "TIMEOUTS", replace(TIMEOUTS, idle=0.2))
    gone_on = threading.Event()

    def silence(_asked: Asked) -> Answer:
        gone_on.wait(20)
        return Answer(500)

    found = workflow(tmp_path, scripted, "public")
    scripted.answers.clear()
    scripted.otherwise = silence
    began = time.monotonic()
    for call in (lambda: found.look(RELEASE, "1"), lambda: found.released(RELEASE)):
        with pytest.raises(UnreadableError):
            call()
    assert time.monotonic() - began < 5
    assert len(scripted.asked) == 2
    gone_on.set()


def test_what_declares_no_forge_has_no_workflow(tmp_path: Path) -> None:
    assert open_workflows(tmp_path, load_catalogue([BASE])) == {}
