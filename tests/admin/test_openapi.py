"""The OpenAPI document says of each verb what the contract says of it."""

import json
import re
from typing import Any

import pytest
from google.api import annotations_pb2
from openapi_spec_validator import validate

from extproc.admin.openapi import PUBLIC, document
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.server import OPEN, VERBS

Json = dict[str, Any]

DOCUMENT: Json = json.loads(document())
OPERATIONS: dict[str, tuple[str, str, Json]] = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
SCHEMAS: Json = DOCUMENT["components"]["schemas"]


def _parameters(verb: str, where: str) -> dict[str, Json]:
    found = OPERATIONS[verb][2].get("parameters", [])
    return {each["name"]: each for each in found if each["in"] == where}


def test_it_is_an_openapi_document() -> None:
    """Whoever reads OpenAPI 3.1 can read it."""
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_where_the_transcoder_has_it(verb: str) -> None:
    """By its method and path, with every part of the path as a parameter that is needed."""
    rule = VERBS[verb].GetOptions().Extensions[annotations_pb2.http]
    method, path, _ = OPERATIONS[verb]
    assert getattr(rule, method) == path
    in_path = _parameters(verb, "path")
    assert list(in_path) == re.findall(r"\{(\w+)}", path)
    assert all(each["required"] for each in in_path.values())


@pytest.mark.parametrize("verb", VERBS)
def test_every_field_of_a_request_can_be_said_once(verb: str) -> None:
    """In the path, the query or the body, and nothing else can be."""
    method, _, operation = OPERATIONS[verb]
    request = VERBS[verb].input_type
    body = list(SCHEMAS[request.name]["properties"]) if "requestBody" in operation else []
    said = [*_parameters(verb, "path"), *_parameters(verb, "query"), *body]
    assert sorted({name.partition(".")[0] for name in said}) == sorted(field.name for field in request.fields)
    assert len(said) == len(set(said))
    assert ("requestBody" in operation) == (method in ("post", "patch", "put"))


def test_what_stands_in_a_message_is_named_with_it() -> None:
    """As the transcoder reads it out of a query."""
    named = {f"filter.{field.name}" for field in pb.Filter.DESCRIPTOR.fields}
    assert _parameters("ListRequests", "query").keys() == named | {"page_size", "cursor"}


@pytest.mark.parametrize("verb", VERBS)
def test_only_what_is_public_needs_no_token(verb: str) -> None:
    """The document asks for one exactly where the server does."""
    assert DOCUMENT["security"] == [{"bearer": []}]
    assert (OPERATIONS[verb][2].get("security") == []) == (verb in OPEN)
    assert frozenset(OPEN) == PUBLIC


@pytest.mark.parametrize("verb", VERBS)
def test_an_error_has_one_shape(verb: str) -> None:
    """Whatever goes wrong is answered as an `Error`."""
    answers = OPERATIONS[verb][2]["responses"]
    assert {"200", "400", "401", "403", "404", "409", "413", "429", "503", "default"} == answers.keys()
    for response in DOCUMENT["components"]["responses"].values():
        assert response["content"]["application/json"]["schema"]["$ref"].endswith("/Error")


def test_an_answer_has_what_is_0_and_may_lack_what_is_optional() -> None:
    """As the transcoder prints it; and what has 64 bits is a string, for JavaScript would round it."""
    key = SCHEMAS["Key"]
    optional = {"requests_per_minute", "tokens_per_minute"}
    assert {*key["properties"]} - {*key["required"]} == optional
    assert key["properties"]["cap_nano"]["type"] == "string"
    assert key["properties"]["concurrency"]["type"] == "integer"


def test_the_words_of_the_contract_are_those_of_the_document() -> None:
    """What stands above a verb, a message or a field describes it."""
    assert "once per reference" in OPERATIONS["MakeEntry"][2]["description"]
    assert SCHEMAS["NewKey"]["description"] == "`key` with its plaintext, shown this once."
    assert SCHEMAS["Key"]["properties"]["status"]["description"] == "`active`, `disabled` or `deleted`."
    assert DOCUMENT["info"]["description"].startswith("What an operator does")
