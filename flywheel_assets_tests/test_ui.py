"""`flywheel run` as a person meets it: the real webserver and daemon, a real browser, real signals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from flywheel_assets.wiring import SAMPLE
from flywheel_assets_tests.peers import PeerPath

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLYWHEEL = Path(sys.executable).parent / "flywheel"
LONG = 90_000  # ms; a loaded machine is slow, a page that never comes is a failure all the same
REJECTED, ON_DEMAND = "14402201002.1.x86_64-linux", "14402201301.1.x86_64-linux"
DELIVERIES = ("14402201001-tide-clock", "14402201002-tide-clock", "14402201301-sounding-line")


@dataclass
class Served:
    """A running `flywheel run`."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 150
        while "The UI is at" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def survivors(self) -> list[str]:
        """Processes that still work on this home; those that are on their way out get a moment."""
        deadline = time.monotonic() + 10
        while (found := _processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


def _processes_of(home: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"FLYWHEEL_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone, or not ours to look at
        if mine and command:
            found.append(command)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def flywheel(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLYWHEEL, *arguments],
        env={**os.environ, "FLYWHEEL_HOME": str(home), "FLYWHEEL_CATALOGUE": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(home: Path, *deliveries: str) -> Iterator[Served]:
    """`flywheel run` on a home whose inbox holds a part of the sample."""
    inbox = home / "sample" / "inbox"
    inbox.mkdir(parents=True)
    for name in deliveries:
        (inbox / f"{name}.json").write_bytes((SAMPLE / "inbox" / f"{name}.json").read_bytes())
    port, log = free_port(), home / "said.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [FLYWHEEL, "run", "--port", str(port)],
            env={**os.environ, "FLYWHEEL_HOME": str(home), "FLYWHEEL_CATALOGUE": ""},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(home, port, process, log)
    try:
        served.wait_until_up()
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("ui"), *DELIVERIES) as opened:
        yield opened


@pytest.fixture
def page(peer_path: PeerPath) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(peer_path("chromium")),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(LONG)
        yield opened
        browser.close()


def visit(page: Page, url: str) -> None:
    """The UI holds a websocket open, so a page is never done loading; what is looked for decides."""
    page.goto(url, wait_until="domcontentloaded", timeout=LONG)


def row(home: Path, output: str) -> dict[str, Any]:
    told = json.loads(flywheel(home, "report", "--json").stdout)
    (found,) = [row for row in told["builds"] if row["output"] == output]
    assert isinstance(found, dict)
    return found


@pytest.mark.peer("chromium")
def test_the_lineage_opens_as_four_stages_with_nothing_in_front_of_them(served: Served, page: Page) -> None:
    visit(page, f"{served.url}/asset-groups")
    for stage in ("s1_builder_runs", "s2_cache_entries", "s3_validated", "s4_published"):
        expect(page.get_by_text(stage, exact=True).first).to_be_visible(timeout=LONG)
    assert page.get_by_role("dialog").count() == 0


@pytest.mark.peer("chromium")
def test_the_checks_of_a_rejected_build_say_why_it_is_not_published(served: Served, page: Page) -> None:
    visit(page, f"{served.url}/assets/validated_artifact/tide-clock?view=checks&checkDetail=classification")
    page.get_by_role("tab", name="Execution history").click()
    told = page.get_by_text("pull-request").first
    expect(told).to_be_visible(timeout=LONG)
    body = page.locator("body")
    for text in ("rejected permanently", REJECTED, "To change it:", "Who acts:", "Failed"):
        expect(body).to_contain_text(text, timeout=LONG)


@pytest.mark.peer("chromium")
def test_the_description_leads_to_the_checks_and_to_the_lineage_of_its_output(served: Served, page: Page) -> None:
    overview = f"{served.url}/assets/published_artifact/tide-clock?view=overview"
    visit(page, overview)
    page.get_by_role("link", name="the checks of validated_artifact").click()
    expect(page.get_by_text("classification", exact=True).first).to_be_visible(timeout=LONG)
    visit(page, overview)
    page.get_by_role("link", name="The lineage of tide-clock alone").click()
    page.wait_for_url(re.compile("asset-groups"))
    expect(page.get_by_text("s4_published", exact=True).first).to_be_visible(timeout=LONG)


@pytest.mark.peer("chromium")
def test_a_rejected_build_that_is_promoted_by_hand_is_refused_on_its_runs_page(served: Served, page: Page) -> None:
    launch(served, page, "tide-clock", REJECTED)
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible(timeout=LONG)
    expect(page.locator("body")).to_contain_text("rejected permanently, pull-request", timeout=LONG)


@pytest.mark.peer("chromium")
def test_a_build_is_promoted_on_demand_by_clicking_and_can_then_be_verified(served: Served, page: Page) -> None:
    assert row(served.home, "sounding-line")["state"] == "validated"
    launch(served, page, "sounding-line", ON_DEMAND)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=LONG)
    published = row(served.home, "sounding-line")
    assert published["state"] == "published"
    verified = flywheel(
        served.home, "verify", published["published_at"], "--key", str(served.home / "keys" / "release.pub")
    )
    assert verified.returncode == 0, verified.stderr


def launch(served: Served, page: Page, output: str, build: str) -> None:
    """Asset, Partitions, the key, Materialize, Launch; then the page of the run."""
    visit(page, f"{served.url}/assets/published_artifact/{output}")
    page.get_by_role("tab", name="Partitions").or_(page.get_by_role("link", name="Partitions")).first.click()
    page.get_by_text(build, exact=True).first.click()
    page.get_by_role("button", name="Materialize").first.click()
    start = page.get_by_role("button", name="Launch 1 run")
    start.wait_for()
    with page.expect_response(lambda response: "launchP" in (response.request.post_data or "")) as answer:
        start.click()
    run = answer.value.json()["data"]["launchPipelineExecution"]["run"]["id"]
    visit(page, f"{served.url}/runs/{run}")


def test_a_second_run_on_the_same_home_ends_with_a_sentence(served: Served) -> None:
    second = flywheel(served.home, "run", "--port", str(free_port()))
    assert second.returncode == 2
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_ends_the_run_with_a_sentence_before_it_does_anything(
    served: Served, tmp_path: Path
) -> None:
    other = flywheel(tmp_path, "run", "--port", str(served.port))
    assert other.returncode == 2
    assert f"Port {served.port}" in other.stderr
    assert "Traceback" not in other.stderr
    assert not (tmp_path / "evidence").exists()


def test_ctrl_c_ends_everything_and_says_so(served: Served) -> None:
    assert served.end(signal.SIGINT) == 0
    assert served.said().rstrip().endswith("Stopped.")
    assert "Traceback" not in served.said()
    assert served.survivors() == []


def test_a_service_manager_ends_everything_as_well(tmp_path: Path) -> None:
    with running(tmp_path) as served:
        assert served.end(signal.SIGTERM) == 0
        assert served.said().rstrip().endswith("Stopped.")
        assert served.survivors() == []


def test_nothing_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path) as served:
        served.end(signal.SIGKILL)
        assert served.survivors() == []
