"""Envoy's messages ↔ our values: the only file that names protobuf fields.

What travels in Envoy's dynamic metadata, under `names.METADATA_NAMESPACE`:

    dialect                 the caller's dialect, for Envoy's own error replies
    limits                  the headers that tell what is left of the key's minute, where it is limited
    owner                   whose key it is, set when that is known: a lost answer of admit can still be undone
    quote                   JSON of `Quote`, set when the hold is taken
    task                    JSON of the `Task` that a request asks about
    made                    the id of the task that an answer named, once it is written down
    paths                   channel → path and query to ask it at
    costs                   cluster → what the request costs there, in USD, where that is known beforehand
    shown                   cluster → channel, of those that the caller may know of
    models                  channel → its name for the model, a JSON string, where that differs from the caller's
    model                   the caller's name for the model, a JSON string, where there are `models`
    model_start, model_end  where in the forwarded body it stands, if it is not in the path

and under `names.SEEN_NAMESPACE` what spans and the access log show of it (`extproc.wire.seen`).
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple, cast

import msgspec
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.wrappers_pb2 import UInt32Value

from extproc import names
from extproc.core.catalog import Dialect
from extproc.core.ending import Progress, Report
from extproc.core.ledger import HOLD_MS
from extproc.core.pricing import UnitKind
from extproc.core.quote import Quote
from extproc.core.record import UsageRecord
from extproc.core.task import Task
from extproc.dialects.routes import MADE, OPERATIONS
from extproc.dialects.usage import UNCOUNTED, Told, agree, read_inclusive, read_words
from extproc.wire.pb.access_log_entry_pb2 import AccessLogType, HTTPAccessLogEntry
from extproc.wire.pb.core_pb2 import HeaderValue, HeaderValueOption, Metadata
from extproc.wire.pb.ext_proc_pb2 import (
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ImmediateResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from extproc.wire.pb.http_status_pb2 import HttpStatus, StatusCode
from extproc.wire.pb.priority_group_pb2 import ClusterWeight, PriorityGroup, PriorityGroupsOverride
from extproc.wire.pb.token_usage_pb2 import TokenUsage
from extproc.wire.seen import Seen, see_quote

_VIA_UPSTREAM = "via_upstream"
"""The response code details of an answer that came from a vendor and reached its own end."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The headers of a request, names in lower case. `ends` when no body follows.

    `beside` is what Envoy tells of it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    ends: bool
    beside: Mapping[str, Struct] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The caller's IP address as Envoy has decided it: read where it matters, as few keys ask for it."""
        found = (struct.fields.get("source.address", _NO_VALUE) for struct in self.beside.values())
        host, _, _ = next((value.string_value for value in found), "").rpartition(":")
        return host.strip("[]")

    @property
    def request_id(self) -> str:
        """Envoy's id of the request; the caller's own is removed at the edge."""
        return self.headers.get(names.REQUEST_ID_HEADER, "")


@dataclass(frozen=True)
class Way:
    """Where a chain leads: the same for all requests at one path for one model that were given this chain.

    `paths` has what each channel is asked at, `clusters` the cluster of each, in the order of the chain, `shown` those
    the caller may know of. `models` has the vendor's name as JSON for each channel that has another than the caller's.
    `try_seconds` is what each attempt has until its answer begins, 0 for what the route says.
    """

    paths: Mapping[str, str]
    models: Mapping[str, str]
    clusters: Mapping[str, str]
    shown: Collection[str] = ()
    try_seconds: int = 0

    @cached_property
    def answer(self) -> bytes:
        """What `forward` says of it, serialised: to parse a copy takes 1 µs, to build the message 25."""
        response = ProcessingResponse(
            request_body=BodyResponse(response=CommonResponse(header_mutation=_attempts(self)))
        )
        metadata = _metadata(response)
        metadata.get_or_create_struct(names.META_PATHS).update(self.paths)
        if self.shown:
            metadata.get_or_create_struct(names.META_SHOWN).update({self.clusters[name]: name for name in self.shown})
        if self.models:
            metadata.get_or_create_struct(names.META_MODELS).update(self.models)
        response.typed_dynamic_metadata[names.CHAIN_NAMESPACE].CopyFrom(_override(self.clusters))
        return response.SerializeToString()


