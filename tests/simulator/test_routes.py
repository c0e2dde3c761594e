"""Which API a path is, and which vendor."""

import pytest

from extproc.simulator import routes


@pytest.mark.parametrize(
    ("method", "target", "vendor", "dialect", "exists"),
    [
        ("POST", "/v1/chat/completions", "", "openai", True),
        ("POST", "/chat/completions", "", "openai", True),
        ("POST", "/a/v1/chat/completions?x=y", "a", "openai", True),
        ("POST", "/openai/v1/responses", "openai", "openai", True),
        ("POST", "/deep/er/v1/embeddings", "deep", "openai", True),
        ("GET", "/a/v1/models", "a", "openai", True),
        ("POST", "/b/v1/messages", "b", "anthropic", True),
        ("POST", "/b/v1/messages/count_tokens", "b", "anthropic", True),
        ("POST", "/g/v1beta/models/gemini-2.5:generateContent?key=k", "g", "gemini", True),
        ("POST", "/v1beta/models/gemini-2.5:streamGenerateContent?alt=sse", "", "gemini", True),
        ("POST", "/v1beta/models/m%3AembedContent", "", "gemini", True),
        ("POST", "/v1beta/models/m:batchEmbedContents", "", "gemini", True),
        ("POST", "/v1beta/tunedModels/m:countTokens", "", "gemini", True),
        ("POST", "/g/v1beta/models/m:predict", "g", "gemini", True),
        ("POST", "/g/v1beta1/publishers/google/models/m:predict", "g", "gemini", True),
        ("POST", "/g/v1beta/models/m:unknownMethod", "g", "gemini", False),
        ("GET", "/g/v1beta/models/m:generateContent", "g", "openai", False),
        ("GET", "/a/v1/chat/completions", "a", "openai", False),
        ("POST", "/a/v1/models", "a", "openai", False),
        ("POST", "/", "", "openai", False),
        ("POST", "/a/v1/images/variations", "a", "openai", False),
    ],
)
def test_find(method: str, target: str, vendor: str, dialect: str, exists: bool) -> None:
    """The path's ending and the method choose the API, its first segment names the vendor."""
    route = routes.find(method, target)
    assert (route.vendor, route.dialect, route.read is not None) == (vendor, dialect, exists)


@pytest.mark.parametrize(
    ("target", "vendor", "scripts"),
    [
        ("/b/sim-status=429/v1/messages", "b", ("sim-status=429",)),
        ("/sim-chunks=1/v1/messages", "", ("sim-chunks=1",)),
        ("/b/sim-chunks=1,delay_ms=2/x/sim-status=500/messages", "b", ("sim-chunks=1,delay_ms=2", "sim-status=500")),
        ("/b/sim-chunks%3D1/v1beta/models/m:generateContent", "b", ("sim-chunks=1",)),
        ("/b/v1beta/models/sim-model:generateContent", "b", ()),
    ],
)
def test_scripts(target: str, vendor: str, scripts: tuple[str, ...]) -> None:
    """Script segments are those before the endpoint, and are no vendor's name."""
    route = routes.find("POST", target)
    assert (route.vendor, route.scripts) == (vendor, scripts)
