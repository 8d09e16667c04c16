"""Which part of a catalogue bears on one output: what changes nothing there wakes nobody, all else does."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue, GateException, Product
from flywheel_assets_tests.gate.cases import NOW, catalogue, changed

KNOWN = catalogue()


def with_output(name: str, **changes: Any) -> Catalogue:
    return changed(KNOWN, {"outputs": {**KNOWN.outputs, name: changed(KNOWN.outputs[name], changes)}})


def with_exception(output: str) -> Catalogue:
    entry = GateException(
        rule="validation_is_green",
        reason="validation-missing",
        validations=("smoke",),
        output=output,
        owner="tools",
        because="It is mended soon.",
        until=NOW + timedelta(days=1),
    )
    return changed(KNOWN, {"exceptions": {"for-now": entry}})


def in_a_row() -> Catalogue:
    """The image is built from the tool, and the tool from the library."""
    return with_output("image", built_from=("tool",))


def with_product(**changes: Any) -> Catalogue:
    return changed(KNOWN, {"products": {"tool": Product(authority="tool", statement="Both.", **changes)}})


@pytest.mark.parametrize(
    "other",
    [with_exception("image"), with_output("image", consumption="Elsewhere."), with_output("lint", owner="tools")],
    ids=["another output's exception", "another output", "nothing"],
)
def test_what_is_of_other_outputs_alone_bears_not_on_one(other: Catalogue) -> None:
    assert other.digest_for("tool") == KNOWN.digest_for("tool")


@pytest.mark.parametrize(
    "other",
    [
        with_exception("tool"),
        with_output("tool", consumption="Elsewhere."),
        with_output("library", consumption="Elsewhere."),
        changed(KNOWN, {"people": {}}),
        changed(KNOWN, {"keys": {}}),
        with_product(also=("image",), canonical="image"),
    ],
    ids=["its exception", "itself", "what it is built from", "people", "keys", "its product"],
)
def test_what_can_change_its_verdict_bears_on_it(other: Catalogue) -> None:
    assert other.digest_for("tool") != KNOWN.digest_for("tool")


def test_what_goes_into_what_goes_into_it_bears_on_it() -> None:
    row = in_a_row()
    assert row.built_from("image") == {"tool", "library"}
    assert row.built_from("library") == frozenset()
    deep = changed(row, {"outputs": {**row.outputs, "library": changed(row.outputs["library"], {"owner": "others"})}})
    assert deep.digest_for("image") != row.digest_for("image")
    assert deep.digest_for("lint") == row.digest_for("lint")


def test_the_canonical_output_of_its_product_bears_on_it() -> None:
    dual = with_product(also=("image",), canonical="image")
    other = changed(dual, {"outputs": {**dual.outputs, "image": changed(dual.outputs["image"], {"owner": "others"})}})
    assert other.digest_for("tool") != dual.digest_for("tool")


def test_outputs_that_are_built_from_each_other_are_no_endless_loop() -> None:
    loop = with_output("library", built_from=("tool",))
    assert loop.built_from("tool") == {"tool", "library"}
