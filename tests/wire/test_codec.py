"""Envoy's messages become our values and ours become Envoy's; what travels through its metadata comes back the same."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from extproc import names
from extproc.core.catalog import Dialect
from extproc.core.ending import Progress, Report, conclude
from extproc.core.ledger import HOLD_MS
from extproc.core.pricing import FREE, UnitKind, UnitRate, Usage
from extproc.core.quote import Quote
from extproc.core.record import UsageRecord, make_record
from extproc.core.task import Task
from extproc.dialects import routes
from extproc.wire import codec
from extproc.wire.codec import Ended, Forward, Way
from extproc.wire.pb.access_log_entry_pb2 import (
    AccessLogCommon,
    AccessLogType,
    HTTPAccessLogEntry,
    HTTPRequestProperties,
    HTTPResponseProperties,
    ResponseFlags,
)
from extproc.wire.pb.core_pb2 import HeaderMap, HeaderValue, HeaderValueOption, Metadata
from extproc.wire.pb.ext_proc_pb2 import (
    BodyMutation,
    CommonResponse,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProcessingResponse,
)
from extproc.wire.pb.priority_group_pb2 import PriorityGroupsOverride
from extproc.wire.pb.token_usage_pb2 import InputTokenDetails, OutputTokenDetails, TokenUsage
from extproc.wire.seen import see
from tests.core.samples import KEY, quote, quotes, steady, words

QUOTE = quote(routes.MESSAGES, stream=True)
CHAT = quote(routes.CHAT, stream=True)
GEMINI = quote(routes.GENERATE, stream=True)
TASK = Task("video_1", "id-1", "a", QUOTE, 8_000)
EMBEDDING = quote(routes.EMBEDDINGS, stream=False)
SEARCHES = quote(routes.RERANK, stream=False, rates=replace(FREE, unit=UnitRate(UnitKind.SEARCH, 2_000_000)))
OWNER = KEY.owner
NOW_MS = QUOTE.held_ms + 900
USAGE = Usage.of(500, 100, 50, 40, 10)


def again(response: ProcessingResponse) -> ProcessingResponse:
    """The message as Envoy reads it."""
    return ProcessingResponse.FromString(response.SerializeToString())


def headers_set(common: CommonResponse) -> dict[str, bytes]:
    """The headers that an answer sets; each replaces what was there."""
    options = common.header_mutation.set_headers
    assert all(option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD for option in options)
    assert not any(option.header.value for option in options)
    return {option.header.key: option.header.raw_value for option in options}


def metadata_of(response: ProcessingResponse) -> dict[str, Any]:
    """The untyped metadata that an answer sets in our namespace, and in no other but that for spans."""
    namespaces = MessageToDict(response.dynamic_metadata)
    assert set(namespaces) - {names.SEEN_NAMESPACE} == {names.METADATA_NAMESPACE}
    ours = namespaces[names.METADATA_NAMESPACE]
    assert isinstance(ours, dict)
    return ours


def forwarded(answer: Forward) -> ProcessingResponse:
    """What Envoy reads of this answer."""
    return again(codec.forward(answer))


# --- admit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("form", ["raw_value", "value"])
def test_the_headers_of_a_request(form: str, ends: bool) -> None:
    """Headers are read from `raw_value`, where Envoy puts them, or from `value`, and so is the end of the stream."""
    sent = {":method": "POST", ":path": "/v1/x?a=1", "x-request-id": "id-1", "x-api-key": "sk-1", "empty": ""}
    values = [
        HeaderValue(key=key, raw_value=value.encode()) if form == "raw_value" else HeaderValue(key=key, value=value)
        for key, value in sent.items()
    ]
    request = ProcessingRequest(request_headers=HttpHeaders(headers=HeaderMap(headers=values), end_of_stream=ends))
    head = codec.read_head(ProcessingRequest.FromString(request.SerializeToString()))
    assert (head.method, head.target, head.request_id, head.ends) == ("POST", "/v1/x?a=1", "id-1", ends)
    assert head.headers == sent


def test_a_request_without_headers_is_empty() -> None:
    """What Envoy did not send is an empty text, and no fault."""
    head = codec.read_head(ProcessingRequest(request_headers=HttpHeaders()))
    assert (head.method, head.target, head.request_id, head.ends) == ("", "", "", False)


@steady
@given(st.binary())
def test_a_header_can_hold_any_bytes(value: bytes) -> None:
    """What is no UTF-8 is read and written back as the same bytes."""
    headers = HeaderMap(headers=[HeaderValue(key=":path", raw_value=value)])
    head = codec.read_head(ProcessingRequest(request_headers=HttpHeaders(headers=headers)))
    answer = again(codec.continue_headers(head.target, Dialect.GEMINI, OWNER))
    assert headers_set(answer.request_headers.response) == {":path": value}


@pytest.mark.parametrize("dialect", Dialect)
def test_on_to_the_body(dialect: Dialect) -> None:
    """The answer to the headers removes every credential, sets the path without one, and says who asks, and how."""
    answer = again(codec.continue_headers("/v1/x?a=1", dialect, OWNER))
    common = answer.request_headers.response
    assert answer.WhichOneof("response") == "request_headers"
    assert headers_set(common) == {":path": b"/v1/x?a=1"}
    assert set(common.header_mutation.remove_headers) == {"authorization", "x-api-key", "x-goog-api-key", "api-key"}
    metadata = metadata_of(answer)
    assert set(metadata) == {"owner", "dialect"}
    assert metadata["dialect"] == dialect.value
    assert not answer.typed_dynamic_metadata


LIMITS = {"x-ratelimit-limit-requests": "7"}
PATHS = {"a": "/v1/a", "b": "/v1/b?x=1"}
CLUSTERS = {"a": "channel_a@1", "b": "channel_b@1"}
WAY = Way(PATHS, {"b": '"gpt-b"'}, CLUSTERS, ["b"])
FORWARD = Forward(QUOTE, codec.encode_record(QUOTE), WAY, 9, 14, b'{"model":"gpt"}', LIMITS, {"a": "0.04"})


def test_what_travels_is_documented() -> None:
    """The table at the top of the codec has every member of the metadata, and no other."""
    table = re.findall(r"^    (\w+(?:, \w+)*)  ", codec.__doc__ or "", re.MULTILINE)
    documented = [name for line in table for name in line.split(", ")]
    question = metadata_of(codec.forward_headers("/", Dialect.OPENAI, FORWARD, TASK))
    made = metadata_of(codec.pass_body("video_1"))
    assert sorted(documented) == sorted([*question, *made])


def test_a_question_about_a_task_is_forwarded_at_its_headers() -> None:
    """The credentials stay here, the route is picked again, and what admit decided goes along, with the task."""
    answer = again(codec.forward_headers("/v1/videos/v", Dialect.OPENAI, FORWARD, TASK))
    body, headers = forwarded(FORWARD), again(codec.continue_headers("/v1/videos/v", Dialect.OPENAI, QUOTE.owner))
    common = answer.request_headers.response
    assert headers_set(common) == {
        **headers_set(headers.request_headers.response),
        **headers_set(body.request_body.response),
    }
    assert common.header_mutation.remove_headers == headers.request_headers.response.header_mutation.remove_headers
    task = {"task": codec.encode_record(TASK)}
    assert metadata_of(answer) == {**metadata_of(headers), **metadata_of(body), **task}
    assert answer.typed_dynamic_metadata == body.typed_dynamic_metadata


def test_the_head_of_an_answer_about_a_task() -> None:
    """What admit decided comes back, and what Envoy knows of the answer."""
    metadata = carried(QUOTE)
    metadata.filter_metadata[names.METADATA_NAMESPACE]["task"] = codec.encode_record(TASK)
    request = ProcessingRequest(response_headers=HttpHeaders(end_of_stream=True), metadata_context=metadata)
    attributes = request.attributes["ext_proc"]
    attributes.update({"request.id": "id-1", "response.code": 206, "xds.cluster_name": "channel_a@1f"})
    attributes.update({"upstream.request_attempt_count": 3})
    assert codec.read_answer(request) == codec.Answer("id-1", 206, "a", 3, QUOTE, TASK, True)
    assert codec.read_answer(ProcessingRequest(response_headers=HttpHeaders())).quote is None


def test_what_a_forwarded_request_carries() -> None:
    """Terms, paths and names of every channel, and where the caller's name for the model stands."""
    metadata = metadata_of(forwarded(FORWARD))
    assert set(metadata) == {
        "quote",
        "paths",
        "models",
        "model",
        "model_start",
        "model_end",
        "limits",
        "shown",
        "costs",
    }
    assert metadata["costs"] == {"channel_a@1": "0.04"}
    assert metadata["shown"] == {"channel_b@1": "b"}
    assert metadata["limits"] == LIMITS
    assert metadata["paths"] == {"a": "/v1/a", "b": "/v1/b?x=1"}
    assert metadata["models"] == {"b": '"gpt-b"'}
    assert metadata["model"] == f'"{QUOTE.model}"'
    assert (metadata["model_start"], metadata["model_end"]) == (9, 14)


