"""The directions in which modules may import one another, and the other rules of the layout.

    app, cli → wire → dialects → core → errors, names        store, config, compiler → core, errors, names

Each rule is a function of a source tree, so that it can be seen to fail on a tree that breaks it.
"""

import ast
import gc
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

REPOSITORY = Path(__file__).parents[1]

MAY_IMPORT = {
    "core": {"core", "errors", "names"},
    "dialects": {"dialects", "core", "errors", "names"},
    "wire": {"wire", "dialects", "core", "errors", "names", "metrics"},
    "store": {"store", "core", "errors", "names", "metrics"},
    "index": {"index", "store", "core", "errors", "names"},
    "admin": {"admin", "index", "store", "core", "errors", "names", "metrics"},
    "config": {"config", "core", "errors", "names"},
    "compiler": {"compiler", "core", "errors", "names", "binaries"},
    "binaries": {"errors"},
    "clock": set(),
    "metrics": set(),
    "simulator": {"simulator"},
    "errors": set(),
    "names": set(),
}
FREE = {
    *("app", "cli", "demo", "drain", "envoy_admin", "monitor", "others", "reload", "settings", "snapshot", "status"),
    *("supervisor", "up", "parent_metrics", "__main__", "admin_app", "process"),
}
LEAF = {"errors", "names"}
"""What any other module may import: one that puts parts together belongs to `FREE`."""

LIBRARIES = {"core": set(sys.stdlib_module_names), "dialects": {*sys.stdlib_module_names, "msgspec"}}
"""What these layers may import besides extproc; the others choose for themselves."""

READS_PROTOBUF = {
    "wire/codec.py",
    "wire/service.py",
    "wire/replies.py",
    "wire/admit.py",
    "wire/health.py",
    "wire/task.py",
}
FIELDS_ELSEWHERE = {
    # which filter asks; a batch
    "wire/service.py": {"request_headers", "response_headers", "response_trailers", "http_logs", "log_entry"},
    "wire/admit.py": {"request_body", "body"},
}
"""The fields that are named outside of the codec, to tell messages apart and to unpack them."""

MADE_ELSEWHERE = {"StreamAccessLogsResponse", "HealthCheckRequest", "HealthCheckResponse"}
"""The messages that are made outside of the codec: answers without content."""


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Each module of a tree's package, with its path below it; generated code is left out."""
    package = root / "extproc"
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(("wire/pb/", "admin/pb/")):
            yield name, parsed(path.read_text())


