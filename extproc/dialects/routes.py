"""Which operation is at a path. What is not in this table is not served: 404, never a free pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import quote, unquote

from extproc.core.catalog import Dialect, Operation
from extproc.core.pricing import UnitKind

_LENGTH = (UnitKind.MINUTE, UnitKind.SECOND)

CHAT = Operation("openai.chat", Dialect.OPENAI)
RESPONSES = Operation("openai.responses", Dialect.OPENAI)
COMPLETIONS = Operation("openai.completions", Dialect.OPENAI)
EMBEDDINGS = Operation("openai.embeddings", Dialect.OPENAI, output=False)
MODERATIONS = Operation("openai.moderations", Dialect.OPENAI, output=False)
RERANK = Operation("openai.rerank", Dialect.OPENAI, output=False, units=(UnitKind.SEARCH,))
IMAGE_EDITS = Operation("openai.image_edits", Dialect.OPENAI, output=False, units=(UnitKind.IMAGE,), form=True)
IMAGES = Operation("openai.images", Dialect.OPENAI, output=False, units=(UnitKind.IMAGE,))
TRANSCRIPTIONS = Operation("openai.transcriptions", Dialect.OPENAI, output=False, units=_LENGTH, form=True)
TRANSLATIONS = Operation("openai.translations", Dialect.OPENAI, output=False, units=_LENGTH, form=True)
SPEECH = Operation("openai.speech", Dialect.OPENAI, output=False, units=(UnitKind.CHARACTER,))
VIDEOS = Operation("openai.videos", Dialect.OPENAI, output=False, units=_LENGTH, task=True)
VIDEO = Operation("openai.video", Dialect.OPENAI, priced=False, output=False)
VIDEO_CONTENT = Operation("openai.video_content", Dialect.OPENAI, priced=False, output=False)
VIDEO_DELETE = Operation("openai.video_delete", Dialect.OPENAI, priced=False, output=False)
MESSAGES = Operation("anthropic.messages", Dialect.ANTHROPIC)
COUNT_MESSAGE_TOKENS = Operation("anthropic.count_tokens", Dialect.ANTHROPIC, priced=False)  # of what can be sent
GENERATE = Operation("gemini.generate", Dialect.GEMINI)
EMBED = Operation("gemini.embed", Dialect.GEMINI, output=False)
BATCH_EMBED = Operation("gemini.batch_embed", Dialect.GEMINI, output=False)
COUNT_TOKENS = Operation("gemini.count_tokens", Dialect.GEMINI, priced=False, output=False)
PREDICT = Operation("gemini.predict", Dialect.GEMINI, output=False, units=(UnitKind.IMAGE,))

_FIXED = {
    "/v1/chat/completions": (CHAT, "/chat/completions"),
    "/v1/responses": (RESPONSES, "/responses"),
    "/v1/completions": (COMPLETIONS, "/completions"),
    "/v1/embeddings": (EMBEDDINGS, "/embeddings"),
    "/v1/moderations": (MODERATIONS, "/moderations"),
    "/v1/rerank": (RERANK, "/rerank"),
    "/v1/images/generations": (IMAGES, "/images/generations"),
    "/v1/images/edits": (IMAGE_EDITS, "/images/edits"),
    "/v1/audio/speech": (SPEECH, "/audio/speech"),
    "/v1/audio/transcriptions": (TRANSCRIPTIONS, "/audio/transcriptions"),
    "/v1/audio/translations": (TRANSLATIONS, "/audio/translations"),
    "/v1/videos": (VIDEOS, "/videos"),
    "/v1/messages": (MESSAGES, "/v1/messages"),
    "/v1/messages/count_tokens": (COUNT_MESSAGE_TOKENS, "/v1/messages/count_tokens"),
    "/claude/v1/messages": (MESSAGES, "/v1/messages"),
    "/claude/v1/messages/count_tokens": (COUNT_MESSAGE_TOKENS, "/v1/messages/count_tokens"),
}

_GEMINI = re.compile(
    r"/(?:gemini/)?(?P<models>v[0-9][a-z0-9]*/(?:publishers/google/)?models)/(?P<model>[^\n]+):(?P<verb>[A-Za-z]+)"
)
"""A model's name may hold `/` and `:`, which Google's SDK does not escape; the last colon stands before the verb.

