"""The package as a builder installs it: its wheel, in an environment of its own that holds the locked base alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from flywheel_assets_tests.cli.machine import STORE_PATH, Machine

ROOT = Path(__file__).parents[2]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command: str | Path) -> str:
    return subprocess.run(list(command), check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands. What is locked comes from where pip gets it: from `make install`'s cache, mostly."""
    folder = tmp_path_factory.mktemp("installed")
    # Built from a copy, so that nothing is left in the sources; with the locked backend, as `make install` does it.
    run("cp", "-r", ROOT / "flywheel_assets", ROOT / "pyproject.toml", ROOT / "setup.cfg", ROOT / "README.md", folder)
    run(sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", folder)
    (wheel,) = (folder / "dist").iterdir()
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(python, *PIP, "install", "--require-hashes", "-r", ROOT / "ci" / "requirements.lock")
    run(python, *PIP, "install", "--no-deps", "--no-index", wheel)
    run(python, *PIP, "check")
    return folder / "venv" / "bin"


@pytest.mark.slow
def test_a_wheel_on_the_locked_base_makes_a_signed_receipt_without_dagster(installed: Path, machine: Machine) -> None:
    dagster = subprocess.run(
        [installed / "python", "-c", "import dagster"], check=False, capture_output=True, text=True
    )
    assert "No module named 'dagster'" in dagster.stderr
    machine.run(installed / "flywheel", "receipt", "nix", STORE_PATH, *machine.signed())
    assert machine.receipt().artifact.name == STORE_PATH


@pytest.mark.slow
def test_the_wheel_has_all_that_the_package_reads(installed: Path) -> None:
    (package,) = (installed.parent / "lib").glob("*/site-packages/flywheel_assets")
    sources = ROOT / "flywheel_assets"
    wanted = {path.relative_to(sources) for path in sources.rglob("*") if path.is_file()}
    found = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    assert {path for path in wanted - found if "__pycache__" not in path.parts} == set()