def test_a_chain_that_keeps_the_model_names_says_nothing_of_them() -> None:
    """Where every channel has the caller's name for the model, there is nothing to splice; nor is a limit there."""
    plain = replace(FORWARD, way=Way(PATHS, {}, CLUSTERS), limits={}, costs={})
    assert set(metadata_of(forwarded(plain))) == {"quote", "paths"}


def test_a_name_that_is_in_the_path_is_nowhere_in_the_body() -> None:
    """Without offsets nothing is spliced into the request; the names are for the answer."""
    forward = replace(FORWARD, way=replace(WAY, shown=[]), model_start=0, model_end=0, limits={}, costs={})
    assert set(metadata_of(forwarded(forward))) == {"quote", "paths", "models", "model"}


def test_what_is_shown_of_a_request() -> None:
    """Of one that is let through, whose it is and which model it asks for; of a refused one what is given."""
    seen = seen_of(forwarded(replace(FORWARD, quote=replace(QUOTE, operation="openai.chat"))))
    assert seen == {
        "name": f"chat {QUOTE.model}",
        "operation": "chat",
        "provider": "openai",
        "group": QUOTE.group,
        "key_prefix": QUOTE.key_prefix,
        "model": QUOTE.model,
    }
    refused = again(codec.immediate(402, b"{}", "tollgate_x", {}, see("gemini.embed", "gold")))
    assert seen_of(refused) == {
        "name": "embeddings",
        "operation": "embeddings",
        "provider": "gcp.gemini",
        "group": "gold",
    }
    assert not again(codec.immediate(401, b"{}", "tollgate_x", {})).dynamic_metadata.fields


