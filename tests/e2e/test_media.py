"""Operations beside text through the official SDK: what each is charged, to the nano; and what is refused."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest

from tests.e2e.bills import scripted
from tests.e2e.harness import HTTP, Customer, Gateway, gateway
from tests.e2e.sdks import openai_client, vertex_client

CHANNELS = """
channels:
  a:
    dialect: openai
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a/v1
    models:
      {davinci: vendor-davinci, moderate: , judge: , judge-search: , judge-call: , dall: vendor/dall, draw: ,
       speak: vendor-speak, speak-tokens: , whisper: vendor/whisper-1, whisper-seconds: ,
       scribe: vendor-scribe-with-a-longer-name}
  g:
    dialect: gemini
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/g
    models: {imagine: vendor-imagen}
"""
GROUPS = "groups: {default: {multiplier: 0.5, channels: [{channel: a}, {channel: g}]}}"
MODELS = """
models:
  davinci: {price: {input: 2.00, output: 8.00}, max_output_tokens: 100}
  moderate: {price: {per_call: 0}}
  judge: {price: {input: 0.02}}
  judge-search: {price: {per_search: 0.002}}
  judge-call: {price: {per_call: 0.003}}
  dall:
    price:
      per_image:
      - {size: 1024x1024, quality: hd, price: 0.08}
      - {size: 1024x1024, price: 0.04}
      - {size: auto, price: 0.04}
  draw: {price: {input: 5.00, input_image: 10.00, output: 40.00}, max_output_tokens: 6240}
  whisper: {price: {per_minute: 0.006}}
  whisper-seconds: {price: {per_second: [{price: 0.0001}]}}
  scribe: {price: {input: 2.50, input_audio: 6.00, output: 10.00}, max_output_tokens: 2000}
  speak: {price: {per_million_characters: 15.00}}
  speak-tokens: {price: {input: 0.60, output: 1.00, output_audio: 12.00}, max_output_tokens: 2000}
  imagine: {price: {per_image: [{size: 2K, price: 0.06}, {price: 0.04}]}}
"""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose models are priced by what is asked for, at half the price."""
    config = tmp_path_factory.mktemp("media")
    for name, text in {"channels": CHANNELS, "groups": GROUPS, "models": MODELS}.items():
        (config / f"{name}.yaml").write_text(text)
    with gateway(config, tmp_path_factory.mktemp("data"), workers=1) as running:
        yield running


Work = Callable[[Any], Any]


def complete(client: Any) -> Any:
    """A completion in one piece."""
    prompt = scripted(chunks=3, usage={"input": 1_000, "cached": 0, "output": 100})
    assert client.completions.create(model="davinci", prompt=prompt).choices[0].text == "w0 w1 w2"


def complete_stream(client: Any) -> Any:
    """A streamed one, whose caller did not ask for the usage."""
    prompt = scripted(chunks=3, usage={"input": 1_000, "output": 100})
    stream = client.completions.create(model="davinci", prompt=prompt, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == "w0 w1 w2"


def moderate(client: Any) -> Any:
    """A moderation, which costs nothing."""
    assert not client.moderations.create(model="moderate", input="hello").results[0].flagged


def draw(model: str, **asked: Any) -> Work:
    """Images."""

    def work(client: Any) -> Any:
        prompt = asked.pop("prompt", "a cat")
        images = client.images.generate(model=model, prompt=prompt, **asked)
        assert len(images.data) == asked.get("n", 1)

    return work


def speak(client: Any) -> Any:
    """Eleven characters."""
    assert client.audio.speech.create(model="speak", voice="alloy", input="hello wörld").content.startswith(b"ID3")


RECORDING = ("talk.mp3", b"\r\n--not the boundary\r\n" + bytes(range(256)) * 1_000)


def write_down(model: str, seconds: float | None = None, verb: str = "transcriptions", **asked: Any) -> Work:
    """A recording of 256 kB."""

    def work(client: Any) -> Any:
        prompt = scripted(chunks=2, usage={"input": 700, "audio": 600, "output": 20, "seconds": seconds})
        api = getattr(client.audio, verb)
        answer = api.create(model=model, file=RECORDING, prompt=prompt, **asked)
        assert (answer if isinstance(answer, str) else answer.text).strip() == "w0 w1"

    return work


def edit(client: Any) -> Any:
    """Two images, made of two others."""
    prompt = scripted(usage={"input": 1_000, "image": 900, "output": 400})
    sources = [("a.png", b"a" * 1_000), ("b.png", b"b" * 1_000)]
    assert len(client.images.edit(model="draw", image=sources, prompt=prompt, n=2).data) == 2


def draw_stream(verb: str, model: str, **usage: Any) -> Work:
    """An image of which two sketches come first."""

    def work(client: Any) -> Any:
        image = [("a.png", b"a" * 1_000)] if verb == "edit" else None
        prompt = scripted(chunks=2, usage=usage, no_usage=not usage)
        sent = {"image": image} if image else {}
        stream = getattr(client.images, verb)(model=model, prompt=prompt, stream=True, partial_images=2, **sent)
        kind = "image_edit" if image else "image_generation"
        assert [event.type for event in stream] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]

    return work


