"""`envoy/envoy.yaml` and `channel.lua` spell the names of `extproc/names.py`, and their limits agree with the rules."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc import names
from extproc.admin.authenticate import TOKEN_START
from extproc.admin.server import VERBS
from extproc.compiler.bootstrap import render_bootstrap
from extproc.compiler.edge import Edge
from extproc.core.catalog import Dialect
from extproc.core.chain import MAX_ATTEMPTS, MAX_TRY_SECONDS
from extproc.core.ledger import HOLD_MS
from extproc.dialects import usage
from extproc.dialects.routes import VIDEO_CONTENT, Route, find_route

Config = dict[str, Any]

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "envoy" / "envoy.yaml").read_text()
BOOTSTRAP: Config = yaml.safe_load(render_bootstrap(TEXT, Edge().values()))
LISTENER: Config = BOOTSTRAP["static_resources"]["listeners"][0]
GATE: Config = BOOTSTRAP["static_resources"]["listeners"][1]
HTTP: Config = LISTENER["filter_chains"][0]["filters"][0]["typed_config"]
VHOST: Config = HTTP["route_config"]["virtual_hosts"][0]
ROUTE: Config = VHOST["routes"][-1]["route"]
FILTERS: dict[str, Config] = {item["name"]: item["typed_config"] for item in HTTP["http_filters"]}
CLUSTERS: dict[str, Config] = {cluster["name"]: cluster for cluster in BOOTSTRAP["static_resources"]["clusters"]}
LISTENERS: dict[str, Config] = {each["name"]: each for each in BOOTSTRAP["static_resources"]["listeners"]}
ADMIN: Config = LISTENERS["admin_api_plain"]["filter_chains"][0]["filters"][0]["typed_config"]
ADMIN_FILTERS: dict[str, Config] = {item["name"]: item["typed_config"] for item in ADMIN["http_filters"]}
MAPPERS: list[Config] = HTTP["local_reply_config"]["mappers"]

PUBLIC_ID = {"key": names.PUBLIC_REQUEST_ID_HEADER, "value": f"%REQ({names.REQUEST_ID_HEADER})%"}


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _find(node: Any, key: str) -> list[Any]:
    """Every value of this key, however deep."""
    if isinstance(node, list):
        return [found for item in node for found in _find(item, key)]
    if isinstance(node, dict):
        here = [node[key]] if key in node else []
        return here + [found for item in node.values() for found in _find(item, key)]
    return []


def test_a_hold_outlives_every_stream() -> None:
    """A hold that expired while its stream still ran would be released before it is settled."""
    longest = _seconds(ROUTE["max_stream_duration"]["max_stream_duration"])
    assert (longest + 120) * 1000 == HOLD_MS


def test_timeouts_are_nested() -> None:
    """An attempt ends before the stream counts as idle, and that before the whole request ends."""
    attempt = _seconds(ROUTE["retry_policy"]["per_try_timeout"])
    idle = _seconds(HTTP["stream_idle_timeout"])
    assert attempt == MAX_TRY_SECONDS
    assert 0 < attempt < idle < _seconds(ROUTE["max_stream_duration"]["max_stream_duration"])
    assert _seconds(ROUTE["timeout"]) == 0


def test_as_many_attempts_as_a_chain_may_have() -> None:
    """`num_retries` is the most that admit can ask for."""
    assert ROUTE["retry_policy"]["num_retries"] == MAX_ATTEMPTS - 1


def test_the_chain_travels_from_admit_to_the_route() -> None:
    """The namespace that admit may write is the one that the cluster specifier reads."""
    admit = FILTERS["admit"]["metadata_options"]["receiving_namespaces"]
    untyped = [names.METADATA_NAMESPACE, names.SEEN_NAMESPACE]
    assert admit == {"typed": [names.CHAIN_NAMESPACE], "untyped": untyped}
    assert _find(ROUTE, "override_metadata_namespace") == [names.CHAIN_NAMESPACE]


def test_a_request_without_a_chain_has_nowhere_to_go() -> None:
    """The static cluster of the specifier has no endpoint: what passes admit unread is not a free call."""
    assert _find(ROUTE, "cluster_name") == [names.NO_CHANNEL_CLUSTER]
    assert CLUSTERS[names.NO_CHANNEL_CLUSTER]["load_assignment"] == {"cluster_name": names.NO_CHANNEL_CLUSTER}


def test_settle_is_told_the_decision_and_the_usage() -> None:
    """It gets what admit decided, what was read out of the answer, and what was lifted out of it, all to one place."""
    forwarded = FILTERS["settle"]["metadata_options"]["forwarding_namespaces"]
    assert forwarded == {
        "typed": [names.USAGE_NAMESPACE],
        "untyped": [names.METADATA_NAMESPACE, names.LIFTED_NAMESPACE],
    }
    assert {*_find(FILTERS["lift_json"], "metadata_namespace"), *_find(FILTERS["lift_sse"], "metadata_namespace")} == {
        names.LIFTED_NAMESPACE
    }


def test_nothing_that_holds_an_answer_stands_before_usage() -> None:
    """The trailers that `usage` adds are lost in a filter that holds the answer, and the answer never ends."""
    below_usage = ["task", "lift_json", "lift_sse", "exhausted", "retry_after", "account"]
    assert list(FILTERS) == ["caller", "limit", "limit_everywhere", "admit", "settle", "usage", *below_usage, "router"]
    assert FILTERS["settle"]["observability_mode"] is True
    assert FILTERS["admit"]["processing_mode"]["response_header_mode"] == "SKIP"


def test_everything_asks_the_sidecar_cluster() -> None:
    """admit, settle, task and the access log name one cluster, the one whose endpoints are the workers."""
    asking = [HTTP["access_log"], *(FILTERS[name] for name in ("admit", "settle", "task"))]
    assert [grpc["cluster_name"] for grpc in _find(asking, "envoy_grpc")] == [names.SIDECAR_CLUSTER] * 4
    assert names.SIDECAR_CLUSTER in CLUSTERS


def test_every_answer_carries_the_request_id() -> None:
    """Vendors' answers get it from the route, Envoy's own and the sidecar's from the mapper that words them."""
    sources = [VHOST["response_headers_to_add"], *(mapper["headers_to_add"] for mapper in MAPPERS)]
    for added in sources:
        assert {"header": PUBLIC_ID, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} in added


