"""Every benchmark still runs, in sizes too small to measure anything: they are started by hand and would rot unseen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = {
    "many_builds.py": ["--builds", "3", "--only", "revision"],
    "verdict.py": ["--rounds", "1", "--members", "20"],
    "what_if.py": ["--builds", "3"],
    "ticks.py": ["--builds", "3"],
    "page.py": ["--builds", "20"],
    "nix_copy.py": ["--only", "memory", "--gigabytes", "0.01"],
    "oci_copy.py": ["--only", "memory", "--huge", "0.01"],
}
PEERS = {"nix_copy.py": ("nginx",), "oci_copy.py": ("docker-registry",)}
MISSED = 1  # a target, at so small a size


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.name, marks=[pytest.mark.peer(peer) for peer in PEERS.get(path.name, ())])
        for path in sorted((ROOT / "benchmarks").glob("*.py"))
    ],
)
def test_it_runs_to_its_end(name: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / name), *SMALL.get(name, ["--help"])]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=100
    )
    assert ended.returncode in {0, MISSED}
    assert ended.stdout
    assert not ended.stderr