def write_down_stream(client: Any) -> Any:
    """A recording whose words come one by one."""
    prompt = scripted(chunks=2, usage={"input": 700, "audio": 600, "output": 20})
    stream = client.audio.transcriptions.create(model="scribe", file=RECORDING, prompt=prompt, stream=True)
    assert "".join(event.delta for event in stream if event.type == "transcript.text.delta") == "w0 w1"


def speak_stream(model: str) -> Work:
    """Speech in events."""

    def work(client: Any) -> Any:
        text = scripted(chunks=3, usage={"input": 11, "output": 400})
        api = client.audio.speech.with_streaming_response
        with api.create(model=model, voice="alloy", input=text, stream_format="sse") as answer:
            assert answer.read().count(b"event: speech.audio.delta") == 3

    return work


SPOKEN = len(scripted(chunks=3, usage={"input": 11, "output": 400}))


def rank(model: str, documents: int = 2, **script: Any) -> Work:
    """A ranking, for which the SDK has no method of its own."""

    def work(client: Any) -> Any:
        body = {"model": model, "query": scripted("q", **script), "documents": ["d"] * documents}
        assert len(client.post("/rerank", body=body, cast_to=httpx.Response).json()["results"]) == documents

    return work


@pytest.mark.parametrize(
    ("operation", "work", "nano"),
    [
        pytest.param("completions", complete, 1_000 * 2_000 + 100 * 8_000, id="a completion"),
        pytest.param("completions", complete_stream, 1_000 * 2_000 + 100 * 8_000, id="a streamed completion"),
        pytest.param("rerank", rank("judge", usage={"input": 500}), 500 * 20, id="a ranking by tokens"),
        pytest.param("rerank", rank("judge-search", 250, no_usage=True), 6_000_000, id="by the searches asked for"),
        pytest.param("rerank", rank("judge-search", usage={"searches": 7}), 14_000_000, id="by the searches billed"),
        pytest.param("rerank", rank("judge-call", 250), 3_000_000, id="by the call"),
        pytest.param("images", draw("dall", n=3, size="1024x1024"), 120_000_000, id="three images"),
        pytest.param("images", draw("dall", size="1024x1024", quality="hd"), 80_000_000, id="a better one"),
        pytest.param("images", draw("dall"), 40_000_000, id="an image of no size"),
        pytest.param(
            "images",
            draw("draw", n=2, prompt=scripted(usage={"input": 100, "image": 70, "output": 4_160})),
            30 * 5_000 + 70 * 10_000 + 4_160 * 40_000,
            id="images by tokens",
        ),
        pytest.param("image_edits", edit, 100 * 5_000 + 900 * 10_000 + 400 * 40_000, id="images of images"),
        pytest.param("transcriptions", write_down("whisper", 90.5), 9_050_000, id="a transcript by the minute"),
        pytest.param(
            "transcriptions",
            write_down("whisper", 7, response_format="verbose_json"),
            700_000,
            id="its length told aside",
        ),
        pytest.param("transcriptions", write_down("whisper-seconds", 7), 700_000, id="by the second"),
        pytest.param("transcriptions", write_down("scribe"), 100 * 2_500 + 600 * 6_000 + 20 * 10_000, id="by tokens"),
        pytest.param("translations", write_down("whisper", 90, "translations"), 9_000_000, id="a translation"),
        pytest.param("speech", speak, 11 * 15_000, id="speech by characters"),
        pytest.param("images", draw_stream("generate", "dall"), 40_000_000, id="an image, streamed"),
        pytest.param(
            "images",
            draw_stream("generate", "draw", input=100, image=70, output=400),
            30 * 5_000 + 70 * 10_000 + 400 * 40_000,
            id="an image by tokens, streamed",
        ),
        pytest.param(
            "image_edits",
            draw_stream("edit", "draw", input=100, image=70, output=400, output_image=390),
            30 * 5_000 + 70 * 10_000 + 400 * 40_000,
            id="an image of an image, streamed",
        ),
        pytest.param(
            "transcriptions", write_down_stream, 100 * 2_500 + 600 * 6_000 + 20 * 10_000, id="a transcript, streamed"
        ),
        pytest.param("speech", speak_stream("speak"), SPOKEN * 15_000, id="speech by characters, streamed"),
        pytest.param("speech", speak_stream("speak-tokens"), 11 * 600 + 400 * 12_000, id="speech by tokens, streamed"),
    ],
)
def test_what_a_call_is_charged(media: Gateway, operation: str, work: Work, nano: int) -> None:
    """At half of this: tokens as the vendor counted them, or what was asked for, and nothing is in doubt."""
    customer = media.customer(usd="5")
    work(openai_client(media.url, customer.key))
    (record,) = media.settled(customer, records=1)
    assert (record["operation"], record["state"]) == (f"openai.{operation}", "REPORTED")
    assert record["charged_nano"] == nano // 2
    assert record["doubts"] == []


