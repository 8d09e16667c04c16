"""The stand-in as a process: what it has answered for outlives any end of it, and two at once get two runs."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flywheel_assets.domain.errors import AmbiguousError, ReadError
from flywheel_assets.sample.flakehub_stand_in import StandIn
from flywheel_assets_tests.flakes import FLAKE, REQUEST, SUMMARY, adapter, flake_release, published
from flywheel_assets_tests.processes import Server, running

RELEASE = flake_release()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Server]:
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "flywheel_assets.sample.flakehub_stand_in", str(kept)]
    with running(tmp_path, lambda port: [*command, str(port)]) as server:
        yield server


def test_what_was_answered_outlives_a_kill_at_any_moment(process: Server, tmp_path: Path) -> None:
    answered: list[str] = []

    def go_on() -> None:
        workflow = adapter(process.url)
        try:
            for number in range(1000):
                workflow.dispatch(RELEASE, f"{number:032x}", SUMMARY)
                answered.append(f"{number:032x}")
        except (AmbiguousError, ReadError):
            return

    for _ in range(3):
        answered.clear()
        going = threading.Thread(target=go_on)
        going.start()
        while len(answered) < 10 and going.is_alive():
            time.sleep(0.01)
        process.kill()
        going.join()
        kept = [run["inputs"]["request"] for run in StandIn(tmp_path / "kept").runs()]
        assert set(answered) <= set(kept)
        assert len(answered) >= 10
        process.start()
    published(adapter(process.url), RELEASE)
    assert adapter(process.url).released(RELEASE) is not None


def test_two_at_once_get_two_runs_also_from_two_processes_on_one_folder(process: Server, tmp_path: Path) -> None:
    beside = StandIn(tmp_path / "kept")
    urls = (process.url, beside.start())

    def one(number: int) -> str:
        return adapter(urls[number % 2]).dispatch(RELEASE, f"{number:032x}", SUMMARY).id

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one, range(24)))
    beside.stop()
    assert len(set(made)) == 24
    assert len(StandIn(tmp_path / "kept").runs()) == 24


def test_faults_are_switched_while_it_runs_by_a_file(process: Server, tmp_path: Path) -> None:
    (tmp_path / "kept" / "faults").write_text("hang-up-after-dispatch 1\n")
    with pytest.raises(AmbiguousError):
        adapter(process.url).dispatch(RELEASE, REQUEST, SUMMARY)
    found = adapter(process.url).find(RELEASE, REQUEST, datetime.now(UTC))
    assert found is not None
    assert json.loads((tmp_path / "kept" / "state.json").read_bytes())["runs"].keys() == {found.id}


def test_a_fault_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no faults"):
        StandIn(tmp_path).fault("hang-up")


def test_a_release_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    for revision in ("a" * 40, "b" * 40):
        stand_in.release(FLAKE, "1.2.3", revision)
    reply = stand_in.answer("GET", f"/f/{FLAKE}/releases", b"")
    assert [each["revision"] for each in reply.document] == ["a" * 40]


def test_a_revision_rolls_under_one_version_as_its_count_of_commits_is_its_own(tmp_path: Path) -> None:
    stand_in, inputs = (
        StandIn(tmp_path),
        {"version": "rolling", "attribute": "packages.x.y", "store_path": "/nix/store/p"},
    )
    for revision in ("a" * 40, "b" * 40, "a" * 40):
        order = json.dumps({"ref": "main", "inputs": {**inputs, "revision": revision}}).encode()
        stand_in.answer("POST", "/repos/o/octo-repo/actions/workflows/publish.yml/dispatches", order)
        run = stand_in.runs()[-1]["id"]
        for _ in range(2):
            ended = stand_in.answer("GET", f"/repos/o/octo-repo/actions/runs/{run}", b"").document
    assert ended["conclusion"] == "failure", "the version is there"
    reply = stand_in.answer("GET", "/f/stand-in.invalid/octo-repo/releases", b"")
    assert [each["version"] for each in reply.document] == [f"0.1.2+rev-{'b' * 40}", f"0.1.1+rev-{'a' * 40}"]
