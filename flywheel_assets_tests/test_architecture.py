"""Holds the package to the tables in architecture.py, and shows that each line of them can fail."""

import ast
from pathlib import Path
from textwrap import dedent

import pytest

import flywheel_assets
from flywheel_assets_tests.architecture import (
    LAYERS,
    RULES,
    Module,
    files_that_name_the_platform,
    modules,
    violations,
)

ROOT = Path(flywheel_assets.__file__).parent


def module(name: str, source: str) -> Module:
    is_package = name.endswith(".__init__")
    return Module(name.removesuffix(".__init__"), ast.parse(dedent(source)), is_package)


def test_the_walk_finds_the_package() -> None:
    assert "" in {found.name for found in modules(ROOT)}


def test_the_package_keeps_the_rules_of_the_house() -> None:
    broken = [
        f"{found.module or 'flywheel_assets'}:{found.line}: {found.rule}: {found.text}"
        for each in modules(ROOT)
        for found in violations(each)
    ]
    assert not broken, "\n".join(broken)


def test_no_code_names_the_platform() -> None:
    assert files_that_name_the_platform(ROOT) == []


# --- a check that cannot fail is a defect: each line of the tables, broken ----------------------

BROKEN_LAYERS = [
    ("", "", "import flywheel_assets.domain"),
    ("", "", "import pydantic"),
    ("__main__", "__main__", "import flywheel_assets.orchestration"),
    ("domain", "domain.digests", "from flywheel_assets.catalog import models"),
    ("domain", "domain.digests", "import httpx"),
    ("domain", "domain.digests", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster"),
    ("domain", "domain.digests", "from flywheel_assets import ports"),
    ("domain", "domain.digests", "from .. import ports"),
    ("domain", "domain.digests", "from ..gate.rules import rule"),
    ("domain", "domain.__init__", "from ..gate import rules"),
    ("domain", "domain.digests", "import importlib\nimportlib.import_module('flywheel_assets.gate')"),
    ("domain", "domain.digests", "from flywheel_assets import *"),
    ("catalog", "catalog.loading", "import flywheel_assets.gate"),
    ("catalog", "catalog.loading", "import rfc8785"),
    ("gate", "gate.rules", "from flywheel_assets.ports import Signer"),
    ("gate", "gate.rules", "import ruamel.yaml"),
    ("ports", "ports", "from flywheel_assets.gate import Approved"),
    ("ports", "ports", "import pydantic"),
    ("promotion", "promotion.promote", "def f():\n    from flywheel_assets.adapters.oci import client"),
    ("promotion", "promotion.promote", "import dagster as dg"),
    ("adapters", "adapters.oci", "from flywheel_assets.gate import evaluate"),
    ("adapters", "adapters.oci", "from flywheel_assets.adapters.nix import narinfo"),
    ("adapters", "adapters.oci.client", "from ..nix import narinfo"),
    ("adapters", "adapters.oci", "from flywheel_assets.adapters import signatures"),
    ("adapters", "adapters.http", "from flywheel_assets.adapters import signatures"),
    ("adapters", "adapters.http", "from dagster import asset"),
    ("adapters", "adapters.files", "from flywheel_assets.adapters import signatures"),
    ("adapters", "adapters.writing", "from flywheel_assets.adapters.nix import narinfo"),
    ("wiring", "wiring", "import flywheel_assets.orchestration.resources"),
    ("wiring", "wiring", "import flywheel_assets.cli"),
    ("wiring", "wiring", "import dagster"),
    ("orchestration", "orchestration.assets", "from flywheel_assets.adapters import http"),
    ("orchestration", "orchestration.assets", "from flywheel_assets import wiring"),
    ("orchestration", "orchestration.assets", "from flywheel_assets.definitions import defs"),
    ("orchestration.resources", "orchestration.resources", "from flywheel_assets.adapters import http"),
    ("orchestration.resources", "orchestration.resources", "import flywheel_assets.cli"),
    ("definitions", "definitions", "from flywheel_assets import wiring"),
    ("definitions", "definitions", "import httpx_sse"),
    ("sample", "sample.flakehub_stand_in", "from flywheel_assets import domain"),
    ("cli", "cli.main", "from flywheel_assets.adapters import http"),
    ("cli", "cli.main", "def f():\n    from flywheel_assets.definitions import defs"),
    ("cli", "cli.main", "from flywheel_assets.gate import rules"),
    ("cli.run", "cli.run", "from flywheel_assets.definitions import defs"),
    ("cli.run", "cli.run", "def f():\n    from flywheel_assets.adapters import http"),
]

KEPT_LAYERS = [
    ("", "from importlib import metadata"),
    ("domain.digests", "import hashlib, pydantic, rfc8785\nfrom pydantic_core import core_schema"),
    ("domain.digests", "from flywheel_assets import __version__"),
    ("domain.digests", "from .errors import FlywheelError\nfrom flywheel_assets.domain import outputs"),
    ("domain.__init__", "from . import digests"),
    ("catalog.loading", "from ruamel.yaml import YAML"),
    ("gate.rules", "from flywheel_assets.catalog.models import Output"),
    ("ports", "from typing import Protocol\nfrom flywheel_assets.domain import digests"),
    ("promotion.promote", "from flywheel_assets.ports import Signer"),
    ("adapters.oci", "import obstore\nfrom flywheel_assets.adapters import http"),
    (
        "adapters.oci.layout",
        "from flywheel_assets.adapters import files\nfrom flywheel_assets.adapters.writing import a",
    ),
    ("adapters.nix.cache", "from flywheel_assets.adapters.nix import narinfo\nfrom . import nar"),
    ("wiring", "from flywheel_assets.adapters.nix import cache"),
    ("orchestration.assets", "import dagster as dg\nfrom flywheel_assets.orchestration import resources"),
    ("orchestration.resources", "from flywheel_assets import wiring"),
    ("definitions", "import dagster as dg\nfrom flywheel_assets.orchestration.assets import assets"),
    ("cli.main", "import click\nfrom flywheel_assets import wiring\nfrom flywheel_assets.cli import run"),
    ("cli.run", "def f():\n    from flywheel_assets.definitions import defs"),
]


@pytest.mark.parametrize(("layer", "name", "source"), BROKEN_LAYERS)
def test_an_import_that_a_layer_forbids_is_caught(layer: str, name: str, source: str) -> None:
    assert f"layer {layer}" in {found.rule for found in violations(module(name, source))}


@pytest.mark.parametrize(("name", "source"), KEPT_LAYERS)
def test_an_import_that_a_layer_allows_is_let_through(name: str, source: str) -> None:
    assert violations(module(name, source)) == []


def test_a_module_that_no_layer_claims_is_caught() -> None:
    assert [found.rule for found in violations(module("utils", ""))] == ["layers"]


BROKEN_RULES = [
    ("no private part of dagster is used", "orchestration.a", "from dagster._core import definitions"),
    ("no private part of dagster is used", "orchestration.a", "def f():\n    import dagster._utils"),
    ("no private part of dagster is used", "orchestration.a", "import dagster as dg\ndg._core"),
    ("the environment is read at the edges", "adapters.signatures.keys", "import os\nos.environ['KEY']"),
    ("the environment is read at the edges", "adapters.signatures.keys", "import os as o\no.getenv('KEY')"),
    ("the environment is read at the edges", "adapters.signatures.keys", "from os import environ"),
    ("the environment is read at the edges", "orchestration.a", "import os\nos.getenv('KEY')"),
    ("only the command line prints", "promotion.a", "print('x')"),
    ("only the command line prints", "promotion.a", "report = print"),
    ("orchestration postpones no annotations", "orchestration.a", "from __future__ import annotations"),
    ("no broad except swallows", "gate.a", "try:\n    x()\nexcept Exception:\n    pass"),
    ("no broad except swallows", "gate.a", "try:\n    x()\nexcept:\n    y()"),
    ("no broad except swallows", "cli.a", "try:\n    x()\nexcept (OSError, BaseException) as e:\n    y(e)"),
    ("no broad except swallows", "gate.a", "try:\n    x()\nexcept Exception:\n    if y:\n        raise"),
    (
        "no broad except swallows",
        "gate.a",
        "def f():\n  try:\n    x()\n  except Exception:\n    if y:\n      return\n    raise",
    ),
    (
        "no broad except swallows",
        "gate.a",
        "import contextlib\nwith contextlib.suppress(Exception):\n    x()",
    ),
    ("only adapters.http imports httpx", "adapters.oci", "import httpx"),
    ("only adapters.http imports httpx", "cli.main", "def f():\n    from httpx import Client"),
    ("only adapters.http opens connections", "adapters.oci", "import socket"),
    ("only adapters.http opens connections", "adapters.nix.remote", "from http import client"),
    ("only adapters.http opens connections", "wiring", "def f():\n    from urllib.request import urlopen"),
    ("only adapters.http opens connections", "promotion.a", "import ssl as tls"),
]

KEPT_RULES = [
    ("cli.main", "import os\nprint(os.environ)"),
    ("wiring", "import os\nos.getenv('KEY')"),
    ("orchestration.resources", "import os\nos.getenv('KEY')"),
    ("domain.a", "from __future__ import annotations"),
    ("gate.a", "try:\n    x()\nexcept ValueError:\n    pass"),
    ("gate.a", "try:\n    x()\nexcept Exception as e:\n    y()\n    raise OSError from e"),
    (
        "gate.a",
        "try:\n    x()\nexcept BaseException:\n    if y:\n        raise OSError\n    else:\n        raise",
    ),
    ("adapters.http", "import httpx"),
    ("adapters.http.wire", "import socket, ssl"),
    ("cli.serving", "import socket"),
    ("adapters.oci", "from http import HTTPStatus\nfrom urllib.parse import urlsplit"),
    ("orchestration.a", "import dagster as dg\ndg.asset"),
]


@pytest.mark.parametrize(("rule", "name", "source"), BROKEN_RULES)
def test_a_broken_rule_is_caught(rule: str, name: str, source: str) -> None:
    assert rule in {found.rule for found in violations(module(name, source))}


@pytest.mark.parametrize(("name", "source"), KEPT_RULES)
def test_a_kept_rule_is_let_through(name: str, source: str) -> None:
    assert violations(module(name, source)) == []


def test_every_layer_and_rule_is_seen_to_fail() -> None:
    assert {layer for layer, *_ in BROKEN_LAYERS} == {layer.name for layer in LAYERS}
    assert {rule for rule, *_ in BROKEN_RULES} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("place", "is_caught"),
    [
        ("gate/rules.py", True),
        ("orchestration/notes.txt", True),
        ("catalog/models.py", True),
        ("catalog/deep/more.yaml", True),
        ("catalog/outputs.yaml", False),
        ("sample/receipts/one.json", False),
    ],
)
@pytest.mark.parametrize("word", ["tinyland.dev", "GLORIOUSFlywheel"])
def test_a_file_that_names_the_platform_is_caught(tmp_path: Path, place: str, word: str, *, is_caught: bool) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"of {word}\n", encoding="utf-8")
    assert files_that_name_the_platform(tmp_path) == ([place] if is_caught else [])


def test_a_module_is_read_under_the_name_it_is_imported_by(tmp_path: Path) -> None:
    for place in ("__init__.py", "gate/__init__.py", "gate/rules.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    found = {each.name: each.is_package for each in modules(tmp_path)}
    assert found == {"": True, "gate": True, "gate.rules": False}
