"""Index and manifest parsing: real shapes pass, tampered vectors are refused for the exact reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.oci import documents
from flywheel_assets.adapters.oci.documents import Index, Manifest, config_platform, parse_manifest
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.oci.images import CONFIG, LAYER, MANIFEST

VECTORS = Path(__file__).parents[2] / "vectors" / "oci"
HEX = "a" * 64


def described(media_type: str = LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{HEX}", "size": 3, **more}


def manifest(**more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": described(CONFIG), "layers": [described()], **more}).encode()


def index(**more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": [described(MANIFEST)], **more}).encode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("good-docker-list.json", Index),
        ("good-docker-manifest.json", Manifest),
        ("good-buildx-index.json", Index),
        ("good-artifact-with-subject.json", Manifest),
        ("good-layer-with-urls-and-data.json", Manifest),
    ],
)
def test_a_real_shape_is_parsed(name: str, kind: type) -> None:
    assert isinstance(parse_manifest((VECTORS / name).read_bytes(), name), kind)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("bad-index-and-manifest.json", "manifests"),
        ("bad-shape-contradicts-media-type.json", "mediaType"),
        ("bad-schema1.json", "schemaVersion"),
        ("bad-unknown-media-type.json", "mediaType"),
        ("bad-negative-size.json", "layers.0.size"),
        ("bad-size-is-text.json", "layers.0.size"),
        ("bad-sha512-digest.json", "config.digest"),
        ("bad-digest-is-a-path.json", "layers.0.digest"),
        ("bad-upper-case-digest.json", "manifests.0.digest"),
        ("bad-child-is-a-layer.json", "manifests.0.mediaType"),
        ("bad-platform-with-dots.json", "$"),
        ("bad-duplicate-layers.json", "layers"),
        ("bad-null-layers.json", "layers"),
    ],
)
def test_a_tampered_document_is_refused(name: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_manifest((VECTORS / name).read_bytes(), name)
    assert caught.value.field.startswith(field)


def test_every_vector_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [path.name for path in VECTORS.iterdir() if path.name not in source] == []


def test_a_media_type_that_contradicts_the_descriptor_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="where its descriptor says"):
        parse_manifest(manifest(mediaType=documents.DOCKER_MANIFEST), "m", media_type=documents.OCI_MANIFEST)


def test_the_descriptor_tells_the_type_of_a_document_without_one() -> None:
    found = parse_manifest(manifest(), "m", media_type=documents.DOCKER_MANIFEST)
    assert found.media_type == documents.DOCKER_MANIFEST


def test_a_large_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(LimitExceededError) as caught:
        parse_manifest(b"x" * 101, "m", Limits(manifest_bytes=100))
    assert caught.value.field == "size"


@pytest.mark.parametrize(
    ("data", "limits", "field"),
    [
        (manifest(layers=[described()] * 3), Limits(layers=2), "layers"),
        (index(manifests=[described(MANIFEST)] * 3), Limits(index_children=2), "manifests"),
        (manifest(layers=[described(size=11)]), Limits(blob_bytes=10), "layers.0.size"),
        (index(manifests=[described(MANIFEST, size=10**6)]), Limits(manifest_bytes=10**5), "manifests.0.size"),
        (manifest(deep=[[[[[[1]]]]]]), Limits(json_depth=5), "nesting"),
    ],
)
def test_what_is_over_a_limit_is_refused(data: bytes, limits: Limits, field: str) -> None:
    with pytest.raises(LimitExceededError) as caught:
        parse_manifest(data, "m", limits)
    assert caught.value.field == field


def test_a_config_without_architecture_has_no_platform() -> None:
    with pytest.raises(InvalidInputError):
        config_platform(b'{"os": "linux"}', "c")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
fields = st.sampled_from(
    ["schemaVersion", "mediaType", "manifests", "layers", "config", "subject", "digest", "size", "platform"]
)
values = json_values | st.just(2) | st.just(documents.OCI_INDEX) | st.just(described()) | st.just([described(MANIFEST)])


def parses_or_is_refused(data: bytes) -> None:
    try:
        parse_manifest(data, "m")
    except InvalidInputError:  # LimitExceededError is one
        return


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_parsed_or_refused(data: bytes) -> None:
    parses_or_is_refused(data)


@given(st.dictionaries(fields, values, max_size=6))
def test_arbitrary_objects_are_parsed_or_refused(value: dict[str, Any]) -> None:
    parses_or_is_refused(json.dumps({"schemaVersion": 2, **value}).encode())
    parses_or_is_refused(manifest(**value))
    parses_or_is_refused(index(manifests=[value]))
    parses_or_is_refused(manifest(layers=[{**described(), **value}], config=value))


@pytest.mark.parametrize("text", ["9" * 5000, "\\ud800", "[" * 10_000])
def test_what_breaks_parsers_is_refused(text: str) -> None:
    parses_or_is_refused(f'{{"schemaVersion": 2, "layers": {text}}}'.encode())
    parses_or_is_refused(f'{{"schemaVersion": 2, "mediaType": "{text}", "{text}": 1}}'.encode())
