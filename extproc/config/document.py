"""One YAML file as plain values, with the line of each.

PyYAML only tells the events, by libyaml. Scalars are read here by the YAML 1.2 core schema, because a number must not
pass through binary floating point: `0.1` becomes `Decimal("0.1")`. Tags are refused, whatever they would build.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import cast

import yaml
from yaml import events
from yaml.reader import ReaderError

from extproc.config.problems import Problem, YamlPath

Value = None | bool | int | Decimal | str | list["Value"] | dict[str, "Value"]

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_QUOTES = ("'", '"', "|", ">")
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,9})?")


@dataclass
class Document:
    """A file, the mapping it holds (empty when it holds none, None when it cannot be read), and what is wrong."""

    file: Path
    values: dict[str, Value] | None = None
    lines: dict[YamlPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: YamlPath, text: str, line: int | None = None) -> None:
        """Add a problem, in the line given, else in that of this path or of what is nearest above it."""
        self.problems.append(Problem(str(self.file), self._line(path) if line is None else line, path, text))

    def _line(self, path: YamlPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read_document(file: Path) -> Document:
    """The file's values; whatever is wrong with it as YAML is among its problems."""
    document = Document(file)
    try:
        text = file.read_text(encoding="utf-8")
        composer = _Composer(text)
        root = composer.root()
    except FileNotFoundError:
        document.report((), "there is no such file")
    except OSError as error:
        document.report((), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        document.report((), "this is not UTF-8", error.object.count(b"\n", 0, error.start) + 1)
    except yaml.MarkedYAMLError as error:
        words = ", ".join(part for part in (error.context, error.problem) if part)
        document.report((), f"this is not YAML: {words}", error.problem_mark.line + 1 if error.problem_mark else 0)
    except ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        document.report((), "this is not YAML: a character is not printable", line)
    else:
        for line in composer.tags:
            document.report((), "YAML tags (!…) are not allowed here", line)
        if not composer.tags:
            values = _Walk(document).value(root, ()) if root else None
            document.values = values if isinstance(values, dict) else {}
    return document


@dataclass(eq=False, slots=True)
class _Node:
    """A scalar (`text`, and whether it is `quoted`), a sequence of `items`, or a mapping of `pairs`."""

    line: int
    text: str | None = None
    quoted: bool = False
    items: "list[_Node] | None" = None
    pairs: "list[tuple[_Node, _Node]] | None" = None


class _Composer:
    """The nodes of one document, and the lines of its `tags`. An anchor's node is the same wherever it is used."""

    def __init__(self, text: str) -> None:
        self.tags: list[int] = []
        self._events: Iterator[events.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, _Node] = {}

    def root(self) -> _Node | None:
        """The document's node, None when there is none. Raises PyYAML's errors."""
        root = None
        for event in self._events:
            if isinstance(event, events.DocumentStartEvent):
                if root is not None:
                    raise _error("a second document", event)
                root = self._node(next(self._events))
        return root

    def _node(self, event: events.Event) -> _Node:
        line = _line(event)
        if isinstance(event, events.AliasEvent):
            if event.anchor not in self._anchors:
                raise _error(f"there is no anchor {event.anchor!r}", event)
            return self._anchors[event.anchor]
        assert isinstance(event, events.ScalarEvent | events.CollectionStartEvent)
        node = _Node(line)
        if event.tag is not None:
            self.tags.append(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(event, events.ScalarEvent):
            node.text, node.quoted = event.value, event.style in _QUOTES
        elif isinstance(event, events.MappingStartEvent):
            node.pairs = [(key, self._node(next(self._events))) for key in self._nodes(events.MappingEndEvent)]
        else:
            node.items = list(self._nodes(events.SequenceEndEvent))
        return node

    def _nodes(self, end: type[events.Event]) -> Iterator[_Node]:
        while not isinstance(event := next(self._events), end):
            yield self._node(event)


def _line(event: events.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _error(problem: str, event: events.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast("yaml.Mark", event.start_mark))


class _Walk:
    """Turns nodes into values, and notes on the way where each was written."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[_Node] = []

    def value(self, node: _Node, path: YamlPath) -> Value:
        self._document.lines.setdefault(path, node.line)
        if node.text is not None:
            return node.text if node.quoted else _plain(node.text)
        if node in self._open:
            self._document.report(path, "an anchor cannot hold itself")
            return None
        self._open.append(node)
        inside = self._mapping(node.pairs or [], path) if node.items is None else self._sequence(node.items, path)
        self._open.pop()
        return inside

    def _mapping(self, pairs: list[tuple[_Node, _Node]], path: YamlPath) -> Value:
        values: dict[str, Value] = {}
        for key_node, value_node in pairs:
            key, line = key_node.text, key_node.line
            if key is None:
                self._document.report(path, "a key must be plain text", line)
            elif key in values:
                first = self._document.lines[*path, key]
                self._document.report((*path, key), f"this key is already in line {first}", line)
            else:
                self._document.lines[*path, key] = line
                values[key] = self.value(value_node, (*path, key))
        return values

    def _sequence(self, items: list[_Node], path: YamlPath) -> Value:
        return [self.value(item, (*path, index)) for index, item in enumerate(items)]


def _plain(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return Decimal(text) if _NUMBER.fullmatch(text) else text
