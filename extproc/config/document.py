"""One YAML file as plain values, with the line of each.

ruamel.yaml only composes the nodes. Scalars are read here by the YAML 1.2 core schema, because a number must not pass
through binary floating point: `0.1` becomes `Decimal("0.1")`. Tags are refused, whatever they would build.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.tokens import ScalarToken, TagToken

from extproc.config.problems import Problem, YamlPath

Value = None | bool | int | Decimal | str | list["Value"] | dict[str, "Value"]

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
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
        refused = list(_refused(text))
        root = _yaml().compose(text)
    except FileNotFoundError:
        document.report((), "there is no such file")
    except OSError as error:
        document.report((), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        document.report((), "this is not UTF-8", error.object.count(b"\n", 0, error.start) + 1)
    except MarkedYAMLError as error:
        words = ", ".join(part for part in (error.context, error.problem) if part)
        document.report((), f"this is not YAML: {words}", error.problem_mark.line + 1 if error.problem_mark else 0)
    except ReaderError as error:
        document.report((), "this is not YAML: a character is not printable", text.count("\n", 0, error.position) + 1)
    else:
        for line, words in refused:
            document.report((), words, line)
        if not refused:
            values = _Walk(document).value(root, ()) if root else None
            document.values = values if isinstance(values, dict) else {}
    return document


def _refused(text: str) -> Iterator[tuple[int, str]]:
    """The line of each thing that is YAML, but not allowed here."""
    for token in _yaml().scan(text):
        if isinstance(token, TagToken):
            yield token.start_mark.line + 1, "YAML tags (!…) are not allowed here"
        elif isinstance(token, ScalarToken) and _SURROGATE.search(token.value):
            yield token.start_mark.line + 1, "half a character (\\ud800 to \\udfff) is no text"


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


class _Walk:
    """Turns nodes into values, and notes on the way where each was written."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[Node] = []

    def value(self, node: Node, path: YamlPath) -> Value:
        self._document.lines.setdefault(path, _line(node))
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if any(node is outer for outer in self._open):
            self._document.report(path, "an anchor cannot hold itself")
            return None
        self._open.append(node)
        inside = self._mapping(node, path) if isinstance(node, MappingNode) else self._sequence(node, path)
        self._open.pop()
        return inside

    def _mapping(self, node: MappingNode, path: YamlPath) -> Value:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, _line(key_node)
            if not isinstance(key, str):
                self._document.report(path, "a key must be plain text", line)
            elif key in values:
                first = self._document.lines[*path, key]
                self._document.report((*path, key), f"this key is already in line {first}", line)
            else:
                self._document.lines[*path, key] = line
                values[key] = self.value(value_node, (*path, key))
        return values

    def _sequence(self, node: Node, path: YamlPath) -> Value:
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _scalar(node: ScalarNode) -> Value:
    text: str = node.value
    if node.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return Decimal(text) if _NUMBER.fullmatch(text) else text
