"""What a request asks the simulator to do; the table of keys is in the package's docstring."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from extproc.simulator.usage import Usage

MARK = b"[[sim"
_DIRECTIVE = re.compile(r"\[\[sim(.*?)\]\]", re.DOTALL)
_PATH_PREFIX = "sim-"

Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]


class ScriptError(ValueError):
    """The script cannot be followed: not JSON, an unknown key, a wrong type, or numbers that contradict."""


class UsageScript(Struct, frozen=True, forbid_unknown_fields=True):
    """Token numbers to say instead of the default ones; inclusive."""

    input: Count | None = None
    output: Count | None = None
    cached: Count = 0
    cache_write: Count = 0
    reasoning: Count = 0
    image: Count | None = None
    searches: Count | None = None
    seconds: Annotated[float, Meta(ge=0)] | None = None
    audio: Count = 0
    cached_audio: Count = 0
    cached_image: Count = 0
    output_audio: Count = 0
    output_image: Count = 0
    filtered: Count = 0
    cache_write_1h: Count = 0
    hit: Count | None = None


class VideoScript(Struct, frozen=True, forbid_unknown_fields=True):
    """How the video is made that a request asks for, and what is answered about it later."""

    polls: Count = 2
    ends: str = "completed"
    seconds: Annotated[float, Meta(ge=0)] | None = None
    id: str | None = None
    not_json: bool = False
    poll_status: Annotated[int, Meta(ge=200, le=599)] = 200
    content_bytes: Count = 64


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """How one answer goes."""

    chunks: Count = 5
    delay_ms: Milliseconds = 0
    first_delay_ms: Milliseconds = 0
    header_then_delay_ms: Milliseconds = 0
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    retry_after: Count | None = None
    reset_after: Annotated[int, Meta(ge=-1)] | None = None
    close_after: Count | None = None
    pause_at: Annotated[int, Meta(ge=-1)] | None = None
    no_usage: bool = False
    usage: UsageScript = UsageScript()
    video: VideoScript = VideoScript()
    word_bytes: Count = 0
    body_bytes: Count = 0
    echo_headers: bool = False

    @property
    def cut_after(self) -> int | None:
        """Chunks after which the answer is broken off, if it is."""
        return self.close_after if self.reset_after is None else self.reset_after

    def usage_for(self, prompt_words: int) -> Usage:
        """The tokens of the answer to a prompt of so many words. Raises ScriptError if they contradict."""
        said = self.usage
        usage = Usage(
            input=max(prompt_words, 1) if said.input is None else said.input,
            output=self.chunks if said.output is None else said.output,
            cached=said.cached,
            cache_write=said.cache_write,
            reasoning=said.reasoning,
        )
        if usage.uncached < 0 or usage.reasoning > usage.output:
            raise ScriptError(f"usage contradicts itself: {usage}")
        return usage


PLAIN = Script()


def is_path_script(segment: str) -> bool:
    """Whether this segment of a path is a script."""
    return segment.startswith(_PATH_PREFIX)


def directive_in(texts: Iterable[str]) -> dict[str, Any]:
    """The last directive of the first of these texts that has any; empty without. Raises ScriptError."""
    for text in texts:
        if found := _DIRECTIVE.findall(text):
            return _object(found[-1])
    return {}


def without_directives(text: str) -> str:
    """The text as a vendor would count it."""
    return _DIRECTIVE.sub(" ", text)


def merge(vendor: str, directive: dict[str, Any], path_segments: tuple[str, ...]) -> Script:
    """The script for `vendor`: the path's keys over the directive's. Raises ScriptError."""
    if not directive:
        return _from_path(path_segments)
    aimed = directive.pop("only", None) or {}
    if not isinstance(aimed, dict):
        raise ScriptError("`only` is not an object of vendor names")
    return _script(_over(directive, aimed.get(vendor, {}), *map(_path_values, path_segments)))


@lru_cache(maxsize=256)
def _from_path(segments: tuple[str, ...]) -> Script:
    return _script(_over(*map(_path_values, segments))) if segments else PLAIN


def _path_values(segment: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in segment.removeprefix(_PATH_PREFIX).split(","):
        key, _, value = item.partition("=")
        outer, _, inner = key.partition(".")
        if inner:
            values.setdefault(outer, {})[inner] = _value(value)
        else:
            values[outer] = _value(value)
    return values


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ScriptError(f"not a number, true or false: {text!r}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ScriptError(f"not a JSON object: {error}") from None


def _over(*layers: dict[str, Any]) -> dict[str, Any]:
    """The layers merged, later ones winning; `usage` key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if not isinstance(layer, dict):
            raise ScriptError("a vendor's script is not an object")
        usages = [part["usage"] for part in (merged, layer) if isinstance(part.get("usage"), dict)]
        merged |= layer
        if len(usages) == 2:
            merged["usage"] = usages[0] | usages[1]
    return merged


def _script(values: dict[str, Any]) -> Script:
    try:
        return msgspec.convert(values, Script)
    except msgspec.ValidationError as error:
        raise ScriptError(str(error)) from None
