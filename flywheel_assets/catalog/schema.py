"""The JSON Schema of a catalogue file, for editors: completion, hover texts and errors while typing."""

from typing import Any

from flywheel_assets.catalog.models import Catalogue


def catalogue_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. What is required is so for base and overlays together, so editors are not told."""
    schema = Catalogue.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "flywheel_assets catalogue"
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("required", None)  # an overlay holds only what it changes
    key = schema["$defs"]["TrustedKey"]["properties"]
    key["public_key_file"] = {
        "type": "string",
        "description": "Instead of public_key: a PEM file beside the catalogue, by its relative name.",
    }
    schema["properties"]["trust_root_file"] = {
        "type": "string",
        "description": "Instead of trust_root: a trusted root (JSON) beside the catalogue, by its relative name.",
    }
    return schema
