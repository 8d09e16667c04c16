"""`flywheel receipt` on a builder's machine: only what the package declares as base dependencies can be imported."""

import json
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flywheel_assets_tests.cli.machine import STORE_PATH, Machine

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "flywheel_assets" / "sample"
# Runs the command line where the refused modules cannot be imported, then says what was.
ALONE = """
import sys
refused = set(sys.argv.pop(1).split(","))

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
from flywheel_assets.cli.main import main
try:
    main()
finally:
    print("imported:", *sorted(sys.modules), file=sys.stderr)
"""


@cache
def refused_modules() -> str:
    """Top-level modules of all that is installed here, but for base dependencies and what these need, by commas."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [(Requirement(text), "") for text in project["dependencies"]]
    base = {"flywheel-assets"}
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        base.add(canonicalize_name(requirement.name))
        for more in metadata.requires(requirement.name) or []:
            waiting += [(Requirement(more), chosen) for chosen in requirement.extras or {""}]
    provided = metadata.packages_distributions()
    refused = {name for name, by in provided.items() if not base & {canonicalize_name(each) for each in by}}
    assert {"dagster", "ruamel", "sigstore", "obstore", "rich", "httpx"} <= refused
    return ",".join(sorted(refused))


def alone(
    machine: Machine, *arguments: str | Path, code: int = 0, variables: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, set[str]]:
    """What was said, and the modules that were imported."""
    done = machine.run(sys.executable, "-c", ALONE, refused_modules(), *arguments, code=code, variables=variables)
    said, _, imported = done.stderr.partition("imported: ")
    return done.stdout + said, set(imported.split())


def test_a_nix_build_is_described_with_the_base_dependencies_alone(machine: Machine) -> None:
    _, imported = alone(machine, "receipt", "nix", STORE_PATH, *machine.signed())
    assert machine.receipt().artifact.name == STORE_PATH
    # What an image or a registry takes is not loaded for a store path.
    assert not {"google.protobuf", "stamina", "flywheel_assets.wiring.installation"} & imported


def test_an_image_is_described_with_the_base_dependencies_alone(machine: Machine) -> None:
    layout = next(path.parent for path in sorted((SAMPLE / "oci-staging").rglob("oci-layout")))
    index = json.loads((layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"]
    alone(machine, "receipt", "oci", layout, digest, "--image-repository", "org/lamp", *machine.signed())
    assert str(machine.receipt().artifact.digest) == digest


def test_a_bazel_target_is_described_with_the_base_dependencies_alone(machine: Machine) -> None:
    digest = {"hash": "a" * 64, "sizeBytes": "3", "hashFunctionName": "SHA-256"}
    spawn = {"targetLabel": "//:a", "actualOutputs": [{"path": "bin/a", "digest": digest}], "digest": digest}
    log = machine.folder / "log.json"
    log.write_text(json.dumps(spawn), encoding="utf-8")
    alone(machine, "receipt", "bazel", "//:a", "--log", log, *machine.signed())
    assert machine.receipt().artifact.name == "//:a"


def test_receipts_of_one_run_lie_side_by_side_whatever_their_attempt_and_system(machine: Machine) -> None:
    for system, attempt in (("x86_64-linux", "1"), ("aarch64-linux", "1"), ("x86_64-linux", "2")):
        alone(machine, "receipt", "nix", STORE_PATH, *machine.signed("--system", system, "--attempt", attempt))
    assert sorted(path.name for path in machine.inbox.iterdir()) == [
        "7.1.aarch64-linux-lamp.json", "7.1.x86_64-linux-lamp.json", "7.2.x86_64-linux-lamp.json",
    ]  # fmt: skip


def test_a_hook_that_finds_nothing_to_do_loads_next_to_nothing(machine: Machine) -> None:
    config = machine.folder / "receipts.toml"
    config.write_text('to = "inbox"\n[outputs.lamp]\nstore-name = "lamp-*"\n', encoding="utf-8")
    other = {"OUT_PATHS": f"/nix/store/{'b' * 32}-gcc-13", "DRV_PATH": f"/nix/store/{'c' * 32}-gcc-13.drv"}
    said, imported = alone(machine, "receipt", "hook", "--config", config, variables=other)
    assert said == ""
    assert not {"pydantic", "cryptography", "securesystemslib"} & imported
    assert list(machine.inbox.iterdir()) == []


def test_another_command_names_the_extra_that_it_needs(machine: Machine) -> None:
    said, _ = alone(machine, "report", code=2)
    assert "flywheel_assets[pipeline]" in said


def test_the_extra_holds_whatever_else_the_package_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {Requirement(text).name for text in project["optional-dependencies"]["pipeline"]}
    assert {"dagster", "ruamel.yaml", "sigstore", "obstore", "rich"} <= names
    assert not names & {Requirement(text).name for text in project["dependencies"]}