def test_an_answer_tells_the_limits_of_the_key_and_not_of_the_operator() -> None:
    """What a vendor says of its own limits is removed; what admit said of the key's is added, if it said anything."""
    assert VHOST["response_headers_to_remove"] == [
        *names.RATE_HEADERS,
        *names.EDGE_RATE_HEADERS,
        "alt-svc",
        names.PUBLIC_CHANNEL_HEADER,
        names.PUBLIC_COST_HEADER,
    ]
    added = {each["header"]["key"]: each["header"]["value"] for each in VHOST["response_headers_to_add"]}
    for name in names.RATE_HEADERS:
        assert added[name] == f"%DYNAMIC_METADATA({names.METADATA_NAMESPACE}:{names.META_LIMITS}:{name})%"


def test_envoys_own_answers_tell_the_limits_of_the_key_too() -> None:
    """What is added to vendors' answers, but for the channel, is added to those that Envoy words."""
    told = [each for each in VHOST["response_headers_to_add"] if each["header"]["key"] in names.RATE_HEADERS]
    for mapper in MAPPERS[1:]:
        assert [each for each in told if each not in mapper["headers_to_add"]] == []


def test_what_depends_on_the_channel_that_answered_is_read_where_admit_writes_it() -> None:
    """The headers' names, and where admit writes which of the chain's channels may be told, and what each costs."""
    added = (each["header"] for each in VHOST["response_headers_to_add"])
    told = {header["key"]: header["value"] for header in added if "xds.cluster_name" in header["value"]}
    read = {names.PUBLIC_CHANNEL_HEADER: names.META_SHOWN, names.PUBLIC_COST_HEADER: names.META_COSTS}
    assert told.keys() == read.keys()
    for header, name in read.items():
        assert f"metadata.filter_metadata['{names.METADATA_NAMESPACE}']['{name}'][xds.cluster_name]" in told[header]


