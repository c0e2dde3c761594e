"""How vendors word their usage, and what that is in the one inclusive meaning of `extproc.core.pricing.Usage`.

    name             the vendors' words for it                                        what they mean
    ───────────────  ───────────────────────────────────────────────────────────────  ──────────────────────────────────
    input            prompt_tokens, input_tokens (OpenAI), promptTokenCount (Gemini)  all of it
                     input_tokens (Anthropic)                                         without the two of its cache
    input_first      the same in a stream's first event (Anthropic)                   of it there may only be more later
    cache_read       cached_tokens (OpenAI), cachedContentTokenCount (Gemini)         part of the input
                     cache_read_input_tokens (Anthropic)                              beside the input
    cache_hit        prompt_cache_hit_tokens (DeepSeek)                               the same as cache_read
    cache_miss       prompt_cache_miss_tokens (DeepSeek)                              the rest of the input
    cache_write      cache_creation_input_tokens (Anthropic)                          beside the input
                     cache_write_tokens (OpenRouter)                                  part of the input
    cache_write_1h   cache_creation.ephemeral_1h_input_tokens (Anthropic)             part of cache_write
    cache_write_5m   cache_creation.ephemeral_5m_input_tokens (Anthropic)             the rest of cache_write
    input_audio      prompt_tokens_details.audio_tokens (OpenAI)                      part of the input, cached or not
                     promptTokensDetails of AUDIO (Gemini)                            the same
    input_image      input_tokens_details.image_tokens (OpenAI images)                the same
                     promptTokensDetails of IMAGE (Gemini)                            the same
    cache_audio      cacheTokensDetails of AUDIO (Gemini)                             part of cache_read and input_audio
    cache_image      cacheTokensDetails of IMAGE (Gemini)                             part of cache_read and input_image
    tool_use         toolUsePromptTokenCount (Gemini)                                 beside the input
    output           completion_tokens, output_tokens (OpenAI, Anthropic)             all of it
                     candidatesTokenCount (Gemini)                                    without the thoughts
    reasoning        reasoning_tokens (OpenAI, DeepSeek), thinking_tokens (Anthropic) part of the output
                     reasoning_tokens (xAI), thoughtsTokenCount (Gemini)              beside the output
    output_audio     completion_tokens_details.audio_tokens (OpenAI)                  part of the output
                     candidatesTokensDetails of AUDIO (Gemini)                        the same
    output_image     candidatesTokensDetails of IMAGE (Gemini)                        the same
                     output_tokens_details.image_tokens (OpenAI images)               the same
    total            total_tokens (OpenAI, Jina), totalTokenCount (Gemini)            input and output
    seconds          usage.seconds, duration (OpenAI transcripts)                     of the audio
    searches         meta.billed_units.search_units (Cohere)
    images           predictions that have a mimeType (Imagen), counted               those that were not filtered

Sources are the vendors' API references. A part that the total tells to be beside its whole is put into it, whatever
the vendor. Of a number that is told again and again the last counts. What does not add up is said (`Told.doubts`) and
not repaired: the parts are cut to their whole, so that no token is charged twice.

Streams are read by two meters, Envoy's AI protocol manager and `lift_sse`. Where they disagree nothing above explains
it: that is said too, and the cheaper one is charged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from extproc.core.catalog import Dialect
from extproc.core.pricing import ONE, Terms, UnitKind, Usage, cost_nano

UNCOUNTED = (
    *("input_first", "cache_hit", "cache_miss", "cache_write_1h", "cache_write_5m"),
    *("input_audio", "input_image", "cache_audio", "cache_image", "output_audio", "output_image"),
)
"""What Envoy's AI protocol manager does not read."""

_UNITS = {UnitKind.SECOND: ("seconds", 1_000), UnitKind.MINUTE: ("seconds", 1_000)}
_UNITS |= {UnitKind.SEARCH: ("searches", 1), UnitKind.IMAGE: ("images", 1)}
"""Which number counts the units of a price, and how many units each of it is."""

_ABSURD = 2**53
"""No request has so many tokens, and the ledger could not charge them."""

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Told:
    """Usage as a vendor told it, and what about it does not add up."""

    usage: Usage
    doubts: tuple[str, ...] = ()