def seen_of(response: ProcessingResponse) -> dict[str, str]:
    """What an answer shows of the request."""
    seen: dict[str, str] = MessageToDict(response.dynamic_metadata)[names.SEEN_NAMESPACE]
    return seen


@pytest.mark.parametrize("body", [b'{"model":"gpt"}', b""])
def test_a_changed_body_is_sent(body: bytes) -> None:
    """The answer to the body replaces it by what was priced, and says how long that is."""
    common = forwarded(replace(FORWARD, body=body)).request_body.response
    assert common.HasField("body_mutation")
    assert common.body_mutation == BodyMutation(body=body)
    assert headers_set(common)["content-length"] == str(len(body)).encode()


def test_an_unchanged_body_is_not_sent() -> None:
    """What Envoy has already does not travel back."""
    common = forwarded(replace(FORWARD, body=None)).request_body.response
    assert not common.HasField("body_mutation")
    assert "content-length" not in headers_set(common)


@pytest.mark.parametrize("channels", [["a"], ["b", "a"], ["e", "d", "c", "b", "a"]])
def test_each_attempt_has_a_group_of_its_own(channels: list[str]) -> None:
    """One priority group per channel in the chain's order, each with one cluster, and one retry fewer than channels."""
    named = {name: f"channel_{name}@1" for name in channels}
    answer = forwarded(replace(FORWARD, way=Way({}, {}, named), body=None, costs={}))
    assert answer.WhichOneof("response") == "request_body"
    assert set(answer.typed_dynamic_metadata) == {names.CHAIN_NAMESPACE}
    packed = answer.typed_dynamic_metadata[names.CHAIN_NAMESPACE]
    assert packed.type_url == (
        "type.googleapis.com/envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupsOverride"
    )
    override = PriorityGroupsOverride.FromString(packed.value)
    picked = [[(c.cluster_name, c.weight.value) for c in group.clusters] for group in override.priority_groups]
    assert picked == [[(f"channel_{name}@1", 1)] for name in channels]
    assert len({group.name for group in override.priority_groups}) == len(channels)
    retries = str(len(channels) - 1).encode()
    assert headers_set(answer.request_body.response) == {"x-envoy-max-retries": retries}


