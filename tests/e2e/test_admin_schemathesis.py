"""The admin API does what its OpenAPI document says, whatever it is asked: requests are made up from the document."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from google.api import annotations_pb2
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from extproc.admin.openapi import document
from extproc.admin.server import OPEN, VERBS
from extproc.core.people import Scope
from tests.e2e.admin import bearer, make_token
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Gateway, eventually, gateway
from tests.e2e.test_bad_input import TRACES

load_all_checks()

CONFIGURATION = SchemathesisConfig.from_dict({"generation": {"mode": "all", "database": "none"}})
API = schemathesis.openapi.from_dict(json.loads(document()), config=CONFIGURATION)
NOT_OURS: list[Any] = [
    CHECKS.get_one("negative_data_rejection"),  # protobuf takes a number for an int64, and skips what it does not know
    CHECKS.get_one("positive_data_acceptance"),  # whether there is such an owner the document does not say
    CHECKS.get_one("unsupported_method"),  # the transcoder answers 404 and not 405
    CHECKS.get_one("ignored_auth"),  # takes the token that is given here for one that it made up
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for all that may be asked of it."""
    much = {"TOLLGATE_RATE_PER_ADDRESS_ADMIN": "4000000000"}
    with gateway(CONFIG, tmp_path_factory.mktemp("asked"), workers=1, environment=much, admin=True) as running:
        eventually(lambda: served(running).status_code == 200, "the admin service")
        yield running
        assert "Traceback" not in running.logs()
        assert "admin_failed" not in running.logs()


@pytest.fixture(scope="module")
def operator(asked: Gateway) -> dict[str, str]:
    """The header of who may do everything."""
    return bearer(make_token(asked, Scope.OPERATOR))


def served(gateway: Gateway) -> httpx.Response:
    """The document as anybody can have it."""
    return HTTP.get(f"{gateway.settings.admin_url}/admin/v1/openapi.json")


def test_the_document_is_served_to_anybody(asked: Gateway) -> None:
    """As it is, for it is in the source."""
    assert served(asked).content == document()


@pytest.mark.parametrize("verb", sorted({*VERBS} - OPEN))
def test_nothing_else_is_said_to_anybody(asked: Gateway, verb: str) -> None:
    """Without a token a request that is right is 401, and with one that nobody made."""
    rule = VERBS[verb].GetOptions().Extensions[annotations_pb2.http]
    method = rule.WhichOneof("pattern")
    url = asked.settings.admin_url + re.sub(r"\{\w+}", "x", getattr(rule, method))
    for headers in ({}, bearer("tga-nobody"), bearer("e30.e30.e30")):
        answer = HTTP.request(method, url, content="{}" if rule.body else None, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, 16)


@API.exclude(operation_id="FollowRequests").parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_is_asked_is_answered_as_documented(case: Case[Any], asked: Gateway, operator: dict[str, str]) -> None:
    """Never a 5xx, no status, field or type but the documented, no word of the inside."""
    url = asked.settings.admin_url
    answer = case.call_and_validate(base_url=url, headers=operator, excluded_checks=NOT_OURS, timeout=30)
    if answer.status_code >= 400:
        assert [word for word in TRACES if word in answer.text] == []