def test_only_the_end_of_a_chain_is_saturation() -> None:
    """What admit has let through has a quote; its own refusals have none, and pass as they are."""
    matcher = FILTERS["exhausted"]["custom_response_matcher"]
    (held,) = [each for each in _find(matcher, "typed_config") if "path" in each]
    assert (held["filter"], held["path"]) == (names.METADATA_NAMESPACE, [{"key": names.META_QUOTE}])
    saturated = f"'{names.META_QUOTE}' in metadata.filter_metadata['{names.METADATA_NAMESPACE}']"
    for mapper in MAPPERS[1:]:
        assert str(mapper["body_format_override"]).count(saturated) == 2


def test_the_retry_after_of_a_vendor_is_kept() -> None:
    """The one filter writes it where the mappers of Envoy's own answers look for it."""
    (rule,) = FILTERS["retry_after"]["response_rules"]
    kept = rule["on_header_present"]
    assert kept["metadata_namespace"] == names.ANSWER_NAMESPACE
    for mapper in MAPPERS[1:]:
        assert f"['{names.ANSWER_NAMESPACE}']['{kept['key']}']" in str(mapper["headers_to_add"])


def test_a_flood_is_counted_before_anybody_is_asked() -> None:
    """Both counters stand before admit and count the same; the sidecar is not told of what they refuse."""
    assert list(FILTERS)[:3] == ["caller", "limit", "limit_everywhere"]
    limit = VHOST["typed_per_filter_config"]["limit"]
    assert limit["rate_limits"] == FILTERS["limit_everywhere"]["rate_limits"]
    (told,) = _find(HTTP["access_log"][0]["filter"], "expression")
    assert "'local_rate_limited', 'request_rate_limited'" in told


def test_what_can_be_replayed_is_refused() -> None:
    """Early data of HTTP/3 may be sent again by anybody who saw it, and would be charged again."""
    (quic,) = [each for each in BOOTSTRAP["static_resources"]["listeners"] if each["name"] == "edge_quic"]
    assert _find(quic, "enable_early_data") == [False]


def test_a_request_has_to_arrive_in_time() -> None:
    """The headers soon, the whole of it well before the stream would count as idle: neither has a limit by default."""
    headers, whole = _seconds(HTTP["request_headers_timeout"]), _seconds(HTTP["request_timeout"])
    assert 0 < headers < whole < _seconds(HTTP["stream_idle_timeout"])


def test_a_key_is_counted_wherever_admit_looks_for_it() -> None:
    """The Lua before the counters knows every place that admit knows, and writes where the counters read."""
    lua = FILTERS["caller"]["default_source_code"]["inline_string"]
    for header in {*names.CREDENTIAL_HEADERS} - {"api-key"}:
        assert f'"{header}"' in lua
    assert f'== "{names.CREDENTIAL_QUERY}"' in lua
    assert f':set("{names.EDGE_NAMESPACE}", "credential", ' in lua
    read = _find(FILTERS["limit_everywhere"]["rate_limits"], "metadata_key")
    assert read == [{"key": names.EDGE_NAMESPACE, "path": [{"key": "credential"}]}] * 2


def test_the_gate_sends_a_request_where_its_channel_says() -> None:
    """The listener and the header that tells the cluster are those that the channels' clusters name."""
    assert GATE["name"] == names.GATE_LISTENER
    assert _find(GATE, "cluster_header") == [names.GATE_HEADER]
    ((removed, _),) = _find(GATE, "request_headers_to_remove")
    assert removed == names.GATE_HEADER