def test_how_long_an_attempt_has() -> None:
    """In milliseconds, as Envoy wants it; nothing where the route's own limit holds."""
    assert headers_set(forwarded(replace(FORWARD, body=None)).request_body.response) == {"x-envoy-max-retries": b"1"}
    told = headers_set(forwarded(replace(FORWARD, way=replace(WAY, try_seconds=3))).request_body.response)
    assert told["x-envoy-upstream-rq-per-try-timeout-ms"] == b"3000"


def test_an_answer_in_envoys_place() -> None:
    """Status, body, details and headers are those given, and the body is JSON."""
    answer = again(codec.immediate(503, b"{}", "tollgate_x", {"retry-after": "2"}))
    immediate = answer.immediate_response
    assert answer.WhichOneof("response") == "immediate_response"
    assert (immediate.status.code, immediate.body, immediate.details) == (503, b"{}", "tollgate_x")
    headers = {option.header.key: option.header.raw_value for option in immediate.headers.set_headers}
    assert headers == {"content-type": b"application/json", "retry-after": b"2"}


# --- what comes back --------------------------------------------------------------------------------------------------


def counted(status: TokenUsage.ExtractionStatus, usage: Usage = USAGE) -> TokenUsage:
    """A usage as the AI protocol manager tells it."""
    return TokenUsage(
        input_tokens={"value": usage.input_tokens},
        output_tokens={"value": usage.output_tokens},
        input_token_details=InputTokenDetails(
            cached_tokens={"value": usage.cache_read_tokens}, cache_creation_tokens={"value": usage.cache_write_tokens}
        ),
        output_token_details=OutputTokenDetails(reasoning_tokens={"value": usage.reasoning_tokens}),
        extraction_status=status,
    )


def carried(
    quote: Quote | None = None,
    owner: str | None = None,
    usage: TokenUsage | None = None,
    lifted: Mapping[str, float] | None = None,
) -> Metadata:
    """Metadata as Envoy carries it from admit to a report, with what the answer added on the way."""
    metadata = Metadata()
    if owner is not None:
        said = codec.continue_headers("/", Dialect.OPENAI, owner).dynamic_metadata[names.METADATA_NAMESPACE]
        metadata.filter_metadata[names.METADATA_NAMESPACE].MergeFrom(_struct(said))
    if quote is not None:
        answer = Forward(quote, codec.encode_record(quote), Way({}, {}, {}), 0, 0, None, {})
        said = codec.forward(answer).dynamic_metadata[names.METADATA_NAMESPACE]
        metadata.filter_metadata[names.METADATA_NAMESPACE].MergeFrom(_struct(said))
    if usage is not None:
        packed = AnyMessage()
        packed.Pack(usage)
        metadata.typed_filter_metadata[names.USAGE_NAMESPACE].CopyFrom(packed)
    if lifted is not None:
        metadata.filter_metadata[names.LIFTED_NAMESPACE].update(lifted)
    return Metadata.FromString(metadata.SerializeToString())


def _struct(value: object) -> Struct:
    assert isinstance(value, Struct)
    return value


ATTRIBUTES: dict[str, Any] = {
    "request.id": "id-1",
    "response.code": 200,
    "response.size": 4_000,
    "xds.cluster_name": "channel_a",
    "upstream.request_attempt_count": 2,
}


def trailers(metadata: Metadata, **attributes: Any) -> ProcessingRequest:
    """The response trailers that settle is asked about; attributes are given as `response_code`."""
    given = {name.replace("_", ".", 1): value for name, value in attributes.items()}
    struct = Struct()
    struct.update(ATTRIBUTES | given)
    request = ProcessingRequest(
        response_trailers=HttpTrailers(), metadata_context=metadata, attributes={"envoy.filters.http.ext_proc": struct}
    )
    return ProcessingRequest.FromString(request.SerializeToString())


def test_what_trailers_tell() -> None:
    """The quote as it was frozen, and a report with the usage, the channel and the number of attempts."""
    told = codec.read_trailers(trailers(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE))), NOW_MS)
    assert told == (
        QUOTE,
        Report("id-1", 200, True, "a", USAGE, True, 4_000, attempts=2, first_byte_ms=None, duration_ms=900),
    )


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        pytest.param(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE)), True, id="whole"),
        pytest.param(carried(QUOTE, OWNER, counted(TokenUsage.PARTIAL)), False, id="partial"),
        pytest.param(carried(QUOTE, OWNER, counted(TokenUsage.FAILED)), False, id="failed"),
        pytest.param(
            carried(QUOTE, OWNER, counted(TokenUsage.EXTRACTION_STATUS_UNSPECIFIED)), False, id="status missing"
        ),
        pytest.param(carried(QUOTE, OWNER), False, id="no usage"),
        pytest.param(carried(QUOTE, OWNER, lifted={"input": 7}), False, id="lifted only"),
        pytest.param(carried(None, OWNER, counted(TokenUsage.COMPLETE)), False, id="no quote"),
        pytest.param(carried(usage=counted(TokenUsage.COMPLETE)), False, id="nothing of ours"),
    ],
)
def test_only_a_whole_usage_of_a_held_request_is_settled_on_trailers(metadata: Metadata, told: bool) -> None:
    """Whatever else ended waits for the access log, which knows how."""
    assert (codec.read_trailers(trailers(metadata), NOW_MS) is not None) is told


