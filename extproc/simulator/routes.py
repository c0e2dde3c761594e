"""Which API a path means, by its ending; which vendor is played, by its beginning."""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from extproc.simulator import (
    anthropic_messages,
    gemini_embeddings,
    gemini_generate,
    gemini_images,
    openai_chat,
    openai_embeddings,
    openai_forms,
    openai_media,
    openai_models,
    openai_responses,
    openai_videos,
)
from extproc.simulator.answer import Ask
from extproc.simulator.errors import Dialect
from extproc.simulator.script import is_path_script

Read = Callable[[bytes], Ask]

_VERSION = re.compile(r"v\d+\w*")

_ENDINGS: dict[tuple[str, ...], tuple[str, Dialect, Read]] = {
    ("chat", "completions"): ("POST", "openai", openai_chat.read),
    ("responses",): ("POST", "openai", openai_responses.read),
    ("embeddings",): ("POST", "openai", openai_embeddings.read),
    ("completions",): ("POST", "openai", openai_media.read_completion),
    ("moderations",): ("POST", "openai", openai_media.read_moderation),
    ("rerank",): ("POST", "openai", openai_media.read_ranking),
    ("images", "generations"): ("POST", "openai", openai_media.read_image),
    ("images", "edits"): ("POST", "openai", openai_forms.read_edit),
    ("audio", "transcriptions"): ("POST", "openai", openai_forms.read_transcript),
    ("audio", "translations"): ("POST", "openai", openai_forms.read_transcript),
    ("audio", "speech"): ("POST", "openai", openai_media.read_speech),
    ("videos",): ("POST", "openai", openai_videos.read),
    ("models",): ("GET", "openai", openai_models.read),
    ("messages",): ("POST", "anthropic", anthropic_messages.read),
    ("messages", "count_tokens"): ("POST", "anthropic", anthropic_messages.read_count),
}

_GEMINI_METHODS: dict[str, Callable[[bytes, str], Ask]] = {
    "generateContent": gemini_generate.read,
    "countTokens": gemini_generate.read_count,
    "embedContent": gemini_embeddings.read,
    "batchEmbedContents": gemini_embeddings.read_batch,
    "predict": gemini_images.read,
}


class Route(Struct, frozen=True):
    """Where a request goes. `read` is None where no API is; `scripts` are the path's script segments."""

    vendor: str
    dialect: Dialect
    read: Read | None
    scripts: tuple[str, ...]
    answers_array: bool = False


@lru_cache(maxsize=1024)
def find(method: str, target: str) -> Route:
    """The route of a request line's method and target (path and query)."""
    path, _, query = target.partition("?")
    segments = [unquote(segment) for segment in path.split("/") if segment]
    sse = parse_qs(query).get("alt") == ["sse"]
    dialect, read, used = _api(method, segments, sse)
    prefix = segments[: len(segments) - used]
    array = path.endswith(":streamGenerateContent") and not sse
    return Route(_vendor(prefix), dialect, read, tuple(filter(is_path_script, prefix)), array)


def _api(method: str, segments: list[str], sse: bool) -> tuple[Dialect, Read | None, int]:
    """The dialect, the reader, and how many segments name them."""
    for used in (2, 1):
        found = _ENDINGS.get(tuple(segments[-used:]))
        if found and found[0] == method:
            return found[1], found[2], used
    match segments:
        case [*_, "videos", video]:
            return "openai", openai_videos.read_about(method, video), 2
        case [*_, "videos", video, "content"]:
            return "openai", openai_videos.read_about(method, video, content=True), 3
    model, _, name = segments[-1].rpartition(":") if segments else ("", "", "")
    if not model or method != "POST":
        return "openai", None, 0
    if name == "streamGenerateContent":
        return "gemini", lambda body: gemini_generate.read_stream(body, model, sse), 2
    read = _GEMINI_METHODS.get(name)
    return "gemini", (lambda body: read(body, model)) if read else None, 2


def _vendor(prefix: list[str]) -> str:
    first = prefix[0] if prefix else ""
    return "" if is_path_script(first) or _VERSION.fullmatch(first) else first
