"""What spans and the access log show of a request, in OpenTelemetry's words where it has some (docs/tracing.md).

Metadata only: whose key and which model, never what was said. Envoy adds what it knows itself.
"""

from dataclasses import dataclass, replace
from typing import Final

from extproc.core.catalog import Dialect
from extproc.core.quote import Quote
from extproc.dialects.routes import (
    BATCH_EMBED,
    CHAT,
    COMPLETIONS,
    EMBED,
    EMBEDDINGS,
    GENERATE,
    MESSAGES,
    RESPONSES,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a request, empty for what is not. `name` is that of its span."""

    name: str
    operation: str
    provider: str
    group: str = ""
    key_prefix: str = ""
    model: str = ""


_WELL_KNOWN: Final = {
    **dict.fromkeys((CHAT.name, RESPONSES.name, MESSAGES.name), "chat"),
    **dict.fromkeys((EMBEDDINGS.name, EMBED.name, BATCH_EMBED.name), "embeddings"),
    COMPLETIONS.name: "text_completion",
    GENERATE.name: "generate_content",
}
"""`gen_ai.operation.name` of OpenTelemetry's semantic conventions; other operations have the last part of our name."""

_PROVIDERS: Final = {Dialect.GEMINI.value: "gcp.gemini"}
"""`gen_ai.provider.name`, which tells whose API is spoken, where it is not the name of the dialect."""


def see(operation: str, group: str = "", key_prefix: str = "") -> Seen:
    """Of a request whose path, and thereby operation, is known, and of its key what is known."""
    dialect, _, last = operation.partition(".")
    name = _WELL_KNOWN.get(operation, last)
    return Seen(name, name, _PROVIDERS.get(dialect, dialect), group, key_prefix)


def see_quote(quote: Quote) -> Seen:
    """Of one that is let through. Only such a one has its model in the name: any other may say what it likes."""
    seen = see(quote.operation, quote.group, quote.key_prefix)
    return replace(seen, name=f"{seen.operation} {quote.model}", model=quote.model)
