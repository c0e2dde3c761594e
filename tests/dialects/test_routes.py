"""The table of paths: what is not in it is not served."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.core.catalog import Dialect, Operation
from extproc.dialects import routes
from extproc.dialects.routes import Asked, ModelList, OwnKey, Route, dialect_of, find_route
from tests.core.samples import steady

FIXED = [
    ("/v1/chat/completions", routes.CHAT, "/chat/completions"),
    ("/v1/responses", routes.RESPONSES, "/responses"),
    ("/v1/completions", routes.COMPLETIONS, "/completions"),
    ("/v1/embeddings", routes.EMBEDDINGS, "/embeddings"),
    ("/v1/moderations", routes.MODERATIONS, "/moderations"),
    ("/v1/rerank", routes.RERANK, "/rerank"),
    ("/v1/images/generations", routes.IMAGES, "/images/generations"),
    ("/v1/images/edits", routes.IMAGE_EDITS, "/images/edits"),
    ("/v1/audio/speech", routes.SPEECH, "/audio/speech"),
    ("/v1/audio/transcriptions", routes.TRANSCRIPTIONS, "/audio/transcriptions"),
    ("/v1/audio/translations", routes.TRANSLATIONS, "/audio/translations"),
    ("/v1/messages", routes.MESSAGES, "/v1/messages"),
    ("/claude/v1/messages", routes.MESSAGES, "/v1/messages"),
    ("/v1/messages/count_tokens", routes.COUNT_MESSAGE_TOKENS, "/v1/messages/count_tokens"),
    ("/claude/v1/messages/count_tokens", routes.COUNT_MESSAGE_TOKENS, "/v1/messages/count_tokens"),
]
GEMINI_VERBS = [
    ("generateContent", routes.GENERATE, False),
    ("streamGenerateContent", routes.GENERATE, True),
    ("embedContent", routes.EMBED, False),
    ("batchEmbedContents", routes.BATCH_EMBED, False),
    ("countTokens", routes.COUNT_TOKENS, False),
    ("predict", routes.PREDICT, False),
]
GEMINI_PREFIXES = [
    ("/v1beta", "v1beta"),
    ("/v1", "v1"),
    ("/v1alpha", "v1alpha"),
    ("/gemini/v1beta", "v1beta"),
    ("/gemini/v1", "v1"),
    ("/gemini/v2", "v2"),
    ("/v1beta1/publishers/google", "v1beta1/publishers/google"),
    ("/gemini/v1/publishers/google", "v1/publishers/google"),
]
NO_HEADERS: dict[str, str] = {}
ANTHROPIC = {"anthropic-version": "2023-06-01", "x-api-key": "sk-1"}
GOOGLE = {"x-goog-api-client": "google-genai-sdk/1", "x-goog-api-key": "sk-1"}
LISTS = [
    ("/v1/models", NO_HEADERS, Dialect.OPENAI),
    ("/v1/models", {"authorization": "Bearer sk-1"}, Dialect.OPENAI),
    ("/v1/models", {"x-api-key": "sk-1"}, Dialect.OPENAI),
    ("/v1/models", ANTHROPIC, Dialect.ANTHROPIC),
    ("/v1/models", GOOGLE, Dialect.GEMINI),
    ("/v1/models", {"x-goog-api-key": "sk-1"}, Dialect.GEMINI),
    ("/v1/models", {"x-goog-api-client": "google-genai-sdk/1"}, Dialect.GEMINI),
    ("/claude/v1/models", NO_HEADERS, Dialect.ANTHROPIC),
    ("/claude/v1/models", GOOGLE, Dialect.ANTHROPIC),
    ("/v1beta/models", NO_HEADERS, Dialect.GEMINI),
    ("/v1beta/models", ANTHROPIC, Dialect.GEMINI),
    ("/gemini/v1beta/models", NO_HEADERS, Dialect.GEMINI),
    ("/gemini/v1/models", NO_HEADERS, Dialect.GEMINI),
]
POSTS = [path for path, _, _ in FIXED] + [
    f"{prefix}/models/m:{verb}" for prefix, _ in GEMINI_PREFIXES for verb, _, _ in GEMINI_VERBS
]
GETS = sorted({path for path, _, _ in LISTS})


@pytest.mark.parametrize(("path", "operation", "template"), FIXED)
def test_a_path_whose_body_names_the_model(path: str, operation: Operation, template: str) -> None:
    """These paths are these operations, at these places below a channel's base URL."""
    assert find_route("POST", path, NO_HEADERS) == Route(operation, template)


