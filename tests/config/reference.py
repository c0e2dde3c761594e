"""The tables of `docs/config.md`, made from the schema."""

import re
from collections.abc import Iterator
from typing import Any

from extproc.config.json_schema import SPECS, json_schema
from extproc.config.schema import (
    ChannelSpec,
    GroupSpec,
    MemberSpec,
    ModelSpec,
    OwnerTierSpec,
    PriceChangeSpec,
    PriceSpec,
    RatesSpec,
    Spec,
    TierSpec,
    UnitPriceSpec,
)

TABLES: dict[str, tuple[str, type[Spec]]] = {
    "channel": ("channels", ChannelSpec),
    "model": ("models", ModelSpec),
    "rates": ("models", RatesSpec),
    "price": ("models", PriceSpec),
    "unit price": ("models", UnitPriceSpec),
    "tier": ("models", TierSpec),
    "price change": ("models", PriceChangeSpec),
    "group": ("groups", GroupSpec),
    "member": ("groups", MemberSpec),
    "owner tier": ("tiers", OwnerTierSpec),
}
"""What stands between `<!-- table: name -->` and the next `<!-- end -->`: the file, and the spec that has the keys."""

_PLACE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """The text with each table made anew; KeyError for one that is not known."""
    return _PLACE.sub(lambda place: f"{place[1]}{_table(*TABLES[place[2]])}{place[3]}", text)


def tables_in(text: str) -> list[str]:
    """The tables that the text has places for."""
    return [place[2] for place in _PLACE.finditer(text)]


def _table(file: str, spec: type[Spec]) -> str:
    definitions = json_schema(file)["definitions"]
    name = spec.__name__ if spec.__name__ in definitions else PriceSpec.__name__
    keys = definitions[name]
    rows = ["| key | takes | default | |", "|---|---|---|---|"]
    rows += [_row(key, keys, definitions) for key in spec.__annotations__ if key in keys["properties"]]
    return "\n".join(rows) + "\n"


def _row(key: str, keys: dict[str, Any], definitions: dict[str, Any]) -> str:
    part = keys["properties"][key]
    meaning, _, default = part["description"].partition(" Default: ")
    if "default" in part and part["default"] not in ([], None):
        default = f"`{part['default']}`".lower()
    default = "**required**" if key in keys.get("required", []) else default.removesuffix(".") or "none"
    return f"| `{key}` | {', '.join(_takes(part, definitions))} | {default} | {meaning} |"


def _takes(part: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """What may be written there, in words."""
    if "allOf" in part or "$ref" in part:
        reference = part.get("$ref") or part["allOf"][0]["$ref"]
        target = definitions[reference.removeprefix("#/definitions/")]
        yield " or ".join(f"`{each}`" for each in target["enum"]) if "enum" in target else "a mapping"
    elif part["type"] == "array":
        yield f"a list of {_PLURAL[part['items'].get('type', 'object')]}"
    elif part["type"] in ("integer", "number"):
        yield "a whole number" if part["type"] == "integer" else "a number"
        yield from _bounds(part)
    else:
        yield "a day" if part.get("format") == "date" else _SINGULAR[part["type"]]


_SINGULAR = {"boolean": "`true` or `false`", "object": "a mapping", "string": "text"}
_PLURAL = {"object": "mappings", "string": "names"}


def _bounds(part: dict[str, Any]) -> Iterator[str]:
    if "exclusiveMinimum" in part:
        yield f"above {part['exclusiveMinimum']}"
    if "maximum" in part and "minimum" in part:
        yield f"{part['minimum']:,} to {part['maximum']:,}"
    elif "minimum" in part:
        yield f"{part['minimum']:,} or more"
    elif "maximum" in part:
        yield f"at most {part['maximum']:,}"


def undescribed() -> list[str]:
    """The keys that say nothing of themselves."""
    return [
        f"{file}: {name}.{key}"
        for file in SPECS
        for name, definition in json_schema(file)["definitions"].items()
        for key, part in definition.get("properties", {}).items()
        if not part.get("description")
    ]