def read_inclusive(numbers: Numbers, unit: UnitKind | None = None) -> Told:
    """Usage whose parts are in their wholes, but for one that the vendor's total tells to be beside it."""
    found = {name: max(0, round(number)) for name, number in numbers.items() if _counts(number)}
    found = {"input": found.get("total", 0), "output": 0} | found
    beside = found.get("total", 0) - found["input"] - found["output"]
    for part, whole in _BESIDE.items():
        if beside > 0 and found.get(part) == beside:
            found[whole] += beside
            break
    usage = Usage.of(
        found["input"],
        max(found.get("cache_read", 0), found.get("cache_hit", 0)),
        found.get("cache_write", 0) - found.get("cache_write_1h", 0),
        found["output"],
        found.get("reasoning", 0),
        cache_write_1h=found.get("cache_write_1h", 0),
        input_audio=found.get("input_audio", 0) - found.get("cache_audio", 0),
        input_image=found.get("input_image", 0) - found.get("cache_image", 0),
        output_audio=found.get("output_audio", 0),
        output_image=found.get("output_image", 0),
        units=_units(numbers, unit),
    )
    return Told(usage, (*_impossible(numbers), *_doubts(found)))


def read_words(numbers: Numbers, dialect: Dialect, unit: UnitKind | None = None) -> Told:
    """Usage in the words of a dialect, under the names of the table."""
    found = dict(numbers)
    if dialect is Dialect.ANTHROPIC and "input" in found:
        found["input"] += found.get("cache_read", 0) + found.get("cache_write", 0)
    if dialect is Dialect.GEMINI:
        found["output"] = found.get("output", 0) + found.get("reasoning", 0)
    return read_inclusive(found, unit)


def agree(counted: Told, lifted: Told, terms: Terms) -> Told:
    """One reading of two meters' of the same answer: the cheaper one, and where they differ."""
    ours = asdict(lifted.usage)
    pairs = ((name, number, ours[name]) for name, number in asdict(counted.usage).items())
    differ = tuple(f"{name}: {one} counted, {other} lifted" for name, one, other in pairs if one != other)
    cheaper = min(
        counted, lifted, key=lambda told: cost_nano(told.usage, terms.rates_for(told.usage.input_tokens), ONE)
    )
    return replace(cheaper, doubts=(*cheaper.doubts, *differ))


def _units(numbers: Numbers, unit: UnitKind | None) -> int:
    if unit not in _UNITS:
        return 0
    name, each = _UNITS[unit]
    number = numbers.get(name, 0) * each
    return max(0, round(number)) if _counts(number) else 0


def _counts(number: float) -> bool:
    """Whether it can be a count: Envoy takes a vendor's "inf" and "nan" for numbers too."""
    return abs(number) < _ABSURD


def _impossible(numbers: Numbers) -> Iterator[str]:
    yield from (f"{name} is negative" for name, number in numbers.items() if number < 0)
    yield from (f"{name} is no count" for name, number in numbers.items() if not _counts(number))


def _doubts(found: Mapping[str, int]) -> Iterator[str]:
    """Sums that are not what they should be; a cached part may be audio too, so only parts of one kind are added."""
    for whole, *parts in _PARTS:
        told = sum(found.get(part, 0) for part in parts)
        if told > found.get(whole, 0):
            yield f"{' + '.join(parts)} above {whole}"
    for whole, *parts in _SPLITS:
        if all(name in found for name in (whole, *parts)) and sum(found[part] for part in parts) != found[whole]:
            yield f"{' + '.join(parts)} is not {whole}"
    if found.get("input_first", 0) > found["input"] - found.get("cache_read", 0) - found.get("cache_write", 0):
        yield "input fell"


_BESIDE = {"reasoning": "output", "tool_use": "input", "input_audio": "input", "output_audio": "output"}
"""Parts that some vendor tells beside their whole."""

_PARTS = (
    ("input", "cache_read", "cache_write"),
    ("input", "cache_hit"),
    ("input", "input_audio", "input_image"),
    ("cache_read", "cache_audio", "cache_image"),
    ("input_audio", "cache_audio"),
    ("input_image", "cache_image"),
    ("cache_write", "cache_write_1h"),
    ("output", "reasoning"),
    ("output", "output_audio", "output_image"),
)
_SPLITS = (
    ("input", "cache_hit", "cache_miss"),
    ("cache_write", "cache_write_5m", "cache_write_1h"),
    ("cache_hit", "cache_read"),
    ("total", "input", "output"),
)