@dataclass(frozen=True, slots=True)
class Forward:
    """What admit lets through: the quote, its `record` as JSON, the way, the changed body (None to leave it).

    Where channels have names of their own for the model and the body has the caller's, that stands from `model_start`
    to `model_end`, else both are 0. `limits` are headers for the answer, whoever gives it. `costs` has what the request
    costs at a channel, in USD, where that is known.
    """

    quote: Quote
    record: str
    way: Way
    model_start: int
    model_end: int
    body: bytes | None
    limits: Mapping[str, str]
    costs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished request in the access log.

    Without a quote it was never held, or admit's answer was lost: then `owner` tells where a hold would be.
    `never_held` when admit refused it, sure that there is no hold. `deadline_ms` is no earlier than that of a hold.
    """

    report: Report
    quote: Quote | None
    owner: str | None
    never_held: bool
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer that the caller has not seen yet, or one of ours on its way. `ends` when it has no body.

    The `quote` is the request's, None for our own refusals; the `task` is the one that it asks about, if it does.
    """

    request_id: str
    status: int
    channel: str
    attempts: int
    quote: Quote | None
    task: Task | None
    ends: bool


_quote_decoder = msgspec.json.Decoder(Quote)
_task_decoder = msgspec.json.Decoder(Task)
_encoder = msgspec.json.Encoder()


def encode_record(record: UsageRecord | Quote | Task) -> str:
    """The JSON that is kept in the ledger, and travels through Envoy."""
    return _encoder.encode(record).decode()


# --- admit ------------------------------------------------------------------------------------------------------------


def read_head(request: ProcessingRequest) -> RequestHead:
    """The headers that admit is asked about."""
    message = request.request_headers
    pairs = {header.key: header.raw_value.decode("latin-1") or header.value for header in message.headers.headers}
    method, target = pairs.get(":method", ""), pairs.get(":path", "")
    return RequestHead(method, target, pairs, message.end_of_stream, request.attributes)


def continue_headers(target: str, dialect: Dialect, owner: str) -> ProcessingResponse:
    """Go on to the body; the caller's credential stays here."""
    mutation = HeaderMutation(remove_headers=names.CREDENTIAL_HEADERS, set_headers=[_header(":path", target)])
    response = ProcessingResponse(request_headers=HeadersResponse(response=CommonResponse(header_mutation=mutation)))
    metadata = _metadata(response)
    metadata[names.META_DIALECT] = dialect.value
    metadata[names.META_OWNER] = owner
    return response


def forward(answer: Forward) -> ProcessingResponse:
    """Let a request whose body has been read through to its chain. Envoy
    refuses a changed body whose content-length is not changed too.
    """
    response = ProcessingResponse.FromString(answer.way.answer)
    if answer.body is not None:
        common = response.request_body.response
        common.body_mutation.body = answer.body
        common.header_mutation.set_headers.append(_header("content-length", str(len(answer.body))))
    _write_decision(_metadata(response), answer)
    _show(response, see_quote(answer.quote))
    return response


def forward_headers(target: str, dialect: Dialect, answer: Forward, task: Task) -> ProcessingResponse:
    """Let a question about a task, which has no body, through to its channel."""
    response, decided = continue_headers(target, dialect, answer.quote.owner), forward(answer)
    response.request_headers.response.header_mutation.MergeFrom(decided.request_body.response.header_mutation)
    response.typed_dynamic_metadata.MergeFrom(decided.typed_dynamic_metadata)
    metadata = _metadata(response)
    metadata.MergeFrom(_metadata(decided))
    metadata[names.META_TASK] = encode_record(task)
    _show(response, see_quote(answer.quote))
    return response


def _attempts(way: Way) -> HeaderMutation:
    """The retries that Envoy may make are one fewer than the channels. Without a header mutation it would not pick the
    route again."""
    headers = [_header("x-envoy-max-retries", str(len(way.clusters) - 1))]
    if way.try_seconds:
        headers.append(_header("x-envoy-upstream-rq-per-try-timeout-ms", str(way.try_seconds * 1000)))
    return HeaderMutation(set_headers=headers)


