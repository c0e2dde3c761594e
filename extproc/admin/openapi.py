"""The OpenAPI document of the admin API, made from its contract: as Envoy's transcoder shows it to callers.

in the contract               in the document
────────────────────────────────────────────────────────────────────────────────────────────────────────────
`{owner}` in a path           a parameter of the path
no body                       the other fields are parameters of the query, those in a message as `filter.owner`
`body: "*"`                   the other fields are the JSON body
int64                         a string, as in the JSON form of protobuf
what is not `optional`        always there in an answer, be it 0 or empty
a stream                      JSON objects, one a line
google.api.HttpBody           a file
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

import msgspec
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from extproc.admin.export import Format
from extproc.admin.pb import admin_pb2 as pb

Json = dict[str, Any]

PUBLIC: Final = frozenset({"GetOpenApi"})
"""What is answered without a token."""

FILES: Final = {
    "GetOpenApi": ("application/json",),
    "ExportRequests": tuple(kind.content_type.partition(";")[0] for kind in Format),
}
"""What those verbs answer with whose answer is a google.api.HttpBody."""

ERRORS: Final = {
    "400": "The request is wrong; nothing was changed.",
    "401": "There is no token, or it is not valid, or not any more.",
    "403": "The caller may not; nothing was changed.",
    "404": "There is no such thing, or the caller may not know of it.",
    "409": "It is there already, or it is not at this `revision` any more; nothing was changed.",
    "413": "The request is larger than 1 MiB.",
    "429": "Too many requests; `retry-after` says when to go on.",
    "503": "Redis or the admin service does not answer. Whether a change was made is not known; repeating it is safe.",
    "default": "Something else; the message says what.",
}

_SERVICE = pb.DESCRIPTOR.services_by_name["Admin"]
_INTEGER_64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_SCALARS: Final[Mapping[int, Json]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptor.TYPE_INT64: _INTEGER_64,
}
_ERROR: Final[Json] = {
    "type": "object",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "The status code of gRPC."},
        "message": {"type": "string", "description": "What is wrong, for people."},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}


@cache
def document() -> bytes:
    """The document, as JSON."""
    schemas: Json = {"Error": _ERROR}
    paths: Json = {}
    for verb in _SERVICE.methods:
        method, path = _route(verb)
        paths.setdefault(path, {})[method] = _operation(verb, path, schemas)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "Tollgate admin API", "version": version("tollgate"), "description": _comments()[""]},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {name: _error(says) for name, says in ERRORS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An admin token (`tga-…`), or a JWT."}
            },
        },
    }
    return msgspec.json.encode(made)


def _route(verb: MethodDescriptor) -> tuple[str, str]:
    """HTTP method and path."""
    rule = verb.GetOptions().Extensions[annotations_pb2.http]
    method: str = rule.WhichOneof("pattern")
    return method, getattr(rule, method)


def _operation(verb: MethodDescriptor, path: str, schemas: Json) -> Json:
    in_path = re.findall(r"\{(\w+)\}", path)
    others = [field for field in verb.input_type.fields if field.name not in in_path]
    parameters = [_in_path(verb.input_type.fields_by_name[name]) for name in in_path]
    operation: Json = {
        "operationId": verb.name,
        "tags": [path.split("/")[3].partition(":")[0].removesuffix(".json")],
        **_described(verb),
        **({"security": []} if verb.name in PUBLIC else {}),
    }
    if verb.GetOptions().Extensions[annotations_pb2.http].body:
        schemas[verb.input_type.name] = _object(others, schemas, always_there=False)
        operation["requestBody"] = {"content": _json(verb.input_type)}
    else:
        parameters += [parameter for field in others for parameter in _in_query(field)]
    answers = {status: {"$ref": f"#/components/responses/{status}"} for status in ERRORS}
    return operation | {"parameters": parameters, "responses": {"200": _answer(verb, schemas), **answers}}


def _in_path(field: FieldDescriptor) -> Json:
    return {**_parameter(field, field.name, "path"), "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(field: FieldDescriptor, before: str = "") -> Iterator[Json]:
    if field.message_type:
        for inner in field.message_type.fields:
            yield from _in_query(inner, f"{before}{field.name}.")
    else:
        yield {**_parameter(field, before + field.name, "query"), "schema": _SCALARS[field.type]}


def _parameter(field: FieldDescriptor, name: str, where: str) -> Json:
    return {"name": name, "in": where, **_described(field)}


def _answer(verb: MethodDescriptor, schemas: Json) -> Json:
    if verb.output_type.full_name == "google.api.HttpBody":
        return {"description": "The file.", "content": {kind: {} for kind in FILES[verb.name]}}
    _collect(verb.output_type, schemas, always_there=True)
    says = "JSON objects, one a line, as they come." if verb.server_streaming else "Done."
    return {"description": says, "content": _json(verb.output_type)}


def _collect(message: Descriptor, schemas: Json, always_there: bool) -> None:
    if message.name not in schemas:
        schemas[message.name] = {}
        schemas[message.name] = _object(message.fields, schemas, always_there)


def _object(fields: Any, schemas: Json, always_there: bool) -> Json:
    """The schema of a message. `always_there`: of an answer, where a field is told of even if it is 0 or empty."""
    needed = [one.name for one in fields if always_there and not one.has_presence]
    properties = {field.name: _schema(field, schemas, always_there) for field in fields}
    described = _described(fields[0].containing_type) if fields else {}
    return {"type": "object", **described, "properties": properties, **({"required": needed} if needed else {})}


def _schema(field: FieldDescriptor, schemas: Json, always_there: bool) -> Json:
    if field.message_type:
        _collect(field.message_type, schemas, always_there)
        single = {"$ref": f"#/components/schemas/{field.message_type.name}"}
    else:
        single = _SCALARS[field.type]
    return {**({"type": "array", "items": single} if field.is_repeated else single), **_described(field)}


def _json(message: Descriptor) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{message.name}"}}}


def _error(says: str) -> Json:
    return {"description": says, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _described(of: FieldDescriptor | Descriptor | MethodDescriptor) -> Json:
    says = _comments().get(of.full_name)
    return {"description": says} if says else {}


@cache
def _comments() -> Mapping[str, str]:
    """What is written above each part of the contract, by its full name; above all of it by an empty one."""
    described = FileDescriptorSet.FromString((files(pb.__package__) / "admin.pb").read_bytes())
    contract: FileDescriptorProto = described.file[-1]
    names = dict(_named(contract))
    written = ((names.get(tuple(each.path)), each.leading_comments) for each in contract.source_code_info.location)
    return {name: _text(comment) for name, comment in written if name is not None and comment}


def _named(contract: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Each part's path, by the numbers of the fields in descriptor.proto, and its full name."""
    yield (contract.SYNTAX_FIELD_NUMBER,), ""
    for index, message in enumerate(contract.message_type):
        yield (contract.MESSAGE_TYPE_FIELD_NUMBER, index), f"{contract.package}.{message.name}"
        for number, field in enumerate(message.field):
            path = (contract.MESSAGE_TYPE_FIELD_NUMBER, index, DescriptorProto.FIELD_FIELD_NUMBER, number)
            yield path, f"{contract.package}.{message.name}.{field.name}"
    for number, verb in enumerate(contract.service[0].method):
        path = (contract.SERVICE_FIELD_NUMBER, 0, ServiceDescriptorProto.METHOD_FIELD_NUMBER, number)
        yield path, f"{_SERVICE.full_name}.{verb.name}"


def _text(comment: str) -> str:
    return "\n".join(line.removeprefix(" ") for line in comment.strip("\n").split("\n"))