def test_the_trailers_and_the_access_log_choose_alike() -> None:
    """Where the two meters differ, both reporters conclude the same, though the caller left with the last event."""
    lifted = {"input": 500, "cache_read": 100, "output": 80}
    metadata = carried(GEMINI, OWNER, counted(TokenUsage.COMPLETE, Usage.of(500, 100, 0, 90)), lifted)
    told, ended = (
        codec.read_trailers(trailers(metadata), NOW_MS),
        codec.read_entry(Entry(metadata, flags=CALLER_GONE).message()),
    )
    assert told is not None
    assert ended is not None
    assert told[1].usage == ended.report.usage == Usage.of(500, 100, 0, 80)
    assert told[1].doubts == ended.report.doubts == ("output_tokens: 90 counted, 80 lifted",)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"response_code": 429}, {"status": 429}),
        ({"xds_cluster_name": "channel_channel_b"}, {"channel": "channel_b"}),
        ({"xds_cluster_name": "channel_b@0badcafe"}, {"channel": "b"}),
        ({"xds_cluster_name": "no_channel"}, {"channel": "no_channel"}),
        ({"upstream_request_attempt_count": 5}, {"attempts": 5}),
        ({"response_size": 2**40}, {"sent_bytes": 2**40}),
        ({"request_id": "another"}, {"request_id": "another"}),
    ],
)
def test_the_attributes_of_trailers(attributes: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each attribute reaches its place in the report as a text or an integer."""
    told = codec.read_trailers(trailers(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE)), **attributes), NOW_MS)
    assert told is not None
    assert told[1] == replace(Report("id-1", 200, True, "a", USAGE, True, 4_000, 2, None, 900), **expected)


@dataclass(frozen=True)
class Entry:
    """An access log entry of a clean answer of channel `a`, but for what a test changes."""

    metadata: Metadata = field(default_factory=lambda: carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE)))
    status: int | None = 200
    details: str = "via_upstream"
    cluster: str = "channel_a"
    flags: ResponseFlags = field(default_factory=ResponseFlags)
    attempts: int = 1
    request_id: str = "id-1"
    kind: AccessLogType = AccessLogType.DownstreamEnd
    intermediate: bool = False
    first_byte_ms: int | None = 80

    def message(self) -> HTTPAccessLogEntry:
        """The entry as Envoy sends it."""
        common = AccessLogCommon(
            start_time={"seconds": 1_700_000_000, "nanos": 250_000_000},
            duration={"nanos": 900_999_999},
            upstream_cluster=self.cluster,
            response_flags=self.flags,
            metadata=self.metadata,
            upstream_request_attempt_count=self.attempts,
            stream_id="stream-1",
            intermediate_log_entry=self.intermediate,
            access_log_type=self.kind,
        )
        if self.first_byte_ms is not None:
            common.time_to_first_downstream_tx_byte.FromMilliseconds(self.first_byte_ms)
        entry = HTTPAccessLogEntry(
            common_properties=common,
            request=HTTPRequestProperties(request_id=self.request_id),
            response=HTTPResponseProperties(
                response_code=None if self.status is None else {"value": self.status},
                response_body_bytes=4_000,
                response_code_details=self.details,
            ),
        )
        return HTTPAccessLogEntry.FromString(entry.SerializeToString())


CLEAN = Report("id-1", 200, True, "a", USAGE, True, 4_000, attempts=1, first_byte_ms=80, duration_ms=900)
CUT = replace(CLEAN, clean=False)
UNTOLD = replace(CLEAN, usage=None, usage_whole=False)
MESSAGE_START = {"input": 350, "cache_read": 100, "cache_write": 50}
RESET = "upstream_reset_after_response_started{remote_reset}"
CALLER_GONE = ResponseFlags(downstream_connection_termination=True)


def without_usage(quote: Quote = QUOTE, /, **lifted: float) -> Metadata:
    """Metadata of a held request whose usage nobody read, but for what was lifted."""
    return carried(quote, OWNER, lifted=lifted or None)


def totalled(usage: Usage, output: int, total: int) -> TokenUsage:
    """A count of so much output, whose vendor said a total; the usage's output is its reasoning."""
    said = counted(TokenUsage.COMPLETE, replace(usage, output_tokens=output, reasoning_tokens=usage.output_tokens))
    said.provider_total_tokens.value = total
    return said


ENTRIES = {
    "clean, usage whole": (Entry(), CLEAN),
    "clean, usage partial": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.PARTIAL))),
        replace(CLEAN, usage_whole=False),
    ),
    "clean, usage failed": (Entry(carried(QUOTE, OWNER, counted(TokenUsage.FAILED))), UNTOLD),
    "clean, no usage": (Entry(without_usage()), UNTOLD),
    "not a finished answer's details": (Entry(details="direct_response"), CUT),
    "vendor reset": (Entry(without_usage(), details=RESET), replace(UNTOLD, clean=False)),
    "vendor reset after its usage": (Entry(details=RESET), CUT),
    "time limit": (Entry(without_usage(), details="max_duration_timeout"), replace(UNTOLD, clean=False)),
    "caller gone": (Entry(without_usage(), flags=CALLER_GONE), replace(UNTOLD, clean=False)),
    "caller gone, HTTP/2": (
        Entry(without_usage(), flags=ResponseFlags(downstream_remote_reset=True)),
        replace(UNTOLD, clean=False),
    ),
    "caller gone, by its details": (
        Entry(without_usage(), details="downstream_remote_disconnect"),
        replace(UNTOLD, clean=False),
    ),
    "caller gone after the usage": (Entry(flags=CALLER_GONE), CUT),
    "embedding, OpenAI": (Entry(without_usage(EMBEDDING, input=7)), replace(CLEAN, usage=Usage.of(7))),
    "embedding, Gemini": (
        Entry(without_usage(replace(EMBEDDING, operation="gemini.embed"), input=7)),
        replace(CLEAN, usage=Usage.of(7)),
    ),
    "embedding of nothing": (Entry(without_usage(EMBEDDING, input=0)), replace(CLEAN, usage=Usage.of(0))),
    "embedding, cut": (
        Entry(without_usage(EMBEDDING, input=7), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(7), usage_whole=False),
    ),
    "embedding, failed, then lifted": (
        Entry(carried(EMBEDDING, OWNER, counted(TokenUsage.FAILED), {"input": 7})),
        replace(CLEAN, usage=Usage.of(7)),
    ),
    "OpenAI, the caller left with the last event": (
        Entry(without_usage(CHAT, input=500, cache_read=100, output=90, reasoning=40), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(500, 100, 0, 90, 40)),
    ),
    "OpenAI, an input without an output": (
        Entry(without_usage(CHAT, input=500)),
        replace(CLEAN, usage=Usage.of(500), usage_whole=False),
    ),
    "Anthropic, cut": (
        Entry(without_usage(QUOTE, **MESSAGE_START), details=RESET),
        replace(CUT, usage=Usage.of(500, 100, 50), usage_whole=False),
    ),
    "Anthropic, cut, nothing cached": (
        Entry(without_usage(QUOTE, input=350), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(350), usage_whole=False),
    ),
    "Anthropic, the caller left with the last event": (
        Entry(without_usage(QUOTE, **MESSAGE_START, output=90), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(500, 100, 50, 90)),
    ),
    "Gemini, cut": (
        Entry(without_usage(GEMINI, input=500, cache_read=100, output=50, reasoning=40), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(500, 100, 0, 90, 40), usage_whole=False),
    ),
    "an output only": (Entry(without_usage(output=3), details=RESET), replace(UNTOLD, clean=False)),
    "counted in part, lifted whole": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.PARTIAL), {"input": 7, "output": 5})),
        replace(CLEAN, usage=Usage.of(7, output_tokens=5)),
    ),
    "counted in part, lifted in part": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.PARTIAL), {"input": 7})),
        replace(CLEAN, usage_whole=False),
    ),
    "counted and lifted alike": (
        Entry(
            carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {**MESSAGE_START, "output": 40, "reasoning": 10}),
        ),
        CLEAN,
    ),
    "counted, and not all of it lifted": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {"input": 350, "output": 40})),
        CLEAN,
    ),
    "counted less than lifted": (
        Entry(
            carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {**MESSAGE_START, "output": 99, "reasoning": 10}),
        ),
        replace(CLEAN, doubts=("output_tokens: 40 counted, 99 lifted",)),
    ),
    "lifted less than counted": (
        Entry(
            carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {**MESSAGE_START, "output": 9, "reasoning": 9}),
            flags=CALLER_GONE,
        ),
        replace(
            CUT,
            usage=Usage.of(500, 100, 50, 9, 9),
            doubts=("output_tokens: 40 counted, 9 lifted", "reasoning_tokens: 10 counted, 9 lifted"),
        ),
    ),
    "counted, and an input that fell": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {"input_first": 351})),
        replace(CLEAN, doubts=("input fell",)),
    ),
    "images streamed, by tokens": (
        Entry(without_usage(replace(EMBEDDING, operation="openai.images"), input=7, output=90), flags=CALLER_GONE),
        replace(CUT, usage=Usage.of(7, output_tokens=90, output_image=90)),
    ),
    "images streamed, whose output is text in part": (
        Entry(without_usage(replace(EMBEDDING, operation="openai.images"), input=7, output=90, output_image=60)),
        replace(CLEAN, usage=Usage.of(7, output_tokens=90, output_image=60)),
    ),
    "speech streamed": (
        Entry(without_usage(replace(EMBEDDING, operation="openai.speech"), input=7, output=90)),
        replace(CLEAN, usage=Usage.of(7, output_tokens=90, output_audio=90)),
    ),
    "Gemini, by modality": (
        Entry(
            carried(
                GEMINI,
                OWNER,
                counted(TokenUsage.COMPLETE, Usage.of(500, 100, 0, 90, 40)),
                {"input_audio": 60, "cache_audio": 50, "output_image": 30},
            )
        ),
        replace(CLEAN, usage=Usage.of(500, 100, 0, 90, 40, input_audio=10, output_image=30)),
    ),
    "counted, and what only was lifted": (
        Entry(
            carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE, Usage.of(500, 0, 50, 90)), {"cache_hit": 7, "input": 1})
        ),
        replace(CLEAN, usage=Usage.of(500, 7, 50, 90)),
    ),
    "counted, an hour of cache": (
        Entry(carried(QUOTE, OWNER, counted(TokenUsage.COMPLETE), {"cache_write_1h": 20, "cache_write_5m": 30})),
        replace(CLEAN, usage=Usage.of(500, 100, 30, 40, 10, cache_write_1h=20)),
    ),
    "counted, reasoning beside the output": (
        Entry(carried(CHAT, OWNER, totalled(Usage.of(32, output_tokens=94), 9, 135))),
        replace(CLEAN, usage=Usage.of(32, output_tokens=103, reasoning=94)),
    ),
    "counted, but it does not add up": (
        Entry(carried(CHAT, OWNER, totalled(Usage.of(32), 9, 99))),
        replace(CLEAN, usage=Usage.of(32, output_tokens=9), doubts=("input + output is not total",)),
    ),
    "a ranking, by a total": (Entry(without_usage(EMBEDDING, total=815)), replace(CLEAN, usage=Usage.of(815))),
    "a ranking, by its searches": (
        Entry(without_usage(SEARCHES, searches=3)),
        replace(CLEAN, usage=Usage(units=3)),
    ),
    "seconds, where the price is by tokens": (
        Entry(without_usage(EMBEDDING, seconds=3)),
        replace(CLEAN, usage=Usage(), usage_whole=False),
    ),
    "an error of the vendor": (Entry(without_usage(), status=429), replace(UNTOLD, status=429)),
    "no answer": (Entry(without_usage(), status=None, details=""), replace(UNTOLD, status=0, clean=False)),
    "the second channel": (Entry(cluster="channel_b", attempts=2), replace(CLEAN, channel="b", attempts=2)),
    "no channel": (Entry(without_usage(), cluster=""), replace(UNTOLD, channel="")),
    "no attempt is one": (Entry(attempts=0), CLEAN),
    "no first byte": (Entry(first_byte_ms=None), replace(CLEAN, first_byte_ms=None)),
    "a first byte at once": (Entry(first_byte_ms=0), replace(CLEAN, first_byte_ms=0)),
    "no request id but the stream's": (Entry(request_id=""), replace(CLEAN, request_id="stream-1")),
    "an Envoy that does not say what kind of entry": (Entry(kind=AccessLogType.NotSet), CLEAN),
}