@pytest.mark.parametrize(
    ("parameters", "filtered", "state", "nano"),
    [
        ({"sampleCount": 3}, 0, "REPORTED", 120_000_000),
        ({}, 0, "REPORTED", 160_000_000),
        ({"sampleImageSize": "2K"}, 0, "REPORTED", 240_000_000),
        ({}, 3, "REPORTED", 40_000_000),
        ({}, 4, "ESTIMATED", 0),
    ],
)
def test_what_imagen_draws_is_charged_by_the_image(
    media: Gateway, parameters: dict[str, Any], filtered: int, state: str, nano: int
) -> None:
    """As many as were drawn, at the price of their size; the vendor sees its own name for the model."""
    customer = media.customer(usd="5")
    media.forget_received()
    prompt = scripted("a cat", body_bytes=100_000, usage={"filtered": filtered})
    body = {"instances": [{"prompt": prompt}], "parameters": parameters}
    url, headers = f"{media.url}/v1beta/models/imagine:predict", {"x-goog-api-key": customer.key}
    answer = HTTP.post(url, json=body, headers=headers)
    assert len(answer.json()["predictions"]) == parameters.get("sampleCount", 4)
    assert "x-tollgate-cost" not in answer.headers
    (record,) = media.settled(customer, records=1)
    assert (record["operation"], record["state"], record["doubts"]) == ("gemini.predict", state, [])
    assert record["charged_nano"] == nano // 2
    assert [each["path"] for each in media.received()] == ["/g/v1beta/models/vendor-imagen:predict"]


@pytest.mark.filterwarnings("ignore:The generate_images method")
def test_googles_sdk_draws(media: Gateway) -> None:
    """`generate_images` as the SDK has it since it is for Vertex alone, whose paths are others."""
    customer = media.customer(usd="5")
    client = vertex_client(media.url, customer.key)
    images = client.models.generate_images(model="imagine", prompt="a cat", config={"number_of_images": 2})
    assert len(images.generated_images) == 2
    (record,) = media.settled(customer, records=1)
    assert (record["model"], record["charged_nano"]) == ("imagine", 40_000_000)


@pytest.mark.parametrize(("cut_after", "state"), [(1, "PARTIAL"), (None, "REPORTED")])
def test_an_image_whose_stream_was_cut(media: Gateway, cut_after: int | None, state: str) -> None:
    """Nobody has counted it before its end, and no more is charged than can be known; never more than was held."""
    customer = media.customer(usd="5")
    prompt = scripted(chunks=2, usage={"input": 100, "output": 400}, reset_after=cut_after)
    images = openai_client(media.url, customer.key).images
    with contextlib.suppress(openai.APIError, httpx2.TransportError):
        list(images.generate(model="draw", prompt=prompt, stream=True, partial_images=2))
    (record,) = media.settled(customer, records=1)
    assert (record["state"], record["usage"]["output_image_tokens"]) == (state, 0 if cut_after else 400)
    assert record["charged_nano"] <= record["hold_nano"]


