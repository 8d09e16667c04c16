"""Take the README's screenshots from the running UI: .venv/bin/python scripts/take_screenshots.py.

Starts `flywheel run` on the sample in a temporary home, and needs the Chromium that `make peers` found.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
FLYWHEEL = Path(sys.executable).parent / "flywheel"
GROUPS = ("s1_builder_runs", "s2_cache_entries", "s3_validated", "s4_published")
LABEL = "tinyland-nix"
LONG = 60_000
START_SECONDS = 180


def main() -> None:
    """Start the UI, take the pictures, stop it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        port = _free_port()
        process = subprocess.Popen(
            [FLYWHEEL, "run", "--port", str(port)],
            env={**os.environ, "FLYWHEEL_HOME": home, "FLYWHEEL_CATALOGUE": ""},
        )
        try:
            _wait_for(port, process)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1400, "height": 800})
                page.set_default_timeout(LONG)
                lineage(page, f"http://127.0.0.1:{port}")
                why_not(page, f"http://127.0.0.1:{port}")
                builder(page, f"http://127.0.0.1:{port}")
                static_page(page, home)
                browser.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    for image in sorted(IMAGES.glob("*.png")):
        _make_smaller(image)
        print(f"{image.relative_to(ROOT)}: {image.stat().st_size // 1024} kB")


def lineage(page: Page, url: str) -> None:
    """One output through its four stages, with the counts of its builds."""
    page.set_viewport_size({"width": 2300, "height": 680})
    selection = quote('tag:"output"="tide-clock"', safe="")
    page.goto(f"{url}/asset-groups~{selection}/", wait_until="domcontentloaded")
    page.get_by_text(GROUPS[-1], exact=True).last.wait_for()
    page.get_by_text("Hide navigation").click()
    page.get_by_placeholder("Jump to").locator("xpath=following::button[1]").click()
    for group in GROUPS:
        page.get_by_text(group, exact=True).last.click()
        page.wait_for_timeout(1200)
    left, top = _corner(page, GROUPS[0])
    page.mouse.move(left, top)
    page.keyboard.down("Control")  # a node shows its counts only when it is large enough
    for _ in range(6):
        page.mouse.wheel(0, -40)
        page.wait_for_timeout(200)
    page.keyboard.up("Control")
    page.wait_for_timeout(3000)
    (left, top), (right, _) = _corner(page, GROUPS[0]), _corner(page, GROUPS[-1])
    clip = {"x": left - 50, "y": top - 45, "width": right - left + 450, "height": 400}
    page.screenshot(path=IMAGES / "lineage.png", clip=clip)  # type: ignore[arg-type]  # a TypedDict by another name


def _corner(page: Page, text: str) -> tuple[float, float]:
    box = page.get_by_text(text, exact=True).last.bounding_box()
    if box is None:
        sys.exit(f"{text} is not on the page.")
    return box["x"], box["y"]


def why_not(page: Page, url: str) -> None:
    """Why builds are not published: the history of a check, a line for each build."""
    page.set_viewport_size({"width": 1400, "height": 800})
    page.goto(
        f"{url}/assets/cache_entry/chart-plotter?view=checks&checkDetail=integrity", wait_until="domcontentloaded"
    )
    page.get_by_role("tab", name="Execution history").click()
    page.get_by_text(re.compile("rejected permanently")).first.wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / "why-not.png")


def builder(page: Page, url: str) -> None:
    """What is so of one builder label: its last bootstrap proof before all."""
    page.set_viewport_size({"width": 1400, "height": 1280})
    page.goto(f"{url}/assets/builder/{LABEL}?view=overview", wait_until="domcontentloaded")
    page.get_by_text("last_bootstrap_proof").first.wait_for()
    page.wait_for_timeout(1500)
    main_column = {"x": 240, "y": 0, "width": 820, "height": 1280}
    page.screenshot(path=IMAGES / "builder.png", clip=main_column)  # type: ignore[arg-type]  # as above


def static_page(page: Page, home: str) -> None:
    """What `flywheel page` writes: whose turn it is."""
    folder = Path(home) / "page"
    subprocess.run(
        [FLYWHEEL, "page", folder], env={**os.environ, "FLYWHEEL_HOME": home, "FLYWHEEL_CATALOGUE": ""}, check=True
    )
    page.set_viewport_size({"width": 1100, "height": 760})
    page.goto((folder / "index.html").as_uri())
    page.screenshot(path=IMAGES / "page.png")


def _make_smaller(image: Path) -> None:
    """With pngquant where there is one."""
    program = shutil.which("pngquant")
    if program:
        subprocess.run([program, "--force", "--skip-if-larger", "--ext", ".png", "128", image], check=False)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit("flywheel run ended by itself; see above.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"The UI did not come up in {START_SECONDS} s.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chromium() -> str:
    found = json.loads((ROOT / ".venv" / "peers.json").read_text("utf-8")).get("chromium", {})
    if "path" not in found:
        sys.exit("There is no Chromium: run `make peers` first.")
    return str(found["path"])


if __name__ == "__main__":
    main()
