"""What a body asks for, in each dialect; a refusal names the field; what is forwarded is what was priced."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.core.catalog import Operation
from extproc.core.quote import Ask
from extproc.dialects import routes
from extproc.dialects.bodies import _FORM_READERS, _READERS, MAX_ANSWERS, Body, read_body
from extproc.dialects.routes import Route, find_route
from extproc.errors import INVALID_REQUEST, Refusal
from tests.core.samples import steady


def route_at(path: str) -> Route:
    """The route of a POST to this path."""
    route = find_route("POST", path, {})
    assert isinstance(route, Route)
    return route


CHAT = route_at("/v1/chat/completions")
RESPONSES = route_at("/v1/responses")
COMPLETIONS = route_at("/v1/completions")
EMBEDDINGS = route_at("/v1/embeddings")
MODERATIONS = route_at("/v1/moderations")
RERANK = route_at("/v1/rerank")
MESSAGES = route_at("/v1/messages")
COUNT_MESSAGES = route_at("/v1/messages/count_tokens")
GENERATE = route_at("/v1beta/models/gem:generateContent")
STREAM = route_at("/v1beta/models/gem:streamGenerateContent")
EMBED = route_at("/v1beta/models/gem:embedContent")
BATCH_EMBED = route_at("/v1beta/models/gem:batchEmbedContents")
COUNT = route_at("/v1beta/models/gem:countTokens")
PREDICT = route_at("/v1beta/models/gem:predict")
IN_BODY = [CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MODERATIONS, RERANK, MESSAGES, COUNT_MESSAGES]
IN_PATH = [GENERATE, STREAM, EMBED, BATCH_EMBED, COUNT, PREDICT]


def read(route: Route, body: bytes) -> Body:
    """A body that is not refused."""
    read = read_body(route, body)
    assert isinstance(read, Body), read
    return read


def names(route: Route) -> str:
    """The name of a route's operation, for the test's id."""
    return route.operation.name


@pytest.mark.parametrize(
    ("route", "sent", "expected"),
    [
        (CHAT, {"model": "m"}, Ask("m")),
        (CHAT, {"model": "m", "stream": False, "n": None, "max_tokens": None}, Ask("m")),
        (CHAT, {"model": "m", "stream": None}, Ask("m")),
        (CHAT, {"model": "m", "stream": True}, Ask("m", stream=True)),
        (CHAT, {"model": "m", "max_tokens": 7}, Ask("m", output_cap=7)),
        (CHAT, {"model": "m", "max_completion_tokens": 8}, Ask("m", output_cap=8)),
        (CHAT, {"model": "m", "n": 128}, Ask("m", answers=128)),
        (CHAT, {"model": "m", "max_output_tokens": 9, "messages": [{"n": 5}]}, Ask("m")),
        (RESPONSES, {"model": "m", "input": "hi"}, Ask("m")),
        (RESPONSES, {"model": "m", "stream": True, "max_output_tokens": 9}, Ask("m", stream=True, output_cap=9)),
        (RESPONSES, {"model": "m", "background": False}, Ask("m")),
        (RESPONSES, {"model": "m", "n": 5, "max_tokens": 5}, Ask("m")),
        (COMPLETIONS, {"model": "m", "prompt": "a", "max_tokens": 5, "n": 2}, Ask("m", output_cap=5, answers=2)),
        (COMPLETIONS, {"model": "m", "prompt": "a", "stream": True, "best_of": 3}, Ask("m", stream=True, answers=3)),
        (COMPLETIONS, {"model": "m", "prompt": ["a", "b"], "n": 2}, Ask("m", answers=4)),
        (COMPLETIONS, {"model": "m", "prompt": [1, 2, 3]}, Ask("m")),
        (COMPLETIONS, {"model": "m", "prompt": [[1], [2], [3]]}, Ask("m", answers=3)),
        (COMPLETIONS, {"model": "m", "prompt": []}, Ask("m")),
        (EMBEDDINGS, {"model": "m", "input": ["a"], "n": 5, "stream": True}, Ask("m")),
        (MESSAGES, {"model": "m", "max_tokens": 5, "stream": True}, Ask("m", stream=True, output_cap=5)),
        (MESSAGES, {"model": "m"}, Ask("m")),
        (COUNT_MESSAGES, {"model": "m", "max_tokens": 5}, Ask("m")),
        (GENERATE, {"contents": []}, Ask("gem")),
        (GENERATE, {"generationConfig": None}, Ask("gem")),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 5}}, Ask("gem", output_cap=5)),
        (GENERATE, {"generation_config": {"max_output_tokens": 5}}, Ask("gem", output_cap=5)),
        (GENERATE, {"generationConfig": {"candidateCount": 2, "maxOutputTokens": None}}, Ask("gem", answers=2)),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 9}}, Ask("gem", output_cap=9)),
        (GENERATE, {"generationConfig": {"candidateCount": 10**6}}, Ask("gem", answers=MAX_ANSWERS)),
        (GENERATE, {"stream": True, "maxOutputTokens": 5}, Ask("gem")),
        (STREAM, {"contents": []}, Ask("gem", stream=True)),
        (EMBED, {"content": {}}, Ask("gem")),
        (EMBED, {"model": "models/gem", "content": {}}, Ask("gem")),
        (EMBED, {"model": "gem"}, Ask("gem")),
        (BATCH_EMBED, {"requests": [{"model": "models/gem", "content": {}}, {"content": {}}]}, Ask("gem")),
        (COUNT, {"contents": [], "model": "models/other"}, Ask("gem")),
    ],
)
def test_what_a_body_asks_for(route: Route, sent: dict[str, Any], expected: Ask) -> None:
    """Model, stream, output cap and number of answers are read where the dialect has them, and nowhere else."""
    ask = read(route, json.dumps(sent).encode()).ask
    found = (ask.model, ask.stream, ask.output_cap, ask.answers)
    assert found == (expected.model, expected.stream, expected.output_cap, expected.answers)


@pytest.mark.parametrize(
    ("route", "sent", "media"),
    [
        (CHAT, {}, False),
        (CHAT, {"modalities": ["text"]}, False),
        (CHAT, {"modalities": ["text", "audio"]}, True),
        (RESPONSES, {"modalities": ["audio"]}, False),
        (GENERATE, {}, True),
        (GENERATE, {"generationConfig": {"responseModalities": []}}, True),
        (GENERATE, {"generationConfig": {"responseModalities": ["TEXT"]}}, False),
        (STREAM, {"generation_config": {"response_modalities": ["TEXT"]}}, False),
        (STREAM, {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}, True),
        (GENERATE, {"generationConfig": {"responseModalities": ["TEXT"], "response_modalities": ["AUDIO"]}}, True),
        (GENERATE, {"generationConfig": {"responseModalities": "TEXT"}}, True),
        (PREDICT, {}, True),
    ],
)
def test_an_answer_that_may_be_more_than_text(route: Route, sent: dict[str, Any], media: bool) -> None:
    """It is held at the price of audio and images, unless the request rules them out."""
    assert read(route, json.dumps({"model": "m", **sent}).encode()).ask.media is media


@pytest.mark.parametrize(
    ("route", "sent", "output_cap", "answers"),
    [
        (CHAT, {"max_completion_tokens": 1, "max_tokens": 500}, 500, 1),
        (CHAT, {"max_completion_tokens": 500, "max_tokens": 1}, 500, 1),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 500}, "generation_config": {"maxOutputTokens": 1}}, 500, 1),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 1}, "generation_config": {"maxOutputTokens": 500}}, 500, 1),
        (GENERATE, {"generationConfig": {"candidateCount": 8}, "generation_config": {"candidateCount": 1}}, None, 8),
        (GENERATE, {"generationConfig": {"candidateCount": 8}, "generation_config": {"candidate_count": 1}}, None, 8),
    ],
)
def test_of_two_caps_the_larger_is_held(
    route: Route, sent: dict[str, Any], output_cap: int | None, answers: int
) -> None:
    """A cap that a vendor may not know cannot make the hold smaller than the one it does know."""
    ask = read(route, json.dumps({"model": "m", **sent}).encode()).ask
    assert (ask.output_cap, ask.answers) == (output_cap, answers)


@pytest.mark.parametrize(
    ("route", "sent", "field"),
    [
        *[(route, {}, "model") for route in IN_BODY],
        *[(route, {"model": None}, "model") for route in IN_BODY],
        *[(route, {"model": ""}, "model") for route in IN_BODY],
        *[(route, {"model": 5}, "model") for route in IN_BODY],
        *[(route, {"model": ["m"]}, "model") for route in IN_BODY],
        *[(route, {"model": "m", "stream": "true"}, "stream") for route in (CHAT, RESPONSES, MESSAGES)],
        *[(route, {"model": "m", "stream": 1}, "stream") for route in (CHAT, RESPONSES, MESSAGES)],
        *[(CHAT, {"model": "m", "n": n}, "n") for n in (0, -1, 129, 1.5, "1", True)],
        *[(CHAT, {"model": "m", "max_tokens": n}, "max_tokens") for n in (0, -1, 2**31 + 1, 1.5, "1")],
        (CHAT, {"model": "m", "max_completion_tokens": 0}, "max_completion_tokens"),
        (CHAT, {"model": "m", "stream": True, "stream_options": []}, "stream_options"),
        (RESPONSES, {"model": "m", "max_output_tokens": 0}, "max_output_tokens"),
        (RESPONSES, {"model": "m", "background": True}, "background"),
        (RESPONSES, {"model": "m", "background": "yes"}, "background"),
        (MESSAGES, {"model": "m", "max_tokens": 0}, "max_tokens"),
        (GENERATE, {"generationConfig": []}, "generationConfig"),
        (GENERATE, {"generation_config": "x"}, "generation_config"),
        *[(GENERATE, {"generationConfig": {"maxOutputTokens": n}}, "maxOutputTokens") for n in (0, -1, 1.5, "5", True)],
        (GENERATE, {"generationConfig": {"max_output_tokens": 0}}, "maxOutputTokens"),
        (GENERATE, {"generationConfig": {"candidateCount": 0}}, "candidateCount"),
        (EMBED, {"model": "models/other"}, "model"),
        (EMBED, {"model": 5}, "model"),
        (EMBED, {"model": ""}, "model"),
        (BATCH_EMBED, {"requests": [{"model": "models/gem"}, {"model": "models/other"}]}, "model"),
        (BATCH_EMBED, {"requests": {}}, "requests"),
        (BATCH_EMBED, {"requests": ["x"]}, "requests"),
        (BATCH_EMBED, {"requests": [{"model": 5}]}, "requests"),
    ],
)
def test_a_refusal_names_the_field(route: Route, sent: dict[str, Any], field: str) -> None:
    """A body of the wrong shape is 400 `invalid_request_error`, with the field as `param` and in its words."""
    refusal = read_body(route, json.dumps(sent).encode())
    assert isinstance(refusal, Refusal)
    assert refusal == INVALID_REQUEST.saying(refusal.message, field)
    assert field in refusal.message


@pytest.mark.parametrize("route", IN_BODY + IN_PATH, ids=names)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"not json", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(route: Route, body: bytes) -> None:
    """Whatever the operation, its body is a JSON object."""
    assert read_body(route, body) == INVALID_REQUEST.saying("The body is not a JSON object.")


# --- the estimate of the input ----------------------------------------------------------------------------------------

IMAGE = "iVBORw0KGgo" * 1_000


@pytest.mark.parametrize(
    ("route", "content", "attachments"),
    [
        (CHAT, {"image_url": {"url": f"data:image/png;base64,{IMAGE}"}}, 1),
        (CHAT, {"input_audio": {"data": IMAGE, "format": "wav"}}, 1),
        (CHAT, {"file": {"file_data": IMAGE}}, 1),
        (MESSAGES, {"source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}, 1),
        (GENERATE, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}, 1),
        (GENERATE, {"inline_data": {"mime_type": "image/png", "data": IMAGE}}, 1),
        (CHAT, [{"type": "base64", "data": IMAGE}, {"type": "base64", "data": IMAGE}], 2),
        (CHAT, {"image_url": {"url": "data:image/png;base64,iVBORw0KGgo"}}, 0),
        (CHAT, {"text": IMAGE}, 0),
    ],
)
def test_an_attachment_is_not_text(route: Route, content: Any, attachments: int) -> None:
    """An embedded image, sound or file counts as one, and its base64 not as text; long words in a text do."""
    body = json.dumps({"model": "m", "content": content}).encode()
    ask = read(route, body).ask
    assert (ask.attachments, ask.text_bytes) == (attachments, len(body) - attachments * len(IMAGE))


@pytest.mark.parametrize("route", IN_BODY + IN_PATH, ids=names)
def test_every_byte_of_text_counts(route: Route) -> None:
    """Without attachments the text is the whole body, as the caller sent it."""
    body = b'{"model" : "gem", "x": "' + b"y" * 5_000 + b'"}'
    assert read(route, body).ask.text_bytes == len(body)


# --- what is forwarded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", IN_BODY + IN_PATH, ids=names)
def test_a_compact_body_is_forwarded_as_it_is(route: Route) -> None:
    """What an SDK sends reaches the vendor byte for byte."""
    body = b'{"model":"gem","messages":[{"role":"user","content":"hi"}]}'
    assert read(route, body).forward == body


@pytest.mark.parametrize("route", IN_BODY, ids=names)
def test_a_body_that_names_its_model_says_where(route: Route) -> None:
    """The offsets enclose the model's name in what is forwarded, not in what was sent."""
    body = read(route, b' {"x" : 1, "mod\\u0065l" :  "gem" }')
    assert body.forward[body.model_start : body.model_end] == b'"gem"'
    assert json.loads(body.forward) == {"x": 1, "model": "gem"}


