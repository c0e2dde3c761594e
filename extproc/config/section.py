"""One file of the configuration, checked entry by entry: each good one becomes a spec, each fault a problem."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Generic, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from extproc.config.document import Value, read_document
from extproc.config.problems import YamlPath, there_is_no
from extproc.config.schema import EntrySpec, Spec

S = TypeVar("S", bound=EntrySpec)

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
    """A file with one key, `<kind>s`, and under it the entries by name."""

    def __init__(self, file: Path, spec: type[S]) -> None:
        self.key = f"{spec.kind}s"
        self.document = read_document(file)
        self.specs: dict[str, S] = {}
        self._spec = spec
        self._entries = self._read_entries()

    @property
    def names(self) -> Collection[str] | None:
        """Every name in the file, whether its entry is good or not; None when there is no telling."""
        return None if self._entries is None else self._entries.keys()

    def check(self, scope: object) -> None:
        """Check each entry by itself, with what it refers to: the specs know what a `scope` is."""
        for name, value in (self._entries or {}).items():
            if not self._spec.names.fullmatch(name):
                self.report((name,), f"is no name for {_a(self._spec.kind)} ({self._spec.naming})")
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
    found: object = spec
    for part in path[:-1]:
        found = _inside(found, part)
    return found.model_fields.keys() if _is_spec(found) else ()


def _inside(annotation: object, part: str | int) -> object:
    """What a spec, a list or a mapping has at this place, where that is a spec, a list or a mapping again."""
    if _is_spec(annotation):
        return _plain(annotation.model_fields[str(part)].annotation)
    return _plain(get_args(annotation)[-1])


def _plain(annotation: object) -> object:
    """A type that may be left out, without the None."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] if _is_union(annotation) else [annotation]
    return kinds[0]


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _is_spec(annotation: object) -> TypeGuard[type[Spec]]:
    return isinstance(annotation, type) and issubclass(annotation, Spec)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