@pytest.mark.parametrize(("prefix", "version"), GEMINI_PREFIXES)
@pytest.mark.parametrize(("verb", "operation", "stream"), GEMINI_VERBS)
def test_a_gemini_path(prefix: str, version: str, verb: str, operation: Operation, stream: bool) -> None:
    """The path names version, model and verb, and the verb says whether the answer is a stream."""
    route = find_route("POST", f"{prefix}/models/gemini-2.5-pro:{verb}?alt=sse", NO_HEADERS)
    template = f"/{version}/models/{{model}}:{verb}"
    assert route == Route(operation, template, "alt=sse", "gemini-2.5-pro", stream)


@pytest.mark.parametrize(("path", "headers", "dialect"), LISTS)
def test_a_model_list(path: str, headers: dict[str, str], dialect: Dialect) -> None:
    """Each dialect lists models at its own path; at OpenAI's the headers of an SDK tell whose it is."""
    assert find_route("GET", path, headers) == ModelList(dialect)
    assert find_route("GET", path + "?pageSize=5", headers) == ModelList(dialect)


@pytest.mark.parametrize(("path", "headers", "dialect"), LISTS)
@pytest.mark.parametrize("name", ["gpt-5", "org/model", "org/model:free", "org%2Fmodel:free", "m:1", "100%25"])
def test_a_single_model(path: str, headers: dict[str, str], dialect: Dialect, name: str) -> None:
    """Below each list stand its models, in the same dialect, with what is in their names escaped or not."""
    expected = ModelList(dialect, unquote(name))
    assert find_route("GET", f"{path}/{name}", headers) == expected
    assert find_route("GET", f"{path}/{name}?x=1", headers) == expected
    assert dialect_of(f"{path}/{name}", headers) is dialect


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "post", "CONNECT", ""])
def test_an_operation_is_a_post(method: str, path: str) -> None:
    """No other method calls a model."""
    assert find_route(method, path, NO_HEADERS) is None


@pytest.mark.parametrize("path", POSTS)
def test_a_get_calls_no_model(path: str) -> None:
    """A GET of an operation's path is at most a question for a model of an odd name, which is answered here."""
    assert not isinstance(find_route("GET", path, NO_HEADERS), Route)


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE", ""])
def test_a_list_is_a_get(method: str, path: str) -> None:
    """No other method lists models."""
    assert find_route(method, path, NO_HEADERS) is None


OWN = [
    ("/v1/balance", Asked.BALANCE),
    ("/v1/usage", Asked.USAGE),
    ("/v1/dashboard/billing/subscription", Asked.SUBSCRIPTION),
    ("/dashboard/billing/subscription", Asked.SUBSCRIPTION),
    ("/v1/dashboard/billing/usage", Asked.BILLED),
    ("/dashboard/billing/usage", Asked.BILLED),
]


@pytest.mark.parametrize(("path", "asked"), OWN)
def test_what_holders_ask_about_their_keys(path: str, asked: Asked) -> None:
    """By GET alone, at this path alone; whatever SDK asks is told in OpenAI's words when it is refused."""
    assert find_route("GET", path, NO_HEADERS) == OwnKey(asked)
    assert find_route("GET", f"{path}?from=2026-11-01&x=", ANTHROPIC) == OwnKey(asked, "from=2026-11-01&x=")
    for method in ("POST", "HEAD", "DELETE", "PUT", "OPTIONS", "get", ""):
        assert find_route(method, path, NO_HEADERS) is None
    for around in ("{}/", "/{}", "{}/x", "/x{}", "{}%2F", "{}\n", "{};a=1", "{}#a"):
        assert find_route("GET", around.format(path), NO_HEADERS) is None
    assert dialect_of(path, NO_HEADERS) is Dialect.OPENAI


AROUND = pytest.mark.parametrize("around", ["{}/", "/{}", "{}/x", "/x{}", "{}%2F", "{}\n", "{};a=1", "{}#a"])