@pytest.mark.parametrize("route", IN_PATH, ids=names)
def test_a_body_without_a_model_has_no_place_for_one(route: Route) -> None:
    """Where the path names the model there is nothing to splice."""
    body = read(route, b'{"x":1}')
    assert (body.model_start, body.model_end) == (0, 0)


@pytest.mark.parametrize("route", IN_BODY + IN_PATH, ids=names)
def test_what_was_priced_is_what_the_vendor_reads(route: Route) -> None:
    """Of a repeated member only the one that was read goes on, so a vendor that prefers the first reads it too."""
    body = read(route, b'{"model":"other","x":1,"model":"gem"}')
    pairs: list[tuple[str, Any]] = json.loads(body.forward, object_pairs_hook=list)
    assert dict(pairs) == {"model": "gem", "x": 1}
    assert len(pairs) == 2
    assert body.ask.model == "gem"


options = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text("ab") | st.none())


@steady
@given(options, st.sampled_from([None, False, True, 0, 1, "true"]))
@example({"include_obfuscation": False}, None)
def test_a_stream_is_asked_for_its_usage(others: dict[str, Any], include_usage: object) -> None:
    """`include_usage` becomes true whatever the caller said, and the caller's other options stay."""
    sent = {**others, "include_usage": include_usage}
    body = read(CHAT, json.dumps({"model": "m", "stream": True, "stream_options": sent}).encode())
    assert json.loads(body.forward)["stream_options"] == {**others, "include_usage": True}