def _write_decision(metadata: Struct, answer: Forward) -> None:
    """What is of this request alone."""
    metadata.fields[names.META_QUOTE].string_value = answer.record
    if answer.costs:
        costs = {answer.way.clusters[name]: usd for name, usd in answer.costs.items()}
        metadata.get_or_create_struct(names.META_COSTS).update(costs)
    if answer.limits:
        metadata.get_or_create_struct(names.META_LIMITS).update(answer.limits)
    if answer.way.models:
        metadata.fields[names.META_MODEL].string_value = _encoder.encode(answer.quote.model).decode()
    if answer.way.models and answer.model_end:
        metadata.fields[names.META_MODEL_START].number_value = answer.model_start
        metadata.fields[names.META_MODEL_END].number_value = answer.model_end


def immediate(
    status: int, body: bytes, details: str, headers: Mapping[str, str], seen: Seen | None = None
) -> ProcessingResponse:
    """Answer at once, in Envoy's place."""
    options = [_header("content-type", "application/json"), *(_header(*pair) for pair in headers.items())]
    response = ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=HttpStatus(code=cast("StatusCode", status)),
            headers=HeaderMutation(set_headers=options),
            body=body,
            details=details,
        )
    )
    _show(response, seen)
    return response


def _header(name: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=HeaderValue(key=name, raw_value=value.encode("latin-1", "replace")),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def _metadata(response: ProcessingResponse) -> Struct:
    return response.dynamic_metadata.get_or_create_struct(names.METADATA_NAMESPACE)


def _show(response: ProcessingResponse, seen: Seen | None) -> None:
    if seen:
        response.dynamic_metadata.get_or_create_struct(names.SEEN_NAMESPACE).CopyFrom(_seen(seen))


@lru_cache(maxsize=4096)
def _seen(seen: Seen) -> Struct:
    """What is known of it. To build it costs 11 µs, and the next request of a key is much like the last."""
    struct = Struct()
    struct.update({name: value for name, value in asdict(seen).items() if value})
    return struct


def _override(clusters: Mapping[str, str]) -> Any:
    """One group per attempt, so that each retry goes to the next channel."""
    groups = [
        PriorityGroup(name=name, clusters=[ClusterWeight(cluster_name=cluster, weight=UInt32Value(value=1))])
        for name, cluster in clusters.items()
    ]
    packed = Any()
    packed.Pack(PriorityGroupsOverride(priority_groups=groups), deterministic=True)
    return packed


# --- settle -----------------------------------------------------------------------------------------------------------


def read_trailers(request: ProcessingRequest, now_ms: int) -> tuple[Quote, Report] | None:
    """What the response trailers tell, or None when only the access log can tell how it ended."""
    quote, _ = _decided(request.metadata_context)
    counted = _counted(request.metadata_context, quote) if quote else None
    if quote is None or counted is None or not counted[1]:
        return None
    told = _agreed(request.metadata_context, quote, counted[0])
    attributes = _Attributes.of(request)
    report = Report(
        request_id=attributes.request_id,
        status=attributes.status,
        clean=True,
        channel=_channel(attributes.cluster),
        usage=told.usage,
        usage_whole=True,
        sent_bytes=attributes.sent_bytes,
        attempts=attributes.attempts,
        duration_ms=now_ms - quote.held_ms,
        doubts=told.doubts,
        evidence=_evidence(request.metadata_context, attributes.cluster, attributes.status),
    )
    return quote, report


def trailers_id(request: ProcessingRequest) -> str:
    """The id of the request that these response trailers end."""
    return _Attributes.of(request).request_id


class _Attributes(NamedTuple):
    """What Envoy tells of an answer beside it, as `envoy/envoy.yaml` asks for it."""

    request_id: str
    status: int
    cluster: str
    sent_bytes: int
    attempts: int

    @classmethod
    def of(cls, request: ProcessingRequest) -> "_Attributes":
        """Looked up in the map of each struct: `Struct` as a Python mapping costs 6 µs here, and this 4."""
        fields = {name: value for struct in request.attributes.values() for name, value in struct.fields.items()}
        attempts = fields.get("upstream.request_attempt_count")
        return cls(
            request_id=fields.get("request.id", _NO_VALUE).string_value,
            status=int(fields.get("response.code", _NO_VALUE).number_value),
            cluster=fields.get("xds.cluster_name", _NO_VALUE).string_value,
            sent_bytes=int(fields.get("response.size", _NO_VALUE).number_value),
            attempts=1 if attempts is None else int(attempts.number_value),
        )


_NO_VALUE = Value()


def _evidence(metadata: Metadata, cluster: str, status: int) -> int:
    """What the verdict on a whole usage depends on, beside the quote; a hash, for thousands are kept."""
    counted, lifted = metadata.typed_filter_metadata.get(names.USAGE_NAMESPACE), _lifted_numbers(metadata)
    return hash((counted.value if counted else None, frozenset(lifted.items()), cluster, status))


# --- task -------------------------------------------------------------------------------------------------------------


def read_answer(request: ProcessingRequest) -> Answer:
    """The head of an answer, which waits for what the sidecar says."""
    quote, _ = _decided(request.metadata_context)
    ours = request.metadata_context.filter_metadata.get(names.METADATA_NAMESPACE)
    task = ours.fields.get(names.META_TASK) if ours else None
    attributes = _Attributes.of(request)
    return Answer(
        request_id=attributes.request_id,
        status=attributes.status,
        channel=_channel(attributes.cluster),
        attempts=attributes.attempts,
        quote=quote,
        task=_task_decoder.decode(task.string_value) if task else None,
        ends=request.response_headers.end_of_stream,
    )


def read_body(request: ProcessingRequest) -> bytes:
    """The body of the answer, the whole of it."""
    return request.response_body.body


def pass_headers() -> ProcessingResponse:
    """The head of the answer may go on, as soon as its body may."""
    return ProcessingResponse(response_headers=HeadersResponse(response=CommonResponse()))


def pass_body(made: str | None = None) -> ProcessingResponse:
    """The answer may go to the caller; `made` is the id of the task that it names."""
    response = ProcessingResponse(response_body=BodyResponse(response=CommonResponse()))
    if made is not None:
        _metadata(response)[names.META_MADE] = made
    return response


# --- access log -------------------------------------------------------------------------------------------------------


def read_evidence(entry: HTTPAccessLogEntry) -> int:
    """What a whole usage would be read from: the `evidence` of a report that has the same usage, answer and channel."""
    common = entry.common_properties
    return _evidence(common.metadata, common.upstream_cluster, entry.response.response_code.value)


def read_entry(entry: HTTPAccessLogEntry) -> Ended | None:
    """A finished request, or None for an entry that reports one still running or one nobody was admitted to."""
    common, response = entry.common_properties, entry.response
    if common.intermediate_log_entry or common.access_log_type not in (0, AccessLogType.DownstreamEnd):
        return None
    quote, owner = _decided(common.metadata)
    if quote is None and owner is None:
        return None
    clean = response.response_code_details == _VIA_UPSTREAM and not (
        common.response_flags.downstream_connection_termination or common.response_flags.downstream_remote_reset
    )
    told = _told(common.metadata, quote, clean) if quote else None
    report = Report(
        request_id=entry_id(entry),
        status=response.response_code.value,
        clean=clean,
        channel=_channel(common.upstream_cluster),
        usage=told[0].usage if told else None,
        usage_whole=bool(told and told[1]),
        sent_bytes=response.response_body_bytes,
        attempts=max(1, common.upstream_request_attempt_count),
        first_byte_ms=_ms(common.time_to_first_downstream_tx_byte)
        if common.HasField("time_to_first_downstream_tx_byte")
        else None,
        duration_ms=_ms(common.duration),
        doubts=told[0].doubts if told else (),
        task=Progress.UNDER_WAY if _made(common.metadata) else None,
    )
    return Ended(
        report=report,
        quote=quote,
        owner=owner,
        never_held=_refused_for_sure(response.response_code_details),
        deadline_ms=common.start_time.ToMilliseconds() + _ms(common.duration) + HOLD_MS,
    )


def entry_id(entry: HTTPAccessLogEntry) -> str:
    """The id of the request that this entry is about."""
    return entry.request.request_id or entry.common_properties.stream_id


# --- journal ----------------------------------------------------------------------------------------------------------


class _JournalUsage(msgspec.Struct):
    """What `_counted` reads, as CEL prints it: digits, or None where there was none."""

    status: str | None
    input: str | None
    cache_read: str | None
    cache_write: str | None
    output: str | None
    reasoning: str | None
    total: str | None = None


class JournalLine(msgspec.Struct, frozen=True):
    """A line of Envoy's journal, as `envoy/envoy.yaml` has it written. Times are Unix milliseconds and durations."""

    id: str | None
    meta: "dict[str, str | dict[str, str] | float]"
    lifted: dict[str, float] | None
    usage: _JournalUsage
    cluster: str | None
    attempts: int | None
    flags: str
    details: str | None
    code: int
    bytes: int
    start_ms: str
    duration_ms: int
    first_byte_ms: int | None

    @property
    def request_id(self) -> str:
        """The id of the hold."""
        return self.id or ""

    @property
    def owner(self) -> str:
        """Whose hold it is."""
        return str(self.meta.get(names.META_OWNER, ""))

    @property
    def ended_ms(self) -> int:
        """When the request had ended."""
        return int(self.start_ms) + self.duration_ms

    def entry(self) -> HTTPAccessLogEntry:
        """The same as an entry of the gRPC access log."""
        entry = HTTPAccessLogEntry()
        common, response = entry.common_properties, entry.response
        entry.request.request_id = self.request_id
        common.metadata.filter_metadata[names.METADATA_NAMESPACE].update(self.meta)
        common.metadata.filter_metadata[names.LIFTED_NAMESPACE].update(self.lifted or {})
        common.metadata.typed_filter_metadata[names.USAGE_NAMESPACE].Pack(self._token_usage())
        common.upstream_cluster = self.cluster or ""
        common.upstream_request_attempt_count = self.attempts or 0
        flags = self.flags.split(",")
        common.response_flags.downstream_connection_termination = "DC" in flags
        common.response_flags.downstream_remote_reset = "DR" in flags
        common.access_log_type = AccessLogType.DownstreamEnd
        common.start_time.FromMilliseconds(int(self.start_ms))
        common.duration.FromMilliseconds(self.duration_ms)
        if self.first_byte_ms is not None:
            common.time_to_first_downstream_tx_byte.FromMilliseconds(self.first_byte_ms)
        response.response_code.value = self.code
        response.response_code_details = self.details or ""
        response.response_body_bytes = self.bytes
        return entry

    def _token_usage(self) -> TokenUsage:
        told = self.usage
        usage = TokenUsage(extraction_status=cast("TokenUsage.ExtractionStatus", int(told.status or TokenUsage.FAILED)))
        usage.input_tokens.value = int(told.input or 0)
        usage.input_token_details.cached_tokens.value = int(told.cache_read or 0)
        usage.input_token_details.cache_creation_tokens.value = int(told.cache_write or 0)
        usage.output_tokens.value = int(told.output or 0)
        usage.output_token_details.reasoning_tokens.value = int(told.reasoning or 0)
        usage.provider_total_tokens.value = int(told.total or 0)
        return usage


_DAY_MS = 86_400_000
"""No request takes so long: who waited for the end of one would wait for ever."""

_journal_decoder = msgspec.json.Decoder(JournalLine)


def read_journal_line(raw: bytes) -> JournalLine | None:
    """A line of the journal, None for what is none: a kill of Envoy may leave half of one."""
    try:
        line = _journal_decoder.decode(raw)
        return line if 0 <= line.ended_ms - int(line.start_ms) <= _DAY_MS else None
    except (msgspec.DecodeError, ValueError):
        return None


def _refused_for_sure(details: str) -> bool:
    return details.startswith(names.DETAILS_PREFIX) and not details.startswith(names.UNSURE_DETAILS_PREFIX)


def _decided(metadata: Metadata) -> tuple[Quote | None, str | None]:
    ours = metadata.filter_metadata.get(names.METADATA_NAMESPACE)
    if ours is None:
        return None, None
    quote, owner = ours.fields.get(names.META_QUOTE), ours.fields.get(names.META_OWNER)
    return (
        _quote_decoder.decode(quote.string_value) if quote else None,
        owner.string_value if owner else None,
    )


def _made(metadata: Metadata) -> bool:
    ours = metadata.filter_metadata.get(names.METADATA_NAMESPACE)
    return ours is not None and names.META_MADE in ours.fields


def _told(metadata: Metadata, quote: Quote, clean: bool) -> tuple[Told, bool] | None:
    """The usage as it was counted or lifted, and whether it is whole; one that is whole before one that is not."""
    counted = _counted(metadata, quote)
    if counted and counted[1]:
        return _agreed(metadata, quote, counted[0]), True
    lifted = _lifted(metadata, quote, clean)
    return lifted if lifted and (lifted[1] or not counted) else counted


def _agreed(metadata: Metadata, quote: Quote, counted: Told) -> Told:
    """A whole count, compared with what was lifted: the same for whoever reports, however the answer ended.

    What only was counted is no difference.
    """
    usage = counted.usage
    parts = {"cache_read": usage.cache_read_tokens, "reasoning": usage.reasoning_tokens}
    parts["cache_write"] = usage.cache_write_tokens + usage.cache_write_1h_tokens
    lifted = _lifted(metadata, quote, clean=True, counted={name: count for name, count in parts.items() if count})
    if lifted is None or not lifted[1] or lifted[0].usage == usage:  # which is almost always so, and saves 45 µs
        return counted
    return agree(counted, lifted[0], quote.terms)


def _counted(metadata: Metadata, quote: Quote) -> tuple[Told, bool] | None:
    """Usage as the AI protocol manager read it, with what only was lifted; and whether it is whole."""
    packed = metadata.typed_filter_metadata.get(names.USAGE_NAMESPACE)
    if packed is None:
        return None
    counted = TokenUsage.FromString(packed.value)
    if counted.extraction_status == TokenUsage.FAILED:
        return None
    numbers: dict[str, float] = {
        "input": counted.input_tokens.value,
        "cache_write": counted.input_token_details.cache_creation_tokens.value,
        "output": counted.output_tokens.value,
        "reasoning": counted.output_token_details.reasoning_tokens.value,
    }
    told_or_not = {
        "cache_read": counted.input_token_details.cached_tokens.value,
        "total": counted.provider_total_tokens.value,
    }
    numbers |= {name: number for name, number in told_or_not.items() if number}
    lifted = _lifted_numbers(metadata)
    numbers |= {name: lifted[name] for name in UNCOUNTED if name in lifted}
    return read_inclusive(numbers, _unit(quote)), counted.extraction_status == TokenUsage.COMPLETE


def _lifted(
    metadata: Metadata, quote: Quote, clean: bool, counted: Mapping[str, float] = MappingProxyType({})
) -> tuple[Told, bool] | None:
    """Usage that `lift_json`, `lift_sse` and channel.lua lifted, and whether it is whole.

    OpenAI and Anthropic tell the output at the end alone: whoever has seen it has had the whole answer. Gemini tells
    with every event what there is so far. A vendor may count units where the price is by tokens: that is not whole.
    `counted` has parts that stand in for those that were not lifted.
    """
    lifted = _lifted_numbers(metadata)
    if not lifted.keys() & {"input", "total", "seconds", "searches", "images"}:
        return None
    operation = OPERATIONS[quote.operation]
    gemini = operation.dialect is Dialect.GEMINI
    whole = ("output" in lifted and not gemini) or (clean and (gemini or not quote.generates))
    has_tokens = not quote.terms.rates.by_tokens or bool(lifted.keys() & {"input", "total"})
    if operation in MADE:
        lifted.setdefault(MADE[operation], lifted.get("output", 0))
    return read_words({**counted, **lifted}, operation.dialect, _unit(quote)), whole and has_tokens


def _lifted_numbers(metadata: Metadata) -> dict[str, float]:
    struct = metadata.filter_metadata.get(names.LIFTED_NAMESPACE)
    return {name: value.number_value for name, value in struct.fields.items()} if struct else {}


def _unit(quote: Quote) -> UnitKind | None:
    unit = quote.terms.rates.unit
    return unit.kind if unit else None


def _channel(cluster: str) -> str:
    return cluster.removeprefix(names.CHANNEL_CLUSTER_PREFIX).partition(names.EDITION_MARK)[0]


def _ms(duration: Duration) -> int:
    return duration.seconds * 1000 + duration.nanos // 1_000_000