@pytest.mark.parametrize("path", POSTS + GETS)
@AROUND
def test_only_the_exact_path_is_served(path: str, around: str) -> None:
    """A trailing slash, a doubled slash or anything else around a known path makes an unknown one."""
    assert find_route("POST", around.format(path), NO_HEADERS) is None
    assert not isinstance(find_route("GET", around.format(path), NO_HEADERS), Route)


@pytest.mark.parametrize("path", GETS)
@AROUND
def test_only_the_exact_path_lists(path: str, around: str) -> None:
    """Around a list's path there is nothing but the models below it."""
    found = find_route("GET", around.format(path), NO_HEADERS)
    assert found == (ModelList(dialect_of(path, NO_HEADERS), "x") if around == "{}/x" else None)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "*",
            "/v1",
            "/v1/",
            "/V1/chat/completions",
            "/v1/images",
            "/v1/images/variations",
            "/v1/files",
        ),
        *("/v1/batches", "/v1/responses/resp_1", "/v1/responses/resp_1/cancel"),
        *("/v1/chat/completions/cc_1", "/v1/messages/batches", "/v1/complete", "/claude/v1/complete"),
        *("/claude/v1/chat/completions", "/gemini/v1/chat/completions", "/v1beta/openai/chat/completions"),
        *(
            "/models",
            "/models/m:generateContent",
            "/gemini/models/m:countTokens",
        ),
        *(
            "/v1/models/",
            "/claude/models/m",
            "/gemini/models/m",
            "/claude/v1beta/models/m",
        ),
        *("/v1beta/tunedModels/m:generateContent", "/v1beta/cachedContents", "/v1beta/files", "/upload/v1beta/files"),
        *(
            "/gemini/gemini/v1/models/m:countTokens",
            "/gemini/x1/models/m:countTokens",
            "/gemini/v/models/m:countTokens",
        ),
        *("/v1/../v1/messages", "/v1/%63hat/completions", "/v1%2Fmessages"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_served(method: str, path: str) -> None:
    """What a vendor may offer besides, and nobody priced here, is no path."""
    assert find_route(method, path, NO_HEADERS) is None


@pytest.mark.parametrize("verb", ["m", "m:", ":generateContent", "m:GenerateContent", "m:rawPredict", "m:countTokens:"])
def test_an_unknown_verb_is_not_served(verb: str) -> None:
    """Google has more verbs than are priced here, and each is spelled in one way."""
    assert find_route("POST", f"/v1beta/models/{verb}", NO_HEADERS) is None


@steady
@given(st.sampled_from(["GET", "POST"]), st.text(max_size=60))
def test_anything_else_is_not_served(method: str, target: str) -> None:
    """A path from nowhere is no operation, and reading it is no fault."""
    path = target.partition("?")[0]
    assert path in POSTS + GETS + [own for own, _ in OWN] or find_route(method, target, NO_HEADERS) is None


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@steady
@given(names, st.sampled_from(GEMINI_PREFIXES), st.sampled_from(GEMINI_VERBS))
@example("tuned/a:b", GEMINI_PREFIXES[0], GEMINI_VERBS[0])
@example("100%", GEMINI_PREFIXES[0], GEMINI_VERBS[0])
def test_a_model_name_survives_the_path(name: str, prefix: tuple[str, str], verb: tuple[str, Operation, bool]) -> None:
    """Whatever is in a percent-encoded model name, it is read as it was meant and asked for as it was sent."""
    path = f"/models/{quote(name, safe='')}:{verb[0]}"
    route = find_route("POST", prefix[0] + path, NO_HEADERS)
    assert isinstance(route, Route)
    assert route.model == name
    listed = find_route("GET", f"{prefix[0]}/models/{quote(name, safe='')}", NO_HEADERS)
    assert listed is None or (isinstance(listed, ModelList) and listed.model == name)
    assert route.path_at("/base", name) == f"/base/{prefix[1]}{path}"


@pytest.mark.parametrize(
    ("target", "base_path", "vendor_model", "path"),
    [
        ("/v1/chat/completions", "/v1", "gpt-x", "/v1/chat/completions"),
        ("/v1/chat/completions?a=1&b=2", "/api/v3", "gpt-x", "/api/v3/chat/completions?a=1&b=2"),
        ("/claude/v1/messages?beta=true", "", "claude-x", "/v1/messages?beta=true"),
        ("/gemini/v1/models/m:countTokens", "", "gemini-x", "/v1/models/gemini-x:countTokens"),
        ("/v1beta/models/org/m:free:countTokens", "", "gemini-x", "/v1beta/models/gemini-x:countTokens"),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            "/proxy",
            "org/gemini:free",
            "/proxy/v1beta/models/org%2Fgemini%3Afree:streamGenerateContent?alt=sse",
        ),
        ("/v1beta/models/m:countTokens?x={model}", "", "v", "/v1beta/models/v:countTokens?x={model}"),
    ],
)
def test_the_path_at_a_channel(target: str, base_path: str, vendor_model: str, path: str) -> None:
    """A request goes to the channel's own base path, under the vendor's model name, with its query as it was."""
    route = find_route("POST", target, NO_HEADERS)
    assert isinstance(route, Route)
    assert route.path_at(base_path, vendor_model) == path


