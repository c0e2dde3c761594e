"""One file of the configuration, checked entry by entry: each good one becomes a spec, each fault a problem."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from extproc.config.document import Value, read_document
from extproc.config.problems import YamlPath, there_is_no
from extproc.config.schema import (
    EntrySpec,
    MemberSpec,
    PriceChangeSpec,
    PriceSpec,
    Scope,
    Spec,
    TierSpec,
    UnitPriceSpec,
)

S = TypeVar("S", bound=EntrySpec)

_NESTED: dict[str | int, type[Spec]] = {
    "channels": MemberSpec,
    "per_image": UnitPriceSpec,
    "per_second": UnitPriceSpec,
    "price": PriceSpec,
    "price_changes": PriceChangeSpec,
    "tiers": TierSpec,
}

_WORDS = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping (name: value)",
    "greater_than_equal": "must be {ge} or more",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_type": "must be a mapping (name: value)",
    "string_type": "must be text",
    "too_short": "must not be empty",
    "value_error": "{error}",
}
"""pydantic's error types in our words: all that the specs can raise."""


class Section(Generic[S]):
    """The file `<kind>s.yaml`: one key of that name, and under it the entries by name."""

    def __init__(self, folder: Path, spec: type[S]) -> None:
        self.key = f"{spec.kind}s"
        self.document = read_document(folder / f"{self.key}.yaml")
        self.specs: dict[str, S] = {}
        self._spec = spec
        self._entries = self._read_entries()

    @property
    def names(self) -> Collection[str] | None:
        """Every name in the file, whether its entry is good or not; None when there is no telling."""
        return None if self._entries is None else self._entries.keys()

    def check(self, scope: Scope) -> None:
        """Check each entry by itself, with what it refers to."""
        for name, value in (self._entries or {}).items():
            if not self._spec.names.fullmatch(name):
                self.report((name,), f"is no name for a {self._spec.kind} ({self._spec.naming})")
            try:
                self.specs[name] = self._spec.model_validate(value, context=scope)
            except ValidationError as error:
                for detail in error.errors(include_url=False, include_input=False):
                    self._explain(name, detail)

    def report(self, path: YamlPath, text: str) -> None:
        """Add a problem with an entry, or with something in it; without a path, with all of them."""
        self.document.report((self.key, *path), text)

    def _read_entries(self) -> Mapping[str, Value] | None:
        if self.document.values is None:
            return None
        for name in self.document.values:
            if name != self.key:
                self.document.report((name,), _unknown_key(name, [self.key]))
        entries = self.document.values.get(self.key)
        if isinstance(entries, dict) and entries:
            return entries
        self.report((), f"is missing or empty: each {self._spec.kind} stands in it, under its name")
        return None

    def _explain(self, name: str, detail: ErrorDetails) -> None:
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == "extra_forbidden":
            text = _unknown_key(str(path[-1]), _keys_around(self._spec, path))
        else:
            text = _WORDS[detail["type"]].format_map(detail.get("ctx", {}))
        self.report((name, *path), text)


def _unknown_key(name: str, known: Collection[str]) -> str:
    return f"{there_is_no('key', name, known)}; known here: {', '.join(known)}"


def _keys_around(spec: type[Spec], path: YamlPath) -> Collection[str]:
    """The keys that the mapping around `path` may have."""
    for part in path[:-1]:
        spec = _NESTED.get(part, spec)
    return spec.model_fields.keys()