@pytest.mark.parametrize(("entry", "report"), ENTRIES.values(), ids=ENTRIES)
def test_what_the_access_log_tells(entry: Entry, report: Report) -> None:
    """An entry like this is a report like that, with the quote and the caller as they were frozen."""
    deadline_ms = 1_700_000_000_250 + 900 + HOLD_MS
    ended = codec.read_entry(entry.message())
    assert ended is not None
    assert ended == Ended(report, ended.quote, OWNER, False, deadline_ms)


def test_the_access_log_knows_that_a_task_was_made() -> None:
    """Because task said so to Envoy."""
    metadata = without_usage()
    assert metadata.filter_metadata[names.METADATA_NAMESPACE]
    before = codec.read_entry(Entry(metadata).message())
    metadata.filter_metadata[names.METADATA_NAMESPACE]["made"] = "video_1"
    after = codec.read_entry(Entry(metadata).message())
    assert before
    assert after
    assert (before.report.task, after.report.task) == (None, Progress.UNDER_WAY)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(Entry(kind=AccessLogType.DownstreamPeriodic), id="still running"),
        pytest.param(Entry(kind=AccessLogType.DownstreamStart), id="begun"),
        pytest.param(Entry(intermediate=True), id="still running, as older Envoys say it"),
        pytest.param(Entry(Metadata()), id="no metadata"),
        pytest.param(Entry(carried(usage=counted(TokenUsage.COMPLETE))), id="nobody was admitted"),
    ],
)
def test_an_entry_that_is_no_end(entry: Entry) -> None:
    """Nothing is settled on a request that still runs, or that nobody was admitted to."""
    assert codec.read_entry(entry.message()) is None


