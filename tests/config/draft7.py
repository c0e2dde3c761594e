"""As much of JSON Schema's draft 7 as our schemas use; whatever else stands in one is an error."""

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, Any] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}
_NOTES = {"$schema", "title", "description", "default", "definitions", "format"}


def faults(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None, at: str = "") -> Iterator[str]:
    """Where the value is not what the schema says, and by which keyword."""
    root = root or schema
    for keyword, said in schema.items():
        if keyword not in _NOTES:
            found = _check(keyword, said, schema, value, root, at)
            yield from (fault if ": " in fault else f"{at or '.'}: {fault}" for fault in found)


def _check(keyword: str, said: Any, schema: dict[str, Any], value: Any, root: dict[str, Any], at: str) -> Iterator[str]:
    match keyword:
        case "$ref":
            yield from faults(root["definitions"][said.removeprefix("#/definitions/")], value, root, at)
        case "allOf":
            for each in said:
                yield from faults(each, value, root, at)
        case "anyOf":
            if all(any(faults(each, value, root, at)) for each in said):
                yield keyword
        case "properties":
            for name in said.keys() & _mapping(value).keys():
                yield from faults(said[name], value[name], root, f"{at}.{name}")
        case "additionalProperties":
            for name in _mapping(value).keys() - schema.get("properties", {}).keys():
                yield from [keyword] if said is False else faults(said, value[name], root, f"{at}.{name}")
        case "propertyNames":
            for name in _mapping(value):
                yield from faults(said, name, root, f"{at}.{name}")
        case "items":
            for index, each in enumerate(value if isinstance(value, list) else []):
                yield from faults(said, each, root, f"{at}[{index}]")
        case _:
            if not _holds(keyword, said, value):
                yield keyword


def _holds(keyword: str, said: Any, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match keyword:
        case "type":
            return isinstance(value, _TYPES[said]) and (number or said not in ("integer", "number"))
        case "enum":
            return value in said
        case "required":
            return set(said) <= _mapping(value).keys()
        case "pattern":
            return not isinstance(value, str) or re.search(said, value) is not None
        case "minItems" | "minProperties":
            return not isinstance(value, list | dict) or len(value) >= said
        case "minimum":
            return not number or value >= said
        case "maximum":
            return not number or value <= said
        case "exclusiveMinimum":
            return not number or value > said
    raise AssertionError(f"{keyword} is not known here")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
