"""The JSON Schema that editors read: it is the one that is committed, and it takes the shipped files."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from flywheel_assets.catalog.schema import catalogue_schema
from flywheel_assets_tests.catalog.test_catalogue import BASE, OVERLAY, PACKAGE

EXAMPLE = PACKAGE / "sample" / "change-of-authority.yaml"
COMMITTED = PACKAGE / "catalog" / "catalogue.schema.json"


def test_the_committed_schema_is_the_one_that_the_models_make() -> None:
    again = f"write it anew: flywheel catalog schema > {COMMITTED.relative_to(PACKAGE.parent)}"
    expected = json.dumps(catalogue_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert COMMITTED.read_text("utf-8") == expected, again


def complaints(node: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "$") -> list[str]:
    """What of ``node`` the schema refuses: as much of JSON Schema as this schema uses, all else fails."""
    if "$ref" in schema:
        return complaints(node, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return min((complaints(node, option, root, path) for option in schema[choice]), key=len)
    known = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}
    wanted = known[schema["type"]] if "type" in schema else object
    if not isinstance(node, wanted) or (schema.get("type") == "integer" and isinstance(node, bool)):
        return [f"{path}: not {schema['type']}"]
    if node not in schema.get("enum", [schema.get("const", node)]):
        return [f"{path}: not one of the values"]
    if isinstance(node, dict):
        return _object(node, schema, root, path)
    items = enumerate(node) if isinstance(node, list) else ()
    found = [
        problem for n, item in items for problem in complaints(item, schema.get("items", {}), root, f"{path}[{n}]")
    ]
    wrong = isinstance(node, str) and not re.search(schema.get("pattern", ""), node)
    return [f"{path}: not of the pattern"] if wrong else found


def _object(node: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> list[str]:
    found = []
    for key, value in node.items():
        options = [schema.get("properties", {}).get(key)]
        options += [s for pattern, s in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        options += [schema["additionalProperties"]] if schema.get("additionalProperties") else []
        options = [option for option in options if option is not None]
        inner = f"{path}.{key}"
        found += complaints(value, options[0], root, inner) if options else [f"{inner}: unknown"]
    return found


@pytest.mark.parametrize("file", [BASE, OVERLAY, EXAMPLE], ids=lambda file: file.name)
def test_the_schema_takes_each_shipped_file(file: Any) -> None:
    schema = catalogue_schema()
    assert complaints(YAML(typ="safe", pure=True).load(file), schema, schema) == []


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"ouputs": {}}, "$.ouputs: unknown"),
        ({"owners": {"a": {"colour": "green"}}}, "$.owners.a.colour: unknown"),
        ({"version": "1"}, "$.version: not"),
        ({"outputs": {"a": {"role": "thing"}}}, "$.outputs.a.role: not one of the values"),
    ],
)
def test_the_schema_refuses_what_loading_refuses(document: dict[str, Any], problem: str) -> None:
    schema = catalogue_schema()
    assert any(found.startswith(problem) for found in complaints(document, schema, schema))


def test_the_shipped_files_name_the_schema_beside_them() -> None:
    for file in (BASE, OVERLAY, EXAMPLE):
        first = file.read_text("utf-8").splitlines()[0]
        name = first.removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / name).resolve() == COMMITTED