@pytest.mark.parametrize(
    ("details", "never_held"),
    [
        ("tollgate_billing_shortfall", True),
        ("tollgate_invalid_request_error", True),
        (names.UNSURE_DETAILS_PREFIX + "ledger_unavailable", False),
        ("ext_proc_error_timeout", False),
        ("via_upstream", False),
        ("", False),
    ],
)
def test_a_caller_without_a_quote(details: str, never_held: bool) -> None:
    """A hold whose quote never reached Envoy can be undone; only a refusal that is sure of itself needs no undoing."""
    ended = codec.read_entry(Entry(carried(None, OWNER), details=details).message())
    assert ended is not None
    assert (ended.quote, ended.owner, ended.never_held) == (None, OWNER, never_held)


@pytest.mark.parametrize("held_later_ms", [0, 1, 899, 900])
def test_the_deadline_of_a_lost_hold_is_not_too_early(held_later_ms: int) -> None:
    """Whenever during the request the hold was taken, its own deadline is no later than the one that is told."""
    ended = codec.read_entry(Entry(carried(None, OWNER)).message())
    assert ended is not None
    assert ended.deadline_ms >= 1_700_000_000_250 + held_later_ms + HOLD_MS


# --- properties -------------------------------------------------------------------------------------------------------


@steady
@given(quotes, words)
def test_a_quote_and_its_owner_survive_the_trip(quote: Quote, owner: str) -> None:
    """What settle and the access log read is what admit wrote, in the chain's order."""
    metadata = carried(quote, owner, counted(TokenUsage.COMPLETE))
    ended = codec.read_entry(Entry(metadata).message())
    told = codec.read_trailers(trailers(metadata), NOW_MS)
    assert ended is not None
    assert told is not None
    assert (ended.quote, ended.owner) == (quote, owner)
    assert told[0] == quote
    assert list(told[0].lines) == list(quote.lines)


@steady
@given(quotes)
def test_a_quote_can_be_kept_as_json(quote: Quote) -> None:
    """The JSON in the ledger is the quote."""
    assert msgspec.json.decode(codec.encode_record(quote), type=Quote) == quote


def test_a_record_can_be_kept_as_json() -> None:
    """The JSON in the ledger is the record, with the names of its fields."""
    record = make_record(QUOTE, CLEAN, conclude(QUOTE, CLEAN), "trailers")
    kept = codec.encode_record(record)
    assert msgspec.json.decode(kept, type=UsageRecord) == record
    assert json.loads(kept)["usage"]["input_tokens"] == 500
