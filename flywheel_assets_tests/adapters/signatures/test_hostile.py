"""Hostile bundles and annotations: only what was signed comes out as signed, and only our own error is raised."""

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.ports import Checked, Trusted
from flywheel_assets_tests.adapters.signatures.make_vectors import (
    MANIFEST,
    SCANNED,
    SIGNED,
    VECTORS,
    workflow_provenance,
)
from flywheel_assets_tests.adapters.signatures.miniature import WHO, a_signer, trusted_root

TRUSTED: dict[str, Trusted] = {"workflow": WHO, "key": a_signer("key").public_key}
VERIFIER = SignatureVerifier(trusted_root())
GENUINE = {SCANNED, SIGNED, workflow_provenance(), sha256(MANIFEST).digest()}
BUNDLES = sorted(path.read_text() for path in VECTORS.glob("*.bundle.json"))
IMAGES = [json.loads(path.read_bytes()) for path in sorted(VECTORS.glob("*.image.json"))]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["AAAA", "MIIB", "0", "-1", "99999999999999999999", "\ud800", "0.0.1", "hashedrekord", "dsse"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def places(node: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to each value in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [way, *(place for step, inner in items for place in places(inner, (*way, step)))]


def replaced(document: Any, way: tuple[str | int, ...], value: object) -> Any:
    if not way:
        return value
    copy = json.loads(json.dumps(document))
    node = copy
    for step in way[:-1]:
        node = node[step]
    node[way[-1]] = value
    return copy


def checked(attached: Attached) -> Checked | None:
    try:
        return VERIFIER.check_attached(attached, "x", TRUSTED)
    except InvalidInputError:
        return None


def demand_genuine(found: Checked | None) -> None:
    assert found is None or not found.keys or found.payload in GENUINE


@settings(max_examples=300, deadline=None)
@given(data=st.data(), bundle=st.sampled_from([json.loads(each) for each in BUNDLES]), value=ANYTHING)
def test_a_bundle_with_any_value_replaced_is_genuine_refused_or_not_signed(
    data: st.DataObject, bundle: Any, value: object
) -> None:
    way = data.draw(st.sampled_from(places(bundle)))
    raw = json.dumps(replaced(bundle, way, value)).encode("utf-8", "surrogatepass")
    demand_genuine(checked(Attached(data=raw, form=Form.BUNDLE)))
    with suppress(InvalidInputError):
        VERIFIER.check(raw, "x", TRUSTED)


@settings(max_examples=300, deadline=None)
@given(bundle=st.sampled_from(BUNDLES), at=st.integers(0, 6000), junk=st.binary(max_size=3), length=st.integers(0, 3))
def test_a_bundle_with_any_bytes_replaced_is_genuine_refused_or_not_signed(
    bundle: str, at: int, junk: bytes, length: int
) -> None:
    raw = bundle.encode()
    demand_genuine(checked(Attached(data=raw[:at] + junk + raw[at + length :], form=Form.BUNDLE)))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), image=st.sampled_from(IMAGES), at=st.integers(0, 2000), junk=st.text(max_size=3))
def test_annotations_with_any_characters_replaced_are_genuine_refused_or_not_signed(
    data: st.DataObject, image: Any, at: int, junk: str
) -> None:
    name = data.draw(st.sampled_from(sorted(image["annotations"])))
    value = image["annotations"][name]
    beside = {**image["annotations"], name: value[:at] + junk + value[at + 1 :]}
    demand_genuine(checked(Attached(data=image["data"].encode(), form=Form(image["form"]), annotations=beside)))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), image=st.sampled_from(IMAGES), value=ANYTHING)
def test_a_log_entry_with_any_value_replaced_is_genuine_refused_or_not_signed(
    data: st.DataObject, image: Any, value: object
) -> None:
    name = "dev.sigstore.cosign/bundle"
    if name not in image["annotations"]:
        return
    entry = json.loads(image["annotations"][name])
    way = data.draw(st.sampled_from(places(entry)))
    beside = {**image["annotations"], name: json.dumps(replaced(entry, way, value))}
    demand_genuine(checked(Attached(data=image["data"].encode(), form=Form(image["form"]), annotations=beside)))


@pytest.mark.parametrize("index", ["99999999999999999999999", "-1", "1e3", " 1", "1_0"])
def test_odd_numbers_in_a_log_entry_are_refused(index: str) -> None:
    bundle = json.loads((VECTORS / "good.bundle.json").read_bytes())
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = index
    found = checked(Attached(data=json.dumps(bundle).encode(), form=Form.BUNDLE))
    assert found is not None
    assert found.keys == ()
