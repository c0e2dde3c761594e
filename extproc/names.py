"""Names that cross a process boundary, each written once: headers, metadata namespaces, clusters.

`envoy/envoy.yaml` spells the same names; `tests/test_names.py` compares.
"""

REQUEST_ID_HEADER = "x-request-id"
"""Envoy makes it for every request; it is the id of the hold, the trace and the usage record."""

PUBLIC_REQUEST_ID_HEADER = "x-tollgate-request-id"
"""The same id, on every answer to the caller."""

PUBLIC_CHANNEL_HEADER = "x-tollgate-channel"
"""The channel that answered, or was the last to be asked, where its group shows it."""

PUBLIC_COST_HEADER = "x-tollgate-cost"
"""What the request costs, in USD, on answers to those whose price is known before the answer is there."""

CREDENTIAL_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
"""Where a caller may put a key, and what must never travel from one party to another."""

CREDENTIAL_QUERY = "key"
"""Gemini clients may put the key in the query string."""

RATE_HEADERS = tuple(
    f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")
)
"""What is left of a key's minute, on every answer to one that is limited, in OpenAI's words."""

EDGE_RATE_HEADERS = tuple(f"x-ratelimit-{what}" for what in ("limit", "remaining", "reset"))
"""What is left of what Envoy allows a credential, or an address, in a minute."""

EDGE_NAMESPACE = "tollgate.edge"
"""Untyped metadata: whose bucket a request draws on, before admit has seen it."""

ANSWER_NAMESPACE = "tollgate.answer"
"""Untyped metadata: what Envoy keeps of a vendor's answer that it replaces by its own."""

CHAIN_NAMESPACE = "tollgate.chain"
"""Typed metadata: the `PriorityGroupsOverride` that Envoy's cluster specifier reads."""

METADATA_NAMESPACE = "tollgate"
"""Untyped metadata: what admit decided, read again by settle, the access log and the channels' Lua."""

SEEN_NAMESPACE = "tollgate.seen"
"""Untyped metadata: what admit knows of a request, for spans and the access log that is read by people."""

LIFTED_NAMESPACE = "tollgate.usage"
"""Untyped metadata: usage fields that `lift_json`, `lift_sse` and channel.lua lift out of answers."""

USAGE_NAMESPACE = "envoy.ai.token_usage"
"""Typed metadata: the `TokenUsage` that Envoy's AI protocol manager reads out of answers."""

JWT_PAYLOAD_HEADER = "x-tollgate-jwt-payload"
"""The payload of a JWT that Envoy has verified for the admin service, in base64url."""

ADMIN_SERVICE = "tollgate.admin.v1.Admin"
ADMIN_SOCKET = "admin-api.sock"
"""The Unix socket of the admin service, relative to the run folder. `admin.sock` beside it is Envoy's own."""

META_OWNER = "owner"
META_TASK = "task"
META_MADE = "made"
META_LIMITS = "limits"
META_DIALECT = "dialect"
META_QUOTE = "quote"
META_PATHS = "paths"
META_SHOWN = "shown"
META_COSTS = "costs"
META_MODELS = "models"
META_MODEL = "model"
META_MODEL_START = "model_start"
META_MODEL_END = "model_end"

DETAILS_PREFIX = "tollgate_"
"""Response code details of every refusal by the sidecar, so that Envoy's local replies leave it as it is."""

UNSURE_DETAILS_PREFIX = DETAILS_PREFIX + "unsure_"
"""Of a refusal by the sidecar that may have left a hold behind."""

SIDECAR_CLUSTER = "sidecar"
NO_CHANNEL_CLUSTER = "no_channel"
ADMIN_CLUSTER = "admin_api"
CHANNEL_CLUSTER_PREFIX = "channel_"
"""Begins the name of every channel's Envoy cluster: no channel can take the name of an internal cluster."""

LIMITED_CLUSTER_PREFIX = "limited_"
"""Of a channel that may have only so many requests under way: before the name of its cluster, the name of a second one,
which counts them. Between the two is the gate."""

GATE_LISTENER = "gate"
GATE_HEADER = "x-tollgate-limited"
"""Tells the gate which cluster a request goes to."""

EDITION_MARK = "@"
"""Stands in the name of a channel's cluster between the channel's name, which cannot hold it, and its edition."""

ADMIN_DESCRIPTOR = "admin.pb"
"""The file in the run folder that tells Envoy what there is to be called of the admin service."""

TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"
"""The files of the edge's certificate, with the names they have where Kubernetes mounts a TLS secret."""


def worker_socket(index: int) -> str:
    """The Unix socket of a worker, relative to the run folder: a path of more than 107 bytes cannot be a socket's."""
    return f"worker-{index}.sock"