def test_a_transcript_that_nobody_counted_is_a_guess(media: Gateway) -> None:
    """As plain text an answer has no length: what is charged is how long the recording is at least."""
    customer = media.customer(usd="5")
    write_down("whisper", 90, response_format="text")(openai_client(media.url, customer.key))
    (record,) = media.settled(customer, records=1)
    size = len(RECORDING[1])
    assert (record["state"], record["usage"]["units"]) == ("ESTIMATED", size * 1_000 // 192_000)
    assert record["hold_nano"] == -(-size * 1_000 // 2_000) * 100 // 2


def test_a_form_reaches_the_vendor_as_it_is(media: Gateway) -> None:
    """But for the model, which the vendor has under another name, not a byte of it is changed."""
    media.forget_received()
    client = openai_client(media.url, media.customer().key)
    client.audio.transcriptions.create(model="scribe", file=("a.mp3", b"ID3 sound\r\n"), prompt="hello", language="en")
    (received,) = media.received()
    assert received["path"] == "/a/v1/audio/transcriptions"
    assert received["model"] == "vendor-scribe-with-a-longer-name"
    parts = received["body"].split(received["body"].partition("\r\n")[0])
    assert {part.split('name="')[1].split('"')[0]: part.partition("\r\n\r\n")[2] for part in parts[1:-1]} == {
        "model": "vendor-scribe-with-a-longer-name\r\n",
        "prompt": "hello\r\n",
        "language": "en\r\n",
        "file": "ID3 sound\r\n\r\n",
    }


@pytest.mark.parametrize(
    ("path", "sent", "status", "param"),
    [
        ("audio/transcriptions", {"model": ""}, 400, "model"),
        ("audio/transcriptions", {"model": "whisper", "stream": "yes"}, 400, "stream"),
        ("audio/transcriptions", {"model": ["whisper", "scribe"]}, 400, "model"),
        ("audio/translations", {"model": "nowhere"}, 404, "model"),
        ("audio/translations", {"model": "dall"}, 400, None),
        ("images/edits", {"model": "dall", "n": "0"}, 400, "n"),
        ("images/edits", {"model": "dall", "size": "1x1"}, 400, None),
    ],
)
def test_a_form_that_has_no_price_is_refused(
    media: Gateway, path: str, sent: dict[str, Any], status: int, param: str | None
) -> None:
    """A form is read as strictly as JSON, and costs nothing when it is refused."""
    customer = media.customer(usd="5")
    media.forget_received()
    headers = {"authorization": f"Bearer {customer.key}"}
    answer = HTTP.post(f"{media.url}/v1/{path}", data=sent, files={"file": RECORDING}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert (media.received(), media.wallet(customer).held_nano, media.usage(customer)) == ([], 0, [])


def test_what_costs_nothing_is_on_record(media: Gateway) -> None:
    """A model at 0 a call can be called with an empty wallet."""
    customer = media.customer(usd="0")
    moderate(openai_client(media.url, customer.key))
    (record,) = media.settled(customer, records=1)
    assert (record["operation"], record["state"], record["charged_nano"]) == ("openai.moderations", "RELEASED", 0)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("images/generations", {"model": "dall", "n": 0}, 400, "n"),
        ("images/generations", {"model": "dall", "size": "512x512"}, 400, None),
        ("images/generations", {"prompt": "a"}, 400, "model"),
        ("images/generations", {"model": "nowhere", "prompt": "a"}, 404, "model"),
        ("images/generations", {"model": "speak", "prompt": "a"}, 400, None),
        ("audio/speech", {"model": "speak", "input": ""}, 400, "input"),
        ("audio/speech", {"model": "dall", "input": "a"}, 400, None),
        ("rerank", {"model": "judge", "documents": 5}, 400, "documents"),
        ("moderations", {"input": "a"}, 400, "model"),
        ("moderations", {"model": "dall", "input": "a"}, 400, None),
        ("completions", {"model": "judge", "prompt": "a"}, 404, "model"),
        ("completions", {"model": "davinci", "prompt": "a", "best_of": 0}, 400, "best_of"),
        ("chat/completions", {"model": "dall", "messages": []}, 404, "model"),
    ],
)
def test_what_has_no_price_is_refused(
    media: Gateway, path: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    """In the caller's dialect, before any vendor is asked, and nothing is held."""
    customer = media.customer(usd="5")
    media.forget_received()
    answer = HTTP.post(f"{media.url}/v1/{path}", json=body, headers={"authorization": f"Bearer {customer.key}"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert error["code"] == {400: "invalid_request_error", 404: "model_not_found"}[status]
    assert (media.received(), media.wallet(customer).held_nano, media.usage(customer)) == ([], 0, [])


def test_an_error_of_the_vendor_costs_nothing(media: Gateway) -> None:
    """Images that were not drawn are not charged."""
    customer: Customer = media.customer(usd="5")
    with pytest.raises(openai.BadRequestError):
        draw("dall", prompt=scripted(status=400))(openai_client(media.url, customer.key))
    (record,) = media.settled(customer, records=1)
    assert (record["state"], record["charged_nano"]) == ("RELEASED", 0)
