"""``index.json`` of an image layout: finding and setting names in it. Pure.

Source: OCI image-spec 1.1, image-layout.md. Entries that are not ours are kept as they are, whatever they hold.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from flywheel_assets.adapters.oci.documents import OCI_INDEX, ChildDescriptor
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.statements import invalid
from flywheel_assets.domain.untrusted import JsonObject, parse_json

REF_NAME = "org.opencontainers.image.ref.name"
EMPTY: JsonObject = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
LAYOUT_VERSION = "1.0.0"
_REMEDY = "Repair index.json, or publish into a new folder."


def parse_layout_index(data: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> JsonObject:
    """The object in ``index.json``; its ``manifests`` are objects, and nothing else is sure yet."""
    index = parse_json(data, document, max_bytes=limits.manifest_bytes, limits=limits)
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInputError(document, "manifests", "is not a list of descriptors", _REMEDY)
    return index


def layout_index_bytes(index: JsonObject) -> bytes:
    """As written to disk."""
    return json.dumps(index, ensure_ascii=False, indent=1).encode()


def named(index: JsonObject, name: str, document: str) -> ChildDescriptor | None:
    """The descriptor that carries ``name``, or None. InvalidInputError when two contents carry it."""
    entries = [entry for entry in index["manifests"] if _name_of(entry) == name]
    try:
        found = [ChildDescriptor.model_validate(entry) for entry in entries]
    except ValidationError as error:
        raise invalid(error, document, _REMEDY) from error
    if len({str(descriptor.digest) for descriptor in found}) > 1:
        raise InvalidInputError(document, REF_NAME, f"{name!r} names more than one manifest", _REMEDY)
    return found[0] if found else None


def names_of(index: JsonObject, digest: Sha256) -> tuple[str, ...]:
    """The names of a manifest."""
    names = (_name_of(entry) for entry in index["manifests"] if entry.get("digest") == str(digest))
    return tuple(dict.fromkeys(name for name in names if name))


def with_names(index: JsonObject, wanted: Mapping[str, Mapping[str, Any]], *, keep_replaced: bool) -> JsonObject:
    """``index`` with each name at its descriptor; all other entries are kept.

    With ``keep_replaced``, what a name leaves behind stays listed without that name, so that no clean-up
    removes what is still pulled by digest.
    """
    kept: list[JsonObject] = []
    for entry in index["manifests"]:
        if _name_of(entry) not in wanted:
            kept.append(entry)
        elif keep_replaced and not any(
            item.get("digest") == entry.get("digest") for item in index["manifests"] if _name_of(item) not in wanted
        ):
            kept.append(_without_name(entry))
    added = [{**descriptor, "annotations": {REF_NAME: name}} for name, descriptor in wanted.items()]
    return {**index, "manifests": [*kept, *added]}


def without_name(index: JsonObject, name: str) -> JsonObject:
    """``index`` in which nothing carries ``name``; what carried it stays listed."""
    entries = [_without_name(entry) if _name_of(entry) == name else entry for entry in index["manifests"]]
    return {**index, "manifests": [entry for n, entry in enumerate(entries) if entry not in entries[:n]]}


def _name_of(entry: Mapping[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None


def _without_name(entry: Mapping[str, Any]) -> dict[str, Any]:
    annotations = {key: value for key, value in entry["annotations"].items() if key != REF_NAME}
    rest = {key: value for key, value in entry.items() if key != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest
