"""Reads the descriptors that an Envoy binary was built with, in a form that can be compared with ours.

A contract maps the full name of each message, enum and service to what the wire depends on:
the name of each field, enum value or method, and its shape as text.
"""

import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)

Contract = dict[str, dict[str, str]]

ENVOY_FILES = (
    "envoy/config/core/v3/base.proto",
    "envoy/data/accesslog/v3/accesslog.proto",
    "envoy/data/ai/v3/token_usage.proto",
    "envoy/extensions/router/cluster_specifiers/priority_group/v3/priority_group.proto",
    "envoy/service/accesslog/v3/als.proto",
    "envoy/service/ext_proc/v3/external_processor.proto",
    "envoy/type/ai/v3/llm_protocol.proto",
    "envoy/type/v3/http_status.proto",
    "src/proto/grpc/health/v1/health.proto",
)

NAME_TAG = b"\n"
SYNTAX = b"b\x06proto3"  # the last field of a serialized proto3 file


def embedded_files(binary: Path) -> list[FileDescriptorProto]:
    """The descriptors of `ENVOY_FILES`, out of the binary. Raises `LookupError` for one it does not carry."""
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return [_embedded_file(image, name) for name in ENVOY_FILES]


def _embedded_file(image: mmap.mmap, name: str) -> FileDescriptorProto:
    """The file called `name`: its serialized form starts with its name and ends with its syntax."""
    start = image.find(NAME_TAG + bytes([len(name)]) + name.encode())
    end = image.find(SYNTAX, start)
    if start < 0 or end < 0:
        raise LookupError(f"this Envoy carries no descriptor of {name}")
    return FileDescriptorProto.FromString(image[start : end + len(SYNTAX)])


def contract(*files: FileDescriptorProto) -> Contract:
    """What these .proto files lay down, map entries included."""
    found: Contract = {}
    for file in files:
        found |= _enums(file.package, file.enum_type)
        for name, message in _messages(file.package, file.message_type):
            found[name] = {field.name: _field_shape(field, message) for field in message.field}
            found |= _enums(name, message.enum_type)
        for service in file.service:
            shapes = {method.name: _method_shape(method) for method in service.method}
            found[f"{file.package}.{service.name}"] = shapes
    return found


def differences(ours: Mapping[str, str], envoys: Mapping[str, str]) -> list[str]:
    """One line for each of our fields, values or methods that Envoy does not have in the same shape."""
    return [
        f"{name}: ours is {shape}, Envoy's is {envoys.get(name, 'absent')}"
        for name, shape in ours.items()
        if envoys.get(name) != shape
    ]


def _messages(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        name = f"{scope}.{message.name}"
        yield name, message
        yield from _messages(name, message.nested_type)


def _enums(scope: str, enums: Iterable[EnumDescriptorProto]) -> Contract:
    return {f"{scope}.{enum.name}": {value.name: str(value.number) for value in enum.value} for enum in enums}


def _field_shape(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    """Such as `4 optional message .envoy.service.ext_proc.v3.HttpBody in oneof request`."""
    label = field.Label.Name(field.label).removeprefix("LABEL_").lower()
    kind = field.Type.Name(field.type).removeprefix("TYPE_").lower()
    oneof = f"in oneof {message.oneof_decl[field.oneof_index].name}" if field.HasField("oneof_index") else ""
    return " ".join(filter(None, [str(field.number), label, kind, field.type_name, oneof]))


def _method_shape(method: MethodDescriptorProto) -> str:
    """Such as `stream .a.Request -> .a.Response`."""
    asks = "stream " * method.client_streaming + method.input_type
    answers = "stream " * method.server_streaming + method.output_type
    return f"{asks} -> {answers}"
