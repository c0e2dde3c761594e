"""JSON Schema of each file, for editors: they complete and check the YAML while it is written.

What only all files together can tell, such as a name that nothing has, `tollgate check` finds.
"""

from typing import Any

from extproc.config.schema import ChannelSpec, EntrySpec, GroupSpec, ModelSpec, OwnerTierSpec

SPECS: dict[str, type[EntrySpec]] = {
    f"{spec.kind}s": spec for spec in (ChannelSpec, GroupSpec, ModelSpec, OwnerTierSpec)
}
"""What stands in each file, by the one key at its top."""

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest that the YAML language server understands in full."""


def json_schema(key: str) -> dict[str, Any]:
    """The schema of the file `<key>.yaml`."""
    spec = SPECS[key]
    entry = spec.model_json_schema(ref_template="#/definitions/{model}")
    definitions = entry.pop("$defs", {})
    entries = {
        "description": f"Each {spec.kind}, under its name: {spec.naming}.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^(?:{spec.names.pattern})$"},
        "additionalProperties": {"$ref": f"#/definitions/{spec.__name__}"},
    }
    schema = {
        "$schema": _DRAFT,
        "title": f"{key}.yaml of Tollgate",
        "type": "object",
        "properties": {key: entries},
        "required": [key],
        "additionalProperties": False,
        "definitions": {spec.__name__: entry, **definitions},
    }
    plain: dict[str, Any] = _as_written(schema)
    return plain


def _as_written(part: Any) -> Any:
    """Without titles that only repeat a name, and without the null of what may be left out."""
    if isinstance(part, list):
        return [_as_written(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {name: _as_written(value) for name, value in part.items() if name != "title" or "$schema" in part}
    if "properties" in found:
        found["properties"] = {name: _property(value) for name, value in found["properties"].items()}
    return found


def _property(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("default", ...) is None:
        del part["default"]
        (kept,) = [each for each in part.pop("anyOf", [{}]) if each != {"type": "null"}]
        part |= kept
    if "$ref" in part:  # draft 7 reads nothing that stands beside a reference
        part["allOf"] = [{"$ref": part.pop("$ref")}]
    return part
