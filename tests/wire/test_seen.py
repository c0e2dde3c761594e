"""What spans say of an operation: OpenTelemetry's word where it has one."""

import pytest

from extproc.dialects.routes import OPERATIONS
from extproc.wire.seen import Seen, see

GEN_AI = {
    "openai.chat": "chat",
    "openai.responses": "chat",
    "anthropic.messages": "chat",
    "gemini.generate": "generate_content",
    "openai.completions": "text_completion",
    "openai.embeddings": "embeddings",
    "gemini.embed": "embeddings",
    "gemini.batch_embed": "embeddings",
}
"""`gen_ai.operation.name` has no word for the others."""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_name(operation: str) -> None:
    """That of the semantic conventions, else the last part of ours; the provider is whose API is spoken."""
    dialect, last = operation.split(".")
    name = GEN_AI.get(operation, last)
    provider = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}[dialect]
    assert see(operation) == Seen(name, name, provider)
