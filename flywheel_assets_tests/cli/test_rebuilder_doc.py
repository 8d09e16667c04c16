"""docs/rebuilds.md: the commands and the overlay as they are printed make a rebuilder."""

import os
import re
import subprocess
from pathlib import Path

from flywheel_assets.wiring import SAMPLE_CATALOGUE
from flywheel_assets_tests.cli.test_commands import call

PAGE = (Path(__file__).parents[2] / "docs" / "rebuilds.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_documented_rebuilder_is_one_and_signs_with_the_key_that_the_catalogue_knows(tmp_path: Path) -> None:
    home, overlay = tmp_path / "home", tmp_path / "rebuilder.yaml"
    environment = {"PATH": os.environ["PATH"], "FLYWHEEL_HOME": str(home)}
    subprocess.run(["bash", "-euc", block("sh")], cwd=tmp_path, env=environment, check=True, capture_output=True)
    overlay.write_text(block("yaml"))
    catalogue = ":".join(map(str, (*SAMPLE_CATALOGUE, overlay)))
    code, _, said = call(home, "report", FLYWHEEL_CATALOGUE=catalogue)
    assert code == 0, said
    assert (home / "keys" / "rebuilder.pub").read_text() == (tmp_path / "rebuilder.pub").read_text()