Google has two hosts that take a key alone: at one of them models are below `publishers/google` (its SDK's Vertex mode).
"""

_GEMINI_VERBS = {
    "generateContent": GENERATE,
    "streamGenerateContent": GENERATE,
    "embedContent": EMBED,
    "batchEmbedContents": BATCH_EMBED,
    "countTokens": COUNT_TOKENS,
    "predict": PREDICT,
}
TASK_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=~-]{0,199}")
"""The ids of tasks that can be asked for: one that could be more than a segment of a path is none."""

_VIDEO = re.compile(r"/v1/videos/(?P<task>[^/]+)(?P<content>/content)?")
"""`envoy/envoy.yaml` has the same expressions: by them it knows which answers the sidecar must see first."""

ABOUT_TASKS = {("GET", False): VIDEO, ("GET", True): VIDEO_CONTENT, ("DELETE", False): VIDEO_DELETE}
"""What a method asks about a task, and whether it is about what was made. None of them has a body."""

OPERATIONS = {
    each.name: each for each in (*(each for each, _ in _FIXED.values()), *_GEMINI_VERBS.values(), *ABOUT_TASKS.values())
}
"""Every operation by its name."""

MADE = {IMAGES: "output_image", IMAGE_EDITS: "output_image", SPEECH: "output_audio"}
"""What the tokens of an answer are where nobody says what they are (`extproc.dialects.usage`)."""

_TELLING_HEADERS = {
    "anthropic-version": Dialect.ANTHROPIC,
    "x-goog-api-key": Dialect.GEMINI,
    "x-goog-api-client": Dialect.GEMINI,
}
_DIRECTORY = re.compile(r"/(?:(?:claude/)?v1|gemini/v[0-9][a-z0-9]*|v1beta)/models(?:/(?P<model>[^\n]+))?")


@dataclass(frozen=True, slots=True)
class Route:
    """An operation at a path. `template` is the path below a channel's base URL, `{model}` where the model stands.

    `model` and `stream` are set where the path, not the body, says them (Gemini); `task`, where it asks about one: then
    there is no body. `query` is kept for the vendor.
    """

    operation: Operation
    template: str
    query: str = ""
    model: str | None = None
    stream: bool | None = None
    task: str | None = None

    def path_at(self, base_path: str, vendor_model: str) -> str:
        """The path and query for a channel whose base URL has this path."""
        path = base_path + self.template.replace("{model}", quote(vendor_model, safe=""))
        return f"{path}?{self.query}" if self.query else path


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models there are, in one dialect's shape; or the one of this name alone, if it is among them."""

    dialect: Dialect
    model: str | None = None


class Asked(Enum):
    """What a key's holder may ask about the key."""

    BALANCE = auto()
    USAGE = auto()
    SUBSCRIPTION = auto()
    BILLED = auto()


_OF_OWN_KEY = {
    "/v1/balance": Asked.BALANCE,
    "/v1/usage": Asked.USAGE,
    **dict.fromkeys(("/v1/dashboard/billing/subscription", "/dashboard/billing/subscription"), Asked.SUBSCRIPTION),
    **dict.fromkeys(("/v1/dashboard/billing/usage", "/dashboard/billing/usage"), Asked.BILLED),
}
"""Clients add the billing pages to their base URL, with or without `/v1`."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A question about the caller's own key."""

    about: Asked
    query: str = ""


def operations_of(dialect: Dialect) -> list[Operation]:
    """Every operation of a dialect."""
    return [operation for operation in OPERATIONS.values() if operation.dialect is dialect]


def dialect_of(target: str, headers: Mapping[str, str]) -> Dialect:
    """What a caller at this path speaks. All three SDKs ask for models at `/v1`; their headers tell them apart."""
    path = target.partition("?")[0]
    if path.startswith(("/v1/messages", "/claude/")):
        return Dialect.ANTHROPIC
    if path.startswith(("/v1beta", "/gemini/")) or _find_gemini(path, ""):
        return Dialect.GEMINI
    if path.startswith("/v1/models"):
        return next((dialect for header, dialect in _TELLING_HEADERS.items() if header in headers), Dialect.OPENAI)
    return Dialect.OPENAI


def find_route(method: str, target: str, headers: Mapping[str, str]) -> Route | ModelList | OwnKey | None:
    """What is at this path and query for this method, if anything."""
    path, _, query = target.partition("?")
    if method == "GET":
        own = OwnKey(_OF_OWN_KEY[path], query) if path in _OF_OWN_KEY else None
        return own or _find_list(path, headers) or _find_video(method, path, query)
    if method != "POST":
        return _find_video(method, path, query)
    if path in _FIXED:
        operation, template = _FIXED[path]
        return Route(operation, template, query)
    return _find_gemini(path, query)


def _find_list(path: str, headers: Mapping[str, str]) -> ModelList | None:
    match = _DIRECTORY.fullmatch(path)
    if match is None:
        return None
    model = match["model"]
    return ModelList(dialect_of(path, headers), None if model is None else unquote(model))


def _find_video(method: str, path: str, query: str) -> Route | None:
    """A list of all would show what other owners' keys have made at the same vendor: there is none."""
    match = _VIDEO.fullmatch(path)
    operation = ABOUT_TASKS.get((method, match["content"] is not None)) if match else None
    task = unquote(match["task"]) if match else ""
    if match is None or operation is None or not TASK_ID.fullmatch(task):
        return None
    return Route(operation, f"/videos/{quote(task, safe='')}{match['content'] or ''}", query, task=task)


def _find_gemini(path: str, query: str) -> Route | None:
    match = _GEMINI.fullmatch(path)
    operation = _GEMINI_VERBS.get(match["verb"]) if match else None
    if match is None or operation is None:
        return None
    verb = match["verb"]
    template = f"/{match['models']}/{{model}}:{verb}"
    return Route(operation, template, query, unquote(match["model"]), verb == "streamGenerateContent")