@pytest.mark.parametrize(
    ("target", "headers", "dialect"),
    [
        ("", NO_HEADERS, Dialect.OPENAI),
        ("/nowhere", NO_HEADERS, Dialect.OPENAI),
        ("/v1/nowhere", ANTHROPIC, Dialect.OPENAI),
        ("/claude/nowhere", NO_HEADERS, Dialect.ANTHROPIC),
        ("/v1/messages/batches", NO_HEADERS, Dialect.ANTHROPIC),
        ("/v1beta/nowhere", NO_HEADERS, Dialect.GEMINI),
        ("/gemini/nowhere", NO_HEADERS, Dialect.GEMINI),
        ("/v1/models/m:countTokens", NO_HEADERS, Dialect.GEMINI),
        ("/v1/models/m:nowhere", GOOGLE, Dialect.GEMINI),
        ("/v1/models/m:free", NO_HEADERS, Dialect.OPENAI),
        ("/v1/models?key=sk-1", GOOGLE, Dialect.GEMINI),
        ("/v1/nowhere?/v1beta/", NO_HEADERS, Dialect.OPENAI),
    ],
)
def test_whose_errors_a_caller_reads(target: str, headers: dict[str, str], dialect: Dialect) -> None:
    """Even an unknown path has a dialect to be refused in."""
    assert dialect_of(target, headers) is dialect


@pytest.mark.parametrize("headers", [NO_HEADERS, ANTHROPIC, GOOGLE])
@pytest.mark.parametrize("path", POSTS)
def test_errors_are_in_the_dialect_of_the_operation(path: str, headers: dict[str, str]) -> None:
    """Where an operation is served, its refusals are worded as its answers are, whatever headers came along."""
    route = find_route("POST", path + "?alt=sse", headers)
    assert isinstance(route, Route)
    assert dialect_of(path + "?alt=sse", headers) is route.operation.dialect


@pytest.mark.parametrize(("path", "headers", "dialect"), LISTS)
def test_errors_are_in_the_dialect_of_the_list(path: str, headers: dict[str, str], dialect: Dialect) -> None:
    """Where a list is served, its refusals are worded as the list is."""
    assert dialect_of(path, headers) is dialect


def test_operations_have_names_of_their_own() -> None:
    """A usage record tells operations apart by name, and the name begins with the dialect."""
    operations = [value for value in vars(routes).values() if isinstance(value, Operation)]
    assert len({operation.name for operation in operations}) == len(operations)
    assert all(operation.name.startswith(f"{operation.dialect}.") for operation in operations)


def test_only_counting_is_free() -> None:
    """Every operation is priced but the two that count tokens, one as for a message, and those about tasks."""
    operations = [value for value in vars(routes).values() if isinstance(value, Operation)]
    free = [operation for operation in operations if not operation.priced]
    assert set(free) == {routes.COUNT_MESSAGE_TOKENS, routes.COUNT_TOKENS, *routes.ABOUT_TASKS.values()}
    assert routes.COUNT_MESSAGE_TOKENS.output == routes.MESSAGES.output