@cache
def parsed(text: str) -> ast.Module:
    """A module, parsed while no garbage is collected: CPython 3.11 loses count otherwise (python/cpython#106905)."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


def layer_of(name: str) -> str:
    """`core/money.py` → `core`, `app.py` → `app`."""
    return name.partition("/")[0].removesuffix(".py")


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Everything a module imports, wherever in it, in full: `extproc.core.money.parse_usd`."""
    package = ["extproc", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def wrong_directions(root: Path) -> Iterator[str]:
    """Imports from a layer that the importing one must not know."""
    for name, tree in modules(root):
        layer = layer_of(name)
        if layer in FREE:
            continue
        for imported in imports(name, tree):
            top, _, rest = imported.partition(".")
            allowed = MAY_IMPORT.get(layer, LEAF)
            if top == "extproc" and rest.partition(".")[0] not in allowed and name != "__init__.py":
                yield f"{name} imports {imported}"


def foreign_libraries(root: Path) -> Iterator[str]:
    """Imports of packages that a layer does without."""
    for name, tree in modules(root):
        known = LIBRARIES.get(layer_of(name))
        for imported in imports(name, tree):
            top = imported.partition(".")[0]
            if known is not None and top != "extproc" and top not in known:
                yield f"{name} imports {imported}"


def protobuf_outside_wire(root: Path) -> Iterator[str]:
    """Imports of generated code by a module that has no business with Envoy's messages."""
    for name, tree in modules(root):
        for imported in imports(name, tree):
            if f"{imported}.".startswith("extproc.wire.pb.") and name not in READS_PROTOBUF:
                yield f"{name} imports {imported}"


def fields_outside_the_codec(root: Path) -> Iterator[str]:
    """Names of protobuf fields in the modules that only hand messages on, and messages they make themselves.

    A name that one of our own classes has too is not counted: an `Ask` has a `model` as a `TokenUsage` has one.
    """
    ours = set(own_members(root))
    for name, tree in modules(root):
        if name in READS_PROTOBUF - {"wire/codec.py"}:
            theirs = set(protobuf_fields()) - ours - FIELDS_ELSEWHERE.get(name, set())
            yield from (f"{name} names the field {field}" for field in named_in(tree) if field in theirs)
            messages = {one.rpartition(".")[2] for one in imports(name, tree) if one.startswith("extproc.wire.pb.")}
            made = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
            yield from (f"{name} makes a {one}" for one in made if one in messages - MADE_ELSEWHERE)


def named_in(tree: ast.Module) -> Iterator[str]:
    """Every attribute that a module reads, and every name it asks `HasField` about."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".HasField"):
            yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))


def protobuf_fields() -> Iterator[str]:
    """The name of every field of every message in the generated code."""
    for path in (REPOSITORY / "extproc/wire/pb").glob("*_pb2.py"):
        file = import_module(f"extproc.wire.pb.{path.stem}").DESCRIPTOR
        yield from _fields(file.message_types_by_name.values())


def _fields(messages: "list[Descriptor]") -> Iterator[str]:
    for message in messages:
        yield from message.fields_by_name
        yield from _fields(list(message.nested_types))


def own_members(root: Path) -> Iterator[str]:
    """The name of every field and method of our own classes."""
    for _, tree in modules(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield from (one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
                yield from (ast.unparse(one.target) for one in node.body if isinstance(one, ast.AnnAssign))


def shadows(root: Path) -> Iterator[str]:
    """Python files in folders that have none: a package `envoy` here would hide the one of the Envoy wheel."""
    for folder in ("config", "envoy", "proto"):
        yield from (f"{path.relative_to(root)} is Python" for path in sorted((root / folder).rglob("*.py")))


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(root: Path) -> Iterator[str]:
    """Public classes, functions and methods without a docstring; the simulator is only a demo and a test's tool."""
    for name, tree in modules(root):
        if layer_of(name) != "simulator":
            yield from (f"{name}: {one.name} has no docstring" for one in public(tree) if not ast.get_docstring(one))


def public(scope: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """What a module or class shows to others."""
    for node in scope.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def unexplained_tests(root: Path) -> Iterator[str]:
    """Tests that do not say which fact they prove."""
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Definition) and node.name.startswith("test_") and not ast.get_docstring(node):
                yield f"{path.relative_to(root)}: {node.name} has no docstring"


Rule = Callable[[Path], Iterator[str]]


@pytest.mark.parametrize(
    "rule",
    [
        wrong_directions,
        foreign_libraries,
        protobuf_outside_wire,
        fields_outside_the_codec,
        shadows,
        undocumented,
        unexplained_tests,
    ],
)
def test_the_repository_keeps_the_rule(rule: Rule) -> None:
    """Nothing in this repository breaks it."""
    assert "\n".join(rule(REPOSITORY)) == ""


def test_every_layer_of_the_layout_is_there() -> None:
    """No rule speaks of a module that has been renamed or removed."""
    there = {layer_of(name) for name, _ in modules(REPOSITORY)}
    assert (MAY_IMPORT.keys() | FREE) <= there
    assert {name for name, _ in modules(REPOSITORY)} >= READS_PROTOBUF


BROKEN: list[tuple[Rule, str, str, str]] = [
    (wrong_directions, "extproc/core/x.py", "from extproc.wire import codec", "core/x.py imports extproc.wire.codec"),
    (wrong_directions, "extproc/core/x.py", "import extproc.store.keys", "core/x.py imports extproc.store.keys"),
    (wrong_directions, "extproc/core/x.py", "from extproc import settings", "core/x.py imports extproc.settings"),
    (wrong_directions, "extproc/core/x.py", "from ..wire import y", "core/x.py imports extproc.wire.y"),
    (wrong_directions, "extproc/core/x.py", "def f():\n    import extproc.cli", "core/x.py imports extproc.cli"),
    (wrong_directions, "extproc/dialects/x.py", "from extproc.wire import y", "dialects/x.py imports extproc.wire.y"),
    (wrong_directions, "extproc/wire/x.py", "from extproc.store import y", "wire/x.py imports extproc.store.y"),
    (wrong_directions, "extproc/wire/x.py", "from extproc.config import y", "wire/x.py imports extproc.config.y"),
    (wrong_directions, "extproc/store/x.py", "from extproc.wire import y", "store/x.py imports extproc.wire.y"),
    (wrong_directions, "extproc/store/x.py", "from extproc.dialects import y", "store/x.py imports extproc.dialects.y"),
    (
        wrong_directions,
        "extproc/config/x.py",
        "from extproc.compiler import y",
        "config/x.py imports extproc.compiler.y",
    ),
    (
        wrong_directions,
        "extproc/compiler/x.py",
        "from extproc.config import y",
        "compiler/x.py imports extproc.config.y",
    ),
    (wrong_directions, "extproc/compiler/x.py", "from extproc.app import y", "compiler/x.py imports extproc.app.y"),
    (wrong_directions, "extproc/simulator/x.py", "from extproc import names", "simulator/x.py imports extproc.names"),
    (wrong_directions, "extproc/errors.py", "from extproc import names", "errors.py imports extproc.names"),
    (wrong_directions, "extproc/names.py", "from extproc import errors", "names.py imports extproc.errors"),
    (wrong_directions, "extproc/new.py", "from extproc.store import y", "new.py imports extproc.store.y"),
    (foreign_libraries, "extproc/core/x.py", "import redis", "core/x.py imports redis"),
    (foreign_libraries, "extproc/core/x.py", "from msgspec import json", "core/x.py imports msgspec.json"),
    (foreign_libraries, "extproc/dialects/x.py", "import structlog", "dialects/x.py imports structlog"),
    (
        protobuf_outside_wire,
        "extproc/app.py",
        "from extproc.wire.pb.core_pb2 import Metadata",
        "app.py imports extproc.wire.pb.core_pb2.Metadata",
    ),
    (
        protobuf_outside_wire,
        "extproc/wire/reports.py",
        "from .pb import z",
        "wire/reports.py imports extproc.wire.pb.z",
    ),
    (protobuf_outside_wire, "extproc/wire/x.py", "from . import pb", "wire/x.py imports extproc.wire.pb"),
    (
        fields_outside_the_codec,
        "extproc/wire/admit.py",
        "x.metadata_context",
        "wire/admit.py names the field metadata_context",
    ),
    (
        fields_outside_the_codec,
        "extproc/wire/service.py",
        "x.HasField('request_trailers')",
        "wire/service.py names the field request_trailers",
    ),
    (
        fields_outside_the_codec,
        "extproc/wire/replies.py",
        "from extproc.wire.pb.ext_proc_pb2 import ImmediateResponse\nImmediateResponse()",
        "wire/replies.py makes a ImmediateResponse",
    ),
    (shadows, "envoy/__init__.py", "", "envoy/__init__.py is Python"),
    (shadows, "proto/deep/x.py", "", "proto/deep/x.py is Python"),
    (shadows, "config/x.py", "", "config/x.py is Python"),
    (undocumented, "extproc/core/x.py", "def f(): ...", "core/x.py: f has no docstring"),
    (undocumented, "extproc/core/x.py", "async def f(): ...", "core/x.py: f has no docstring"),
    (undocumented, "extproc/app.py", "class C: ...", "app.py: C has no docstring"),
    (undocumented, "extproc/cli/x.py", "class C:\n    'C.'\n    def f(self): ...", "cli/x.py: f has no docstring"),
    (unexplained_tests, "tests/core/test_x.py", "def test_x(): ...", "tests/core/test_x.py: test_x has no docstring"),
    (
        unexplained_tests,
        "tests/test_x.py",
        "class T:\n  def test_x(self): ...",
        "tests/test_x.py: test_x has no docstring",
    ),
]


@pytest.mark.parametrize(("rule", "path", "source", "complaint"), BROKEN)
def test_a_broken_rule_is_noticed(tmp_path: Path, rule: Rule, path: str, source: str, complaint: str) -> None:
    """A tree with one file that breaks one rule makes that rule complain of just that."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert list(rule(tmp_path)) == [complaint]


KEPT = [
    ("extproc/core/x.py", "import json\nfrom extproc import errors, names\nfrom extproc.core.money import f"),
    ("extproc/dialects/x.py", "import msgspec\nfrom extproc.core import y"),
    ("extproc/wire/codec.py", "from extproc.wire.pb.core_pb2 import Metadata\nMetadata().filter_metadata"),
    ("extproc/wire/admit.py", "from extproc.dialects import y\ny.request_body.body"),
    ("extproc/app.py", "from extproc.wire import y\nfrom extproc.store import z\ndef _f(): ..."),
    ("extproc/cli/x.py", "def f():\n    'F.'\n    def g(): ..."),
    ("extproc/leaf.py", "from extproc.errors import ConfigError\nimport redis"),
    ("extproc/wire/pb/x_pb2.py", "import extproc.store\nclass C: ..."),
    ("extproc/simulator/x.py", "from extproc.simulator import y\nimport httptools\nclass C: ..."),
    ("tests/core/x.py", "def test_x(): ..."),
]


@pytest.mark.parametrize(("path", "source"), KEPT)
def test_a_rule_that_is_kept_is_no_complaint(tmp_path: Path, path: str, source: str) -> None:
    """What each layer may do, no rule complains of."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    rules = {rule for rule, *_ in BROKEN}
    assert [complaint for rule in rules for complaint in rule(tmp_path)] == []