@pytest.mark.parametrize("stream_options", ["", ',"stream_options":null', ',"stream_options":{}'])
def test_a_stream_without_options_is_asked_too(stream_options: str) -> None:
    """Absent, null or empty options become those that ask for the usage; the model is found behind them as well."""
    body = read(CHAT, f'{{"stream":true{stream_options},"model":"m"}}'.encode())
    assert json.loads(body.forward) == {"stream": True, "model": "m", "stream_options": {"include_usage": True}}
    assert body.forward[body.model_start : body.model_end] == b'"m"'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
        b'{"model":"m","stream":false,"stream_options":{"include_usage":false}}',
        b'{"model":"m"}',
    ],
)
def test_options_that_need_no_change_have_none(body: bytes) -> None:
    """A stream that asks already, and an answer in one piece, are forwarded byte for byte."""
    assert read(CHAT, body).forward == body


@pytest.mark.parametrize("route", [RESPONSES, MESSAGES, STREAM], ids=names)
def test_only_chat_streams_need_to_be_asked(route: Route) -> None:
    """The other APIs tell their usage by themselves, and would refuse an option they do not know."""
    body = b'{"model":"gem","stream":true}'
    assert read(route, body).forward == body


@steady
@given(st.sampled_from(IN_BODY + IN_PATH), st.binary() | st.binary().map(lambda b: b'{"model":"gem",' + b + b"}"))
def test_any_bytes_are_an_ask_or_a_refusal(route: Route, body: bytes) -> None:
    """Whatever a caller sends, reading it is no fault."""
    assert isinstance(read_body(route, body), Body | Refusal)


def test_every_operation_has_a_reader() -> None:
    """No route leads to a body that nobody can read; what is asked about a task has none."""
    operations = {value for value in vars(routes).values() if isinstance(value, Operation)}
    operations -= set(routes.ABOUT_TASKS.values())
    assert {*_READERS, *_FORM_READERS} == operations