def test_a_caller_cannot_choose_what_is_ours() -> None:
    """The inbound request id, our headers and Envoy's own are removed before Envoy reads them."""
    changes = HTTP["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
    prefixes = {change["remove_on_match"]["key_matcher"]["prefix"] for change in changes if "remove_on_match" in change}
    assert {"remove": names.REQUEST_ID_HEADER} in changes
    assert prefixes == {"x-tollgate-", "x-envoy-"}
    assert names.PUBLIC_REQUEST_ID_HEADER.startswith("x-tollgate-")


def test_refusals_of_the_sidecar_pass_as_they_are() -> None:
    """The first mapper matches on the details that every refusal of ours has."""
    assert _find(MAPPERS[0], "expression") == [f"response.code_details.startsWith('{names.DETAILS_PREFIX}')"]
    assert _find(MAPPERS[0], "inline_string") == ["%LOCAL_REPLY_BODY%"]


@pytest.mark.parametrize(("mapper", "dialect"), [(1, Dialect.ANTHROPIC), (2, Dialect.GEMINI)])
def test_the_dialect_of_an_answer_is_what_admit_said(mapper: int, dialect: Dialect) -> None:
    """Mappers look at admit's word for the dialect, in the namespace and under the key that admit writes."""
    (expression,) = _find(MAPPERS[mapper], "expression")
    known = f"metadata.filter_metadata['{names.METADATA_NAMESPACE}']"
    assert f"'{names.META_DIALECT}' in {known}" in expression
    assert f"{known}['{names.META_DIALECT}'] == '{dialect}'" in expression


def test_callers_are_told_nothing_of_envoys_insides() -> None:
    """But for the sidecar's own words, no mapper shows Envoy's text or details."""
    for mapper in MAPPERS[1:]:
        shown = str(mapper["body_format_override"])
        assert "LOCAL_REPLY_BODY" not in shown
        assert "DETAILS" not in shown


def test_the_lua_reads_what_admit_writes() -> None:
    """The script spells the namespace and the keys of admit's metadata."""
    lua = (REPOSITORY / "extproc" / "compiler" / "channel.lua").read_text()
    assert f':get("{names.METADATA_NAMESPACE}")' in lua
    keys = (names.META_PATHS, names.META_MODELS, names.META_MODEL, names.META_MODEL_START, names.META_MODEL_END)
    for key in keys:
        assert f'meta["{key}"]' in lua


def test_streams_are_lifted_to_where_answers_are() -> None:
    """The script spells the namespace, and each name that it lifts is one that is read."""
    lua = (REPOSITORY / "extproc" / "compiler" / "lift_sse.lua").read_text()
    assert f'local NAMESPACE = "{names.LIFTED_NAMESPACE}"' in lua
    lifted = set(re.findall(r'^  { "(\w+)", "', lua, re.MULTILINE))
    explained = {line.split()[0] for line in (usage.__doc__ or "").splitlines() if re.match(r"    [a-z]", line)}
    assert lifted
    assert lifted <= explained


def test_the_lua_knows_where_an_answer_is_held() -> None:
    """A route has the mark exactly if a filter waits for the whole of an answer, as `lift_json` does, and `task` unless
    it is told otherwise: for then a length set too early would cut the answer.
    """
    routes = [route for route in VHOST["routes"] if "route" in route]
    held = [bool(_find(route.get("metadata", {}), "path_and_model")) for route in routes]
    filters = [route["typed_per_filter_config"] for route in routes]
    assert held == ["lift_json" not in each or "config" in each.get("task", ()) for each in filters]
    assert True in held


def _task_routes() -> list[Config]:
    return [route for route in VHOST["routes"] if "task" in route.get("typed_per_filter_config", {})]


def test_the_answers_about_tasks_are_seen_first() -> None:
    """Every path that admit knows for a task is one whose answer waits for the sidecar; of content its headers do."""
    content, others = _task_routes()
    assert FILTERS["task"]["processing_mode"]["response_body_mode"] == "BUFFERED"
    ((overridden,),) = [_find(content, "processing_mode")]
    assert (overridden["response_header_mode"], overridden.get("response_body_mode", "NONE")) == ("SEND", "NONE")
    assert others["typed_per_filter_config"]["task"]["config"] == {}
    expressions = [re.compile(route["match"]["safe_regex"]["regex"]) for route in (content, others)]
    paths = {"POST": ["/v1/videos"], "GET": ["/v1/videos/v_1", "/v1/videos/v_1/content"], "DELETE": ["/v1/videos/v_1"]}
    for method, path in ((method, path) for method, known in paths.items() for path in known):
        route = find_route(method, path, {})
        assert isinstance(route, Route)
        is_content, is_about = (bool(expression.fullmatch(path)) for expression in expressions)
        assert (is_content, is_about) == (route.operation is VIDEO_CONTENT, True)


def test_nothing_about_tasks_is_seen_by_filters_that_cannot_wait() -> None:
    """`usage` would lose its trailers before a filter that holds the answer, and there is nothing to read or lift."""
    (task,) = [item for item in HTTP["http_filters"] if item["name"] == "task"]
    assert task["disabled"] is True
    for route in _task_routes():
        off = {name for name, config in route["typed_per_filter_config"].items() if config.get("disabled")}
        assert off == {"settle", "usage", "lift_json", "lift_sse"}


def test_what_task_says_reaches_the_access_log() -> None:
    """It reads what admit decided, and adds to it, in the one namespace."""
    ours, options = {"untyped": [names.METADATA_NAMESPACE]}, FILTERS["task"]["metadata_options"]
    assert options == {"forwarding_namespaces": ours, "receiving_namespaces": ours}


def test_the_admin_api_is_one_whichever_way_it_is_told() -> None:
    """With TLS it is the same as without, and the certificate that of the edge."""
    plain, tls = LISTENERS["admin_api_plain"]["filter_chains"][0], LISTENERS["admin_api_tls"]["filter_chains"][0]
    assert plain["filters"] == tls["filters"]
    assert "transport_socket" not in plain
    assert tls["transport_socket"] == LISTENERS["edge_tls"]["filter_chains"][0]["transport_socket"]


def test_the_transcoder_knows_the_service_and_sends_it_to_its_process() -> None:
    """The descriptors, the service, the cluster and its socket have the names that those who make them give them."""
    transcoder = ADMIN_FILTERS["transcode"]
    assert transcoder["proto_descriptor"] == names.ADMIN_DESCRIPTOR
    assert transcoder["services"] == [names.ADMIN_SERVICE]
    assert {*_find(ADMIN["route_config"], "cluster")} == {names.ADMIN_CLUSTER}
    assert _find(CLUSTERS[names.ADMIN_CLUSTER], "pipe") == [{"path": names.ADMIN_SOCKET}]


def test_streams_of_the_admin_api_have_no_end_in_time() -> None:
    """All verbs with many answers, and no others: those have thirty seconds."""
    streams, others = ADMIN["route_config"]["virtual_hosts"][0]["routes"]
    for verb, described in VERBS.items():
        path = f"/{names.ADMIN_SERVICE}/{verb}"
        matched = [bool(re.fullmatch(_find(each, "regex")[0], path)) for each in (streams, others)]
        assert matched == [described.server_streaming, True]
    assert [route["route"]["timeout"] for route in (streams, others)] == ["0s", "30s"]


def test_who_somebody_is_only_a_jwt_says_beside_a_token() -> None:
    """Callers' own is removed first, the filter that verifies writes it, and the service is let have it."""
    assert ADMIN["early_header_mutation_extensions"] == HTTP["early_header_mutation_extensions"]
    assert names.JWT_PAYLOAD_HEADER.startswith("x-tollgate-")
    assert _find(ADMIN_FILTERS["jwt"], "forward_payload_header") == [names.JWT_PAYLOAD_HEADER]
    assert f'["{names.JWT_PAYLOAD_HEADER}"] = true' in ADMIN_FILTERS["known"]["default_source_code"]["inline_string"]
    (tokens,) = [each for each in _find(ADMIN_FILTERS["jwt"], "string_match") if "prefix" in each]
    assert tokens["prefix"] == f"Bearer {TOKEN_START}"


def test_what_the_admin_api_bears_is_looked_at_before_anybody_reads() -> None:
    """Floods first, then who asks, then how large it is; what the service is told comes last."""
    assert list(ADMIN_FILTERS) == ["limit", "jwt", "whole", "transcode", "known", "router"]
    for name in ("max_request_headers_kb", "common_http_protocol_options", "http2_protocol_options"):
        assert ADMIN[name] == HTTP[name]
