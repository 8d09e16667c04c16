"""What tests of the command line share."""

from pathlib import Path

import pytest

from flywheel_assets_tests.cli.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.prepare()
    return made
